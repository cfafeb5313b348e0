// SPDX-License-Identifier: MIT
//
// ctx/error.hpp - between the C functions' negative errnos and C++: std::error_code, std::system_error,
// and the end of an exception that has nowhere to go.
#ifndef CTX_ERROR_HPP
#define CTX_ERROR_HPP

#include <ctx/error.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <system_error>

namespace ctx {

/// The std::error_code of a result of the C functions: none for 0 and positive results. CTX_CANCELED
/// compares equal to std::errc::operation_canceled, CTX_DEADLINE_EXCEEDED to std::errc::timed_out.
inline std::error_code to_error_code(int result) noexcept {
  return result < 0 ? std::error_code(-result, std::generic_category()) : std::error_code();
}

namespace detail {

// What the system's own text of an error leaves out.
inline const char* explain(int result) noexcept {
  return result == -EREMOTE  ? ": the handle belongs to another copy of libctx"
         : result == -ECHILD ? ": made before this process was forked"
                             : "";
}

[[noreturn]] inline void fail(int result, const char* what) {
#if defined(__cpp_exceptions)
  throw std::system_error(to_error_code(result), std::string(what) + explain(result));
#else
  std::fprintf(stderr, "libctx: %s%s: %s\n", what, explain(result), ctx_strerror(result));
  std::terminate();
#endif
}

// Returns the result of a C function; throws if it is an error.
inline int check(int result, const char* what) {
  if (result < 0) fail(result, what);
  return result;
}
inline std::int64_t check(std::int64_t result, const char* what) {
  if (result < 0) fail(static_cast<int>(result), what);
  return result;
}

// Runs user code that was called from C. noexcept alone would not tell the reader of a core dump or a log
// where the exception came from, and what it said.
template <class Body>
void guarded(const char* who, Body&& body) noexcept {
#if defined(__cpp_exceptions)
  try {
    body();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "libctx: an exception left %s: %s\n", who, e.what());
    std::terminate();
  } catch (...) {
    std::fprintf(stderr, "libctx: an exception left %s\n", who);
    std::terminate();
  }
#else
  static_cast<void>(who);
  body();
#endif
}

}  // namespace detail
}  // namespace ctx

#endif  // CTX_ERROR_HPP
