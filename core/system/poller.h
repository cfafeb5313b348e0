// SPDX-License-Identifier: MIT
// What a loop sleeps in: descriptors that are watched, and an alarm that ends the sleep at a time. The
// one file that knows how this system does it. A host that runs the loop itself polls fd().
#ifndef CTX_CORE_SYSTEM_POLLER_H
#define CTX_CORE_SYSTEM_POLLER_H

#include <cstdint>

namespace ctxcore {

class Poller {
 public:
  struct Ready {
    uint64_t id;
    uint32_t events;
  };
  static constexpr int kBatch = 64;

  int open();  // 0 or a negative errno; nothing is left open then
  void close();
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  // Ends the sleep at a time on CLOCK_MONOTONIC, also one that has begun; kForever: not at all. Replaces
  // what was set before. From any thread.
  void set_alarm(int64_t when_ns);

  // Watches a descriptor for poll(2)'s events, and tells of it by an id that is not 0. With `once` it is
  // told once, until rewatch(). 0 or a negative errno: -EEXIST if it is watched already; of rewatch()
  // -ENOENT if it is not.
  int watch(int fd, uint32_t events, uint64_t id, bool once);
  int rewatch(int fd, uint32_t events, uint64_t id);
  void unwatch(int fd);

  // Which descriptors are ready, at most kBatch at a time. With `sleep` it waits until one is, until the
  // alarm, or for nothing.
  int wait(bool sleep, Ready* ready);

  bool ready() const;  // would wait() find anything, the alarm included?

 private:
  int fd_ = -1;
  int alarm_ = -1;
};

}  // namespace ctxcore

#endif
