// SPDX-License-Identifier: MIT
//
// What a process has before it forks, and the library at work in either process after that.
#ifndef CTX_TESTS_FAULT_FORK_WORK_H_
#define CTX_TESTS_FAULT_FORK_WORK_H_

#include <ctx/ctx.h>
#include <gtest/gtest.h>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"

namespace ctxtest {

// All of the library at work, in this process and from scratch.
inline void ExpectEverythingWorks() {
  const Scope parent = WithCancel(ctx_background());
  const Ctx value = WithString(parent, "name", "value");
  const Scope child = WithTimeout(value, kHour);
  Callback callback, deferred;
  EXPECT_EQ(callback.Arm(child), 0);
  EXPECT_EQ(deferred.Arm(child, CTX_DEFER), 0);
  const int fd = ctx_done_fd(child);
  EXPECT_GE(fd, 0);
  EXPECT_FALSE(Readable(fd));

  const Scope timed = WithTimeout(value, kMillisecond);
  EXPECT_TRUE(Done(timed));  // by a loop of this process
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  EXPECT_STREQ(ctx_string(timed, "name"), "value");

  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(ctx_err(child), CTX_CANCELED);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_TRUE(deferred.WaitRun());
  EXPECT_EQ(deferred.thread_name(), "ctx-calls");
  EXPECT_TRUE(Readable(fd));
  EXPECT_EQ(ctx_poll(child, nullptr, 0, 0), CTX_CANCELED);
}

// What a process has made before it forks.
struct MadeBefore {
  MadeBefore() {
    ctx_cause_t* made = nullptr;
    EXPECT_EQ(ctx_cause_here(7, "why", &made), 0);
    cause.reset(made);
    root = WithCancel(Watched(ctx_background(), &drop));
    value = WithValue(WithString(root, "name", "value"), &kKey, &drop, Drop::Run);
    timed = WithTimeout(value, kHour);
    done = WithCancel(value);
    EXPECT_EQ(ctx_cancel_with(done.canceler, CTX_DEADLINE_EXCEEDED, cause), 1);
    fd = ctx_done_fd(timed);
    watch = AfterFunc(
        timed, [](ctx_t*, void*) {}, &drop, 0, Drop::Run);
    deferred = AfterFunc(
        timed, [](ctx_t*, void*) {}, &drop, CTX_DEFER, Drop::Run);
  }
  ~MadeBefore() {  // nothing may run later that uses drop
    ctx_watch_stop_wait(watch);
    ctx_watch_stop_wait(deferred);
  }

  const char* file = __FILE__;
  Drop drop;
  Cause cause;
  Scope root, timed, done;
  Ctx value;
  Watch watch, deferred;
  int fd;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_FAULT_FORK_WORK_H_
