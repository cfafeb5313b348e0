// SPDX-License-Identifier: MIT
//
// ctx/propagate.hpp - deadlines, traces, baggage and causes as text, into the headers of a request and out of them.
//
//   ctx::inject(ctx, headers, formats);                           // at the caller
//   auto [ctx, cancel] = ctx::extract(server, headers, formats);  // at the callee
#ifndef CTX_PROPAGATE_HPP
#define CTX_PROPAGATE_HPP

#include <ctx/propagate.h>

#include <cerrno>
#include <chrono>
#include <ctx/cause.hpp>
#include <ctx/context.hpp>
#include <ctx/derive.hpp>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace ctx {

/// What inject() writes and extract() reads; in C++20 in place: `{.timeout_ms = "x-timeout-ms"}`.
struct formats {
  bool grpc_timeout = false;  ///< The deadline as `grpc-timeout`.
  bool trace = true;          ///< `traceparent` and `tracestate`.
  bool baggage = true;        ///< `baggage`.
  bool environment = false;   ///< The last two with the names of environment variables.
  std::string timeout_ms{};   ///< The name of the deadline in milliseconds; empty: it does not go.
  /// Of extract(): no timeout is longer, and there is one. 0: no limit.
  std::chrono::nanoseconds maximum_timeout{0};
  /// Of extract(): the timeout if the map has none. 0: none.
  std::chrono::nanoseconds default_timeout{0};
};

namespace detail {

inline ctx_formats_t raw_formats(const formats& which) {
  if (which.timeout_ms.find('\0') != std::string::npos) fail(-EINVAL, "ctx: a NUL inside a name");
  ctx_formats_t raw{};
  raw.size = sizeof raw;
  raw.flags = (which.grpc_timeout ? CTX_FORMAT_GRPC_TIMEOUT : 0) |
              (which.trace ? CTX_FORMAT_TRACE : 0) | (which.baggage ? CTX_FORMAT_BAGGAGE : 0) |
              (which.environment ? CTX_FORMAT_ENVIRONMENT : 0);
  raw.timeout_ms = which.timeout_ms.empty() ? nullptr : which.timeout_ms.c_str();
  raw.maximum_ns = which.maximum_timeout.count();
  raw.default_ns = which.default_timeout.count();
  return raw;
}

// What a carrier throws waits here until C has returned.
class thrown {
 public:
  // True if the body ran, and neither it nor one before it has thrown.
  template <class Body>
  bool run(Body&& body) noexcept {
#if defined(__cpp_exceptions)
    if (first_) return false;
    try {
      body();
    } catch (...) {
      first_ = std::current_exception();
      return false;
    }
#else
    body();
#endif
    return true;
  }
  void rethrow() const {
#if defined(__cpp_exceptions)
    if (first_) std::rethrow_exception(first_);
#endif
  }

 private:
#if defined(__cpp_exceptions)
  std::exception_ptr first_;
#endif
};

template <class Map, class = void>
inline constexpr bool is_map = false;
template <class Map>
inline constexpr bool
    is_map<Map, std::void_t<typename Map::key_type, typename Map::mapped_type,
                            decltype(std::declval<Map&>().equal_range(
                                std::declval<const typename Map::key_type&>()))>> = true;

template <class Map, class = void>
inline constexpr bool assigns = false;
template <class Map>
inline constexpr bool assigns<
    Map, std::void_t<decltype(std::declval<Map&>().insert_or_assign(
             std::declval<typename Map::key_type>(), std::declval<typename Map::mapped_type>()))>> =
    true;

template <class Carrier>
class header_writer : public thrown {
 public:
  explicit header_writer(Carrier& carrier) noexcept : carrier_(carrier) {}

  // For ctx_string_fn.
  static int set(const char* name, const char* text, void* arg) noexcept {
    auto* const self = static_cast<header_writer*>(arg);
    return self->run([&] { self->write(name, text); }) ? 0 : -ECANCELED;
  }

 private:
  void write(const char* name, const char* text) {
    if constexpr (std::is_invocable_v<Carrier&, const char*, const char*>) {
      static_cast<void>(std::invoke(carrier_, name, text));
    } else {
      static_assert(is_map<Carrier>, "headers go to a map of texts, or to set(name, text)");
      typename Carrier::key_type key(name);
      typename Carrier::mapped_type mapped(text);
      if constexpr (assigns<Carrier>) {
        carrier_.insert_or_assign(std::move(key), std::move(mapped));
      } else {
        carrier_.erase(key);
        carrier_.emplace(std::move(key), std::move(mapped));
      }
    }
  }

  Carrier& carrier_;
};

// Keeps what a callable answers until the next call.
template <class Get>
class asker {
 public:
  explicit asker(Get& get) noexcept : get_(get) {}
  std::optional<std::string_view> find(const char* name) {
    answer_.reset();  // so that it need not be assignable
    answer_.emplace(std::invoke(get_, name));
    if constexpr (std::is_convertible_v<answer, const char*>) {
      const char* const text = *answer_;
      if (text == nullptr) return std::nullopt;
      return std::string_view(text);
    } else {
      static_assert(std::is_constructible_v<bool, answer&>,
                    "get(name) answers a std::optional of a text, or a pointer that may be null");
      if (!*answer_) return std::nullopt;
      return std::string_view((**answer_).data(), (**answer_).size());
    }
  }

 private:
  using answer = std::decay_t<std::invoke_result_t<Get&, const char*>>;
  Get& get_;
  std::optional<answer> answer_;
};

// Joins what a map has several times.
template <class Map>
class finder {
 public:
  explicit finder(const Map& map) noexcept : map_(map) {}
  std::optional<std::string_view> find(const char* name) {
    const typename Map::key_type key(name);
    auto [at, end] = map_.equal_range(key);
    if (at == end) return std::nullopt;
    const std::string_view first(at->second.data(), at->second.size());
    if (++at == end) return first;
    joined_ = first;
    for (; at != end; ++at) joined_.append(",").append(at->second.data(), at->second.size());
    return joined_;
  }

 private:
  const Map& map_;
  std::string joined_;
};

template <class Carrier>
class header_reader : public thrown {
 public:
  explicit header_reader(Carrier& carrier) noexcept : source_(carrier) {}

  // For ctx_get_fn.
  static std::int64_t get(const char* name, const char** text, void* arg) noexcept {
    auto* const self = static_cast<header_reader*>(arg);
    std::optional<std::string_view> found;
    if (!self->run([&] { found = self->source_.find(name); }) || !found) return -1;
    *text = found->empty() ? "" : found->data();
    return static_cast<std::int64_t>(found->size());
  }

 private:
  static constexpr bool asks = std::is_invocable_v<Carrier&, const char*>;
  static_assert(asks || is_map<std::remove_const_t<Carrier>>,
                "headers come from a map of texts, or from get(name)");
  std::conditional_t<asks, asker<Carrier>, finder<Carrier>> source_;
};

}  // namespace detail

/// Writes the headers that a request needs into a map of texts, in place of those of the same names, or calls
/// set(name, text) for each; name and text are a const char*. What it throws comes out of this call. If the context is
/// done, it writes nothing and sets error. See ctx_inject().
template <class Carrier>
void inject(const context& ctx, Carrier&& headers, const formats& which, std::error_code& error) {
  const ctx_formats_t raw = detail::raw_formats(which);
  detail::header_writer<std::remove_reference_t<Carrier>> to(headers);
  const int result = ctx_inject(ctx.get(), &raw, to.set, &to);
  to.rethrow();
  error = to_error_code(result);
  if (result != CTX_CANCELED && result != CTX_DEADLINE_EXCEEDED)
    detail::check(result, "ctx::inject");
}
/// The same, and throws context_error if the context is done.
template <class Carrier>
void inject(const context& ctx, Carrier&& headers, const formats& which = {}) {
  std::error_code error;
  inject(ctx, headers, which, error);
  if (error) ctx.throw_if_done();
}

/// Derives the context of a request from its headers, with a canceler. They are a map of texts, whose entries of one
/// name are joined; or get(name), called with a const char*, which answers a std::optional of a text or a pointer that
/// may be null, as std::getenv does. What it throws comes out of this call. Names are in lower case: a map that keeps
/// others must compare without case. Throws std::errc::bad_message for a malformed timeout. See ctx_extract().
template <class Carrier>
[[nodiscard]] derived extract(const context& parent, Carrier&& headers, const formats& which = {}) {
  const ctx_formats_t raw = detail::raw_formats(which);
  detail::header_reader<std::remove_reference_t<Carrier>> from(headers);
  derived made = detail::derive("ctx::extract", [&](ctx_t** ctx, ctx_canceler_t** right) {
    return ctx_extract(parent.get(), &raw, from.get, &from, ctx, right);
  });
  from.rethrow();
  return made;
}

/// Sets a member of the baggage, in place of all of that name; context::baggage() finds it.
[[nodiscard]] inline context with_baggage(const context& parent, detail::text name,
                                          detail::text value) {
  return detail::derive_plain("ctx::with_baggage", [&](ctx_t** made) {
    return ctx_with_baggage(parent.get(), name.c_str(), value.c_str(), made);
  });
}
/// Removes a member of the baggage, if there is one.
[[nodiscard]] inline context without_baggage(const context& parent, detail::text name) {
  return with_baggage(parent, name.c_str(), nullptr);
}

/// A cause as text, for a header or a trailer; who says so, such as the name of this service, if anybody. See
/// ctx_cause_encode().
[[nodiscard]] inline std::string encode_cause(const cause& why, detail::text who = nullptr) {
  char buf[CTX_CAUSE_TEXT];
  const std::int64_t size = ctx_cause_encode(why.get(), who.c_str(), buf, sizeof buf);
  return {buf, static_cast<std::size_t>(detail::check(size, "ctx::encode_cause"))};
}
/// A cause of such a text: what the other process claims, and cause::peer() says who. Throws std::errc::bad_message if
/// it is malformed.
[[nodiscard]] inline cause decode_cause(std::string_view text) {
  ctx_cause_t* made = nullptr;
  const char* const chars = text.data() != nullptr ? text.data() : "";
  detail::check(ctx_cause_decode(chars, text.size(), &made), "ctx::decode_cause");
  return cause::adopt(made);
}

}  // namespace ctx

#endif  // CTX_PROPAGATE_HPP
