// SPDX-License-Identifier: MIT
//
// ctx/cause.hpp - why a context ended: a code, a text and, if wanted, data, such as the exception that a
// C++ program canceled for.
#ifndef CTX_CAUSE_HPP
#define CTX_CAUSE_HPP

#include <ctx/cancel.h>
#include <ctx/propagate.h>

#include <ctx/error.hpp>
#include <ctx/handle.hpp>
#include <ctx/key.hpp>
#include <exception>
#include <optional>
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

/// Who ended a context: CTX_ORIGIN_... of ctx/cancel.h. Other numbers are possible: later versions may add
/// some, and callers may state any.
enum class origin : int {
  none = 0,  ///< There is no cause; or, for the maker of one: it states no origin.
  canceled = CTX_ORIGIN_CANCELED,      ///< A caller canceled.
  deadline = CTX_ORIGIN_DEADLINE,      ///< A deadline passed.
  signal = CTX_ORIGIN_SIGNAL,          ///< A signal came.
  descriptor = CTX_ORIGIN_DESCRIPTOR,  ///< Something came on a descriptor.
  shutdown = CTX_ORIGIN_SHUTDOWN,      ///< The loop ended.
  peer = CTX_ORIGIN_PEER,              ///< The other side said so, or is gone.
  /// So did, or is, the process that started this one.
  parent_process = CTX_ORIGIN_PARENT_PROCESS,
  overload = CTX_ORIGIN_OVERLOAD,  ///< Somebody has too much to do.
};

/// Where a cause was made, or no place: here() names that of its call. It borrows its texts.
class place {
 public:
  /// No place.
  constexpr place() noexcept = default;
  /// A null file is no place.
  constexpr place(const char* file, int line, const char* function) noexcept
      : file_(file), line_(line), function_(function) {}
  /// That of a std::source_location, or of anything like it.
  template <class Location, class = decltype(std::declval<const Location&>().file_name())>
  constexpr place(const Location& location) noexcept  // NOLINT
      : place(location.file_name(), static_cast<int>(location.line()), location.function_name()) {}

  /// Whether there is one.
  constexpr explicit operator bool() const noexcept { return file_ != nullptr; }
  /// Null for no place.
  constexpr const char* file() const noexcept { return file_; }
  /// 0 for no place, or if it is unknown.
  constexpr int line() const noexcept { return line_; }
  /// Null for no place, or if it is unknown.
  constexpr const char* function() const noexcept { return function_; }

 private:
  const char* file_ = nullptr;
  int line_ = 0;
  const char* function_ = nullptr;
};

/// The place of the call, for the last argument of a cause: `ctx::cause("no longer wanted", ctx::here())`.
constexpr place here(const char* file = __builtin_FILE(), int line = __builtin_LINE(),
                     const char* function = __builtin_FUNCTION()) noexcept {
  return {file, line, function};
}

/// An immutable cause, or none.
class cause {
 public:
  /// No cause: a live context has this.
  cause() noexcept = default;
  /// The code is any number; by custom a negative errno. A null message is the text of the code. A NUL in
  /// a message becomes U+FFFD: a cancel must not fail because of a peer's words. The cause keeps a copy of
  /// the place.
  explicit cause(int code, detail::shown_text message = nullptr, ctx::place where = {})
      : cause(ctx::origin::none, code, std::move(message), where) {}
  /// The same with the negative errno of a condition.
  explicit cause(std::errc code, detail::shown_text message = nullptr, ctx::place where = {})
      : cause(-static_cast<int>(code), std::move(message), where) {}
  /// A text alone, with the code CTX_CANCELED.
  explicit cause(detail::shown_text message, ctx::place where = {})
      : cause(CTX_CANCELED, std::move(message), where) {}
  /// One that also states who ended the context: for an end that came from elsewhere. An origin is a number
  /// from 1 to 255.
  cause(ctx::origin origin, int code, detail::shown_text message = nullptr, ctx::place where = {})
      : handle_(make(origin, code, message, where)) {}
  /// With data that only holders of the key can see.
  template <class T, class U, class = detail::made_of<T, U>>
  cause(int code, detail::shown_text message, const key<T>& key, U&& data, ctx::place where = {}) {
    key.give(T(std::forward<U>(data)), "ctx::cause", [&](void* pointer, ctx_drop_fn drop) {
      ctx_cause_t* ret = nullptr;
      const int result = ctx_cause_new_at(code, message.c_str(), 0, where.file(), where.line(),
                                          where.function(), key.get(), pointer, drop, &ret);
      handle_ = handle(ret);
      return result;
    });
  }
#if defined(__cpp_exceptions)
  /// An exception as a cause: with its text, and its errno if it has one.
  explicit cause(std::exception_ptr exception, ctx::place where = {});
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

  /// Takes over a reference that the caller owns; a null pointer is none. Not checked: it must be a cause that the
  /// C functions gave out.
  static cause adopt(const ctx_cause_t* raw) noexcept {
    cause made;
    made.handle_ = handle(raw);
    return made;
  }

  /// Whether there is a cause.
  explicit operator bool() const noexcept { return handle_.get() != nullptr; }
  /// The code that it was made with; -EINVAL for none.
  int code() const noexcept { return ctx_cause_code(handle_.get()); }
  /// Valid as long as this cause or a copy of it exists; empty for none. A NUL follows it: data() is a text of C.
  std::string_view message() const noexcept {
    const char* text = ctx_cause_message(handle_.get());
    return text != nullptr ? text : "";
  }
  /// Whether it says more than the error of its context: false for none, for the plain cause of an error,
  /// and for one made of nothing but such an error's number.
  bool given() const noexcept { return ctx_cause_given(handle_.get()) == 1; }
  /// Who ended the context, as the cause says; origin::none for none.
  ctx::origin origin() const noexcept {
    const int number = ctx_cause_origin(handle_.get());
    return number < 0 ? ctx::origin::none : static_cast<ctx::origin>(number);
  }
  /// Who claims it, if another process does, by decode_cause() or an export: empty if nobody is named; none for a cause of
  /// this process. Nothing proves the name. Valid as long as this cause or a copy of it exists.
  std::optional<std::string_view> peer() const noexcept {
    const char* const name = ctx_cause_peer(handle_.get());
    return name != nullptr ? std::optional<std::string_view>(name) : std::nullopt;
  }
  /// Where it was made, if its maker said so. Valid as long as this cause or a copy of it exists.
  ctx::place place() const noexcept {
    const ctx_cause_t* const raw = handle_.get();
    const char* const file = ctx_cause_file(raw);
    return file == nullptr ? ctx::place()
                           : ctx::place(file, ctx_cause_line(raw), ctx_cause_function(raw));
  }
  /// The data that the cause was made with under this key, or null. Valid as long as this cause or a copy
  /// of it exists.
  template <class T>
  const T* data(const key<T>& key) const noexcept {
    return static_cast<const T*>(ctx_cause_data(handle_.get(), key.get()));
  }
  /// The exception that it was made from, or null.
  std::exception_ptr exception() const noexcept {
    const std::exception_ptr* const found = data(detail::exception_key);
    return found != nullptr ? *found : nullptr;
  }

  /// For the C functions, which borrow it; null for none.
  const ctx_cause_t* get() const noexcept { return handle_.get(); }
  /// Whether both are one cause, or both none.
  friend bool operator==(const cause& a, const cause& b) noexcept { return a.get() == b.get(); }
  /// Whether they are not.
  friend bool operator!=(const cause& a, const cause& b) noexcept { return a.get() != b.get(); }

 private:
  using handle = detail::handle<const ctx_cause_t, ctx_cause_ref, ctx_cause_unref>;

  static handle make(ctx::origin origin, int code, const detail::shown_text& message,
                     ctx::place where) {
    ctx_cause_t* made = nullptr;
    detail::check(
        ctx_cause_new_at(code, message.c_str(), static_cast<int>(origin), where.file(),
                         where.line(), where.function(), nullptr, nullptr, nullptr, &made),
        "ctx::cause");
    return handle(made);
  }

  handle handle_;
};

#if defined(__cpp_exceptions)
inline cause::cause(std::exception_ptr exception, ctx::place where) {
  const auto make = [&](int code, const char* message) {
    return cause(code, message, detail::exception_key, exception, where);
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
