// SPDX-License-Identifier: MIT
//
// A call that blocks, on a thread to which signals are sent until it has come back.
#ifndef CTX_TESTS_SUPPORT_SIGNALS_H_
#define CTX_TESTS_SUPPORT_SIGNALS_H_

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

namespace ctxtest {

// What the call answered. A signal may come before the call has begun to block, so one is sent every
// millisecond. `flags` are those of sigaction, such as SA_RESTART.
inline int Interrupted(int flags, const std::function<int()>& call) {
  struct sigaction action = {}, before = {};
  action.sa_handler = [](int) {};
  action.sa_flags = flags;
  sigaction(SIGUSR1, &action, &before);
  std::atomic<bool> over{false};
  int result = 0;
  std::thread blocked([&] {
    result = call();
    over = true;
  });
  while (!over) {
    pthread_kill(blocked.native_handle(), SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  blocked.join();
  sigaction(SIGUSR1, &before, nullptr);
  return result;
}

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_SIGNALS_H_
