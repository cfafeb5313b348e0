// SPDX-License-Identifier: MIT
//
// In place of libc's functions. A timerfd is an eventfd that is written when the clock reaches its time. There is one
// thread: nobody wakes it from a futex, so each such sleep ends with its limit.
#include "fuzz/system.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <map>

namespace fuzz {
namespace {

constexpr int64_t kBeginning = 1000 * kSecond;

struct Timer {
  int64_t ahead = 0;  // of its clock
  int64_t when = 0;   // 0: disarmed
};

int64_t now = kBeginning;

std::map<int, Timer>& Timers() {
  static auto* const timers = new std::map<int, Timer>;
  return *timers;
}

int64_t ToNs(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }
timespec FromNs(int64_t ns) { return {ns / kSecond, ns % kSecond}; }

long Raw(long number, long a, long b, long c, long d, long e, long f) {
  long result = 0;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}

sigset_t OurSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : kSignals) sigaddset(&set, signal);
  return set;
}

void Ring(int fd, Timer& timer) {
  if (timer.when == 0 || timer.when - timer.ahead > now) return;
  timer.when = 0;
  const uint64_t one = 1;
  Raw(SYS_write, fd, reinterpret_cast<long>(&one), sizeof one, 0, 0, 0);
}

[[noreturn]] void SleepForEver(const char* where) {
  fprintf(stderr, "%s: the only thread would sleep for ever\n", where);
  abort();
}

}  // namespace

int64_t RealNow() { return now; }

void MoveTo(int64_t time) {
  now = std::max(now, time);
  for (auto& [fd, timer] : Timers()) Ring(fd, timer);
}

int64_t NextRing() {
  int64_t next = INT64_MAX;
  for (const auto& [fd, timer] : Timers()) {
    if (timer.when != 0) next = std::min(next, timer.when - timer.ahead);
  }
  return next;
}

void ResetSystem() {
  now = kBeginning;
  Timers().clear();
}

void BlockSignals() {
  const sigset_t set = OurSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void TakeSignals() {
  const sigset_t set = OurSignals();
  const timespec at_once = {0, 0};
  while (sigtimedwait(&set, nullptr, &at_once) > 0) {
  }
}

}  // namespace fuzz

using namespace fuzz;  // NOLINT: what follows is no part of a namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) {
  if (clock == CLOCK_MONOTONIC) {
    *time = FromNs(now);
  } else if (clock == CLOCK_BOOTTIME) {
    *time = FromNs(now + kSuspended);
  } else {
    return static_cast<int>(
        Raw(SYS_clock_gettime, clock, reinterpret_cast<long>(time), 0, 0, 0, 0));
  }
  return 0;
}

int timerfd_create(int clock, int flags) {
  const int fd = eventfd(0, ((flags & TFD_CLOEXEC) != 0 ? EFD_CLOEXEC : 0) |
                                ((flags & TFD_NONBLOCK) != 0 ? EFD_NONBLOCK : 0));
  if (fd >= 0) Timers()[fd] = {clock == CLOCK_BOOTTIME ? kSuspended : 0, 0};
  return fd;
}

int timerfd_settime(int fd, int flags, const itimerspec* when, itimerspec*) {
  const auto found = Timers().find(fd);
  if (found == Timers().end() || (flags & TFD_TIMER_ABSTIME) == 0) {
    errno = EBADF;
    return -1;
  }
  uint64_t rung = 0;
  const int saved = errno;
  Raw(SYS_read, fd, reinterpret_cast<long>(&rung), sizeof rung, 0, 0, 0);  // as a timerfd does
  errno = saved;
  found->second.when = ToNs(when->it_value);
  Ring(fd, found->second);
  return 0;
}

int close(int fd) {
  Timers().erase(fd);
  return static_cast<int>(Raw(SYS_close, fd, 0, 0, 0, 0, 0));
}

long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET) {
    const int64_t until = ToNs(*reinterpret_cast<const timespec*>(a[3]));
    if (*reinterpret_cast<const volatile uint32_t*>(a[0]) != static_cast<uint32_t>(a[2])) {
      errno = EAGAIN;
      return -1;
    }
    if (until == INT64_MAX) SleepForEver("futex");
    MoveTo(until);
    errno = ETIMEDOUT;
    return -1;
  }
  return Raw(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int ppoll(pollfd* fds, nfds_t count, const timespec* limit, const sigset_t*) {
  const int64_t until = limit == nullptr                 ? INT64_MAX
                        : ToNs(*limit) > INT64_MAX - now ? INT64_MAX
                                                         : now + ToNs(*limit);
  for (;;) {
    const long ready =
        Raw(SYS_poll, reinterpret_cast<long>(fds), static_cast<long>(count), 0, 0, 0, 0);
    if (ready != 0 || now >= until) return static_cast<int>(ready);
    // To the next time that rings a timer, which may be one of these.
    const int64_t next = std::min(until, NextRing());
    if (next == INT64_MAX) SleepForEver("ppoll");
    MoveTo(next);
  }
}

}  // extern "C"
