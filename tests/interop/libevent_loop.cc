// SPDX-License-Identifier: MIT
//
// libevent, by persistent read events.
#include <event2/event.h>

#include "interop/host_loop.h"
#include "support/require.h"

namespace ctxtest {
namespace {

class LibeventLoop : public HostLoop {
 public:
  LibeventLoop() { REQUIRE(base_ != nullptr); }
  ~LibeventLoop() override {
    while (!events_.empty()) Remove(events_.begin()->first);
    event_base_free(base_);
  }

  void Turn() override { REQUIRE(event_base_loop(base_, EVLOOP_ONCE) == 0); }

 private:
  void Add(int fd) override {
    event* made = event_new(base_, fd, EV_READ | EV_PERSIST, OnReadable, this);
    REQUIRE(made != nullptr);
    REQUIRE(event_add(made, nullptr) == 0);
    events_[fd] = made;
  }
  void Remove(int fd) override {
    event_free(events_[fd]);
    events_.erase(fd);
  }

  static void OnReadable(evutil_socket_t fd, short /*events*/, void* self) {
    static_cast<LibeventLoop*>(self)->Report(fd);
  }

  event_base* const base_ = event_base_new();
  std::map<int, event*> events_;
};

const AddHostKind kLibevent({"Libevent", HostKind::Trigger::kLevel,
                             []() -> std::unique_ptr<HostLoop> {
                               return std::make_unique<LibeventLoop>();
                             }});

}  // namespace
}  // namespace ctxtest
