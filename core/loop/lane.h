// SPDX-License-Identifier: MIT
// The lane: threads for callbacks that may block, or wait for the lock of a runtime. The process has one lane. It
// starts a thread when a callback waits and no thread is idle; a thread ends when it has been idle for a while. So
// no callback here waits for another one, up to kMost at a time.
//
// Invariants
//  1. lock_ guards threads_ and idle_. A thread is idle from when it finds no work until it is woken for some, or
//     ends. It ends only if there is no work, which it checks under lock_.
//  2. A thread that pushes work calls staff() or summon() afterwards. That wakes a thread for each waiting callback;
//     if fewer are idle, it also starts some or has some started. A thread about to end has either seen the work,
//     or is no longer counted.
//  3. A cancel starts no thread, since that takes memory: it summons, which leaves that to the loop's thread. If the
//     system refuses a thread, the loop's thread asks again soon; if there is none at all, the thread `ctx-calls`
//     runs the work.
//  4. No work is pushed for an orphaned loop. The thread that orphans a loop calls staff() afterwards, and so sees
//     work that was pushed before.
//
// Lock order: lock_, then that of the backlog; taken with the lock of a node's observers held.
#ifndef CTX_CORE_LOOP_LANE_H
#define CTX_CORE_LOOP_LANE_H

#include <cstdint>

#include "core/loop/backlog.h"
#include "core/system/atomic.h"

namespace ctxcore {

class Lane {
 public:
  static constexpr uint32_t kMost = 512;           // threads
  static constexpr int64_t kIdle = 5'000'000'000;  // ns: then an idle thread ends
  static constexpr int64_t kRetry = 10'000'000;  // ns: then one that was refused is asked for again

  constexpr Lane() = default;

  bool push(Callback* callback,
            const Loop& loop);  // false, with nothing changed, if the loop is orphaned
  void withdraw(Callback* callback) { work_.withdraw(callback); }

  bool staff();   // by a thread that may start threads; false if one was refused
  bool summon();  // by any other; false if a thread has to be started

  bool deserted();            // there is work and no thread, because the system refused one
  Callback* take_deserted();  // then the next callback, claimed

  // Makes every thread end once it has run what waits, and waits for that until a time. False: not all have.
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
  Atomic<uint32_t> bell_{0};                    // counts wake-ups of the threads, which sleep on it
  Atomic<uint32_t> closers_{0};                 // how many close(); written before bell_
  Atomic<uint32_t> present_{0};  // threads that have not left yet; close() sleeps on it
};

Lane& lane();
void forget_lane();  // in a forked child

}  // namespace ctxcore

#endif
