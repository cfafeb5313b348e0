// SPDX-License-Identifier: MIT
//
// What a level-triggered loop may rely on besides: it is told again for as long as there is something.
#include <vector>

#include "interop/interop.h"

namespace ctxtest {
namespace {

class LevelTriggered : public Interop {};

TEST_P(LevelTriggered, DoneDescriptorIsReportedUntilItIsRemoved) {
  const Scope scope = WithCancel(ctx_background());
  Watcher watcher(host(), ctx_done_fd(scope), [] {});
  scope.Cancel();
  ASSERT_TRUE(RunUntil([&] { return watcher.reports() >= 5; }));
  watcher.Stop();
  const int reports = watcher.reports();
  ASSERT_TRUE(TurnForSomethingElse());
  EXPECT_EQ(watcher.reports(), reports);
}

TEST_P(LevelTriggered, QueueIsReportedUntilItIsEmpty) {
  constexpr int kContexts = 10;
  const Scope parent = WithCancel(ctx_background());
  std::vector<Scope> children;
  Queue queue;
  ASSERT_EQ(ctx_queue_new(queue.out()), 0);
  for (uint64_t token = 0; token < kContexts; ++token) {
    children.push_back(WithCancel(parent));
    ASSERT_EQ(ctx_queue_add(queue, children.back(), token, nullptr), 0);
  }
  int64_t drained = 0;
  Watcher watcher(host(), ctx_queue_fd(queue), [&] {
    ctx_event_t one{};
    drained += ctx_queue_drain(queue, &one, 1);
  });
  parent.Cancel();
  ASSERT_TRUE(RunUntil([&] { return drained == kContexts; }));
  ASSERT_TRUE(TurnForSomethingElse());
  EXPECT_EQ(watcher.reports(), kContexts) << "one event each time, and then no more";
}

TEST_P(LevelTriggered, ManualLoopIsReportedUntilItIsDispatched) {
  const Loop loop = NewLoop(CTX_LOOP_MANUAL);
  const Ctx root = LoopBackground(loop);
  const Scope timed = WithTimeout(root, kMillisecond);
  bool dispatch = false;
  int fired = 0;
  Watcher watcher(host(), ctx_loop_fd(loop), [&] {
    if (dispatch) fired += ctx_loop_dispatch(loop);
  });
  ASSERT_TRUE(RunUntil([&] { return ctx_remaining(timed) < 0 && watcher.reports() >= 5; }));
  EXPECT_EQ(ctx_err(timed), 0) << "nobody has dispatched";
  dispatch = true;
  ASSERT_TRUE(RunUntil([&] { return fired == 1; }));
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
}

std::vector<HostKind> LevelKinds() {
  std::vector<HostKind> kinds;
  for (const HostKind& kind : HostKinds()) {
    if (kind.trigger == HostKind::Trigger::kLevel) kinds.push_back(kind);
  }
  return kinds;
}

CTX_IN_LOOPS(LevelTriggered, LevelKinds());

}  // namespace
}  // namespace ctxtest
