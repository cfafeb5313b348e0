// SPDX-License-Identifier: MIT
//
// ctx/cause.hpp - why a context ended: a code, a text and, if wanted, data, such as the exception that a
// C++ program canceled for.
#ifndef CTX_CAUSE_HPP
#define CTX_CAUSE_HPP

#include <ctx/cancel.h>

#include <ctx/error.hpp>
#include <ctx/handle.hpp>
#include <ctx/key.hpp>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace ctx {

namespace detail {
// One for the whole process, also if shared libraries are compiled with hidden symbols. As with any key
// (ctx/key.hpp), a library opened by dlopen() has one of its own, unless the program is linked with -rdynamic.
CTX_API inline constexpr key<std::exception_ptr> exception_key{"std::exception_ptr"};
}  // namespace detail

/// An immutable cause, or none.
class cause {
 public:
  /// No cause: a live context has this.
  cause() noexcept = default;
  /// The code is any number; by custom a negative errno. A null message is the text of the code. A NUL in
  /// a message becomes U+FFFD: a cancel must not fail because of a peer's words.
  explicit cause(int code, detail::shown_text message = nullptr) {
    ctx_cause_t* made = nullptr;
    detail::check(ctx_cause_new(code, message.c_str(), &made), "ctx::cause");
    handle_ = handle(made);
  }
  /// The same with the negative errno of a condition.
  explicit cause(std::errc code, detail::shown_text message = nullptr)
      : cause(-static_cast<int>(code), message) {}
  /// A text alone, with the code CTX_CANCELED.
  explicit cause(detail::shown_text message) : cause(CTX_CANCELED, message) {}
  /// With data that only holders of the key can see.
  template <class T, class U, class = detail::made_of<T, U>>
  cause(int code, detail::shown_text message, const key<T>& key, U&& data) {
    ctx_cause_t* made = nullptr;
    key.give(T(std::forward<U>(data)), "ctx::cause", [&](void* pointer, ctx_drop_fn drop) {
      return ctx_cause_new_data(code, message.c_str(), key.get(), pointer, drop, &made);
    });
    handle_ = handle(made);
  }
#if defined(__cpp_exceptions)
  /// An exception as a cause: with its text, and its errno if it has one.
  explicit cause(std::exception_ptr exception);
#endif

  /// One more reference to a cause of the C functions; a null pointer is none. Throws if it is no cause,
  /// or one of another copy of the library.
  static cause share(const ctx_cause_t* raw) {
    cause made;
    if (raw == nullptr) return made;
    made.handle_ = handle(ctx_cause_ref(raw));
    if (!made) detail::fail(ctx_cause_code(raw), "ctx::cause::share");
    return made;
  }

  /// Whether there is a cause.
  explicit operator bool() const noexcept { return handle_.get() != nullptr; }
  /// The code that it was made with; -EINVAL for none.
  int code() const noexcept { return ctx_cause_code(handle_.get()); }
  /// Valid as long as this cause or a copy of it exists; empty for none.
  std::string_view message() const noexcept {
    const char* text = ctx_cause_message(handle_.get());
    return text != nullptr ? std::string_view(text) : std::string_view();
  }
  /// Whether it says more than the error of its context: false for none, for the plain cause of an error,
  /// and for one made of nothing but such an error's number.
  bool given() const noexcept { return ctx_cause_given(handle_.get()) == 1; }
  /// The data that the cause was made with under this key.
  template <class T>
  found<T> data(const key<T>& key) const noexcept {
    return key.unpack(ctx_cause_data(handle_.get(), key.get()));
  }
  /// The exception that it was made from, or null.
  std::exception_ptr exception() const noexcept {
    return data(detail::exception_key).value_or(nullptr);
  }

  /// For the C functions, which borrow it; null for none.
  const ctx_cause_t* get() const noexcept { return handle_.get(); }
  /// Whether both are one cause, or both none.
  friend bool operator==(const cause& a, const cause& b) noexcept { return a.get() == b.get(); }
  /// Whether they are not.
  friend bool operator!=(const cause& a, const cause& b) noexcept { return a.get() != b.get(); }

 private:
  using handle = detail::handle<const ctx_cause_t, ctx_cause_ref, ctx_cause_unref>;
  handle handle_;
};

#if defined(__cpp_exceptions)
inline cause::cause(std::exception_ptr exception) {
  const auto make = [&](int code, const char* message) {
    return cause(code, message, detail::exception_key, exception);
  };
  if (!exception) detail::fail(-EINVAL, "ctx::cause");
  try {
    std::rethrow_exception(exception);
  } catch (const std::system_error& e) {
    const std::error_condition plain = e.code().default_error_condition();
    const bool is_errno = plain.category() == std::generic_category();
    *this = make(is_errno ? -plain.value() : CTX_CANCELED, e.what());
  } catch (const std::exception& e) {
    *this = make(CTX_CANCELED, e.what());
  } catch (...) {
    *this = make(CTX_CANCELED, "an exception");
  }
}
#endif

/// The exception of context::throw_if_done(): the error of a context, and why it is done.
class CTX_API context_error : public std::system_error {
 public:
  /// Of a context that is done: context::err() and context::cause().
  context_error(std::error_code error, ctx::cause cause)
      : std::system_error(error), text_(text(error, cause)), cause_(std::move(cause)) {}
  /// "context canceled: the client has gone", or "context deadline exceeded" if no cause says more.
  const char* what() const noexcept override { return text_.what(); }
  /// Why the context is done; valid as long as the exception.
  const ctx::cause& cause() const noexcept { return cause_; }

 private:
  static std::string text(std::error_code error, const ctx::cause& cause) {
#if defined(__cpp_exceptions)
    // The same end of another context, passed on: the text says it already.
    if (const std::exception_ptr passed_on = cause.exception()) {
      try {
        std::rethrow_exception(passed_on);
      } catch (const context_error& e) {
        if (e.code() == error) return e.what();
      } catch (...) {
      }
    }
#endif
    const char* const end = ctx_strerror(error.value());
    // If nobody gave a message, it is the text of the code.
    const char* const why = ctx_cause_message(cause.get());
    return why == nullptr || why == end ? std::string(end) : std::string(end) + ": " + why;
  }

  std::runtime_error text_;  // a string whose copies cannot fail
  ctx::cause cause_;
};

}  // namespace ctx

#endif  // CTX_CAUSE_HPP
