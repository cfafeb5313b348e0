// SPDX-License-Identifier: MIT
//
// Loops around epoll(7), level-triggered and edge-triggered.
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "interop/host_loop.h"
#include "support/require.h"

namespace ctxtest {
namespace {

class EpollLoop : public HostLoop {
 public:
  explicit EpollLoop(unsigned flags) : events_(EPOLLIN | flags) { REQUIRE(epoll_ >= 0); }
  ~EpollLoop() override { close(epoll_); }

  void Turn() override {
    std::array<epoll_event, 16> events{};
    const int ready = epoll_wait(epoll_, events.data(), events.size(), -1);
    REQUIRE(ready >= 0 || errno == EINTR);
    for (int i = 0; i < ready; ++i) Report(events[static_cast<size_t>(i)].data.fd);
  }

 private:
  void Add(int fd) override {
    epoll_event event{};
    event.events = events_;
    event.data.fd = fd;
    REQUIRE(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
  }
  void Remove(int fd) override { REQUIRE(epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr) == 0); }

  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const unsigned events_;
};

const AddHostKind kLevel({"Epoll", HostKind::Trigger::kLevel, []() -> std::unique_ptr<HostLoop> {
                            return std::make_unique<EpollLoop>(0);
                          }});
const AddHostKind kEdge({"EpollEdge", HostKind::Trigger::kEdge, []() -> std::unique_ptr<HostLoop> {
                           return std::make_unique<EpollLoop>(EPOLLET);
                         }});

}  // namespace
}  // namespace ctxtest
