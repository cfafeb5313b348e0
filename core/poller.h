// SPDX-License-Identifier: MIT
// What a loop sleeps in: descriptors that are watched, and an alarm that ends the sleep at a time. The
// one file that knows how this system does it. A host that runs the loop itself polls `fd`.
#ifndef CTX_CORE_POLLER_H
#define CTX_CORE_POLLER_H

#include <cstdint>

namespace ctxcore {

class Poller {
 public:
  int open();  // 0 or a negative errno; nothing is left open then
  void close();

  // Ends the sleep at a time on CLOCK_MONOTONIC, also one that has begun; kForever: not at all. Replaces
  // what was set before. From any thread.
  void set_alarm(int64_t when_ns);

  void sleep();  // until the alarm, or for nothing

 private:
  int fd_ = -1;
  int alarm_ = -1;
};

}  // namespace ctxcore

#endif
