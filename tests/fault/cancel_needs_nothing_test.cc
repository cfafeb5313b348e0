// SPDX-License-Identifier: MIT
//
// To cancel needs no memory, no descriptor and no thread: whatever hangs on the tree, nothing is
// asked of the system, and a system that refuses all of it changes nothing.
#include <cerrno>
#include <thread>
#include <vector>

#include "fault/asked.h"
#include "fault/faults.h"
#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// A tree with everything that can hang on one. Callbacks count without using memory.
class LadenTree {
 public:
  LadenTree() {
    root = WithCancel(ctx_background());
    for (int i = 0; i < 100; ++i) {
      children_.push_back(WithCancel(root));
      children_.push_back(WithTimeout(children_.back(), kHour));
      values_.push_back(WithValue(children_.back(), &kKey, this));
      values_.push_back(WithString(values_.back(), "name", "value"));
    }
    for (const Scope& child : children_) {
      fds_.push_back(ctx_done_fd(child));
      watches_.push_back(AfterFunc(child, CountCall, this));
      watches_.push_back(AfterFunc(child, CountCall, this, CTX_DEFER));
    }
    for (int i = 0; i < 2; ++i) {
      waiters_.emplace_back([this, i] { EXPECT_TRUE(Done(children_[static_cast<size_t>(i)])); });
    }
  }
  ~LadenTree() {
    for (std::thread& waiter : waiters_) waiter.join();
  }

  // That it has all been reached.
  void ExpectDone(int error) const {
    for (const Scope& child : children_) EXPECT_EQ(ctx_err(child), error);
    for (const Ctx& value : values_) EXPECT_EQ(ctx_err(value), error);
    for (const int fd : fds_) EXPECT_TRUE(Readable(fd));
    EXPECT_TRUE(calls_.WaitFor(static_cast<int>(watches_.size())));
  }

  Scope root;

 private:
  static void CountCall(ctx_t*, void* self) { static_cast<LadenTree*>(self)->calls_.Add(); }

  std::vector<Scope> children_;
  std::vector<Ctx> values_;
  std::vector<int> fds_;
  std::vector<Watch> watches_;
  std::vector<std::thread> waiters_;
  Counter calls_;
};

void ExpectCancelToNeedNothing(ctx_canceler_t* canceler, int error, const ctx_cause_t* cause,
                               Resource refused, int refusal) {
  int result = 0;
  ExpectNothing(
      WhatIsAskedBy([&] { result = ctx_cancel_with(canceler, error, cause); }, refused, refusal));
  EXPECT_EQ(result, 1);
}

TEST(CancelNeedsNothing, Rule46_OnAThreadThatHasUsedTheLibrary) {
  LadenTree tree;
  ExpectCancelToNeedNothing(tree.root.canceler, CTX_CANCELED, nullptr, Resource::kMemory, ENOMEM);
  tree.ExpectDone(CTX_CANCELED);
}

TEST(CancelNeedsNothing, Rule46_WithACause) {
  LadenTree tree;
  const Cause cause = NewCause(7, "why");
  ExpectCancelToNeedNothing(tree.root.canceler, CTX_DEADLINE_EXCEEDED, cause, Resource::kDescriptor,
                            EMFILE);
  tree.ExpectDone(CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause(tree.root), cause.get());
}

// Thread-local storage that is made on first use would ask for memory here.
TEST(CancelNeedsNothing, Rule46_AsTheFirstThingAThreadDoes) {
  LadenTree tree;
  std::thread([&] {
    ExpectCancelToNeedNothing(tree.root.canceler, CTX_CANCELED, nullptr, Resource::kMemory, ENOMEM);
  }).join();
  tree.ExpectDone(CTX_CANCELED);
}

TEST(ReleaseNeedsNothing, Rule46_OfALongChainAndAWideFan) {
  Drop drop;
  OnSmallStack([&drop] {
    Ctx watched = Watched(ctx_background(), &drop);
    Scope root = WithCancel(watched);
    Ctx last = WithCancel(root).ctx;
    std::vector<Scope> fan;
    for (int i = 0; i < 10'000; ++i) {
      fan.push_back(WithTimeout(root, kHour));
      last = WithCancel(last).ctx;
    }
    Faults faults(Resource::kMemory, ENOMEM);
    watched.reset();
    root.reset();
    for (Scope& child : fan) child.reset();
    last.reset();
  });
  EXPECT_EQ(drop.count(), 1);
}

}  // namespace
}  // namespace ctxtest
