// SPDX-License-Identifier: MIT
//
// What fires later was got when it was made: queues, merges, graces, groups and dispatches ask for nothing, and a system
// that refuses everything changes nothing. (cancel_needs_nothing_test.cc has plain contexts.)
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include "fault/asked.h"
#include "fault/faults.h"
#include "support/callback.h"
#include "support/handles.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

TEST(NeedsNothing, Rule46_ToPostWithdrawDrainAndReleaseAQueue) {
  for (const bool with_fd : {false, true}) {
    Queue queue = NewQueue();
    if (with_fd) {
      EXPECT_GE(ctx_queue_fd(queue), 0);
    }
    const Scope parent = WithCancel(ctx_background());
    std::vector<Scope> scopes;  // held, so that the drain frees none of them
    std::vector<Watch> watches;
    for (uint64_t i = 0; i < 1000; ++i) {
      scopes.push_back(WithTimeout(parent, kHour));
      watches.push_back(Add(queue, scopes.back(), i));
    }
    std::vector<ctx_event_t> events(500);
    int64_t drained = 0, withdrawn = 0;
    ExpectNothing(WhatIsAskedBy([&] {
      ctx_cancel(parent.canceler);
      for (size_t i = 0; i < 100; ++i) withdrawn += ctx_watch_stop(watches[i]);
      drained += ctx_queue_drain(queue, events.data(), 400);
      drained += ctx_queue_wait(queue, events.data(), 100, 0);
      queue.reset();
    }));
    EXPECT_EQ(withdrawn, 100);
    EXPECT_EQ(drained, 500);
  }
}

TEST(NeedsNothing, Rule46_ToEndMergesAndGraces) {
  const Host host(On::kVirtual);
  Drop drop;
  std::vector<Ctx> merged(200), graces(200);
  {
    const Ctx watched = Watched(host.root(), &drop);
    const Scope first = WithCancel(watched), second = WithCancel(watched);
    for (size_t i = 0; i < 200; ++i) {
      ctx_t* const parents[] = {first, second};
      const auto grace_ns = static_cast<int64_t>(i + 1) * kSecond;
      ASSERT_EQ(ctx_merge(parents, 2, merged[i].out(), nullptr), 0);
      ASSERT_EQ(ctx_with_grace(second, grace_ns, graces[i].out(), nullptr), 0);
    }
    int fired = 0;
    ExpectNothing(WhatIsAskedBy([&] {
      ctx_cancel(second.canceler);
      fired = ctx_loop_advance(host.loop(), 100 * kSecond);
    }));
    EXPECT_EQ(fired, 100);
  }
  EXPECT_EQ(ctx_err(merged[199]), CTX_CANCELED);
  EXPECT_EQ(ctx_err(graces[99]), CTX_CANCELED);
  EXPECT_EQ(ctx_err(graces[100]), 0);
  {
    // Freed they may ask for smaller arrays; being refused them is no harm.
    Faults faults(Resource::kMemory, ENOMEM);
    merged.clear();
    graces.clear();
  }
  EXPECT_EQ(drop.count(), 1);
}

// Everything that can be done or due on a manual loop, once it has begun.
TEST(NeedsNothing, Rule46_ToDispatchAndCloseAManualLoop) {
  const BlockSignals blocked{SIGUSR1};
  const Host host(On::kManual);
  const Pipe pipe;
  ASSERT_GE(ctx_loop_fd(host.loop()), 0);
  int runs = 0;
  const auto count = [](ctx_t*, void* arg) { ++*static_cast<int*>(arg); };
  std::vector<Scope> scopes;
  std::vector<Watch> watches;
  for (int i = 0; i < 50; ++i) {
    scopes.push_back(WithTimeout(host.root(), 1));
    scopes.push_back(WithFd(host.root(), pipe.read_end, POLLIN));
    scopes.push_back(WithSignal(host.root(), {SIGUSR1}));
    scopes.push_back(WithTimeout(host.root(), kHour));
    for (size_t back = 1; back <= 4; ++back) {
      watches.push_back(AfterFunc(scopes[scopes.size() - back], count, &runs, CTX_DEFER, nullptr,
                                  ctx_err(scopes[scopes.size() - back]) == 0 ? 0 : 1));
    }
  }
  pipe.Write();
  EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
  int born_done = 0, fired = 0, closed = -1;
  for (const Scope& scope : scopes) born_done += ctx_err(scope) != 0;  // a deadline past at once
  const int64_t limit = ctx_now(ctx_background()) + kLimit;
  const Asked asked = WhatIsAskedBy([&] {
    // More than one dispatch, where the clock has not moved on yet.
    while (born_done + fired < 150 && ctx_now(ctx_background()) < limit) {
      fired += ctx_loop_dispatch(host.loop());
    }
    closed = ctx_loop_close(host.loop());
    ctx_loop_dispatch(host.loop());
  });
  ExpectNothing(asked);
  EXPECT_EQ(born_done + fired, 150);
  EXPECT_EQ(closed, 0);
  EXPECT_EQ(runs, 200);
  for (const Scope& scope : scopes) EXPECT_NE(ctx_err(scope), 0);
}

TEST(NeedsNothing, Rule46_ToBeginEndWaitForAndReleaseWork) {
  const Cause cause = NewCause(1, "failed");
  for (const bool with_fd : {false, true}) {
    Group outer = NewGroup(ctx_background()), inner = NewGroupBelow(outer);
    if (with_fd) {
      EXPECT_GE(ctx_group_fd(outer), 0);
    }
    int result = 0;
    EXPECT_EQ(ctx_group_begin(outer), 0);
    std::vector<Ctx> overs(3);
    for (Ctx& over : overs) EXPECT_EQ(ctx_group_over(outer, over.out()), 0);
    ExpectNothing(WhatIsAskedBy([&] {
      for (int i = 0; i < 100; ++i) {
        result |= ctx_group_begin(outer) | ctx_group_begin(inner);
        result |= ctx_group_end(outer, nullptr);
        result |= ctx_group_wait(outer, 1);
      }
      for (int i = 0; i < 100; ++i) result |= ctx_group_end(inner, cause);
      inner.reset();
      result |= ctx_group_end(outer, nullptr);
      result |= ctx_group_wait(outer, CTX_FOREVER) - 1;
      outer.reset();
    }));
    EXPECT_EQ(result, 0);
    for (const Ctx& over : overs) EXPECT_EQ(ctx_err(over), CTX_CANCELED);
  }
}

}  // namespace
}  // namespace ctxtest
