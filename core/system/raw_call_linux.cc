// SPDX-License-Identifier: MIT
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <type_traits>

#include "core/system/clock.h"
#include "core/system/raw_call.h"

namespace ctxcore::raw {

namespace {

// The system takes every argument in a register of its own.
template <typename T>
long word(T argument) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(argument);
  } else {
    return static_cast<long>(argument);
  }
}

template <typename... Args>
long call(long number, Args... arguments) {
  const int saved = errno;
  long result = syscall(number, word(arguments)...);
  if (result < 0) result = -errno;
  errno = saved;
  return result;
}

constexpr const sigset_t* kNoMask = nullptr;
constexpr size_t kMaskSize = 8;  // the system's own sigset_t

}  // namespace

ssize_t read(int fd, void* at, size_t size) { return call(SYS_read, fd, at, size); }

ssize_t write(int fd, const void* from, size_t size) { return call(SYS_write, fd, from, size); }

int close(int fd) { return static_cast<int>(call(SYS_close, fd)); }

int poll(pollfd* fds, nfds_t count, int64_t timeout_ns) {
  timespec limit = to_timespec(timeout_ns);  // which the system changes
  timespec* const given = timeout_ns == kForever ? nullptr : &limit;
  return static_cast<int>(call(SYS_ppoll, fds, count, given, kNoMask, kMaskSize));
}

int epoll_wait(int fd, epoll_event* events, int most, bool sleep) {
  const int timeout_ms = sleep ? -1 : 0;
  return static_cast<int>(call(SYS_epoll_pwait, fd, events, most, timeout_ms, kNoMask, kMaskSize));
}

}  // namespace ctxcore::raw
