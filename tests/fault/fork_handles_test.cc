// SPDX-License-Identifier: MIT
//
// Fork: in the child, what was made before can be read and nothing else, whichever ancestor made it; giving it back does
// nothing.
#include <ctx/ctx.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault/fork_work.h"
#include "support/callback.h"
#include "support/descriptor.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/time.h"

namespace ctxtest {
namespace {

TEST(ForkHandles, Rule47_WhatWasMadeBeforeCanBeRead) {
  const MadeBefore before;
  int64_t deadline_ns = 0;
  EXPECT_EQ(ctx_deadline(before.timed, &deadline_ns), 1);
  InChild([&] {
    EXPECT_EQ(ctx_err(before.root), 0);
    EXPECT_EQ(ctx_err(before.timed), 0);
    EXPECT_EQ(ctx_err(before.done), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(*ctx_err_word(before.done), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_cause(before.root), nullptr);
    EXPECT_EQ(ctx_cause(before.done), before.cause.get());
    EXPECT_EQ(ctx_cause_code(before.cause), 7);
    EXPECT_STREQ(ctx_cause_message(before.cause), "why");
    EXPECT_EQ(ctx_cause_given(before.cause), 1);
    EXPECT_EQ(ctx_cause_origin(before.cause), CTX_ORIGIN_DEADLINE);
    EXPECT_STREQ(ctx_cause_file(before.cause), before.file);
    EXPECT_GT(ctx_cause_line(before.cause), 0);
    EXPECT_STREQ(ctx_cause_function(before.cause), "MadeBefore");
    EXPECT_EQ(ctx_cancelable(before.timed), 1);
    EXPECT_EQ(ctx_ended_by(before.done, before.done), 1);
    EXPECT_EQ(ctx_ended_by(before.done, before.root), 0);
    int64_t here_ns = 0;
    EXPECT_EQ(ctx_deadline(before.timed, &here_ns), 1);
    EXPECT_EQ(here_ns, deadline_ns);
    EXPECT_GT(ctx_remaining(before.timed), 0);
    EXPECT_GT(ctx_now(before.timed), 0);
    EXPECT_EQ(ctx_value(before.timed, &kKey), &before.drop);
    EXPECT_STREQ(ctx_string(before.timed, "name"), "value");
    const auto counts = [](const char*, const char*, void* arg) {
      return ++*static_cast<int*>(arg);
    };
    int strings = 0;
    EXPECT_EQ(ctx_strings(before.timed, counts, &strings), 1);
    EXPECT_GT(ctx_remaining_ms(before.timed), 0);
    EXPECT_GT(ctx_describe(before.timed, nullptr, 0), 0);
  });
}

TEST(ForkHandles, Rule47_AllElseOfItAnswersEchild) {
  const MadeBefore before;
  InChild([&] {
    ctx_t* ret = nullptr;
    ctx_canceler_t* canceler = nullptr;
    ctx_watch_t* watch = nullptr;
    size_t index = 77;
    ctx_t* const several[] = {WithCancel(ctx_background()).ctx.release(), before.timed};
    const auto fn = [](ctx_t*, void*) { ADD_FAILURE() << "ran"; };
    for (ctx_t* const ctx : {before.root.ctx.get(), before.value.get(), before.timed.ctx.get(),
                             before.done.ctx.get()}) {
      EXPECT_EQ(ctx_with_cancel(ctx, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_with_deadline(ctx, 1, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_with_timeout(ctx, kHour, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_with_deadline_cause(ctx, 1, nullptr, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_with_timeout_cause(ctx, 1, nullptr, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_without_cancel(ctx, &ret), -ECHILD);
      EXPECT_EQ(ctx_with_value(ctx, &kKey, nullptr, nullptr, &ret), -ECHILD);
      EXPECT_EQ(ctx_with_string(ctx, "name", "value", &ret), -ECHILD);
      EXPECT_EQ(ctx_with_name(ctx, "name", &ret), -ECHILD);
      EXPECT_EQ(ctx_wait(ctx, kLimit), -ECHILD);
      EXPECT_EQ(ctx_wait(ctx, 0), -ECHILD);
      EXPECT_EQ(ctx_poll(ctx, nullptr, 0, kLimit), -ECHILD);
      EXPECT_EQ(ctx_done_fd(ctx), -ECHILD);
      EXPECT_EQ(ctx_done_fd_dup(ctx), -ECHILD);
      EXPECT_EQ(ctx_after_func(ctx, fn, nullptr, nullptr, 0, &watch), -ECHILD);
      EXPECT_EQ(ctx_after_func(ctx, fn, nullptr, nullptr, CTX_DEFER, &watch), -ECHILD);
    }
    EXPECT_EQ(ctx_wait_any(several, 2, kLimit, &index), -ECHILD);
    for (ctx_canceler_t* const old :
         {before.root.canceler.get(), before.timed.canceler.get(), before.done.canceler.get()}) {
      EXPECT_EQ(ctx_cancel(old), -ECHILD);
      EXPECT_EQ(ctx_cancel_with(old, CTX_CANCELED, nullptr), -ECHILD);
      EXPECT_EQ(ctx_cancel_deferred(old, CTX_CANCELED, nullptr), -ECHILD);
    }
    for (ctx_watch_t* const old : {before.watch.get(), before.deferred.get()}) {
      EXPECT_EQ(ctx_watch_stop(old), -ECHILD);
      EXPECT_EQ(ctx_watch_stop_wait(old), -ECHILD);
    }
    EXPECT_EQ(ret, nullptr);
    EXPECT_EQ(canceler, nullptr);
    EXPECT_EQ(watch, nullptr);
    EXPECT_EQ(index, 77u);
    EXPECT_EQ(ctx_err(before.timed), 0);
    EXPECT_FALSE(Readable(before.fd));
  });
  EXPECT_EQ(ctx_err(before.root), 0);
  EXPECT_FALSE(Readable(before.fd));
}

TEST(ForkHandles, Rule47_UnrefOfItRunsNoDrop) {
  MadeBefore before;
  Drop cause_drop;
  ctx_cause_t* cause = nullptr;
  ASSERT_EQ(ctx_cause_new_data(1, "data", &kKey, &cause_drop, Drop::Run, &cause), 0);
  const auto unref_all = [&] {
    before.watch.reset();
    before.deferred.reset();
    before.done.reset();
    before.timed.reset();
    before.value.reset();
    before.root.reset();
    before.cause.reset();
    ctx_cause_unref(cause);
  };
  InChild([&] {
    unref_all();
    EXPECT_EQ(before.drop.count(), 0);
    EXPECT_EQ(cause_drop.count(), 0);
    ExpectEverythingWorks();
  });
  EXPECT_EQ(before.drop.count(), 0);
  EXPECT_EQ(ctx_cancel(before.timed.canceler), 1);  // the parent process still has them all
  EXPECT_TRUE(before.drop.Wait(2));                 // both watches are over
  unref_all();
  EXPECT_TRUE(before.drop.Wait(4));  // and both values
  EXPECT_EQ(cause_drop.count(), 1);
}

TEST(ForkHandles, Rule47_CleanupFunctionsRunNoDrop) {
  Drop value_drop, parent_drop, cause_drop;
  Ctx value = Watched(ctx_background(), &value_drop);
  Scope scope = WithCancel(Watched(ctx_background(), &parent_drop));
  scope.ctx.reset();  // the canceler is the last handle
  ctx_cause_t* made = nullptr;
  ASSERT_EQ(ctx_cause_new_data(1, "data", &kKey, &cause_drop, Drop::Run, &made), 0);
  Cause cause(made);
  InChild([&] {
    ctx_t* ctx = value.release();
    ctx_canceler_t* canceler = scope.canceler.release();
    const ctx_cause_t* why = cause.release();
    ctx_unrefp(&ctx);
    ctx_canceler_unrefp(&canceler);
    ctx_cause_unrefp(&why);
    EXPECT_TRUE(ctx == nullptr && canceler == nullptr && why == nullptr);
    EXPECT_EQ(value_drop.count() + parent_drop.count() + cause_drop.count(), 0);
  });
  value.reset();
  scope.reset();
  cause.reset();
  EXPECT_EQ(value_drop.count() + parent_drop.count() + cause_drop.count(), 3);
}

// As in a program that hands over to a child again and again, and leaves.
TEST(ForkHandles, Rule47_AHandleOfAnyAncestorIsToldFromTheChildsOwn) {
  const Scope scope = WithCancel(ctx_background());
  const Pipe pipe;
  ASSERT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const pid_t first = fork();
  if (first == 0) {
    char taken = 0;
    for (int generation = 1; generation < 4'100 && taken == 0; ++generation) {
      if (scope.Cancel() >= 0 || ctx_wait(scope, 0) >= 0) taken = 1;
      if (fork() != 0) _exit(0);
    }
    _exit(write(pipe.write_end, &taken, 1) == 1 ? 0 : 1);
  }
  ASSERT_TRUE(Readable(pipe.read_end, kLimitMs));
  char taken = 1;
  EXPECT_EQ(read(pipe.read_end, &taken, 1), 1);
  EXPECT_EQ(taken, 0);
  while (wait(nullptr) > 0) {
  }
}

}  // namespace
}  // namespace ctxtest
