// SPDX-License-Identifier: MIT
//
// A thread that pthread_cancel() is to end, and that must go through the library first.
#ifndef CTX_TESTS_SUPPORT_VICTIM_H_
#define CTX_TESTS_SUPPORT_VICTIM_H_

#include <gtest/gtest.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <utility>

#include "support/process.h"

namespace ctxtest {

struct Victim {
  Victim(const char* what, std::function<void()> within) : call(what), body(std::move(within)) {
    EXPECT_EQ(pthread_create(&thread, nullptr, Run, this), 0);
  }
  void AskToEnd() const { EXPECT_EQ(pthread_cancel(thread), 0); }
  bool Waits() const { return number != 0 && IsAsleep(number); }
  // Expects that the thread went through its body and ended behind it. If it ended inside, locks may be
  // taken for ever: the process leaves at once.
  void Join() {
    void* result = nullptr;
    EXPECT_EQ(pthread_join(thread, &result), 0);
    if (result == PTHREAD_CANCELED && through) return;
    ADD_FAILURE() << (through ? "not canceled: " : "ended inside ") << call;
    fflush(stdout);
    _exit(1);
  }
  static void* Run(void* arg) {
    auto* self = static_cast<Victim*>(arg);
    self->number = gettid();
    self->body();
    self->through = true;
    for (;;) pthread_testcancel();
  }

  const char* call;
  std::function<void()> body;
  bool through = false;
  std::atomic<pid_t> number{0};
  pthread_t thread{};
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_VICTIM_H_
