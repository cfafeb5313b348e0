// SPDX-License-Identifier: MIT
// Who runs the clock for families of contexts: their timers, what else ends them from outside, the
// thread that sleeps until the next such event, and the calls that thread must not make itself.
//
// A loop is driven by two threads of its own, by its host, or is told the time; the default loop is of the
// first kind. All do the same in the same order: take what is due, end it, and leave callbacks to the
// calls, which another thread runs, or the driver when all is marked and woken.
//
// Invariants
//  1. `alarm_` is the time the poller's alarm is set to: both change together, in one section under
//     alarm_lock_. It is read without the lock, too: see arm(). Before the poller is open there is no alarm,
//     and nobody sets one; who opens it looks for what was pushed before.
//  2. While somebody looks for the next deadline, under alarm_lock_, `alarm_` is kForever: who arms
//     meanwhile waits for that lock, and then sets the alarm earlier if it has to be.
//  3. Both threads run or none does.
//  4. A loop that is not the default one is freed when its root is, its threads have left it and nobody
//     dispatches it: `users_` counts those. Its handles hold its root together, as one; so does the
//     process if the loop was made the default.
//  5. `closed_` is set once, after the root's cause and phase, which tell of that end as an ended node's
//     do; the root's own error stays 0, for a root is never done.
//  6. Merged contexts are made, marked by a walk, and taken out of the tree under merge_lock_ (merge.h).
//  7. `orphaned_` is set once, when all on the loop has been ended, marked and woken: nobody can drive it
//     any more. From then on calls are run by who pushes them, and nodes that are posted only given back.
//
// Why no deadline is missed. A thread arms under the lock of a wheel, then reads `alarm_`. Who sets the
// next alarm makes `alarm_` kForever, then looks into each wheel under its lock. If the insertion came
// first, the look finds it. If the look came first, its unlock makes the store before it visible to the
// thread that inserts afterwards, which reads kForever or something newer, and sets the alarm itself.
// What is pushed to the calls, or posted, is found in the same way, with the alarm set to `kAtOnce`.
//
// Lock order: start_lock_, firing_lock_ and, below the latter, merge_lock_ first of all; alarm_lock_ after
// the locks of the tree; then, as leaves, posted_lock_, the wheels' and the calls'. firing_lock_ is held
// while due nodes are ended, but not when calls are run.
#ifndef CTX_CORE_LOOP_LOOP_H
#define CTX_CORE_LOOP_LOOP_H

#include <atomic>
#include <cstdint>

#include "core/base/count.h"
#include "core/loop/backlog.h"
#include "core/loop/sources.h"
#include "core/loop/wheel.h"
#include "core/system/clock.h"
#include "core/system/poller.h"

namespace ctxcore {

class CallMask;
class Turn;
struct SignalNode;

enum class Drive : uint8_t { thread, manual, virtual_time };  // as CTX_LOOP_THREAD and so on

// What ctx_loop_set_executor() is given: a function that has run(work) called once, somewhere.
struct Executor {
  int (*post)(void* executor, void (*run)(void* work), void* work) = nullptr;
  void* executor = nullptr;
};

class Loop {
 public:
  enum class Stop : uint8_t { no, leave, join };  // what its threads are to do

  static constexpr uint8_t kWheels = 8;  // one a processor, as far as they go

  // The root lists every family of this loop that has no other parent. The wheels stand apart from the
  // loop so that those of the default loop are zeros, which need no room in the file.
  constexpr Loop(Drive drive, Node* root, Wheel* wheels, uint8_t wheel_count)
      : drive_(drive), wheel_count_(wheel_count), root_(root), wheels_(wheels) {}

  // A loop of the caller's, with one handle; nullptr without memory.
  static Loop* create(Drive drive);
  void ref() { count_up(handles_); }
  void unref();
  void root_released();  // nothing is left on it

  Drive drive() const { return drive_; }
  Node* root() const { return root_; }
  bool started() const { return started_.load(std::memory_order_acquire); }
  int64_t now() const {
    return drive_ == Drive::virtual_time ? clock_.load(std::memory_order_acquire) : monotonic_now();
  }
  Backlog& backlog() { return backlog_; }
  uint64_t starters_mask() const { return starters_mask_; }  // once it is started
  Lock& merge_lock() CTX_LOCK_RETURNED(merge_lock_) { return merge_lock_; }
  uint64_t next_birth() CTX_REQUIRES(merge_lock_) { return ++births_; }

  // Starts what deadlines and deferred calls need, if it does not run yet. 0 or a negative errno, with
  // nothing changed. Before the first arm().
  int start();
  int start_watching();  // the same, and what sources need

  // 0, or the error that everything below the root is born with.
  int closed() const { return closed_.load(std::memory_order_acquire); }
  bool set_closed() CTX_REQUIRES(merge_lock_);  // by the first walk that ends all (life/cancel.h)

  uint8_t pick_wheel() const;  // for a new timer: two processors get two wheels
  void arm(TimerNode* node, int64_t now);
  void disarm(Node* node);       // whatever it was armed with
  bool disarm_last(Node* node);  // if only one reference is left; else returns false

  int watch(Source* source) { return sources_.add(source); }
  void unwatch(Source* source) { sources_.remove(source); }
  bool unwatch_last(Source* source) { return sources_.remove_last(source); }
  int watch_signals(int fd);

  // Hands over a node that a signal came for, pinned, to be ended here. The reader is the loop whose driver
  // has read the signal. It runs nobody's code, also where this loop is orphaned.
  void post(SignalNode* node, Loop& reader);

  // A callback that is to run on no thread that cancels: queues it, unless a stop has claimed it, and takes
  // it back for the stop that claimed it while it was queued.
  void push(Callback* callback);
  void withdraw(Callback* callback);

  // Has callbacks run by the program's own executor. -EBUSY once the loop is started.
  int set_executor(Executor executor);

  // After a push to the backlog or the lane, with no lock held and something that keeps the loop: sees to it that
  // they are run. Wakes nobody if there are none.
  void ring();
  bool orphaned() const { return orphaned_.load(std::memory_order_acquire); }

  // Gives back a pin of a node whose cancel is through. The last reference goes to the calls of this loop,
  // which may be another than the node's: it may run a user's drop, which must not hold up the clock.
  void release_later(Node* node);

  // Ends what is due in its order until this node is done or nothing more is due, for a thread that drives no
  // loop. It waits for what another thread is ending already. The loop has been started.
  void fire_due(const Node* node);

  // Ends what is due, if anything is, for a thread that waits until a time on a loop which its host may not be
  // driving. When the time has come it leaves the rest. Returns when to come again.
  int64_t fire_for_waiter(int64_t until_ns);

  // What a driver calls. How much was fired, -EBUSY or another negative errno.
  int dispatch();
  int advance(int64_t ns);
  int64_t next_work();  // kForever: none
  int host_fd();        // or a negative errno

  // Closes the loop, runs what waits, and ends its threads and those of the lane. 0; -ETIMEDOUT if users'
  // code still runs then.
  int shut_down(int64_t until_ns);

  void abandon();  // in a forked child: the threads are gone, the descriptors are not ours

  uint32_t stamp = 0;

 private:
  static constexpr int64_t kAtOnce = 1;  // an alarm in the past
  static constexpr size_t kBatch = 512;  // timers of a wheel that are ended under firing_lock_
  // What the poller calls the signalfd. No source has this number: its upper half counts, and begins with 1.
  static constexpr uint64_t kSignalsId = UINT64_MAX;

  static void* run(void* self);
  static void* run_calls(void* self);
  static void run_posted(void* work);
  bool await_threads(int64_t until_ns);
  void end_thread();
  int start_threads();
  int open_poller();
  void close_poller();

  void collect(bool sleep, Link*& sources);
  int fire_posted(Loop& releaser);
  bool fire_some(int* fired, Ring<TimerNode>& ended) CTX_REQUIRES(firing_lock_);
  void finish_batch(Ring<TimerNode>& ended);
  bool fire_batch(int* fired);
  int fire_timers();
  int turn(bool sleep);
  bool leaves_to_lane(const Callback* callback) const;
  bool post_one(size_t* left);
  bool run_one(Turn* turn, size_t* left);
  void run_some(size_t callbacks, CallMask* mask);
  void run_all(CallMask* mask);
  void run_batch();
  void run_deserted(CallMask* mask);
  void run_wakers();
  bool has_posted();
  bool anything_ready();
  int64_t next_timer();

  void set_alarm_by(int64_t when);
  void set_next_alarm();
  void ring_calls();

  bool is_ours() const { return stamp::check(stamp, stamp::kLoop) == 0; }  // not from before a fork
  bool begin_driving();
  void end_driving();
  void leave();

  const Drive drive_;
  const uint8_t wheel_count_;
  Node* const root_;
  Wheel* const wheels_;
  Backlog backlog_;
  Poller poller_;
  Sources sources_{poller_};
  Lock alarm_lock_;  // also guards that the poller is opened and closed
  Lock posted_lock_;
  Ring<SignalNode> posted_ CTX_GUARDED_BY(posted_lock_);
  std::atomic<int64_t> alarm_{kForever};
  std::atomic<int64_t> clock_{0};  // of a loop that is told the time
  Lock start_lock_;
  Lock firing_lock_;
  Ring<TimerNode> due_ CTX_GUARDED_BY(firing_lock_);  // pinned, for the next batch, in order
  std::atomic<bool> left_due_{false};                 // there are some
  Lock merge_lock_;
  uint64_t births_ CTX_GUARDED_BY(merge_lock_) = 0;
  std::atomic<bool> started_{false};
  std::atomic<bool> watching_{false};
  Executor executor_;
  uint64_t starters_mask_ = 0;         // written before started_
  std::atomic<bool> summoned_{false};  // the lane wants a thread, which this loop's may start
  std::atomic<Stop> stop_{Stop::no};
  std::atomic<uint32_t> threads_{0};   // that have not left
  std::atomic<bool> orphaned_{false};  // nobody can drive it any more
  std::atomic<bool> driven_{false};    // dispatch or advance is under way
  std::atomic<int32_t> closed_{0};
  std::atomic<uint32_t> bell_{0};  // counts rings; the thread that runs calls sleeps on it
  std::atomic<uint32_t> handles_{1};
  std::atomic<uint32_t> users_{1};
};

// Ends a node whose time has come; its callbacks are left to the calls, for which the caller rings. True
// if this call ended it.
bool fire(TimerNode* node);

}  // namespace ctxcore

#endif
