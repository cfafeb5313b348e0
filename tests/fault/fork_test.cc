// SPDX-License-Identifier: MIT
//
// Fork: in the child, what was made before can be read and nothing else; whatever is new works at
// once, from ctx_background() on; and the parent process notices nothing.
#include <ctx/ctx.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "fault/forked.h"
#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// All of the library at work, in this process and from scratch.
void ExpectEverythingWorks() {
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
struct Before {
  Before() {
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
  ~Before() {  // nothing may run later that uses drop
    ctx_watch_stop_wait(watch);
    ctx_watch_stop_wait(deferred);
  }

  Drop drop;
  Cause cause;
  Scope root, timed, done;
  Ctx value;
  Watch watch, deferred;
  int fd;
};

TEST(Fork, Rule47_WhatWasMadeBeforeCanBeRead) {
  const Before before;
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
    EXPECT_STREQ(ctx_cause_file(before.cause), __FILE__);
    EXPECT_GT(ctx_cause_line(before.cause), 0);
    EXPECT_STREQ(ctx_cause_function(before.cause), "Before");
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

TEST(Fork, Rule47_AllElseOfItAnswersEchild) {
  const Before before;
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

TEST(Fork, Rule47_UnrefOfItRunsNoDrop) {
  Before before;
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

TEST(Fork, Rule47_CleanupFunctionsRunNoDrop) {
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

TEST(Fork, Rule47_NewContextsWorkWhenTheParentHadNoLoop) {
  CTX_IN_NEW_PROCESS({
    const Scope old = WithCancel(ctx_background());
    EXPECT_TRUE(Tasks("ctx-").empty());
    InChild(ExpectEverythingWorks);
    EXPECT_TRUE(Tasks("ctx-").empty());
    ExpectEverythingWorks();
  });
}

TEST(Fork, Rule47_NewContextsWorkWhileTheParentsLoopRuns) {
  const Before before;
  ExpectEverythingWorks();
  InChild([] {
    EXPECT_TRUE(Tasks("ctx-").empty());
    ExpectEverythingWorks();
    EXPECT_EQ(Tasks("ctx-").size(), 2u);
  });
  ExpectEverythingWorks();
}

// The checked build notes who waits for whom. (In the child, new threads take the memory of the stacks of the
// parent's threads, so that a note that still points there leads astray.)
TEST(Fork, Rule47_NewContextsWorkWhileAThreadOfTheParentsWaitsForACallback) {
  struct Waiting {
    Gate begun, over;
    Scope scope = WithCancel(ctx_background());
    Watch watch = AfterFunc(
        scope,
        [](ctx_t*, void* arg) {
          auto* self = static_cast<Waiting*>(arg);
          self->begun.Open();
          EXPECT_TRUE(self->over.Wait());
        },
        this);
    std::thread cancels{[this] { EXPECT_EQ(scope.Cancel(), 1); }};
    std::thread stops{[this] {
      EXPECT_TRUE(begun.Wait());
      EXPECT_EQ(ctx_watch_stop_wait(watch), 0);
    }};
    // Returns when the second thread waits, as a rule.
    void Settle() const {
      EXPECT_TRUE(begun.Wait());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ~Waiting() {
      over.Open();
      cancels.join();
      stops.join();
    }
  };
  const Waiting parents;
  parents.Settle();
  InChild([] {
    std::vector<std::thread> others;
    Gate over;
    for (int i = 0; i < 4; ++i) {
      others.emplace_back([&] {
        volatile char stack[6'000'000];
        for (volatile char& byte : stack) byte = 0x5a;
        EXPECT_TRUE(over.Wait());
      });
    }
    for (int i = 0; i < 3; ++i) {
      const Waiting childs;
      childs.Settle();
    }
    over.Open();
    for (std::thread& other : others) other.join();
  });
}

// The lane's threads are the parent's, and so is what was known of them.
TEST(Fork, Rule47_BlockingCallbacksRunThoughALaneThreadOfTheParentsIsIdle) {
  const auto run_one = [] {
    Callback blocking;
    const Scope scope = WithCancel(ctx_background());
    blocking.Arm(scope, CTX_DEFER | CTX_BLOCKING);
    EXPECT_EQ(scope.Cancel(), 1);
    EXPECT_TRUE(blocking.WaitRun());
  };
  run_one();
  Join(Fork(run_one));
  run_one();
}

TEST(Fork, Rule47_NewContextsWorkInAGrandchild) {
  const Before before;
  InChild([&] {
    ExpectEverythingWorks();
    const Before between;
    InChild([&] {
      EXPECT_EQ(ctx_cancel(before.timed.canceler), -ECHILD);
      EXPECT_EQ(ctx_cancel(between.timed.canceler), -ECHILD);
      EXPECT_EQ(ctx_err(between.done), CTX_DEADLINE_EXCEEDED);
      ExpectEverythingWorks();
    });
    EXPECT_EQ(ctx_cancel(between.timed.canceler), 1);
    ExpectEverythingWorks();
  });
  ExpectEverythingWorks();
}

// The child works, and leaves in the ways that children leave; nothing of it reaches the parent.
// As in a program that hands over to a child again and again, and leaves.
TEST(Fork, Rule47_AHandleOfAnyAncestorIsToldFromTheChildsOwn) {
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

TEST(Fork, Rule47_TheChildsEndFiresNothingInTheParent) {
  void (*const ways[])(int) = {_exit, exit};
  for (const auto leave : ways) {
    Before before;
    InChild(
        [&] {
          ExpectEverythingWorks();
          before.watch.reset();
          before.timed.reset();
          before.root.reset();
        },
        leave);
    EXPECT_FALSE(Readable(before.fd));
    EXPECT_EQ(ctx_err(before.timed), 0);
    EXPECT_EQ(before.drop.count(), 0);
    EXPECT_EQ(before.root.Cancel(), 1);
    EXPECT_TRUE(Readable(before.fd));
  }
}

// A deadline of the parent's passes while the child, with timers of its own on descriptors that may
// still be the parent's, is at work: it ends the parent's context, in time, and not the child's copy.
TEST(Fork, Rule47_DeadlinesOfTheParentFireInTheParentAlone) {
  constexpr int kTooLate = 77;  // of a child that was forked after that
  for (int64_t timeout = 100 * kMillisecond;; timeout *= 2) {
    const Scope scope = WithTimeout(ctx_background(), timeout);
    Callback callback;
    EXPECT_GE(callback.Arm(scope), 0);
    const pid_t pid = Fork([&] {
      if (ctx_remaining(scope) <= 0) _exit(kTooLate);
      const Scope later =
          WithTimeout(ctx_background(), kHour);  // where the alarm could be moved to
      ExpectEverythingWorks();
      EXPECT_TRUE(Done(WithDeadline(ctx_background(), ctx_now(scope) + ctx_remaining(scope) + 1)));
      ExpectEverythingWorks();
      EXPECT_LT(ctx_remaining(scope), 0);
      EXPECT_EQ(ctx_err(scope), 0);
      EXPECT_EQ(callback.runs(), 0);
    });
    EXPECT_TRUE(Done(scope));
    EXPECT_LE(ctx_remaining(scope), 0);  // not early
    EXPECT_TRUE(callback.WaitRun());
    if (Join(pid, kTooLate) != kTooLate) break;
  }
}

// The child begins life inside a callback, and so inside a cancel that will never end there.
TEST(Fork, Rule47_InsideACallback) {
  const Scope scope = WithCancel(ctx_background());
  const Scope child = WithCancel(scope);
  pid_t pid = -1;
  Callback callback([&](ctx_t*) {
    pid = Fork([&] {
      EXPECT_EQ(ctx_err(child), CTX_CANCELED);
      EXPECT_EQ(ctx_wait(child, kLimit), -ECHILD);
      ExpectEverythingWorks();
    });
  });
  EXPECT_EQ(callback.Arm(scope), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  Join(pid);
  ExpectEverythingWorks();
}

TEST(Fork, Rule47_InsideADeferredCallback) {
  const Scope scope = WithCancel(ctx_background());
  pid_t pid = -1;
  Callback callback([&](ctx_t*) { pid = Fork(ExpectEverythingWorks); });
  EXPECT_EQ(callback.Arm(scope, CTX_DEFER), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_TRUE(callback.WaitRun());
  Join(pid);
  ExpectEverythingWorks();
}

// The child goes on where the parent was: it returns from the callback, into the cancel.
TEST(Fork, Rule47_InsideACallbackThatReturnsInTheChildToo) {
  const pid_t self = getpid();
  const Scope scope = WithCancel(ctx_background());
  const Scope child = WithTimeout(scope, kHour);
  pid_t pid = -1;
  Callback forks([&](ctx_t*) {
    fflush(nullptr);
    pid = fork();
    if (pid == 0) alarm(kLimit / kSecond);
  });
  Callback below;
  EXPECT_EQ(forks.Arm(scope), 0);
  EXPECT_EQ(below.Arm(child), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  if (getpid() != self) {
    ExpectEverythingWorks();
    fflush(nullptr);
    _exit(HasFailure() ? 1 : 0);
  }
  EXPECT_EQ(below.runs(), 1);
  Join(pid);
}

}  // namespace
}  // namespace ctxtest
