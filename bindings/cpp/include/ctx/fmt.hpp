// SPDX-License-Identifier: MIT
//
// ctx/fmt.hpp - contexts, causes and context_error as arguments of fmt::format. No other header includes
// it: it needs {fmt}.
#ifndef CTX_FMT_HPP
#define CTX_FMT_HPP

#include <fmt/format.h>

#include <ctx/cause.hpp>
#include <ctx/context.hpp>
#include <string_view>

/// How a context came to be, as context::describe() says; the specifications are those of text.
template <>
struct fmt::formatter<ctx::context> : fmt::formatter<std::string_view> {
  /// Formats it.
  template <class Output>
  auto format(const ctx::context& ctx, Output& output) const -> decltype(output.out()) {
    return fmt::formatter<std::string_view>::format(ctx::detail::described(ctx), output);
  }
};

/// The message of a cause; nothing for none.
template <>
struct fmt::formatter<ctx::cause> : fmt::formatter<std::string_view> {
  /// Formats it.
  template <class Output>
  auto format(const ctx::cause& cause, Output& output) const -> decltype(output.out()) {
    return fmt::formatter<std::string_view>::format(cause.message(), output);
  }
};

/// What the exception says: the error of a context, and why.
template <>
struct fmt::formatter<ctx::context_error> : fmt::formatter<std::string_view> {
  /// Formats it.
  template <class Output>
  auto format(const ctx::context_error& error, Output& output) const -> decltype(output.out()) {
    return fmt::formatter<std::string_view>::format(error.what(), output);
  }
};

#endif  // CTX_FMT_HPP
