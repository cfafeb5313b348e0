// SPDX-License-Identifier: MIT
#include "core/system/thread.h"

#include <sched.h>
#include <unistd.h>

#include <csignal>

#include "core/system/atomic.h"
#include "core/system/io.h"

namespace ctxcore {

namespace {

// Of the threads to be joined, the one that ended last; each joins the one before it.
Atomic<pthread_t> last_ended{};

// The signals that a fault of the thread's own code raises. If blocked, they would end the process at once, and
// no handler could report that.
constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

sigset_t all_but_faults() {
  sigset_t set;
  sigfillset(&set);
  for (const int fault : kFaults) sigdelset(&set, fault);
  return set;
}

}  // namespace

int start_thread(const char* name, void* (*run)(void*), void* argument) {
  const sigset_t all = all_but_faults();
  sigset_t before;
  pthread_t thread{};
  pthread_sigmask(SIG_SETMASK, &all, &before);  // inherited by the new thread
  const int error = pthread_create(&thread, nullptr, run, argument);
  if (error == 0 && name != nullptr) pthread_setname_np(thread, name);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return -error;
}

void name_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

void end_thread(bool join) {
  if (!join) {
    pthread_detach(pthread_self());
    return;
  }
  // acq_rel: the thread that joins this one reads the number.
  const pthread_t before = last_ended.exchange(pthread_self(), std::memory_order_acq_rel);
  if (before != pthread_t{}) io::join(before);
}

void join_ended() {
  const pthread_t last = last_ended.exchange(pthread_t{}, std::memory_order_acq_rel);
  if (last != pthread_t{}) io::join(last);
}

void forget_ended() { last_ended.store(pthread_t{}, std::memory_order_relaxed); }

pthread_t this_thread() { return pthread_self(); }

int this_processor() { return sched_getcpu(); }

uint64_t signal_mask() {
  sigset_t set;
  pthread_sigmask(SIG_BLOCK, nullptr, &set);
  uint64_t mask = 0;
  for (int i = 0; i < kSignals; ++i) {
    if (sigismember(&set, i + 1) == 1) mask |= uint64_t{1} << i;
  }
  return mask;
}

void set_signal_mask(uint64_t mask) {
  sigset_t set = all_but_faults();
  if (mask != kAllSignals) {
    sigemptyset(&set);
    for (int i = 0; i < kSignals; ++i) {
      if ((mask >> i & 1) != 0) sigaddset(&set, i + 1);
    }
  }
  pthread_sigmask(SIG_SETMASK, &set, nullptr);
}

void exit_child() { _exit(0); }

}  // namespace ctxcore
