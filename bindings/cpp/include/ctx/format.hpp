// SPDX-License-Identifier: MIT
//
// ctx/format.hpp - C++20: contexts, causes and context_error as arguments of std::format. No other header
// includes it; it is empty if the standard library has no <format>.
#ifndef CTX_FORMAT_HPP
#define CTX_FORMAT_HPP

#include <ctx/cause.hpp>
#include <ctx/context.hpp>
#include <string_view>

#if __cplusplus >= 202002L && __has_include(<format>)
#include <format>
#define CTX_HAS_FORMAT 1

/// How a context came to be, as context::describe() says; the specifications are those of text.
template <>
struct std::formatter<ctx::context> : std::formatter<std::string_view> {
  /// Formats it.
  template <class Output>
  auto format(const ctx::context& ctx, Output& output) const -> decltype(output.out()) {
    return std::formatter<std::string_view>::format(ctx::detail::described(ctx), output);
  }
};

/// The message of a cause; nothing for none.
template <>
struct std::formatter<ctx::cause> : std::formatter<std::string_view> {
  /// Formats it.
  template <class Output>
  auto format(const ctx::cause& cause, Output& output) const -> decltype(output.out()) {
    return std::formatter<std::string_view>::format(cause.message(), output);
  }
};

/// What the exception says: the error of a context, and why.
template <>
struct std::formatter<ctx::context_error> : std::formatter<std::string_view> {
  /// Formats it.
  template <class Output>
  auto format(const ctx::context_error& error, Output& output) const -> decltype(output.out()) {
    return std::formatter<std::string_view>::format(error.what(), output);
  }
};

#endif
#endif  // CTX_FORMAT_HPP
