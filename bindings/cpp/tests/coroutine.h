// SPDX-License-Identifier: MIT
//
// A coroutine for the tests of `co_await ctx.done()`, and what it tells of how it was resumed.
#ifndef CTX_BINDINGS_CPP_TESTS_COROUTINE_H_
#define CTX_BINDINGS_CPP_TESTS_COROUTINE_H_

#include <ctx/ctx.hpp>

#if !defined(CTX_HAS_COROUTINES)
#error this compiler has no coroutines in C++20: leave these tests out, and say so
#endif

#include <coroutine>
#include <string>
#include <system_error>
#include <utility>

#include "support/sync.h"

namespace ctxtest {

struct Result {
  std::error_code why;
  std::string thread;
  Counter resumed;
  Counter over;  // the coroutine has left the thread that resumed it, and may be destroyed
};

// A coroutine that begins at once and is destroyed with its Coroutine.
class Coroutine {
 public:
  struct promise_type {
    struct Final {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<>) noexcept {
        if (over != nullptr) over->Add();
      }
      void await_resume() noexcept {}
      Counter* over;
    };
    promise_type() = default;
    template <class First, class... Rest>
    promise_type(First&, Result* result, Rest&...) : over(&result->over) {}
    Coroutine get_return_object() {
      return Coroutine(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    Final final_suspend() noexcept { return {over}; }
    void return_void() {}
    void unhandled_exception() { throw; }
    Counter* over = nullptr;
  };
  explicit Coroutine(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Coroutine(Coroutine&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Coroutine& operator=(Coroutine&&) = delete;
  ~Coroutine() {
    if (handle_) handle_.destroy();
  }
  bool done() const { return handle_.done(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace ctxtest

#endif  // CTX_BINDINGS_CPP_TESTS_COROUTINE_H_
