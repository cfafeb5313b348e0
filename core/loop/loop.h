// SPDX-License-Identifier: MIT
// A loop runs the clock for families of contexts. It has their timers, the descriptors and signals that end them,
// the thread that sleeps until the next of these, and the backlog of users' code that this thread must not run.
//
// A loop's driver is its own thread `ctx-loop`, or its host, or a host that moves its clock. All do the same in the
// same order: take everything due, end it, and leave callbacks to the backlog. The thread `ctx-calls` runs the
// backlog, or a host once everything is marked and woken; the driver itself runs wakers. In the names of the threads,
// that of the loop's options takes the place of `ctx`.
//
// Invariants
//  1. `alarm_` is the time that the poller's alarm is set to: both change together, in one section under
//     alarm_lock_. arm() also reads it without the lock. Before the poller is open there is no alarm, and nobody sets
//     one; the thread that opens it then looks for work that was pushed before.
//  2. While a thread looks for the next deadline, under alarm_lock_, `alarm_` is kForever: a thread that arms
//     meanwhile waits for that lock, and then sets the alarm earlier if necessary.
//  3. Both threads run or none does.
//  4. A loop that is not the default one is freed when its root is freed, its threads have left it and nobody
//     dispatches it: `users_` counts these. Its handles together hold one reference to the root; the process holds
//     another if the loop was made the default.
//  5. `closed_` is set once, after the root's cause and phase, which describe that end as those of an ended node
//     do. The root's own error stays 0, since a root is never done.
//  6. Merged contexts are made, marked by a walk, and taken out of the tree under merge_lock_ (merge.h).
//  7. `orphaned_` is set once, when everything on the loop is ended, marked and woken: nobody can drive it any more.
//     From then on a thread that pushes runs the backlog itself, and posted nodes are only given back.
//
// Why no deadline is missed. A thread arms under the lock of a wheel, then reads `alarm_`. A thread that sets the
// next alarm makes `alarm_` kForever, then looks into each wheel under its lock. If the insertion came first, the
// look finds it. If the look came first, its unlock makes the store before it visible to the thread that inserts
// afterwards, which reads kForever or something newer, and sets the alarm itself. Pushed and posted work is found
// in the same way, with the alarm set to `kAtOnce`.
//
// Why nothing is left overdue on a virtual loop. A thread arms under the lock of the wheel, then reads the
// clock, and fires everything due: catch_up(). advance() moves the clock to its target, then looks into the wheel
// under its lock, until nothing is due. If the insertion came first, the look finds it. If the look came
// first, the thread reads the new time.
//
// Lock order: start_lock_, firing_lock_ and, below the latter, merge_lock_ first of all; alarm_lock_ after
// the locks of the tree; then, as leaves, posted_lock_, the wheels' and the backlog's. firing_lock_ is held
// while due nodes are ended, but not while users' code runs.
#ifndef CTX_CORE_LOOP_LOOP_H
#define CTX_CORE_LOOP_LOOP_H

#include <cstdint>

#include "core/base/count.h"
#include "core/loop/backlog.h"
#include "core/loop/sources.h"
#include "core/loop/wheel.h"
#include "core/system/atomic.h"
#include "core/system/clock.h"
#include "core/system/poller.h"

namespace ctxcore {

class CallMask;
class Turn;
struct SignalNode;

enum class Drive : uint8_t { thread, manual, virtual_time };  // as CTX_LOOP_THREAD and so on

// The program's own: post has run(work) called once, on any thread. drop is called once, when nothing will be posted
// any more and all posted work has run.
struct Executor {
  int (*post)(void* executor, void (*run)(void* work), void* work) = nullptr;
  void* executor = nullptr;
  void (*drop)(void* executor) = nullptr;
};

// What a loop is made with, once and for good.
struct LoopOptions {
  static constexpr size_t kLongestName = 9;  // a thread's name has room for 15: this and "-calls"

  clockid_t clock = CLOCK_MONOTONIC;  // of real time
  char name[kLongestName + 1] = "ctx";
  Executor executor = {};
};

class Loop {
 public:
  enum class Stop : uint8_t { no, leave, join };  // what its threads must do

  static constexpr uint8_t kWheels = 8;  // one for each processor, up to this many

  // The root lists every family of this loop that has no other parent. The wheels stand apart from the
  // loop so that those of the default loop are zeros, which need no room in the file.
  constexpr Loop(Drive drive, Node* root, Wheel* wheels, uint8_t wheel_count,
                 const LoopOptions& options = {})
      : drive_(drive), wheel_count_(wheel_count), root_(root), wheels_(wheels), options_(options) {}

  // A loop of the caller's, with one handle; nullptr without memory.
  static Loop* create(Drive drive, const LoopOptions& options);
  void leave_executor() { executor_left_.store(true, std::memory_order_relaxed); }  // undropped
  void ref() { count_up(handles_); }
  void unref();
  void root_released();  // once nothing is left on the loop

  Drive drive() const { return drive_; }
  Node* root() const { return root_; }
  bool started() const { return started_.load(std::memory_order_acquire); }
  int64_t now() const {
    return drive_ == Drive::virtual_time ? clock_.load(std::memory_order_acquire)
                                         : now_on(options_.clock);
  }
  bool same_clock(const Loop& other) const {
    return drive_ != Drive::virtual_time && other.drive_ != Drive::virtual_time &&
           options_.clock == other.options_.clock;
  }
  bool is_monotonic() const {
    return drive_ != Drive::virtual_time && options_.clock == CLOCK_MONOTONIC;
  }
  uint64_t starters_mask() const { return starters_mask_; }  // once it is started
  Lock& merge_lock() CTX_LOCK_RETURNED(merge_lock_) { return merge_lock_; }
  uint64_t next_birth() CTX_REQUIRES(merge_lock_) { return ++births_; }

  // Starts what deadlines and deferred callbacks need, unless it has started. 0, or a negative errno with nothing
  // changed. Before the first arm().
  int start();
  int start_watching();  // the same, and what sources need

  // 0, or the error that everything below the root is born with.
  int closed() const { return closed_.load(std::memory_order_acquire); }
  bool set_closed() CTX_REQUIRES(merge_lock_);  // by the first cancel_all() (life/cancel.h)

  uint8_t pick_wheel() const;  // for a new timer: two processors get two wheels
  void arm(TimerNode* node, int64_t now);
  void armed_late() { armed_late_.store(true, std::memory_order_relaxed); }  // one that was due
  void disarm(Node* node);       // whatever it was armed with
  bool disarm_last(Node* node);  // if only one reference is left; else returns false

  int watch(Source* source) { return sources_.add(source); }
  void unwatch(Source* source) { sources_.remove(source); }
  bool unwatch_last(Source* source) { return sources_.remove_last(source); }
  int watch_signals(int fd);

  // Hands over a pinned node whose signal came, to be ended here. The reader is the loop whose driver has read the
  // signal. This runs no user code, even if this loop is orphaned.
  void post(SignalNode* node, Loop& reader);

  // For a callback that must not run on a thread that cancels. push() queues it, unless a stop has claimed it;
  // withdraw() takes it back, for the stop that claimed it while it was queued.
  void push(Callback* callback);
  void withdraw(Callback* callback);

  // After a push to the backlog or the lane: sees that they are run, and wakes nobody if there are none. The caller
  // holds no lock, and something that keeps the loop.
  void ring();
  bool orphaned() const { return orphaned_.load(std::memory_order_acquire); }
  // Whether callbacks that are pushed are run by its threads or its host.
  bool runs_callbacks() const { return (drive_ != Drive::thread || started()) && !orphaned(); }

  // Gives back a pin of a node whose cancel is through. The last reference goes to the backlog of this loop, which
  // need not be the node's: releasing it may run a user's drop, which must not hold up the clock.
  void release_later(Node* node);

  // For a thread that drives no loop: ends due nodes in their order, until this node is done, nothing more is due,
  // or a time is over; a batch at least. It waits for a batch that another thread is ending. The loop has been
  // started. The caller calls settle() afterwards.
  void fire_due(const Node* node, int64_t until_ns);

  // After fire_due() and fire(): sets the next alarm, and wakes those who run what the ended nodes left behind.
  void settle();

  // After a timer was armed on a virtual loop, with no lock held: ends it if the clock has passed it meanwhile.
  void catch_up();

  // For a thread that waits until a time on a loop which its host may not be driving: ends due nodes, and leaves
  // the rest when the time has come. Returns when to come again, on CLOCK_MONOTONIC.
  int64_t fire_for_waiter(int64_t until_ns);

  // For drivers. They return how much fired, -EBUSY or another negative errno.
  int dispatch();
  int advance(int64_t ns);
  int64_t next_work();  // kForever: none
  int host_fd();        // or a negative errno

  // Closes the loop, runs what waits, and ends its threads and those of the lane. 0, or -ETIMEDOUT if users' code
  // still runs at that time.
  int shut_down(int64_t until_ns);

  bool untouched() CTX_UNCHECKED_LOCKING;  // in a forked child: nobody had begun to start it
  void abandon();  // in a forked child: the threads are gone, the descriptors are not ours

  uint32_t stamp = 0;

 private:
  static constexpr int64_t kAtOnce = 1;  // an alarm in the past
  static constexpr size_t kBatch = 128;  // timers of a wheel that are ended under firing_lock_
  // The signalfd's id in the poller. No source has this number: its upper half counts, and begins with 1.
  static constexpr uint64_t kSignalsId = UINT64_MAX;

  static void* run(void* self);
  static void* run_calls(void* self);
  static void run_posted(void* work);
  void enter_busy(uint32_t count);
  void leave_busy();
  bool await_busy(int64_t until_ns);
  bool begin_shutting(int64_t until_ns);
  void end_shutting();
  bool end_threads(int64_t until_ns);
  void end_thread();
  void drop_executor();
  int start_named(const char* suffix, void* (*body)(void*));
  int start_threads();
  int open_poller();
  void close_poller();

  void collect(bool sleep, Link*& sources);
  int fire_posted(Loop& releaser);
  int64_t take_due(int64_t until, bool* more) CTX_REQUIRES(firing_lock_);
  bool fire_some(int* fired, Ring<TimerNode>& ended) CTX_REQUIRES(firing_lock_);
  void release_batch(Ring<TimerNode>& ended);
  bool fire_batch(int* fired);
  int fire_timers();
  int turn(bool sleep);
  bool is_for_lane(const Callback* callback) const;
  bool post_one(CallMask* mask);
  bool run_one(Turn* turn, Backlog::From from, CallMask* mask);
  void run_some(Backlog::From from, CallMask* mask);
  void run_all(CallMask* mask);
  void run_batch();
  void run_deserted(CallMask* mask);
  void run_wakers();
  void run_rest();
  bool has_posted();
  bool anything_ready();
  int64_t next_timer();
  int64_t to_monotonic(int64_t time) const;

  void set_alarm_by(int64_t when);
  void set_next_alarm();
  void ring_calls();

  bool begin_driving();
  void end_driving();
  void leave();

  const Drive drive_;
  const uint8_t wheel_count_;
  Node* const root_;
  Wheel* const wheels_;
  const LoopOptions options_;
  Backlog backlog_;
  Poller poller_;
  Sources sources_{poller_};
  Lock alarm_lock_;  // also guards opening and closing of the poller
  Lock posted_lock_;
  Ring<SignalNode> posted_ CTX_GUARDED_BY(posted_lock_);
  Atomic<int64_t> alarm_{kForever};
  Atomic<int64_t> clock_{0};  // of a virtual loop
  Lock start_lock_;
  Lock firing_lock_;
  Ring<TimerNode> due_ CTX_GUARDED_BY(firing_lock_);  // pinned, for the next batch, in order
  Atomic<bool> left_due_{false};                      // there are some
  // A timer was armed that was due. Who arms it while ending another one sees this itself; others set the alarm.
  Atomic<bool> armed_late_{false};
  Lock merge_lock_;
  uint64_t births_ CTX_GUARDED_BY(merge_lock_) = 0;
  Atomic<bool> started_{false};
  Atomic<bool> watching_{false};
  Atomic<bool> executor_left_{false};  // it is dropped, or the caller keeps it
  uint64_t starters_mask_ = 0;         // written before started_
  Atomic<bool> summoned_{false};       // the lane needs a thread, which this loop's may start
  Atomic<Stop> stop_{Stop::no};
  Atomic<uint32_t> busy_{0};      // threads that have not left, and what the executor has
  Atomic<uint32_t> shutting_{0};  // 1: shut_down() is under way
  Atomic<bool> orphaned_{false};  // nobody can drive it any more
  Atomic<bool> driven_{false};    // dispatch or advance is under way
  Atomic<int32_t> closed_{0};
  Atomic<uint32_t> bell_{0};  // counts rings; the thread ctx-calls sleeps on it
  Atomic<uint32_t> handles_{1};
  Atomic<uint32_t> users_{1};
};

// Ends a node whose time has come, and leaves its callbacks to the backlog, for which the caller rings. True if
// this call ended it.
bool fire(TimerNode* node);

}  // namespace ctxcore

#endif
