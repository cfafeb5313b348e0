// SPDX-License-Identifier: MIT
#include "core/watch/work_group.h"

#include <algorithm>
#include <cerrno>
#include <climits>

#include "core/base/alloc.h"
#include "core/base/released.h"
#include "core/life/cancel.h"
#include "core/life/derive.h"
#include "core/loop/loop.h"
#include "core/system/clock.h"
#include "core/system/futex.h"
#include "core/watch/wait.h"

namespace ctxcore {

namespace {

int make_group(Context* parent, WorkGroup* outer, WorkGroup** ret) {
  Node* node = nullptr;
  if (const int result = derive_cancel(parent, 1, &node); result < 0) return result;
  auto* const group = make<WorkGroup>(0, node, outer);
  if (group == nullptr) {
    release(node);
    return -ENOMEM;
  }
  if (outer != nullptr) {
    if (const int error = outer->begin(); error != 0) {
      release(node);
      deallocate(group);
      return error;
    }
  }
  group->stamp = stamp::make(stamp::kGroup);
  *ret = group;
  return 0;
}

}  // namespace

int WorkGroup::create(Context* parent, WorkGroup** ret) { return make_group(parent, nullptr, ret); }

int WorkGroup::create_below(WorkGroup* outer, WorkGroup** ret) {
  return make_group(outer->node_, outer, ret);
}

// relaxed: the caller holds the group.
void WorkGroup::ref() {
  if (word_.fetch_add(kHandle, std::memory_order_relaxed) % kWork > kMostHandles) [[unlikely]]
    __builtin_trap();
}

// acq_rel, here and where work is taken out: all uses of the group come before it is freed, and all that the work did
// comes before others learn that nothing is left.
void WorkGroup::unref() {
  if (is_over(word_.fetch_sub(kHandle, std::memory_order_acq_rel) - kHandle)) free_upwards(this);
}

int WorkGroup::begin() {
  uint64_t seen = word_.load(std::memory_order_acquire);
  for (;;) {
    if (const int error = error_of(node_); error != 0) return error;
    if (!has_work(seen) && (seen & kWatched) != 0) return begin_watched();
    if (seen > kMostWork) [[unlikely]]
      __builtin_trap();
    // The acquire pairs with the release in has_ended(): whoever finds kSealed then finds the error.
    if (word_.compare_exchange_weak(seen, seen + kWork, std::memory_order_acquire,
                                    std::memory_order_acquire)) {
      return 0;
    }
  }
}

[[gnu::noinline]] int WorkGroup::begin_watched() {
  Guard guard(lock_);
  uint64_t seen = word_.load(std::memory_order_acquire);
  do {
    if (const int error = error_of(node_); error != 0) return error;
  } while (!word_.compare_exchange_weak(seen, seen + kWork, std::memory_order_acquire,
                                        std::memory_order_acquire));
  if (!has_work(seen) && event_.read_end >= 0) event_.clear();
  return 0;
}

// The piece of work that fails is still counted. False in a child that a callback has forked, and returned in.
bool WorkGroup::fail(const Cause* cause) {
  const Process process;
  const Cause* first = cause_.load(std::memory_order_relaxed);
  if (first != nullptr) return true;
  ctxcore::ref(cause);
  // The release pairs with the acquire in cause(): a thread that sees the cause sees what is in it.
  if (cause_.compare_exchange_strong(first, cause, std::memory_order_release,
                                     std::memory_order_relaxed)) {
    cancel(node_, kCanceled, cause, Callbacks::here);
  } else {
    ctxcore::unref(cause);
  }
  return process.is_ours();
}

int WorkGroup::end(const Cause* cause) {
  if (!has_work(word_.load(std::memory_order_relaxed))) return -EINVAL;
  if (cause != nullptr && !fail(cause)) return 0;
  const Left left = take_out();
  if (left == Left::nothing) free_upwards(this);
  return left == Left::refused ? -EINVAL : 0;
}

WorkGroup::Left WorkGroup::take_out() {
  uint64_t seen = word_.load(std::memory_order_relaxed);
  for (;;) {
    if (!has_work(seen)) return Left::refused;
    if (is_last(seen) && (seen & kWatched) != 0) return take_out_watched();
    if (word_.compare_exchange_weak(seen, seen - kWork, std::memory_order_acq_rel,
                                    std::memory_order_relaxed)) {
      return is_over(seen - kWork) ? Left::nothing : Left::some;
    }
  }
}

[[gnu::noinline]] WorkGroup::Left WorkGroup::take_out_watched() {
  Ring<Over> overs;
  Left left = Left::some;
  {
    Guard guard(lock_);
    uint64_t seen = word_.load(std::memory_order_relaxed);
    do {
      if (!has_work(seen)) return Left::refused;
    } while (!word_.compare_exchange_weak(seen, seen - kWork, std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    if (is_last(seen)) {
      if (event_.read_end >= 0) event_.set();
      bell_.fetch_add(1, std::memory_order_relaxed);  // the lock orders this
      if (sleepers_ > 0) futex_wake(&bell_, INT_MAX);
      overs.take_all(overs_);
    }
    if (is_over(seen - kWork)) left = Left::nothing;
  }
  const Process process;
  while (Over* const over = overs.pop_front()) {
    end_over(over);
    if (!process.is_ours()) return Left::some;  // what follows is the parent's
  }
  return left;
}

void WorkGroup::end_over(Over* over) {
  Node* const node = over->node;
  deallocate(over);
  cancel(node, kCanceled, nullptr, Callbacks::here);
  release_after_callback(node);
}

int WorkGroup::over(Context** ret) {
  auto* const over = make<Over>(0);
  if (over == nullptr) return -ENOMEM;
  // The loop's root is its parent: the end of the group's own context is not the end of the work.
  if (const int result = derive_cancel(node_->loop->root(), 2, &over->node); result < 0) {
    deallocate(over);
    return result;
  }
  *ret = over->node;
  {
    Guard guard(lock_);
    if (has_work(word_.fetch_or(kWatched, std::memory_order_acq_rel))) {
      overs_.push_back(over);
      return 0;
    }
  }
  end_over(over);
  return 0;
}

// Whether nothing is left. If the node is done, too, that is for good from now on.
bool WorkGroup::has_ended() {
  uint64_t seen = word_.load(std::memory_order_acquire);
  while (!has_work(seen)) {
    if ((seen & kSealed) != 0 || error_of(node_) == 0) return true;
    if (word_.compare_exchange_weak(seen, seen | kSealed, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
      return true;
    }
  }
  return false;
}

int WorkGroup::wait(int64_t until_ns) {
  Loop* const loop = node_->loop;
  const bool manual = loop->drive() == Drive::manual;
  for (;;) {
    const bool late = until_ns <= monotonic_now();
    const int64_t help_at = manual ? loop->fire_for_waiter(until_ns) : kForever;
    if (late) end_overdue(node_);
    if (has_ended()) return 1;
    if (late) return 0;
    const int result = sleep(std::min(until_ns, help_at));
    // Others may have begun since. But once the node is done, nothing may be left when this returns.
    if (result == 1 && error_of(node_) == 0) return 1;
    if (result == -EINTR) return has_ended() ? 1 : -EINTR;
  }
}

// 1 if there was no work at some moment; else what futex_wait() says.
int WorkGroup::sleep(int64_t until_ns) {
  uint32_t rung = 0;
  {
    Guard guard(lock_);
    if (!has_work(word_.fetch_or(kWatched, std::memory_order_acq_rel))) return 1;
    ++sleepers_;
    rung = bell_.load(std::memory_order_relaxed);
  }
  const int result = futex_wait(bell_, rung, until_ns);
  Guard guard(lock_);
  --sleepers_;
  return bell_.load(std::memory_order_relaxed) != rung ? 1 : result;
}

int WorkGroup::descriptor() {
  Guard guard(lock_);
  if (event_.read_end < 0) {
    if (const int result = event_.open(Event::Use::resettable); result < 0) return result;
    if (!has_work(word_.fetch_or(kWatched, std::memory_order_acq_rel))) event_.set();
  }
  return event_.read_end;
}

void WorkGroup::dispose() {
  {
    Guard guard(lock_);
    if (event_.read_end >= 0) event_.close();
  }
  Node* const node = node_;
  const Cause* const cause = this->cause();
  free_object(this);
  const Process process;
  release(node);
  if (process.is_ours()) ctxcore::unref(cause);
}

// A chain of nested groups goes up in a loop: each is freed before its outer group learns that it has ended.
void WorkGroup::free_upwards(WorkGroup* group) {
  const Process process;
  while (group != nullptr) {
    WorkGroup* const outer = group->outer_;
    const Cause* const cause = group->cause();
    if (outer != nullptr && cause != nullptr && !outer->fail(cause)) return;
    group->dispose();
    if (!process.is_ours() || outer == nullptr) return;
    group = outer->take_out() == Left::nothing ? outer : nullptr;
  }
}

}  // namespace ctxcore
