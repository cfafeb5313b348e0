// SPDX-License-Identifier: MIT
// The library's own threads. They have names, and start with every signal blocked except those of faults, so
// that a handler of the host runs on them only if their own code has failed.
#ifndef CTX_CORE_SYSTEM_THREAD_H
#define CTX_CORE_SYSTEM_THREAD_H

#include <pthread.h>

#include <cstdint>

namespace ctxcore {

pthread_t this_thread();
int this_processor();  // negative if the system does not say

// 0 or a negative errno; -EAGAIN if the system refuses a thread. The thread ends by end_thread(). One that is named
// here must not end before this returns; with nullptr it names itself, which costs less.
int start_thread(const char* name, void* (*run)(void*), void* argument);
void name_thread(const char* name);  // this one

// A thread of the library calls this last. With `join` a later join_ended() waits until the thread is gone;
// else nobody does.
void end_thread(bool join);

// Waits until every thread that has called end_thread(true) is gone.
void join_ended();
void forget_ended();  // in a forked child

// Signals are 1 to kSignals; in masks, bit i - 1 stands for signal i.
constexpr int kSignals = 64;
constexpr uint64_t kAllSignals = UINT64_MAX;
uint64_t signal_mask();  // of this thread
// kAllSignals leaves out those of faults: a handler that reports crashes must run.
void set_signal_mask(uint64_t mask);

// While it lives, pthread_cancel does not end this thread: whoever runs users' code has work left behind it.
class Uncancelable {
 public:
  Uncancelable() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~Uncancelable() { pthread_setcancelstate(before_, nullptr); }
  Uncancelable(const Uncancelable&) = delete;
  Uncancelable& operator=(const Uncancelable&) = delete;

 private:
  int before_ = 0;
};

[[gnu::noinline]] inline void run_uncancelable(void (*drop)(void*), void* of) {
  const Uncancelable uncancelable;
  drop(of);
}

// A drop function of the user's, if there is one. Mostly there is none, and then the caller pays for nothing else.
inline void run_drop(void (*drop)(void*), void* of) {
  if (drop != nullptr) run_uncancelable(drop, of);
}

// For a child that a callback has forked, and returned in, on a thread of the library. This thread is the only
// one there and has nothing to do, so the child ends, as a process ends with its last thread.
[[noreturn]] void exit_child();

}  // namespace ctxcore

#endif
