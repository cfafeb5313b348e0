// SPDX-License-Identifier: MIT
//
// Loops around io_uring, by IORING_OP_POLL_ADD: one poll at a time, asked for anew after each report,
// which is level-triggered; and multishot, which is edge-triggered.
#include <liburing.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "interop/host_loop.h"
#include "support/require.h"

namespace ctxtest {
namespace {

class IoUringLoop : public HostLoop {
 public:
  explicit IoUringLoop(HostKind::Trigger trigger)
      : multishot_(trigger == HostKind::Trigger::kEdge) {
    Check(io_uring_queue_init(64, &ring_, 0), "io_uring_queue_init");
  }
  ~IoUringLoop() override { io_uring_queue_exit(&ring_); }

  void Turn() override {
    io_uring_cqe* next = nullptr;
    const int waited = io_uring_wait_cqe(&ring_, &next);
    if (waited == -EINTR) return;
    Check(waited, "io_uring_wait_cqe");
    // Only what is there by now: a report that asks anew for what is still readable is done at once.
    std::array<io_uring_cqe*, 16> ready{};
    const unsigned n = io_uring_peek_batch_cqe(&ring_, ready.data(), ready.size());
    for (unsigned i = 0; i < n; ++i) {
      const io_uring_cqe done = *ready[i];
      io_uring_cqe_seen(&ring_, ready[i]);
      Complete(done.user_data, done.res, (done.flags & IORING_CQE_F_MORE) != 0);
    }
  }

 private:
  // Each poll has a number of its own, since a descriptor's comes back while the end of an older poll
  // is still on its way. 0 is for what nobody waits for.
  void Add(int fd) override {
    const uint64_t id = ++last_id_;
    fds_[id] = fd;
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    REQUIRE(sqe != nullptr);
    if (multishot_) {
      io_uring_prep_poll_multishot(sqe, fd, POLLIN);
    } else {
      io_uring_prep_poll_add(sqe, fd, POLLIN);
    }
    io_uring_sqe_set_data64(sqe, id);
    Check(io_uring_submit(&ring_), "io_uring_submit");
  }

  void Remove(int fd) override {
    for (auto each = fds_.begin(); each != fds_.end(); ++each) {
      if (each->second != fd) continue;
      io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
      REQUIRE(sqe != nullptr);
      io_uring_prep_poll_remove(sqe, each->first);
      io_uring_sqe_set_data64(sqe, 0);
      Check(io_uring_submit(&ring_), "io_uring_submit");
      fds_.erase(each);
      return;
    }
  }

  void Complete(uint64_t id, int result, bool goes_on) {
    const auto found = fds_.find(id);
    if (found == fds_.end()) return;
    Check(result, "IORING_OP_POLL_ADD");
    const int fd = found->second;
    if (!goes_on) fds_.erase(found);
    Report(fd);
    if (!goes_on && IsWatched(fd) && !HasPoll(fd)) Add(fd);
  }

  bool HasPoll(int fd) const {
    for (const auto& each : fds_) {
      if (each.second == fd) return true;
    }
    return false;
  }

  static void Check(int result, const char* what) {
    if (result >= 0) return;
    errno = -result;
    BROKEN(what);
  }

  const bool multishot_;
  io_uring ring_{};
  uint64_t last_id_ = 0;
  std::map<uint64_t, int> fds_;  // the polls under way
};

// A kernel may be without io_uring, or a sandbox may forbid it. Anything else is a failure.
std::string Refused() {
  io_uring ring{};
  const int result = io_uring_queue_init(4, &ring, 0);
  if (result == -ENOSYS || result == -EPERM) {
    return std::string("the kernel refuses io_uring: ") + std::strerror(-result);
  }
  if (result == 0) io_uring_queue_exit(&ring);
  return "";
}

const AddHostKind kOneShot({"IoUring", HostKind::Trigger::kLevel,
                            []() -> std::unique_ptr<HostLoop> {
                              return std::make_unique<IoUringLoop>(HostKind::Trigger::kLevel);
                            },
                            Refused});
const AddHostKind kMultishot({"IoUringMultishot", HostKind::Trigger::kEdge,
                              []() -> std::unique_ptr<HostLoop> {
                                return std::make_unique<IoUringLoop>(HostKind::Trigger::kEdge);
                              },
                              Refused});

}  // namespace
}  // namespace ctxtest
