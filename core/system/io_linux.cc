// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "core/system/clock.h"
#include "core/system/io.h"
#include "core/system/thread.h"

namespace ctxcore::io {

namespace {

template <typename Call>
auto uncanceled(Call call) {
  const int saved = errno;
  const Uncancelable uncancelable;
  auto result = call();
  if (result < 0) result = -errno;
  errno = saved;
  return result;
}

// Again after a signal: a raise that is lost would leave somebody asleep. (Linux interrupts no call that does not
// block; a supervisor that answers in its place may.)
template <typename Call>
ssize_t uninterrupted(Call call) {
  return uncanceled([=] {
    for (;;) {
      const ssize_t size = call();
      if (size >= 0 || errno != EINTR) return size;
    }
  });
}

}  // namespace

ssize_t read(int fd, void* at, size_t size) {
  return uninterrupted([=] { return ::read(fd, at, size); });
}

ssize_t write(int fd, const void* from, size_t size) {
  return uninterrupted([=] { return ::write(fd, from, size); });
}

ssize_t read_at(int fd, void* at, size_t size, size_t offset) {
  return uninterrupted([=] { return ::pread(fd, at, size, static_cast<off_t>(offset)); });
}

int close(int fd) {
  return uncanceled([=] { return ::close(fd); });
}

int duplicate(int fd) {
  return uncanceled([=] { return ::fcntl(fd, F_DUPFD_CLOEXEC, 0); });
}

int open_to_read(const char* path) {
  return uncanceled([=] { return ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); });
}

int seal(int fd) {
  constexpr int kSeals = F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  return uncanceled([=] { return ::fcntl(fd, F_ADD_SEALS, kSeals); });
}

bool is_open(int fd) {
  return uncanceled([=] { return ::fcntl(fd, F_GETFD); }) >= 0;
}

int poll(pollfd* fds, nfds_t count, int64_t timeout_ns) {
  const timespec limit = to_timespec(timeout_ns);
  const timespec* const given = timeout_ns == kForever ? nullptr : &limit;
  return uncanceled([=] { return ::ppoll(fds, count, given, nullptr); });
}

nfds_t most_polled() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

int epoll_wait(int fd, epoll_event* events, int most, bool sleep) {
  return uncanceled([=] { return ::epoll_wait(fd, events, most, sleep ? -1 : 0); });
}

void join(pthread_t thread) {
  uncanceled([=] { return ::pthread_join(thread, nullptr); });
}

}  // namespace ctxcore::io
