// SPDX-License-Identifier: MIT
//
// A loop around plain poll(2).
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "interop/host_loop.h"
#include "support/require.h"

namespace ctxtest {
namespace {

class PollLoop : public HostLoop {
 public:
  void Turn() override {
    std::vector<pollfd> polled = fds_;
    const int ready = poll(polled.data(), polled.size(), -1);
    REQUIRE(ready >= 0 || errno == EINTR);
    if (ready <= 0) return;
    for (const pollfd& each : polled) {
      if (each.revents != 0) Report(each.fd);
    }
  }

 private:
  void Add(int fd) override { fds_.push_back({fd, POLLIN, 0}); }
  void Remove(int fd) override {
    fds_.erase(std::find_if(fds_.begin(), fds_.end(), [&](const pollfd& p) { return p.fd == fd; }));
  }

  std::vector<pollfd> fds_;
};

const AddHostKind kPoll({"Poll", HostKind::Trigger::kLevel, []() -> std::unique_ptr<HostLoop> {
                           return std::make_unique<PollLoop>();
                         }});

}  // namespace
}  // namespace ctxtest
