// SPDX-License-Identifier: MIT
//
// Sources that get into each other's way: numbers of descriptors that are used again by the library
// itself, what one loop posts to another that is going, many askers for one cancel descriptor.
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

// The owner closes a watched descriptor, and the library's own for signals gets its number. The end of
// the old context must not make the loop deaf.
TEST(SourceCrossing, Rule35_ASignalIsHeardThoughItsDescriptorHasAReusedNumber) {
  const BlockSignals blocked{SIGUSR1};
  const ManualLoop manual;
  ASSERT_GE(manual.Fd(), 0);
  Pipe pipe;
  Scope old = WithFd(manual.root, pipe.read_end, POLLIN);
  pipe.read_end.Close();
  const Scope scope = WithSignal(manual.root, {SIGUSR1});
  EXPECT_EQ(old.Cancel(), 1);
  old.reset();
  ASSERT_EQ(kill(getpid(), SIGUSR1), 0);
  EXPECT_EQ(manual.DriveUntilDone(scope), 1);
}

// One loop reads the signal and posts to the other, which is given back before it is dispatched again.
TEST(SourceCrossing, Rule39_WhatWasPostedToALoopThatGoesIsNotLost) {
  const BlockSignals blocked{SIGUSR1};
  const size_t before = OpenDescriptors();
  for (int kind : {CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL}) {
    const ManualLoop reader;
    Loop loop = NewLoop(kind);
    Drop drop;
    Ctx root = LoopBackground(loop);
    Scope posted = WithSignal(Watched(root, &drop), {SIGUSR1});
    const Scope read = WithSignal(reader.root, {SIGUSR1});
    ASSERT_EQ(kill(getpid(), SIGUSR1), 0);
    EXPECT_EQ(reader.DriveUntilDone(read), 1);
    loop.reset();
    EXPECT_EQ(ctx_err(posted), CTX_CANCELED);
    posted.reset();
    root.reset();
    EXPECT_EQ(drop.count(), 1);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(SourceCrossing, ManyCancelDescriptorsOfOneContextAreOneOfTheLibrarys) {
  const ManualLoop manual;
  const Scope scope = WithCancel(manual.root);
  std::vector<Fd> fds;
  fds.emplace_back(ctx_cancel_fd(scope.canceler));
  const size_t with_one = OpenDescriptors();
  for (int i = 0; i < 20; ++i) {
    fds.emplace_back(ctx_cancel_fd(scope.canceler));
    if (i % 2 == 0) fds.pop_back();
  }
  EXPECT_EQ(OpenDescriptors(), with_one + 10);
  const uint64_t one = 1;
  ASSERT_EQ(write(fds.back(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  EXPECT_EQ(manual.DriveUntilDone(scope), 1);
  EXPECT_STREQ(ctx_cause_message(ctx_cause(scope)), "context canceled");
}

// A writer that goes without having written ends nothing, and takes nothing from the context.
TEST(SourceCrossing, AWriterThatOnlyClosesEndsNothing) {
  const ManualLoop manual;
  const Scope parent = WithTimeout(manual.root, kHour);
  Scope scope = WithCancel(parent);
  const Scope child = WithCancel(scope);
  { const Fd fd(ctx_cancel_fd(scope.canceler)); }
  EXPECT_TRUE(manual.Settles());
  scope.reset();
  EXPECT_EQ(ctx_err(child), 0);
  EXPECT_TRUE(manual.Settles());
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(ctx_err(child), CTX_CANCELED);
  EXPECT_TRUE(manual.Settles());
}

// A release that waits beside the callbacks does not let one in that they have deferred.
TEST(SourceCrossing, Rule24_AReleaseThatWaitsLetsNoLaterCallbackIn) {
  const ManualLoop manual;
  Callback later;
  Callback first([&](ctx_t* ctx) { EXPECT_EQ(later.Arm(ctx, CTX_DEFER), 1); });
  const Scope timed = WithTimeout(manual.root, kMillisecond);
  first.Arm(timed);
  Scope other = WithTimeout(manual.root, kMillisecond);
  const Scope child = WithCancel(other);
  other.reset();
  int64_t due = 0;
  ASSERT_EQ(ctx_deadline(timed, &due), 1);
  SleepUntil(due + 20 * kMillisecond);
  EXPECT_EQ(manual.Dispatch(), 2);
  EXPECT_EQ(first.runs(), 1);
  EXPECT_EQ(later.runs(), 0);
  EXPECT_GE(manual.Dispatch(), 0);
  EXPECT_EQ(later.runs(), 1);
}

}  // namespace
}  // namespace ctxtest
