// SPDX-License-Identifier: MIT
//
// Rules 41, 46 and 50 for the options of ctx_loop_new: a struct that may be older or newer than the library, names,
// starting at once, and what is refused.
#include <sched.h>
#include <time.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"

namespace ctxtest {
namespace {

int PostNowhere(void*, void (*)(void*), void*) { return -EAGAIN; }

void ExpectRefused(int expected, int kind, const ctx_loop_options_t& options) {
  auto* const marker = reinterpret_cast<ctx_loop_t*>(&expected);
  ctx_loop_t* untouched = marker;
  EXPECT_EQ(ctx_loop_new(kind, &options, &untouched), expected);
  EXPECT_EQ(untouched, marker);
}

TEST(LoopOptions, NoneAndAllZeroAreTheSame) {
  const ctx_loop_options_t options = LoopOptions();
  for (int kind : kLoopKinds) {
    const Scope scope = WithTimeout(LoopBackground(NewLoop(kind, &options)), kHour);
    EXPECT_EQ(ctx_err(scope), kind == CTX_LOOP_THREAD ? 0 : CTX_CANCELED) << "its loop is closed";
  }
}

TEST(LoopOptions, WhatIsUnknownIsEINVAL) {
  for (int kind : kLoopKinds) {
    ctx_loop_options_t options = LoopOptions();
    options.flags = CTX_LOOP_START << 1;
    ExpectRefused(-EINVAL, kind, options);
    options = LoopOptions();
    options.clock = CTX_CLOCK_BOOTTIME + 1;
    ExpectRefused(-EINVAL, kind, options);
    for (const char* name : {"", "ten bytes!", "much longer than any thread's name may ever be"}) {
      options = LoopOptions();
      options.name = name;
      ExpectRefused(-EINVAL, kind, options);
    }
    ExpectRefused(-EINVAL, 0, LoopOptions());
    EXPECT_EQ(ctx_loop_new(kind, &options, nullptr), -EINVAL);
  }
}

TEST(LoopOptions, AnExecutorNeedsPostAndThreads) {
  Drop drop;
  ctx_loop_options_t options = LoopOptions();
  options.executor = &drop;
  ExpectRefused(-EINVAL, CTX_LOOP_THREAD, options);
  options.executor = nullptr;
  options.drop = Drop::Run;
  ExpectRefused(-EINVAL, CTX_LOOP_THREAD, options);
  options.executor = &drop;
  options.post = PostNowhere;
  ExpectRefused(-ENOTSUP, CTX_LOOP_MANUAL, options);
  ExpectRefused(-ENOTSUP, CTX_LOOP_VIRTUAL, options);
  EXPECT_EQ(drop.count(), 0);
  NewLoop(CTX_LOOP_THREAD, &options);
  EXPECT_EQ(drop.count(), 1);
}

TEST(LoopOptions, AVirtualLoopHasNoOtherClock) {
  ctx_loop_options_t options = LoopOptions();
  options.clock = CTX_CLOCK_BOOTTIME;
  ExpectRefused(-ENOTSUP, CTX_LOOP_VIRTUAL, options);
}

// The struct of a program that was compiled with a later version.
struct Newer {
  ctx_loop_options_t known;
  void* later[2];
};

TEST(LoopOptions, ANewerStructIsTakenIfWhatIsNewIsZero) {
  Newer newer{};
  newer.known.size = sizeof newer;
  newer.known.name = "newer";
  EXPECT_NE(NewLoop(CTX_LOOP_MANUAL, &newer.known).get(), nullptr);
  for (void*& member : newer.later) {
    member = &newer;
    ExpectRefused(-E2BIG, CTX_LOOP_MANUAL, newer.known);
    member = nullptr;
  }
  reinterpret_cast<char*>(&newer)[sizeof newer - 1] = 1;
  ExpectRefused(-E2BIG, CTX_LOOP_MANUAL, newer.known);
}

TEST(LoopOptions, AnOlderStructEndsEarlier) {
  ctx_loop_options_t options = LoopOptions();
  options.size = offsetof(ctx_loop_options_t, name);
  // What lies behind it is not the struct's.
  std::memset(reinterpret_cast<char*>(&options) + options.size, 0xAB,
              sizeof options - options.size);
  EXPECT_NE(NewLoop(CTX_LOOP_MANUAL, &options).get(), nullptr);
  options.size = sizeof options.size;  // the least: all is left out
  EXPECT_NE(NewLoop(CTX_LOOP_MANUAL, &options).get(), nullptr);
  for (size_t size : {size_t{0}, sizeof(size_t) - 1}) {
    options.size = size;
    ExpectRefused(-EINVAL, CTX_LOOP_MANUAL, options);
  }
}

TEST(LoopOptions, TheThreadsHaveTheLoopsName) {
  for (const std::string name : {"a", "web", "nine byte"}) {
    std::string own = name;
    ctx_loop_options_t options = LoopOptions();
    options.name = own.c_str();
    const Loop loop = NewLoop(CTX_LOOP_THREAD, &options);
    own.assign(own.size(), '?');  // it was copied
    const Scope scope = WithTimeout(LoopBackground(loop), kHour);
    Callback callback;
    callback.Arm(scope, CTX_DEFER);
    scope.Cancel();
    ASSERT_TRUE(callback.WaitDrop());
    EXPECT_EQ(callback.thread_name(), name + "-calls");
    EXPECT_EQ(Tasks(name + "-loop").size(), 1u);
  }
}

TEST(LoopOptions, StartMakesTheThreadsAtOnce) {
  ctx_loop_options_t options = LoopOptions();
  options.name = "atonce";
  const Loop lazy = NewLoop(CTX_LOOP_THREAD, &options);
  EXPECT_TRUE(Tasks("atonce-").empty());
  options.flags = CTX_LOOP_START;
  {
    const Loop loop = NewLoop(CTX_LOOP_THREAD, &options);
    EXPECT_EQ(Tasks("atonce-").size(), 2u);
  }
  EXPECT_TRUE(Soon([] { return Tasks("atonce-").empty(); }));
  NewLoop(CTX_LOOP_VIRTUAL, &options);  // has nothing to start
}

TEST(LoopOptions, StartMakesTheDescriptorsOfAManualLoop) {
  ctx_loop_options_t options = LoopOptions();
  options.flags = CTX_LOOP_START;
  const size_t before = OpenDescriptors();
  {
    const Loop loop = NewLoop(CTX_LOOP_MANUAL, &options);
    const size_t open = OpenDescriptors();
    EXPECT_GT(open, before);
    EXPECT_GE(ctx_loop_fd(loop), 0);
    EXPECT_EQ(OpenDescriptors(), open);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// The thread that makes the loop is the one that its threads inherit from.
TEST(LoopOptions, Rule50_WithStartTheMaskIsThatOfTheThreadThatMakesTheLoop) {
  ctx_loop_options_t options = LoopOptions();
  options.flags = CTX_LOOP_START;
  const sigset_t blocked = [] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    return set;
  }();
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const Loop loop = NewLoop(CTX_LOOP_THREAD, &options);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const Scope scope = WithTimeout(LoopBackground(loop), kHour);
  bool seen = false;
  Callback callback([&](ctx_t*) {
    sigset_t own;
    pthread_sigmask(SIG_BLOCK, nullptr, &own);
    seen = sigismember(&own, SIGUSR2) == 1;
  });
  callback.Arm(scope, CTX_DEFER);
  scope.Cancel();
  ASSERT_TRUE(callback.WaitDrop());
  EXPECT_TRUE(seen);
}

}  // namespace
}  // namespace ctxtest
