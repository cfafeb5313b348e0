// SPDX-License-Identifier: MIT
//
// systemd's sd-event, by io sources.
#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include <cerrno>

#include "interop/host_loop.h"
#include "support/require.h"

namespace ctxtest {
namespace {

class SdEventLoop : public HostLoop {
 public:
  SdEventLoop() { Check(sd_event_new(&event_), "sd_event_new"); }
  ~SdEventLoop() override {
    while (!sources_.empty()) Remove(sources_.begin()->first);
    sd_event_unref(event_);
  }

  void Turn() override {
    const int ran = sd_event_run(event_, UINT64_MAX);
    if (ran != -EINTR) Check(ran, "sd_event_run");
  }

 private:
  void Add(int fd) override {
    sd_event_source* source = nullptr;
    Check(sd_event_add_io(event_, &source, fd, EPOLLIN, OnReadable, this), "sd_event_add_io");
    sources_[fd] = source;
  }
  void Remove(int fd) override {
    sd_event_source_disable_unref(sources_[fd]);
    sources_.erase(fd);
  }

  static int OnReadable(sd_event_source* /*source*/, int fd, uint32_t /*events*/, void* self) {
    static_cast<SdEventLoop*>(self)->Report(fd);
    return 0;
  }

  static void Check(int result, const char* what) {
    if (result >= 0) return;
    errno = -result;
    BROKEN(what);
  }

  sd_event* event_ = nullptr;
  std::map<int, sd_event_source*> sources_;
};

const AddHostKind kSdEvent({"SdEvent", HostKind::Trigger::kLevel,
                            []() -> std::unique_ptr<HostLoop> {
                              return std::make_unique<SdEventLoop>();
                            }});

}  // namespace
}  // namespace ctxtest
