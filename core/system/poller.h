// SPDX-License-Identifier: MIT
// A loop sleeps in a poller: it watches descriptors, and an alarm ends the sleep at a time. Only this file
// knows how the system does it. A host that drives the loop itself polls fd().
#ifndef CTX_CORE_SYSTEM_POLLER_H
#define CTX_CORE_SYSTEM_POLLER_H

#include <cstdint>
#include <ctime>

namespace ctxcore {

class Poller {
 public:
  struct Ready {
    uint64_t id;
    uint32_t events;
  };
  static constexpr int kBatch = 64;

  // With an alarm on this clock. 0, or a negative errno and nothing is open.
  int open(clockid_t clock);
  void close();
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  // Ends the sleep, also one that has begun, at a time on its clock; kForever: never. Replaces the
  // alarm that was set before. From any thread.
  void set_alarm(int64_t when_ns);

  // Watches a descriptor for poll(2)'s events, and reports it by an id that is not 0. With `once` it is
  // reported once, until rewatch(). 0 or a negative errno: -EEXIST if it is watched already; from rewatch()
  // -ENOENT if it is not.
  int watch(int fd, uint32_t events, uint64_t id, bool once);
  int rewatch(int fd, uint32_t events, uint64_t id);
  void unwatch(int fd);

  // Reports ready descriptors, at most kBatch at a time. With `sleep` it waits until one is ready or the alarm
  // rings; it may return spuriously.
  int wait(bool sleep, Ready* ready);

  bool ready() const;  // whether wait() would find anything, the alarm included

 private:
  int fd_ = -1;
  int alarm_ = -1;
};

}  // namespace ctxcore

#endif
