// SPDX-License-Identifier: MIT
//
// Loops of every kind, and what starts them: made, started and given sources on a system that refuses
// memory, descriptors, threads and watches, one call after the other. A loop is new for each attempt, so
// that it is its first deadline or source.
#include <gtest/gtest.h>

#include "fault/refusals.h"

namespace ctxtest {
namespace {

int NegativeOnly(int result) { return result < 0 ? result : 0; }

int TimeoutOf(Stage& s) { return ctx_with_timeout(s.parent, kHour, &s.ret, &s.ret_canceler); }

int Defer(Stage& s) {
  const auto ignore = [](ctx_t*, void*) {};
  return ctx_after_func(s.parent, ignore, nullptr, nullptr, CTX_DEFER, &s.ret_watch);
}

int FromFd(Stage& s) {
  return ctx_with_fd(s.parent, s.pipe.read_end, POLLIN, &s.ret, &s.ret_canceler);
}

int FromSignal(Stage& s) {
  const int signal = SIGUSR1;
  return ctx_with_signal(s.parent, &signal, 1, &s.ret, &s.ret_canceler);
}

int CancelFdOf(Stage& s) {
  const int fd = ctx_cancel_fd(s.parent.canceler);
  if (fd >= 0) s.fd = fd;
  return NegativeOnly(fd);
}

void ExpectSourceEndsWithParent(Stage& s) {
  EXPECT_EQ(s.parent.Cancel(), 1);
  if (s.ret != nullptr) {
    EXPECT_EQ(ctx_err(s.ret), CTX_CANCELED);
  }
}

void ExpectEndsWithFd(Stage& s) {
  EXPECT_EQ(ctx_err(s.ret), 0);
  s.pipe.Write();
  EXPECT_TRUE(s.host.Done(s.ret));
  EXPECT_EQ(s.parent.Cancel(), 1);
}

void ExpectEndsWithSignal(Stage& s) {
  EXPECT_EQ(ctx_err(s.ret), 0);
  EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
  EXPECT_TRUE(s.host.Done(s.ret));
  EXPECT_EQ(s.parent.Cancel(), 1);
}

void ExpectEndsWithWrite(Stage& s) {
  const uint64_t one = 1;
  EXPECT_EQ(write(s.fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  EXPECT_TRUE(s.host.Done(s.parent));
}

const Construction kSourceCases[] = {
    {"Timeout", On::kThread, kMem | kDesc | kThr, kWat, TimeoutOf, ExpectSourceEndsWithParent},
    {"Timeout", On::kManual, kMem, kDesc | kWat, TimeoutOf, ExpectSourceEndsWithParent},
    {"Timeout", On::kVirtual, kMem, kNothing, TimeoutOf, ExpectSourceEndsWithParent},

    {"Deferred", On::kThread, kMem | kThr, kDesc | kWat, Defer, ExpectSourceEndsWithParent},
    {"Deferred", On::kManual, kMem, kDesc | kWat, Defer, ExpectSourceEndsWithParent},
    {"Deferred", On::kVirtual, kMem, kNothing, Defer, ExpectSourceEndsWithParent},

    {"WithFd", On::kDefault, kMem | kWat, kNothing, FromFd, ExpectEndsWithFd},
    {"WithFd", On::kThread, kMem | kDesc | kThr | kWat, kNothing, FromFd, ExpectEndsWithFd},
    {"WithFd", On::kManual, kMem | kDesc | kWat, kNothing, FromFd, ExpectEndsWithFd},
    {"WithFd", On::kVirtual, kMem | kDesc | kWat, kNothing, FromFd, ExpectEndsWithFd},

    {"WithSignal", On::kDefault, kMem, kDesc | kWat, FromSignal, ExpectEndsWithSignal},
    {"WithSignal", On::kThread, kMem | kDesc | kThr, kWat, FromSignal, ExpectEndsWithSignal},
    {"WithSignal", On::kManual, kMem | kDesc, kWat, FromSignal, ExpectEndsWithSignal},
    {"WithSignal", On::kVirtual, kMem | kDesc, kWat, FromSignal, ExpectEndsWithSignal},

    {"CancelFd", On::kDefault, kMem | kDesc | kWat, kNothing, CancelFdOf, ExpectEndsWithWrite},
    {"CancelFd", On::kThread, kMem | kDesc | kThr | kWat, kNothing, CancelFdOf,
     ExpectEndsWithWrite},
    {"CancelFd", On::kManual, kMem | kDesc | kWat, kNothing, CancelFdOf, ExpectEndsWithWrite},
    {"CancelFd", On::kVirtual, kMem | kDesc | kWat, kNothing, CancelFdOf, ExpectEndsWithWrite},

    {"LoopNewThread", On::kDefault, kMem, kNothing,
     [](Stage& s) { return ctx_loop_new(CTX_LOOP_THREAD, nullptr, &s.ret_loop); },
     ExpectSourceEndsWithParent},
    {"LoopNewManual", On::kDefault, kMem, kNothing,
     [](Stage& s) { return ctx_loop_new(CTX_LOOP_MANUAL, nullptr, &s.ret_loop); },
     ExpectSourceEndsWithParent},
    {"LoopNewVirtual", On::kDefault, kMem, kNothing,
     [](Stage& s) { return ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &s.ret_loop); },
     ExpectSourceEndsWithParent},
    {"LoopBackground", On::kThread, kNothing, kMem,
     [](Stage& s) { return ctx_loop_background(s.host.loop(), &s.ret); },
     [](Stage& s) { EXPECT_EQ(s.parent.Cancel(), 1); }},
    {"LoopFd", On::kManual, kDesc, kMem | kWat,
     [](Stage& s) { return NegativeOnly(ctx_loop_fd(s.host.loop())); }, ExpectSourceEndsWithParent},
    {"Dispatch", On::kManual, kNothing, kMem | kDesc | kWat,
     [](Stage& s) { return ctx_loop_dispatch(s.host.loop()); }, ExpectSourceEndsWithParent},
    {"Advance", On::kVirtual, kNothing, kNothing,
     [](Stage& s) { return ctx_loop_advance(s.host.loop(), kHour); }, ExpectSourceEndsWithParent},
};

class RefusedSources : public ::testing::TestWithParam<Construction> {};

TEST_P(RefusedSources, Rule46_EachCallInTurn) { Refusals(GetParam()).EachInTurn(); }

TEST_P(RefusedSources, Rule46_NothingLeaks) { Refusals(GetParam()).NothingLeaks(); }

INSTANTIATE_TEST_SUITE_P(, RefusedSources, ::testing::ValuesIn(kSourceCases),
                         [](const auto& each) { return NameOf(each.param); });

}  // namespace
}  // namespace ctxtest
