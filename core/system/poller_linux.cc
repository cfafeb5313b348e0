// SPDX-License-Identifier: MIT
// By epoll, with a timerfd in it. Setting the alarm earlier does not wake the sleeper: only a ready descriptor or
// the alarm itself wakes a sleeping loop. epoll's events have the same numbers as poll's.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>

#include "core/system/clock.h"
#include "core/system/io.h"
#include "core/system/poller.h"

namespace ctxcore {

namespace {

static_assert(EPOLLIN == POLLIN && EPOLLPRI == POLLPRI && EPOLLOUT == POLLOUT &&
              EPOLLERR == POLLERR && EPOLLHUP == POLLHUP && EPOLLRDHUP == POLLRDHUP);

constexpr uint64_t kAlarm = 0;

int control(int poller, int operation, int fd, uint32_t events, uint64_t id) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  const int saved = errno;
  const int result = epoll_ctl(poller, operation, fd, &event) == 0 ? 0 : -errno;
  errno = saved;
  return result;
}

}  // namespace

int Poller::open(clockid_t clock) {
  const int saved = errno;
  int result = 0;
  fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (fd_ < 0) {
    result = -errno;
  } else {
    alarm_ = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
    result = alarm_ < 0 ? -errno : watch(alarm_, POLLIN, kAlarm, false);
    if (result < 0) close();
  }
  errno = saved;
  return result;
}

void Poller::close() {
  if (alarm_ >= 0) io::close(alarm_);
  if (fd_ >= 0) io::close(fd_);
  fd_ = alarm_ = -1;
}

void Poller::set_alarm(int64_t when_ns) {
  itimerspec when{};
  if (when_ns != kForever) when.it_value = to_timespec(when_ns);
  timerfd_settime(alarm_, TFD_TIMER_ABSTIME, &when, nullptr);
}

int Poller::watch(int fd, uint32_t events, uint64_t id, bool once) {
  return control(fd_, EPOLL_CTL_ADD, fd, once ? events | EPOLLONESHOT : events, id);
}

int Poller::rewatch(int fd, uint32_t events, uint64_t id) {
  return control(fd_, EPOLL_CTL_MOD, fd, events | EPOLLONESHOT, id);
}

void Poller::unwatch(int fd) { control(fd_, EPOLL_CTL_DEL, fd, 0, 0); }

int Poller::wait(bool sleep, Ready* ready) {
  epoll_event events[kBatch];
  const int count = io::epoll_wait(fd_, events, kBatch, sleep);
  int found = 0;
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u64 == kAlarm) {
      uint64_t expirations = 0;
      [[maybe_unused]] ssize_t size = io::read(alarm_, &expirations, sizeof expirations);
    } else {
      ready[found++] = {events[i].data.u64, events[i].events};
    }
  }
  return found;
}

bool Poller::ready() const {
  pollfd self = {fd_, POLLIN, 0};
  return io::poll(&self, 1, 0) == 1;
}

}  // namespace ctxcore
