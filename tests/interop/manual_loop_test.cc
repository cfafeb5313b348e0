// SPDX-License-Identifier: MIT
//
// A manual loop of the library inside loops that others wrote. The hour that is pending in many of
// these tests keeps a clock armed that must not keep the host awake.
#include <fcntl.h>

#include <array>
#include <vector>

#include "interop/interop.h"
#include "support/callback.h"
#include "support/descriptor.h"

namespace ctxtest {
namespace {

class ManualLoop : public Interop {};

TEST_P(ManualLoop, WakesOnADeadlineAndNeedsNoThread) {
  Manual manual(host());
  const Scope timed = WithTimeout(manual.root(), 20 * kMillisecond);
  int64_t deadline = 0, called_at = 0;
  ASSERT_EQ(ctx_deadline(timed, &deadline), 1);
  Callback callback([&](ctx_t*) { called_at = ctx_loop_now(manual.loop()); });
  ASSERT_EQ(callback.Arm(timed), 0);
  ExpectNoThreadOfTheLibrary();

  ASSERT_TRUE(RunUntil([&] { return callback.runs() > 0; }));
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(manual.fired(), 1);
  EXPECT_GE(called_at, deadline);
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  ExpectNoThreadOfTheLibrary();
}

TEST_P(ManualLoop, WakesForWhatACancelElsewhereLeavesToIt) {
  Manual manual(host());
  const Scope hour = WithTimeout(manual.root(), kHour);
  Callback callback;
  ASSERT_EQ(callback.Arm(hour, CTX_DEFER), 0);
  const OnceAsleep canceler([&] { hour.Cancel(); });
  ASSERT_TRUE(RunUntil([&] { return callback.runs() > 0; }));
  EXPECT_EQ(ctx_err(hour), CTX_CANCELED);
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  ExpectNoThreadOfTheLibrary();
}

TEST_P(ManualLoop, WakesForAnEarlierDeadlineThatIsSetWhileItSleeps) {
  Manual manual(host());
  const Scope hour = WithTimeout(manual.root(), kHour);
  Scope soon;
  const OnceAsleep setter([&] { soon = WithTimeout(manual.root(), 5 * kMillisecond); });
  ASSERT_TRUE(RunUntil([&] { return manual.fired() > 0; }));
  EXPECT_EQ(manual.fired(), 1);
  EXPECT_EQ(ctx_err(hour), 0);
}

// It may wake its host for nothing now and then, some ten times a second at most: not at every turn.
TEST_P(ManualLoop, LetsTheHostRestBetweenDeadlines) {
  Manual manual(host());
  const Scope hour = WithTimeout(manual.root(), kHour);
  const Scope soon = WithTimeout(manual.root(), kMillisecond);
  ASSERT_TRUE(RunUntil([&] { return manual.fired() == 1; }));
  const int before = manual.reports();
  const int64_t begin = ctx_loop_now(manual.loop());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(TurnForSomethingElse());
  const int64_t seconds = (ctx_loop_now(manual.loop()) - begin) / kSecond;
  EXPECT_LE(manual.reports() - before, 10 * (seconds + 2));
}

TEST_P(ManualLoop, FiresEveryOneOfManyDeadlines) {
  Manual manual(host());
  std::vector<Scope> scopes;
  int early = 0;
  std::vector<std::unique_ptr<Callback>> callbacks;
  for (int i = 0; i < 50; ++i) {
    scopes.push_back(WithTimeout(manual.root(), i * kMillisecond / 2));
    callbacks.push_back(std::make_unique<Callback>([&](ctx_t* ctx) {
      int64_t deadline = 0;
      EXPECT_EQ(ctx_deadline(ctx, &deadline), 1);
      early += ctx_now(ctx) < deadline;
    }));
    callbacks.back()->Arm(scopes.back());  // the first one is done, and it runs here
  }
  ASSERT_TRUE(RunUntil([&] {
    for (const auto& each : callbacks) {
      if (each->runs() == 0) return false;
    }
    return true;
  }));
  EXPECT_EQ(early, 0);
}

// Rule 38: whoever waits for a context ends what is due himself, and leaves the callbacks to the host.
TEST_P(ManualLoop, WakesForTheCallbacksOfADeadlineThatAWaiterFired) {
  Manual manual(host());
  const Scope timed = WithTimeout(manual.root(), 5 * kMillisecond);
  Callback callback;
  ASSERT_EQ(callback.Arm(timed), 0);
  ASSERT_TRUE(Done(timed));
  EXPECT_EQ(callback.runs(), 0);
  ASSERT_TRUE(RunUntil([&] { return callback.runs() > 0; }));
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  ExpectNoThreadOfTheLibrary();
}

// What a dispatch makes due later comes with an edge of its own.
TEST_P(ManualLoop, FiresWhatItsCallbacksSet) {
  Manual manual(host());
  constexpr size_t kLinks = 5;
  std::array<Scope, kLinks> links;
  std::vector<std::unique_ptr<Callback>> callbacks;
  const std::function<void(size_t)> set = [&](size_t i) {
    links[i] = WithTimeout(manual.root(), 2 * kMillisecond);
    callbacks.push_back(std::make_unique<Callback>([&, i](ctx_t*) {
      if (i + 1 < kLinks) set(i + 1);
    }));
    callbacks.back()->Arm(links[i], CTX_DEFER);
  };
  set(0);
  ASSERT_TRUE(RunUntil([&] { return callbacks.size() == kLinks && callbacks.back()->runs() > 0; }));
  EXPECT_EQ(ctx_err(links.back()), CTX_DEADLINE_EXCEEDED);
}

// A dispatch that fires no deadline answers 0, though it has left work to the next one.
TEST_P(ManualLoop, RunsWhatItsCallbacksDefer) {
  Manual manual(host());
  const Scope first = WithCancel(manual.root());
  Callback last, middle([&](ctx_t*ctx) { EXPECT_EQ(last.Arm(ctx, CTX_DEFER), 1); });
  Callback outer([&](ctx_t* ctx) { EXPECT_EQ(middle.Arm(ctx, CTX_DEFER), 1); });
  ASSERT_EQ(outer.Arm(first, CTX_DEFER), 0);
  const OnceAsleep canceler([&] { first.Cancel(); });
  ASSERT_TRUE(RunUntil([&] { return last.runs() > 0; }));
  EXPECT_EQ(last.thread(), std::this_thread::get_id());
}

TEST_P(ManualLoop, WakesOnADescriptorThatCancels) {
  Manual manual(host());
  const Scope hour = WithTimeout(manual.root(), kHour);
  const Fd cancel(ctx_cancel_fd(hour.canceler));
  const OnceAsleep writer([&] {
    const uint64_t one = 1;
    EXPECT_EQ(write(cancel, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  });
  ASSERT_TRUE(RunUntil([&] { return ctx_err(hour) != 0; }));
  EXPECT_EQ(ctx_err(hour), CTX_CANCELED);
  ExpectNoThreadOfTheLibrary();
}

TEST_P(ManualLoop, WakesOnADescriptorOfTheUsers) {
  Manual manual(host());
  const Pipe pipe;
  Scope scope;
  ASSERT_EQ(
      ctx_with_fd(manual.root(), pipe.read_end, POLLIN, scope.ctx.out(), scope.canceler.out()), 0);
  const OnceAsleep other([&] { pipe.Write(); });
  ASSERT_TRUE(RunUntil([&] { return ctx_err(scope) != 0; }));
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  EXPECT_EQ(manual.fired(), 1);
  ExpectNoThreadOfTheLibrary();
}

CTX_IN_LOOPS(ManualLoop, HostKinds());

// That there are no such threads means something only if they would be seen.
TEST(Threads, OfTheDefaultLoopAreSeenByTheirNames) {
  CTX_IN_NEW_PROCESS({
    const Scope timed = WithTimeout(ctx_background(), kMillisecond);
    Callback callback;
    ASSERT_GE(callback.Arm(timed, CTX_DEFER), 0);
    EXPECT_TRUE(callback.WaitRun());
    EXPECT_EQ(Tasks("ctx-loop").size(), 1u);
    EXPECT_EQ(Tasks("ctx-calls").size(), 1u);
  });
}

}  // namespace
}  // namespace ctxtest
