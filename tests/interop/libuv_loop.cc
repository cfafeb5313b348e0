// SPDX-License-Identifier: MIT
//
// libuv, by uv_poll_t.
#include <uv.h>

#include "interop/host_loop.h"
#include "support/require.h"

namespace ctxtest {
namespace {

class LibuvLoop : public HostLoop {
 public:
  LibuvLoop() { REQUIRE(uv_loop_init(&loop_) == 0); }
  ~LibuvLoop() override {
    while (!watches_.empty()) Remove(watches_.begin()->first);
    uv_run(&loop_, UV_RUN_DEFAULT);  // what is being closed is freed there
    REQUIRE(uv_loop_close(&loop_) == 0);
  }

  void Turn() override { uv_run(&loop_, UV_RUN_ONCE); }

 private:
  struct Poll {
    uv_poll_t handle;
    LibuvLoop* loop;
    int fd;
  };

  void Add(int fd) override {
    auto* poll = new Poll{{}, this, fd};
    poll->handle.data = poll;
    REQUIRE(uv_poll_init(&loop_, &poll->handle, fd) == 0);
    REQUIRE(uv_poll_start(&poll->handle, UV_READABLE, OnReadable) == 0);
    watches_[fd] = poll;
  }

  void Remove(int fd) override {
    const auto found = watches_.find(fd);
    uv_poll_stop(&found->second->handle);
    uv_close(reinterpret_cast<uv_handle_t*>(&found->second->handle),
             [](uv_handle_t* handle) { delete static_cast<Poll*>(handle->data); });
    watches_.erase(found);
  }

  static void OnReadable(uv_poll_t* handle, int status, int /*events*/) {
    REQUIRE(status == 0);
    const auto* poll = static_cast<Poll*>(handle->data);
    poll->loop->Report(poll->fd);
  }

  uv_loop_t loop_{};
  std::map<int, Poll*> watches_;
};

const AddHostKind kLibuv({"Libuv", HostKind::Trigger::kLevel, []() -> std::unique_ptr<HostLoop> {
                            return std::make_unique<LibuvLoop>();
                          }});

}  // namespace
}  // namespace ctxtest
