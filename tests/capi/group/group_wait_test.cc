// SPDX-License-Identifier: MIT
//
// Rule 54, and rules 38 and 40 as groups have them: ctx_group_wait and the descriptor tell when nothing is left.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/signals.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(GroupWait, Rule54_AnEmptyGroupIsNotWaitedFor) {
  const Group group = NewGroup(ctx_background());
  EXPECT_EQ(ctx_group_wait(group, 0), 1);
  EXPECT_EQ(ctx_group_wait(group, CTX_FOREVER), 1);
}

TEST(GroupWait, Rule54_TheLastEndEndsAllWaits) {
  constexpr int kWaiters = 4;
  const Group group = NewGroup(ctx_background());
  const Cause cause = NewCause(5, "failed");
  for (const bool fails : {false, true}) {
    ASSERT_EQ(ctx_group_begin(group), 0);
    ASSERT_EQ(ctx_group_begin(group), 0);
    std::atomic<int> over{0};
    std::vector<std::thread> waiters;
    for (int i = 0; i < kWaiters; ++i) {
      waiters.emplace_back([&] {
        EXPECT_EQ(ctx_group_wait(group, kLimit), 1);
        EXPECT_EQ(ctx_group_cause(group), fails ? cause.get() : nullptr);
        ++over;
      });
    }
    EXPECT_EQ(ctx_group_end(group, fails ? cause.get() : nullptr), 0);
    EXPECT_EQ(ctx_group_wait(group, kMillisecond), 0);
    EXPECT_EQ(over, 0);
    EXPECT_EQ(ctx_group_end(group, nullptr), 0);
    for (std::thread& waiter : waiters) waiter.join();
  }
}

TEST(GroupWait, Rule54_ThreadsThatWorkAreWaitedFor) {
  for (int round = 0; round < 100; ++round) {
    const Group group = NewGroup(ctx_background());
    std::atomic<int> ended{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      ASSERT_EQ(ctx_group_begin(group), 0);
      threads.emplace_back([&, handle = group.get()] {
        ++ended;
        ctx_group_end(handle, nullptr);
      });
    }
    EXPECT_EQ(ctx_group_wait(group, CTX_FOREVER), 1);
    EXPECT_EQ(ended, 8);
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(GroupWait, Rule40_ItDoesNotTimeOutEarly) {
  const Group group = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(group), 0);
  for (int64_t limit = 1; limit < 10 * kMillisecond; limit = limit * 7 + 3) {
    const int64_t start = Now();
    EXPECT_EQ(ctx_group_wait(group, limit), 0);
    EXPECT_GE(Now() - start, limit);
  }
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
}

TEST(GroupWait, Rule40_ANegativeLimitIsEINVAL) {
  const Group empty = NewGroup(ctx_background()), group = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(group), 0);
  for (int64_t limit : {int64_t{-1}, -kHour, INT64_MIN}) {
    EXPECT_EQ(ctx_group_wait(empty, limit), -EINVAL);
    EXPECT_EQ(ctx_group_wait(group, limit), -EINVAL);
  }
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
}

TEST(GroupWait, Rule40_ALimitNearTheLargestIsNoLimit) {
  for (int64_t limit : {CTX_FOREVER, CTX_FOREVER - 1, CTX_FOREVER / 2}) {
    const Group group = NewGroup(ctx_background());
    ASSERT_EQ(ctx_group_begin(group), 0);
    std::thread ends([handle = group.get()] { ctx_group_end(handle, nullptr); });
    EXPECT_EQ(ctx_group_wait(group, limit), 1);
    ends.join();
  }
}

TEST(GroupWait, ASignalHandlerEndsIt) {
  const Group group = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(group), 0);
  for (int flags : {0, SA_RESTART}) {
    for (int64_t limit : {kLimit, CTX_FOREVER}) {
      EXPECT_EQ(Interrupted(flags, [&] { return ctx_group_wait(group, limit); }), -EINTR);
    }
  }
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_EQ(ctx_group_wait(group, CTX_FOREVER), 1) << "and it can be taken up again";
}

// Nobody but the last end wakes a thread that waits, and others begin again before it runs.
TEST(GroupWait, Rule54_AWaitEndsThoughTheGroupIsFilledAgain) {
  const Group group = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(group), 0);
  std::atomic<pid_t> waiter{0};
  std::thread waits([&] {
    waiter = gettid();
    EXPECT_EQ(ctx_group_wait(group, kLimit), 1);
  });
  EXPECT_TRUE(Soon([&] { return waiter != 0 && IsAsleep(waiter); }));
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_EQ(ctx_group_begin(group), 0);
  waits.join();
  EXPECT_EQ(ctx_group_wait(group, 0), 0);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
}

// Work that polls ctx_err() would else never learn of the deadline.
TEST(GroupWait, Rule38_OnAManualLoopTheWaiterEndsWhatIsDue) {
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, 2 * kMillisecond);
  const Group group = NewGroup(timed);
  if (ctx_group_begin(group) == 0) {
    std::thread works([handle = group.get()] {
      EXPECT_TRUE(Soon([&] { return ctx_err(ctx_group_context(handle)) != 0; }));
      ctx_group_end(handle, nullptr);
    });
    EXPECT_EQ(ctx_group_wait(group, CTX_FOREVER), 1);
    works.join();
  }
  EXPECT_EQ(ctx_err(ctx_group_context(group)), CTX_DEADLINE_EXCEEDED);
}

TEST(GroupWait, Rule38_AWaitWhoseLimitIsOverEndsAnOverdueContext) {
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, kMillisecond);
  const Group group = NewGroup(timed);
  const bool began = ctx_group_begin(group) == 0;
  SleepUntil(ctx_now(manual.root) + 2 * kMillisecond);
  EXPECT_EQ(ctx_group_wait(group, 0), began ? 0 : 1);
  EXPECT_EQ(ctx_err(ctx_group_context(group)), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_group_end(group, nullptr), began ? 0 : -EINVAL);
}

TEST(GroupFd, Rule54_IsReadableExactlyWhileNothingIsLeft) {
  const Group group = NewGroup(ctx_background());
  const int fd = ctx_group_fd(group);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(ctx_group_fd(group), fd);
  EXPECT_TRUE(Readable(fd)) << "nothing has begun";
  for (int round = 0; round < 100; ++round) {
    ASSERT_EQ(ctx_group_begin(group), 0);
    EXPECT_FALSE(Readable(fd));
    ASSERT_EQ(ctx_group_begin(group), 0);
    EXPECT_EQ(ctx_group_end(group, nullptr), 0);
    EXPECT_FALSE(Readable(fd));
    EXPECT_EQ(ctx_group_end(group, nullptr), 0);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(Readable(fd));
  }
  ASSERT_EQ(ctx_group_begin(group), 0);
  EXPECT_EQ(ctx_cancel(ctx_group_canceler(group)), 1);
  EXPECT_FALSE(Readable(fd)) << "the end of the context is not the end of the work";
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_TRUE(Readable(fd));
}

TEST(GroupFd, Rule54_MadeLateItShowsWhatIsSo) {
  const Group busy = NewGroup(ctx_background()), over = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(busy), 0);
  ASSERT_EQ(ctx_group_begin(over), 0);
  EXPECT_EQ(ctx_group_end(over, nullptr), 0);
  EXPECT_EQ(ctx_group_wait(busy, 1), 0);  // somebody has waited by then
  EXPECT_FALSE(Readable(ctx_group_fd(busy)));
  EXPECT_TRUE(Readable(ctx_group_fd(over)));
  EXPECT_EQ(ctx_group_end(busy, nullptr), 0);
  EXPECT_TRUE(Readable(ctx_group_fd(busy)));
}

TEST(GroupFd, Rule54_IsNonBlockingAndCloseOnExecAndGoesWithTheGroup) {
  Group group = NewGroup(ctx_background());
  const int fd = ctx_group_fd(group);
  ASSERT_GE(fd, 0);
  EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  ctx_group_t* const held = group;
  ASSERT_EQ(ctx_group_begin(held), 0);
  const size_t open = OpenDescriptors();
  group.reset();
  EXPECT_EQ(OpenDescriptors(), open) << "the work holds the group";
  EXPECT_EQ(ctx_group_end(held, nullptr), 0);
  EXPECT_LT(OpenDescriptors(), open);
}

// Another context may end the wait.
TEST(GroupFd, Rule54_APollWaitsForTheWorkOrAContext) {
  const Group group = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(group), 0);
  pollfd fd = {ctx_group_fd(group), POLLIN, 0};
  EXPECT_EQ(ctx_poll(WithTimeout(ctx_background(), kMillisecond), &fd, 1, CTX_FOREVER),
            CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_EQ(ctx_poll(WithCancel(ctx_background()), &fd, 1, CTX_FOREVER), 1);
}

Ctx Over(ctx_group_t* group) {
  Ctx made;
  EXPECT_EQ(ctx_group_over(group, made.out()), 0);
  return made;
}

TEST(GroupOver, Rule54_EndsAtTheFirstMomentWithoutWork) {
  const Group group = NewGroup(ctx_background());
  EXPECT_EQ(ctx_err(Over(group)), CTX_CANCELED) << "nothing has begun";
  ASSERT_EQ(ctx_group_begin(group), 0);
  ASSERT_EQ(ctx_group_begin(group), 0);
  const Ctx first = Over(group), second = Over(group);
  EXPECT_EQ(ctx_cancelable(first), 1);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_EQ(ctx_err(first), 0);
  EXPECT_EQ(ctx_cancel(ctx_group_canceler(group)), 1);
  EXPECT_EQ(ctx_err(first), 0) << "the end of the context is not the end of the work";
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  for (ctx_t* over : {first.get(), second.get()}) {
    EXPECT_EQ(ctx_err(over), CTX_CANCELED);
    EXPECT_EQ(ctx_cause_given(ctx_cause(over)), 0);
  }
}

TEST(GroupOver, Rule54_LaterWorkDoesNotConcernIt) {
  const Group group = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(group), 0);
  const Ctx over = Over(group);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  ASSERT_EQ(ctx_group_begin(group), 0);
  EXPECT_EQ(ctx_err(over), CTX_CANCELED);
  EXPECT_EQ(ctx_err(Over(group)), 0);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
}

TEST(GroupOver, Rule54_CallsBackOnTheThreadThatEndsTheWork) {
  Group group = NewGroup(ctx_background());
  ctx_group_t* const held = group;
  ASSERT_EQ(ctx_group_begin(held), 0);
  const Ctx over = Over(held);
  Callback callback([&](ctx_t*) {
    EXPECT_EQ(ctx_group_wait(held, 0), 1);
    EXPECT_EQ(ctx_group_begin(held), 0) << "the next round";
  });
  ASSERT_EQ(callback.Arm(over), 0);
  EXPECT_EQ(ctx_group_end(held, nullptr), 0);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(callback.thread(), std::this_thread::get_id());
  EXPECT_EQ(ctx_group_wait(held, 0), 0);
  EXPECT_EQ(ctx_group_end(held, nullptr), 0);
}

// The group goes with its last work, before or after those who were told.
TEST(GroupOver, Rule54_OutlivesTheGroupAndIsNotKeptByTheCaller) {
  for (const bool keeps : {false, true}) {
    Drop drop;
    Group group = NewGroup(Watched(ctx_background(), &drop));
    ctx_group_t* const held = group;
    ASSERT_EQ(ctx_group_begin(held), 0);
    Ctx over = Over(held);
    Callback callback;
    ASSERT_EQ(callback.Arm(over), 0);
    if (!keeps) over.reset();
    group.reset();
    EXPECT_EQ(drop.count(), 0);
    EXPECT_EQ(ctx_group_end(held, nullptr), 0);
    EXPECT_EQ(drop.count(), 1);
    EXPECT_EQ(callback.runs(), 1);
    if (keeps) {
      EXPECT_EQ(ctx_err(over), CTX_CANCELED);
    }
  }
}

TEST(GroupOver, Rule54_OnEachKindOfLoop) {
  for (const int kind : kLoopKinds) {
    const Loop loop = NewLoop(kind);
    const Group group = NewGroup(WithTimeout(LoopBackground(loop), 0));
    const Group live = NewGroup(LoopBackground(loop));
    EXPECT_EQ(ctx_err(Over(group)), CTX_CANCELED);
    ASSERT_EQ(ctx_group_begin(live), 0);
    const Ctx over = Over(live);
    EXPECT_EQ(ctx_err(over), 0);
    EXPECT_EQ(ctx_group_end(live, nullptr), 0);
    EXPECT_EQ(ctx_err(over), CTX_CANCELED);
  }
}

TEST(GroupOver, Rule39_ItEndsWithItsLoop) {
  const Loop loop = NewLoop(CTX_LOOP_VIRTUAL);
  const Group group = NewGroup(LoopBackground(loop));
  ASSERT_EQ(ctx_group_begin(group), 0);
  const Ctx over = Over(group);
  EXPECT_EQ(ctx_loop_close(loop), 0);
  EXPECT_EQ(ctx_err(over), CTX_CANCELED);
  EXPECT_EQ(ctx_cause_given(ctx_cause(over)), 1);
  EXPECT_EQ(ctx_group_wait(group, 0), 0);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  EXPECT_EQ(ctx_group_wait(group, 0), 1);
}

TEST(GroupOver, Rule54_AWaitForSeveralSeesTheWorkOrAnotherEnd) {
  const Group group = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(group), 0);
  const Ctx over = Over(group);
  const Scope other = WithTimeout(ctx_background(), kMillisecond);
  ctx_t* const either[] = {over, other};
  size_t index = 9;
  EXPECT_EQ(ctx_wait_any(either, 2, kLimit, &index), 1);
  EXPECT_EQ(index, 1u);
  std::thread ends([handle = group.get()] { ctx_group_end(handle, nullptr); });
  EXPECT_EQ(ctx_wait(over, CTX_FOREVER), 1);
  ends.join();
}

}  // namespace
}  // namespace ctxtest
