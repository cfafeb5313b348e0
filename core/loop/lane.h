// SPDX-License-Identifier: MIT
// The lane: threads for callbacks that may block, or that wait for a lock of somebody's runtime. There is
// one for the process. A thread is started when a callback waits and no thread is idle, and ends when it
// has been idle for a while; so no callback here waits for another one, up to kMost at a time.
//
// Invariants
//  1. threads_ and idle_ are guarded by lock_. A thread is idle from when it finds no work until it is told
//     of some or ends; it ends only if there is no work, and looks for that under lock_.
//  2. Whoever pushes work calls staff() or summon() afterwards. Either it sees as many idle threads as
//     callbacks wait, and wakes one, or it sees to it that one is started. A thread that was about to end
//     has either seen the work, or is not counted any more.
//  3. A cancel starts no thread, for that takes memory: it summons, which leaves that to the thread of the
//     loop. If the system refuses a thread and there is none, the thread `ctx-calls` runs the work.
//
// Lock order: lock_, then that of the backlog.
#ifndef CTX_CORE_LOOP_LANE_H
#define CTX_CORE_LOOP_LANE_H

#include <atomic>
#include <cstdint>

#include "core/loop/backlog.h"

namespace ctxcore {

class Lane {
 public:
  static constexpr uint32_t kMost = 512;           // threads
  static constexpr int64_t kIdle = 5'000'000'000;  // ns: then an idle thread ends

  constexpr Lane() = default;

  Backlog& work() { return work_; }

  void staff();     // by a thread that may start threads
  bool summon();    // by any other; false if a thread has to be started
  bool deserted();  // there is work and no thread, for the system refused one

  // Has every thread end once it has run what waits, and waits for that until a time. False: not all have.
  bool close(int64_t until_ns);

 private:
  static void* run(void*);
  bool tell() CTX_REQUIRES(lock_);
  Callback* take(bool rested, bool* ends);

  Backlog work_;
  Lock lock_;
  uint32_t threads_ CTX_GUARDED_BY(lock_) = 0;
  uint32_t idle_ CTX_GUARDED_BY(lock_) = 0;
  bool refused_ CTX_GUARDED_BY(lock_) = false;  // when one was to be started last
  std::atomic<bool> closing_{false};
  std::atomic<uint32_t> bell_{0};   // counts what the threads are told; they sleep on it
  std::atomic<uint32_t> ended_{0};  // counts threads that ended; close() sleeps on it
};

Lane& lane();
void forget_lane();  // in a forked child

}  // namespace ctxcore

#endif
