// SPDX-License-Identifier: MIT
// A group: pieces of work that share a context, and that are waited for together.
//
// One word counts the pieces of work and the handles, and says who has to be told when nothing is left. So a piece
// of work begins and ends with one exchange on that word, and it holds the group as a handle does.
//
// Invariants
//  1. The group lives while its word counts a piece of work or a handle. The thread that takes the last of them out
//     frees the group.
//  2. kWatched is set, under the lock, before the first thread sleeps or the descriptor is made, and stays. From then
//     on the number of pieces of work leaves and reaches 0 only under the lock.
//  3. So the descriptor is set exactly while there is no work; and bell_ counts how often the last piece ended.
//  4. kSealed is set when there is no work and the node is done, by a thread that will say so. It makes every exchange
//     fail that has not seen it; the begin that tries again finds the node done. So no work begins after that.
//  5. `cause_` is set once, by the first piece of work that fails, and before that piece is taken out: a thread that
//     finds nothing left finds the cause.
//  6. `overs_` holds the contexts that end when nothing is left; with no work it is empty. The thread that takes the
//     last piece of work out takes them along, and ends them when it has left the lock: the group may be gone by then.
//  7. A nested group is one piece of work of its outer group until it is freed.
//
// A thread that frees the group takes the lock first, since the one that has told the others may still hold it.
//
// Lock order: a leaf. The node is canceled, and users' code runs, with no lock held.
#ifndef CTX_CORE_WATCH_WORK_GROUP_H
#define CTX_CORE_WATCH_WORK_GROUP_H

#include <cstdint>

#include "core/base/list.h"
#include "core/base/lock.h"
#include "core/system/atomic.h"
#include "core/system/event.h"
#include "core/tree/cause.h"
#include "core/tree/node.h"

namespace ctxcore {

class WorkGroup {
 public:
  // A group below a context, with one handle. 0 or -ENOMEM.
  static int create(Context* parent, WorkGroup** ret);

  // One that is nested in another, and below its context. 0, the error of that context if it is done, or -ENOMEM.
  static int create_below(WorkGroup* outer, WorkGroup** ret);

  WorkGroup(Node* node, WorkGroup* outer) : node_(node), outer_(outer) {}

  void ref();
  void unref();

  Node* node() const { return node_; }
  const Cause* cause() const { return cause_.load(std::memory_order_acquire); }  // or nullptr

  int begin();                  // 0, or the error of the context, which is done
  int end(const Cause* cause);  // 0, or -EINVAL if there is no work
  int descriptor();             // or a negative errno
  int over(Context** ret);      // a context that ends when nothing is left, maybe now; 0 or -ENOMEM

  // Waits until nothing is left, or until `until_ns` on CLOCK_MONOTONIC. 1; 0; -EINTR.
  int wait(int64_t until_ns);

  uint32_t stamp = 0;

 private:
  // The word.
  static constexpr uint64_t kSealed = 1;
  static constexpr uint64_t kWatched = 2;
  static constexpr uint64_t kHandle = 4;                // the handles are counted in steps of this
  static constexpr uint64_t kWork = uint64_t{1} << 32;  // and the pieces of work in steps of this
  static constexpr uint64_t kMostHandles = kWork / 2;   // half the range: see count.h
  static constexpr uint64_t kMostWork = uint64_t{1} << 63;

  // What is left of the group's life when a piece of work was taken out; refused if there was none.
  enum class Left { refused, some, nothing };

  struct Over : Link {
    Node* node = nullptr;  // a reference
  };

  static bool has_work(uint64_t word) { return word >= kWork; }
  static bool is_last(uint64_t word) { return word >= kWork && word < 2 * kWork; }
  static bool is_over(uint64_t word) { return word < kHandle; }
  static void free_upwards(WorkGroup* group);
  static void end_over(Over* over);

  int begin_watched();
  bool fail(const Cause* cause);
  Left take_out();
  Left take_out_watched();
  bool has_ended();
  int sleep(int64_t until_ns);
  void dispose();

  Lock lock_;
  Atomic<uint64_t> word_{kHandle};
  Node* const node_;  // a reference
  WorkGroup* const outer_;
  Atomic<const Cause*> cause_{nullptr};  // a reference
  Atomic<uint32_t> bell_{0};
  uint32_t sleepers_ CTX_GUARDED_BY(lock_) = 0;
  Event event_ CTX_GUARDED_BY(lock_);
  Ring<Over> overs_ CTX_GUARDED_BY(lock_);
};

}  // namespace ctxcore

#endif
