// SPDX-License-Identifier: MIT
// By epoll, with a timerfd in it. The alarm can be set earlier without waking the sleeper, and a
// sleeping loop is woken by nothing but what it sleeps for.
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>

#include "core/clock.h"
#include "core/poller.h"

namespace ctxcore {

int Poller::open() {
  fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (fd_ < 0) return -errno;
  alarm_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // the alarm; what is watched later has its own pointer here
  if (alarm_ < 0 || epoll_ctl(fd_, EPOLL_CTL_ADD, alarm_, &event) != 0) {
    const int error = -errno;
    close();
    return error;
  }
  return 0;
}

void Poller::close() {
  if (alarm_ >= 0) ::close(alarm_);
  if (fd_ >= 0) ::close(fd_);
  fd_ = alarm_ = -1;
}

void Poller::set_alarm(int64_t when_ns) {
  itimerspec when{};
  if (when_ns != kForever) when.it_value = to_timespec(when_ns);
  timerfd_settime(alarm_, TFD_TIMER_ABSTIME, &when, nullptr);
}

void Poller::sleep() {
  epoll_event event{};
  if (epoll_wait(fd_, &event, 1, -1) == 1) {
    uint64_t expirations = 0;
    [[maybe_unused]] ssize_t size = read(alarm_, &expirations, sizeof expirations);
  }
}

}  // namespace ctxcore
