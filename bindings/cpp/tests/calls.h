// SPDX-License-Identifier: MIT
//
// The C functions as the binding calls them: this program defines them itself, and each calls the library's. They count
// the handles that the binding has been given: after each case all must have come back. A test may answer in place of
// one of them.
#ifndef CTX_BINDINGS_CPP_TESTS_CALLS_H_
#define CTX_BINDINGS_CPP_TESTS_CALLS_H_

#include <ctx/ctx.h>

#include <functional>
#include <utility>

namespace ctxtest {

// How many handles the program has, of all kinds but the two roots: what it was given, less what it gave back.
long Handles();

template <class R, class... Args>
std::function<R(Args...)> AsFunction(R (*)(Args...));

// What a test answers in place of a C function. If it is empty, the library answers.
template <auto Function>
inline decltype(AsFunction(Function)) answer;

// Answers for a C function as long as it lives, such as Answer<ctx_wait>. For a test whose other threads, if it has
// any, do not call that function.
template <auto Function>
class Answer {
 public:
  template <class F>
  explicit Answer(F f) {
    answer<Function> = std::move(f);
  }
  Answer(const Answer&) = delete;
  ~Answer() { answer<Function> = nullptr; }
};

// The library's own function, for an answer that only looks on.
template <auto Function>
decltype(Function) Library();

extern template decltype(&ctx_after_func) Library<ctx_after_func>();
extern template decltype(&ctx_group_wait) Library<ctx_group_wait>();
extern template decltype(&ctx_loop_new) Library<ctx_loop_new>();
extern template decltype(&ctx_describe) Library<ctx_describe>();
extern template decltype(&ctx_watch_stop_wait) Library<ctx_watch_stop_wait>();
extern template decltype(&ctx_queue_wait) Library<ctx_queue_wait>();

}  // namespace ctxtest

#endif  // CTX_BINDINGS_CPP_TESTS_CALLS_H_
