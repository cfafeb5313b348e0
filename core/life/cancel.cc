// SPDX-License-Identifier: MIT
#include "core/life/cancel.h"

#include "core/life/walk.h"
#include "core/loop/loop.h"

namespace ctxcore {

namespace {

// The lock of a loop's merges, held from the point where it turns out to be needed until release(). Clang's
// analysis does not follow a lock that is held only sometimes.
class MergesHeld {
 public:
  MergesHeld() = default;
  MergesHeld(const MergesHeld&) = delete;
  ~MergesHeld() { release(); }

  void take(Loop* loop) CTX_UNCHECKED_LOCKING {
    lock_ = &loop->merge_lock();
    lock_->lock();
  }

  void release() CTX_UNCHECKED_LOCKING {
    if (lock_ != nullptr) lock_->unlock();
    lock_ = nullptr;
  }

  bool held() const { return lock_ != nullptr; }

 private:
  Lock* lock_ = nullptr;
};

enum class Outcome { lost, alone, with_family, needs_merges };

// Ends the node itself, if it is live. If there may be a proxy below it, that needs the lock of the merges.
[[gnu::always_inline]] inline Outcome end_node(Node* node, int error, uintptr_t own,
                                               bool merges_held) {
  Guard guard(home(node).lock);
  if (node->error.load(std::memory_order_relaxed) != 0) return Outcome::lost;
  const uint8_t flags = node->flags.load(std::memory_order_relaxed);
  if ((flags & Node::kMergesBelow) != 0 && !merges_held) [[unlikely]]
    return Outcome::needs_merges;
  const bool family = (flags & Node::kFamily) != 0;
  // Without family there is nothing to mark and nobody to wake.
  node->phase.begin(family ? Phase::kMarking : Phase::kWoken);
  node->cause.store(own, std::memory_order_relaxed);
  node->error.store(error, std::memory_order_release);
  return family ? Outcome::with_family : Outcome::alone;
}

// Does the rest for a node that has family, once its own error is set.
[[gnu::noinline]] void carry_out(Node* node, int error, Callbacks callbacks, MergesHeld* merges) {
  const bool counted = !is_static(node);
  if (counted) add_ref(node);  // a callback may give back all handles
  {
    Walk walk(node, error, callbacks);
    walk.mark_all();
    merges->release();
    walk.wake_and_call_back();
  }
  if (!counted) return;
  if (callbacks == Callbacks::here) {
    release_after_callback(node);
  } else {
    node->loop->release_later(node);
  }
}

// What is left of a cancel that did not find the node live and without family.
[[gnu::noinline]] bool cancel_rest(Node* node, int error, const Cause* own, uintptr_t word,
                                   Callbacks callbacks, Outcome outcome) {
  MergesHeld merges;
  if (outcome == Outcome::needs_merges) {
    merges.take(node->loop);
    outcome = end_node(node, error, word, true);
  }
  CTX_ASSERT(outcome != Outcome::alone);  // a merge is below a child
  if (outcome == Outcome::with_family) {
    carry_out(node, error, callbacks, &merges);
    return true;
  }
  merges.release();
  unref(own);
  await(node, Phase::kWoken);
  return false;
}

}  // namespace

bool cancel(Node* node, int error, const Cause* cause, Callbacks callbacks, uintptr_t followed) {
  const Cause* const own = cause != nullptr ? ref(cause) : plain_cause(error);
  const uintptr_t word = reinterpret_cast<uintptr_t>(own) | followed;
  const Outcome outcome = end_node(node, error, word, false);
  if (outcome != Outcome::alone) [[unlikely]]
    return cancel_rest(node, error, own, word, callbacks, outcome);
  if (is_armed(node)) node->loop->disarm(node);
  return true;
}

int cancel_deferred(Node* node, int error, const Cause* cause) {
  Loop* const loop = node->loop;
  if (loop->drive() == Drive::thread && error_of(node) == 0) {
    if (const int result = loop->start(); result < 0) return result;
  }
  if (!cancel(node, error, cause, Callbacks::queued)) return 0;
  loop->catch_up();  // a grace may have begun
  loop->ring();
  return 1;
}

void cancel_all(Loop* loop, Callbacks callbacks) {
  Node* const root = loop->root();
  MergesHeld merges;
  merges.take(loop);
  loop->merge_lock().assert_held();
  if (loop->set_closed()) {
    carry_out(root, kCanceled, callbacks, &merges);
  } else {
    merges.release();
    root->phase.await(Phase::kWoken);
  }
}

}  // namespace ctxcore
