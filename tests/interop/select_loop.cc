// SPDX-License-Identifier: MIT
//
// A loop around select(2).
#include <sys/select.h>

#include <cerrno>
#include <set>

#include "interop/host_loop.h"
#include "support/require.h"

namespace ctxtest {
namespace {

class SelectLoop : public HostLoop {
 public:
  void Turn() override {
    const std::set<int> watched = fds_;
    fd_set readable;
    FD_ZERO(&readable);
    for (int fd : watched) FD_SET(fd, &readable);
    const int ready = select(*watched.rbegin() + 1, &readable, nullptr, nullptr, nullptr);
    REQUIRE(ready >= 0 || errno == EINTR);
    if (ready <= 0) return;
    for (int fd : watched) {
      if (FD_ISSET(fd, &readable)) Report(fd);
    }
  }

 private:
  void Add(int fd) override {
    REQUIRE(fd >= 0 && fd < FD_SETSIZE);
    fds_.insert(fd);
  }
  void Remove(int fd) override { fds_.erase(fd); }

  std::set<int> fds_;
};

const AddHostKind kSelect({"Select", HostKind::Trigger::kLevel, []() -> std::unique_ptr<HostLoop> {
                             return std::make_unique<SelectLoop>();
                           }});

}  // namespace
}  // namespace ctxtest
