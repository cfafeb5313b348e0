// SPDX-License-Identifier: MIT
// The library's own threads: named, and started with every signal blocked but those of faults, so that no
// handler of the host's ever runs on them unless their own code has failed.
#ifndef CTX_CORE_SYSTEM_THREAD_H
#define CTX_CORE_SYSTEM_THREAD_H

#include <pthread.h>

#include <cstdint>

namespace ctxcore {

// 0 or a negative errno; -EAGAIN where the system refuses a thread. The thread ends by end_thread().
int start_thread(const char* name, void* (*run)(void*), void* argument);

// The last thing that a thread of the library calls. With `join` some later join_ended() waits until the
// thread is gone; else nobody does.
void end_thread(bool join);

// Waits until every thread that has called end_thread(true) is gone.
void join_ended();
void forget_ended();  // in a forked child

// Signal masks: bit i - 1 for signal i.
constexpr uint64_t kAllSignals = UINT64_MAX;
uint64_t signal_mask();  // of this thread
// kAllSignals leaves out those of faults: a handler that reports a crash is to be called.
void set_signal_mask(uint64_t mask);

// A callback has forked, and returned in the child, on a thread of the library's: this thread, the only
// one there, has nothing to do. So the child ends, as a process does whose last thread ends.
[[noreturn]] void exit_child();

}  // namespace ctxcore

#endif
