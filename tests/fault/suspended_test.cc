// SPDX-License-Identifier: MIT
//
// Rule 57: a loop's clock may count the time in which the system is suspended. Waits do not count it.
#include "fault/suspended.h"

#include <poll.h>
#include <time.h>

#include <thread>

#include "capi/exported/exported.h"
#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/header_map.h"
#include "support/loops.h"
#include "support/process.h"

namespace ctxtest {
namespace {

Loop BootLoop(int kind) {
  ctx_loop_options_t options = LoopOptions();
  options.clock = CTX_CLOCK_BOOTTIME;
  return NewLoop(kind, &options);
}

// A loop without threads, that nobody dispatches unless the test does.
struct BootHost : ManualLoop {
  BootHost() : ManualLoop{BootLoop(CTX_LOOP_MANUAL)} {}
};

void ExpectClock(clockid_t clock, int64_t now) {
  timespec time{};
  clock_gettime(clock, &time);
  const int64_t after = time.tv_sec * kSecond + time.tv_nsec;
  EXPECT_LE(now, after);
  EXPECT_GT(now, after - kSuspendedBefore / 2) << "that is another clock";
}

TEST(Suspended, Rule57_EachLoopShowsItsClock) {
  for (int kind : {CTX_LOOP_THREAD, CTX_LOOP_MANUAL}) {
    const Loop boot = BootLoop(kind), monotonic = NewLoop(kind);
    ExpectClock(CLOCK_BOOTTIME, ctx_loop_now(boot));
    ExpectClock(CLOCK_BOOTTIME, ctx_now(LoopBackground(boot)));
    ExpectClock(CLOCK_MONOTONIC, ctx_loop_now(monotonic));
    ExpectClock(CLOCK_MONOTONIC, ctx_now(LoopBackground(monotonic)));
  }
}

TEST(Suspended, Rule57_ASuspendedHourCountsOnlyOnItsClock) {
  const Loop boot = BootLoop(CTX_LOOP_THREAD), monotonic = NewLoop(CTX_LOOP_THREAD);
  const Ctx boot_root = LoopBackground(boot), monotonic_root = LoopBackground(monotonic);
  const Scope ends = WithTimeout(boot_root, kHour), lasts = WithTimeout(monotonic_root, kHour);
  const Scope later = WithTimeout(boot_root, 3 * kHour);
  const Scope fixed = WithDeadline(boot_root, ctx_now(boot_root) + kHour);
  Callback callback;
  callback.Arm(ends);
  EXPECT_EQ(ctx_err(ends), 0);
  Suspend(2 * kHour);
  EXPECT_TRUE(Done(ends) && Done(fixed));
  EXPECT_EQ(ctx_err(ends), CTX_DEADLINE_EXCEEDED);
  EXPECT_TRUE(callback.WaitRun());
  EXPECT_EQ(ctx_err(lasts), 0);
  EXPECT_EQ(ctx_err(later), 0);
  EXPECT_LE(ctx_remaining(later), kHour);
  EXPECT_GT(ctx_remaining(lasts), kHour / 2);
}

TEST(Suspended, Rule16_NotEarlyEither) {
  for (int kind : {CTX_LOOP_THREAD, CTX_LOOP_MANUAL}) {
    const Loop loop = BootLoop(kind);
    const Scope scope = WithTimeout(LoopBackground(loop), 5 * kMillisecond);
    int64_t deadline = 0;
    ASSERT_EQ(ctx_deadline(scope, &deadline), 1);
    EXPECT_EQ(ctx_wait(scope, CTX_FOREVER), 1);
    EXPECT_GE(ctx_now(scope), deadline);
  }
}

TEST(Suspended, Rule57_AHostFindsItsDescriptorReadable) {
  const BootHost host;
  const Scope scope = WithTimeout(host.root, kHour);
  EXPECT_FALSE(Readable(host.Fd()));
  EXPECT_FALSE(host.WorkWaits());
  Suspend(kHour);
  EXPECT_TRUE(Readable(host.Fd(), kLimitMs));
  EXPECT_TRUE(host.WorkWaits());
  EXPECT_EQ(host.Dispatch(), 1);
  EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
}

// Waiters sleep on CLOCK_MONOTONIC, which does not see the suspended time.
TEST(Suspended, Rule38_AWaiterOnALoopThatNobodyDrivesNoticesItSoon) {
  const BootHost host;
  const Scope waited = WithTimeout(host.root, kHour), polled = WithTimeout(host.root, 3 * kHour);
  std::thread waiter([&] { EXPECT_EQ(ctx_wait(waited, CTX_FOREVER), 1); });
  EXPECT_EQ(ctx_wait(waited, kMillisecond), 0);
  Suspend(kHour);
  waiter.join();
  std::thread poller(
      [&] { EXPECT_EQ(ctx_poll(polled, nullptr, 0, CTX_FOREVER), CTX_DEADLINE_EXCEEDED); });
  EXPECT_EQ(ctx_poll(polled, nullptr, 0, kMillisecond), 0);
  Suspend(2 * kHour);
  poller.join();
}

TEST(Suspended, Rule13_ADeadlinePassedMeanwhileIsSeenWhenDeriving) {
  const BootHost host;
  const Scope scope = WithTimeout(host.root, kHour);
  Suspend(kHour);
  const Scope child = WithTimeout(scope, 2 * kHour);
  EXPECT_EQ(ctx_err(child), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
}

TEST(Suspended, Rule23_AGraceCountsOnTheSameClock) {
  const BootHost host;
  const Scope parent = WithTimeout(host.root, kHour), grace = WithGrace(parent, kHour);
  Suspend(kHour);
  EXPECT_EQ(host.Dispatch(), 1);
  EXPECT_EQ(ctx_err(grace), 0);
  Suspend(kHour);
  EXPECT_EQ(host.Dispatch(), 1);
  EXPECT_EQ(ctx_err(grace), CTX_DEADLINE_EXCEEDED);
}

// The wall clock may jump: no end comes earlier or later, nor does what has travelled as text or to another process.
TEST(Suspended, Rule57_TheWallClockMeansNothing) {
  const int before = WallClockUses();
  const Scope soon = WithTimeout(ctx_background(), 20 * kMillisecond);
  const Scope late = WithTimeout(ctx_background(), kHour);
  const Exported exported(late);
  for (const int64_t jump : {24 * kHour, -48 * kHour}) {
    SetWallClock(jump);
    const ctx_formats_t formats = Formats(CTX_FORMAT_GRPC_TIMEOUT);
    const Scope received = Extract(ctx_background(), formats, Inject(late, formats));
    const Scope imported = Import(exported.text);
    EXPECT_EQ(Deadline(imported), Deadline(late));
    EXPECT_LE(ctx_remaining(received), kHour);
    EXPECT_GT(ctx_remaining(received), kHour / 2);
    EXPECT_EQ(ctx_wait(late, 1), 0);
    EXPECT_EQ(ctx_err(late), 0);
  }
  EXPECT_TRUE(Done(soon));
  EXPECT_GE(ctx_now(ctx_background()), Deadline(soon));
  EXPECT_EQ(WallClockUses(), before) << "and the library never looks at it";
}

void TheDefaultLoopHasIt() {
  ASSERT_EQ(ctx_loop_set_default(BootLoop(CTX_LOOP_THREAD)), 0);
  ExpectClock(CLOCK_BOOTTIME, ctx_now(ctx_background()));
  const Scope scope = WithTimeout(ctx_background(), kHour);
  Suspend(kHour);
  EXPECT_TRUE(Done(scope));
}
TEST(Suspended, Rule57_TheDefaultLoopMayHaveItToo) { CTX_IN_NEW_PROCESS(TheDefaultLoopHasIt()); }

}  // namespace
}  // namespace ctxtest
