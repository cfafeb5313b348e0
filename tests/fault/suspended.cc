// SPDX-License-Identifier: MIT
//
// In place of libc's functions: CLOCK_BOOTTIME is CLOCK_MONOTONIC plus what the tests have suspended, and so are the
// timers on it. CLOCK_REALTIME is off by what the tests have set it.
#include "fault/suspended.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "support/time.h"

namespace ctxtest {
namespace {

struct System {
  std::mutex mutex;
  int64_t suspended = kSuspendedBefore;
  int64_t wall = 0;
  int wall_uses = 0;
  std::map<int, itimerspec> timers;  // on CLOCK_BOOTTIME, as they were set
};

System& TheSystem() {
  static auto* const system = new System;  // for threads that outlive the tests
  return *system;
}

int64_t ToNs(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }

timespec FromNs(int64_t ns) { return {ns / kSecond, ns % kSecond}; }

bool IsWall(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

bool IsOfLibctx(const void* caller) {
  Dl_info info{};
  return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "libctx") != nullptr;
}

int SetTimer(int fd, itimerspec when, int64_t suspended) {
  if (ToNs(when.it_value) != 0) {
    when.it_value = FromNs(std::max<int64_t>(ToNs(when.it_value) - suspended, 1));
  }
  return static_cast<int>(syscall(SYS_timerfd_settime, fd, TFD_TIMER_ABSTIME, &when, nullptr));
}

}  // namespace

void Suspend(int64_t ns) {
  System& system = TheSystem();
  const std::lock_guard<std::mutex> lock(system.mutex);
  system.suspended += ns;
  for (const auto& [fd, when] : system.timers) SetTimer(fd, when, system.suspended);
}

void SetWallClock(int64_t ns) {
  const std::lock_guard<std::mutex> lock(TheSystem().mutex);
  TheSystem().wall += ns;
}

int WallClockUses() {
  const std::lock_guard<std::mutex> lock(TheSystem().mutex);
  return TheSystem().wall_uses;
}

}  // namespace ctxtest

using ctxtest::TheSystem;

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) {
  const clockid_t real = clock == CLOCK_BOOTTIME ? CLOCK_MONOTONIC : clock;
  const int result = static_cast<int>(syscall(SYS_clock_gettime, real, now));
  if (result == 0 && clock == CLOCK_BOOTTIME) {
    const std::lock_guard<std::mutex> lock(TheSystem().mutex);
    *now = ctxtest::FromNs(ctxtest::ToNs(*now) + TheSystem().suspended);
  }
  if (result == 0 && ctxtest::IsWall(clock)) {
    const std::lock_guard<std::mutex> lock(TheSystem().mutex);
    *now = ctxtest::FromNs(ctxtest::ToNs(*now) + TheSystem().wall);
    TheSystem().wall_uses += ctxtest::IsOfLibctx(__builtin_return_address(0));
  }
  return result;
}

int timerfd_create(int clock, int flags) {
  const int fd = static_cast<int>(syscall(SYS_timerfd_create, CLOCK_MONOTONIC, flags));
  const std::lock_guard<std::mutex> lock(TheSystem().mutex);
  TheSystem().timers.erase(fd);
  TheSystem().wall_uses += ctxtest::IsWall(clock);
  if (fd >= 0 && clock == CLOCK_BOOTTIME) TheSystem().timers[fd] = {};
  return fd;
}

int timerfd_settime(int fd, int, const itimerspec* when, itimerspec*) {
  const std::lock_guard<std::mutex> lock(TheSystem().mutex);
  const auto found = TheSystem().timers.find(fd);
  if (found == TheSystem().timers.end()) return ctxtest::SetTimer(fd, *when, 0);
  found->second = *when;
  return ctxtest::SetTimer(fd, *when, TheSystem().suspended);
}

}  // extern "C"
