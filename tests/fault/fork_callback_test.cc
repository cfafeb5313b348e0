// SPDX-License-Identifier: MIT
//
// Fork inside a callback that returns in the child, too. On a thread of the library's the child ends there,
// with status 0, as a process does whose last thread ends; on one of the program's it goes on.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "support/callback.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// The number of the child, written by the parent; 0 in the child.
class Forks {
 public:
  void operator()() {
    fflush(nullptr);
    const pid_t pid = fork();
    if (pid == 0) return;
    pid_ = pid;
    forked_.Open();
  }

  // Ends a child that hangs: it may block the signals that others end it by.
  void ExpectTheChildEnds() {
    ASSERT_TRUE(forked_.Wait());
    int status = -1;
    pid_t ended = 0;
    const bool in_time = Soon([&] { return (ended = waitpid(pid_, &status, WNOHANG)) != 0; });
    EXPECT_TRUE(in_time) << "the child goes on";
    if (!in_time) {
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      return;
    }
    EXPECT_EQ(ended, pid_);
    EXPECT_TRUE(WIFEXITED(status)) << "the child ended by signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }

 private:
  pid_t pid_ = -1;
  Gate forked_;
};

void ExpectTheLoopGoesOn(ctx_t* root) {
  const Scope scope = WithTimeout(root, kMillisecond);
  Callback deferred, blocking;
  deferred.Arm(scope, CTX_DEFER);
  blocking.Arm(scope, CTX_DEFER | CTX_BLOCKING);
  EXPECT_TRUE(deferred.WaitDrop());
  EXPECT_TRUE(blocking.WaitDrop());
}

// The callbacks behind it in the same cancel run in the parent alone.
void ForkIn(ctx_t* root, uint32_t flags) {
  const pid_t self = getpid();
  Forks forks;
  const Scope scope = WithTimeout(root, 20 * kMillisecond), child = WithCancel(scope);
  const auto expect_parent = [self](ctx_t*) {
    if (getpid() != self) _exit(3);
  };
  Callback forking([&](ctx_t*) { forks(); }), next(expect_parent), below(expect_parent),
      waker(expect_parent);
  forking.Arm(scope, flags);
  next.Arm(scope, flags);
  below.Arm(child, flags == CTX_WAKER ? 0 : flags);
  waker.Arm(child, CTX_WAKER);
  forks.ExpectTheChildEnds();
  EXPECT_TRUE(forking.WaitDrop() && next.WaitDrop() && below.WaitDrop() && waker.WaitDrop());
  ExpectTheLoopGoesOn(root);
}

TEST(ForkCallback, Rule47_OnAThreadOfTheDefaultLoopTheChildEnds) {
  for (const uint32_t flags : {UINT32_C(0), CTX_DEFER, CTX_BLOCKING, CTX_WAKER}) {
    SCOPED_TRACE(flags);
    ForkIn(ctx_background(), flags);
  }
}

TEST(ForkCallback, Rule47_OnAThreadOfAnOwnLoopTheChildEnds) {
  for (const uint32_t flags : {UINT32_C(0), CTX_DEFER, CTX_BLOCKING, CTX_WAKER}) {
    SCOPED_TRACE(flags);
    const Loop loop = NewLoop(CTX_LOOP_THREAD);
    ForkIn(LoopBackground(loop), flags);
  }
}

// Of a value and of a callback's argument.
TEST(ForkCallback, Rule47_InADropOnAThreadOfTheLibraryTheChildEnds) {
  static const ctx_key_t key = {"key"};
  for (const bool value : {true, false}) {
    Forks forks;
    const auto drop = [](void* arg) { (*static_cast<Forks*>(arg))(); };
    const auto nothing = [](ctx_t*, void*) {};
    {
      const Ctx above = WithCancel(ctx_background()).ctx;
      const Scope scope =
          WithTimeout(value ? WithValue(above, &key, &forks, drop) : WithString(above, "a", "b"),
                      20 * kMillisecond);
      AfterFunc(scope, nothing, &forks, CTX_DEFER, value ? nullptr : ctx_drop_fn(drop));
    }
    forks.ExpectTheChildEnds();
    ExpectTheLoopGoesOn(ctx_background());
  }
}

// In the child the call that ran the callback returns, and leaves the rest to the parent.
void ExpectTheChildGoesOn(const std::function<void(Forks&)>& run) {
  const pid_t self = getpid();
  Forks forks;
  run(forks);
  if (getpid() != self) {
    const Scope scope = WithTimeout(ctx_background(), kMillisecond);
    Callback here, deferred;
    here.Arm(scope);
    deferred.Arm(scope, CTX_DEFER);
    const bool works = Done(scope) && deferred.WaitDrop() && here.WaitDrop();
    fflush(nullptr);
    _exit(works && !testing::Test::HasFailure() ? 0 : 1);
  }
  forks.ExpectTheChildEnds();
}

TEST(ForkCallback, Rule47_InAWakerOfACancelTheChildGoesOn) {
  ExpectTheChildGoesOn([](Forks& forks) {
    const pid_t self = getpid();
    const Scope scope = WithCancel(ctx_background()), child = WithTimeout(scope, kHour);
    Callback waker([&](ctx_t*) { forks(); }), others[4];
    waker.Arm(scope, CTX_WAKER);
    others[0].Arm(scope, CTX_WAKER);
    others[1].Arm(scope);
    others[2].Arm(child);
    others[3].Arm(child, CTX_DEFER);
    scope.Cancel();
    EXPECT_EQ(others[0].runs(), getpid() == self ? 1 : 0);
    EXPECT_EQ(others[2].runs(), getpid() == self ? 1 : 0);
  });
}

TEST(ForkCallback, Rule47_InAChainOfCallbacksTheChildGoesOn) {
  ExpectTheChildGoesOn([](Forks& forks) {
    const pid_t self = getpid();
    const Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
    Callback first([&](ctx_t*) { other.Cancel(); }), second([&](ctx_t*) { forks(); }), third, last;
    first.Arm(scope);
    second.Arm(other);
    third.Arm(other);
    last.Arm(scope);
    scope.Cancel();
    EXPECT_EQ(third.runs(), getpid() == self ? 1 : 0);
    EXPECT_EQ(last.runs(), getpid() == self ? 1 : 0);
  });
}

TEST(ForkCallback, Rule47_InADropTheChildGoesOn) {
  static const ctx_key_t key = {"key"};
  ExpectTheChildGoesOn([](Forks& forks) {
    const auto drop = [](void* arg) { (*static_cast<Forks*>(arg))(); };
    Ctx top = WithCancel(ctx_background()).ctx;
    Ctx value = WithValue(top, &key, &forks, drop);
    Ctx last = WithCancel(value).ctx;
    top.reset();
    value.reset();
    last.reset();  // frees all three
  });
}

// The last of a cause goes with its context, and the value above that after it: in the parent alone.
TEST(ForkCallback, Rule47_InADropOfACausesTheChildGoesOn) {
  for (const bool of_deadline : {false, true}) {
    ExpectTheChildGoesOn([of_deadline](Forks& forks) {
      const pid_t self = getpid();
      const auto drop = [](void* arg) { (*static_cast<Forks*>(arg))(); };
      ctx_cause_t* made = nullptr;
      ASSERT_EQ(ctx_cause_new_data(7, nullptr, &kKey, &forks, drop, &made), 0);
      Cause cause(made);
      Drop value;
      Ctx above = Watched(ctx_background(), &value);
      Scope scope = of_deadline ? WithTimeout(above, kHour, cause) : WithCancel(above);
      EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, of_deadline ? nullptr : made), 1);
      above.reset();
      cause.reset();
      scope.reset();
      EXPECT_EQ(value.count(), getpid() == self ? 1 : 0);
    });
  }
}

TEST(ForkCallback, Rule47_InADropOfAQueuesTheChildGoesOn) {
  static const ctx_key_t key = {"key"};
  for (const bool drains : {false, true}) {
    ExpectTheChildGoesOn([drains](Forks& forks) {
      const pid_t self = getpid();
      const auto drop = [](void* arg) { (*static_cast<Forks*>(arg))(); };
      Drop other;
      Queue queue = NewQueue();
      for (const bool first : {true, false}) {
        const Scope scope = WithCancel(first ? WithValue(ctx_background(), &key, &forks, drop)
                                             : Watched(ctx_background(), &other));
        ASSERT_EQ(ctx_queue_add(queue, scope, 1, nullptr), 0);
        if (drains) scope.Cancel();
      }
      EXPECT_EQ(Drain(queue).size(), drains ? 2u : 0u);
      queue.reset();
      EXPECT_EQ(other.count(), getpid() == self ? 1 : 0);
    });
  }
}

TEST(ForkCallback, Rule47_InAStopsDropTheChildGoesOn) {
  ExpectTheChildGoesOn([](Forks& forks) {
    const auto drop = [](void* arg) { (*static_cast<Forks*>(arg))(); };
    const Scope scope = WithCancel(ctx_background());
    const Watch watch = AfterFunc(
        scope, [](ctx_t*, void*) {}, &forks, 0, drop);
    EXPECT_EQ(ctx_watch_stop(watch), 1);
  });
}

TEST(ForkCallback, Rule47_InAnExecutorTheChildGoesOn) {
  ExpectTheChildGoesOn([](Forks& forks) {
    struct Box {
      Gate full;
      void (*run)(void*);
      void* work;
    } box;
    const auto post = [](void* self, void (*run)(void*), void* work) {
      auto* const full = static_cast<Box*>(self);
      full->run = run;
      full->work = work;
      full->full.Open();
      return 0;
    };
    const Loop loop = NewLoopWith(post, &box);
    const Scope scope = WithCancel(LoopBackground(loop));
    Callback callback([&](ctx_t*) { forks(); });
    callback.Arm(scope, CTX_DEFER);
    scope.Cancel();
    ASSERT_TRUE(box.full.Wait());
    box.run(box.work);
  });
}

// The parent's work is not the child's, whoever runs it there.
TEST(ForkCallback, Rule47_TheChildRunsNothingOfWhatTheExecutorHas) {
  static void (*run)(void*) = nullptr;
  static void* work = nullptr;
  static Gate full;
  const auto post = [](void*, void (*given)(void*), void* given_work) {
    run = given;
    work = given_work;
    full.Open();
    return 0;
  };
  const pid_t self = getpid();
  const Loop loop = NewLoopWith(post, nullptr);
  const Scope scope = WithCancel(LoopBackground(loop));
  Callback callback([&](ctx_t*) { EXPECT_EQ(getpid(), self); });
  callback.Arm(scope, CTX_DEFER);
  scope.Cancel();
  ASSERT_TRUE(full.Wait());
  InChild([] { run(work); });
  EXPECT_EQ(callback.runs(), 0);
  run(work);
  EXPECT_EQ(callback.runs(), 1);
}

TEST(ForkCallback, Rule47_AChildThatAnExecutorForksRefusesNothing) {
  static const pid_t self = getpid();
  Forks forks;
  const auto post = [](void* forking, void (*)(void*), void*) {
    (*static_cast<Forks*>(forking))();
    return -EAGAIN;
  };
  const Loop loop = NewLoopWith(post, &forks);
  const Scope scope = WithCancel(LoopBackground(loop));
  Callback callback([](ctx_t*) {
    if (getpid() != self) _exit(3);
  });
  callback.Arm(scope, CTX_DEFER);
  scope.Cancel();
  forks.ExpectTheChildEnds();
  EXPECT_TRUE(callback.WaitDrop());
}

// A child of a thread of the library's runs no exit handlers: they are the parent's.
TEST(ForkCallback, Rule47_InTheDropOfAnExecutorTheChildEnds) {
  static const pid_t self = getpid();
  atexit([] {
    if (getpid() != self) _exit(3);
  });
  Forks forks;
  {
    const auto post = [](void*, void (*)(void*), void*) { return -EAGAIN; };
    const auto drop = [](void* forking) { (*static_cast<Forks*>(forking))(); };
    const Loop loop = NewLoopWith(post, &forks, drop);
    const Scope scope = WithTimeout(LoopBackground(loop), kHour);
  }
  forks.ExpectTheChildEnds();
}

// Calls that drive a loop end in the child with -ECHILD, whichever callback forked; the rest is the parent's.
void ExpectTheChildRunsNoMore(int kind, uint32_t flags) {
  ExpectTheChildGoesOn([&](Forks& forks) {
    const pid_t self = getpid();
    const Loop loop = NewLoop(kind);
    const Ctx root = LoopBackground(loop);
    const Scope scope = WithTimeout(root, kMillisecond), child = WithCancel(scope);
    Callback forking([&](ctx_t*) { forks(); }), next, below;
    forking.Arm(scope, flags);
    next.Arm(scope, flags);
    below.Arm(child, CTX_DEFER);
    if (kind == CTX_LOOP_MANUAL) SleepUntil(Deadline(scope) + kPast);
    const int result =
        kind == CTX_LOOP_MANUAL ? ctx_loop_dispatch(loop) : ctx_loop_advance(loop, kSecond);
    EXPECT_EQ(result, getpid() == self ? 1 : -ECHILD);
    EXPECT_EQ(next.runs(), getpid() == self ? 1 : 0);
    EXPECT_EQ(below.runs(), getpid() == self ? 1 : 0);
  });
}

TEST(ForkCallback, Rule47_InADispatchTheChildGoesOn) {
  for (const uint32_t flags : {UINT32_C(0), CTX_DEFER, CTX_WAKER}) {
    SCOPED_TRACE(flags);
    ExpectTheChildRunsNoMore(CTX_LOOP_MANUAL, flags);
  }
}

TEST(ForkCallback, Rule47_InAnAdvanceTheChildGoesOn) {
  for (const uint32_t flags : {UINT32_C(0), CTX_DEFER, CTX_WAKER}) {
    SCOPED_TRACE(flags);
    ExpectTheChildRunsNoMore(CTX_LOOP_VIRTUAL, flags);
  }
}

// The last handle cancels what is left on the loop, and runs what waits there.
TEST(ForkCallback, Rule47_AsALoopsLastHandleGoesTheChildGoesOn) {
  for (const uint32_t flags : {UINT32_C(0), CTX_DEFER, CTX_WAKER}) {
    SCOPED_TRACE(flags);
    ExpectTheChildGoesOn([&](Forks& forks) {
      const pid_t self = getpid();
      Loop loop = NewLoop(CTX_LOOP_MANUAL);
      const Scope scope = WithCancel(LoopBackground(loop)), child = WithCancel(scope);
      Callback forking([&](ctx_t*) { forks(); }), next, below;
      forking.Arm(scope, flags);
      next.Arm(scope, flags);
      below.Arm(child, CTX_DEFER);
      loop.reset();
      EXPECT_EQ(next.runs(), getpid() == self ? 1 : 0);
      EXPECT_EQ(below.runs(), getpid() == self ? 1 : 0);
    });
  }
}

void InAShutdownTheChildGoesOn(uint32_t flags) {
  ExpectTheChildGoesOn([&](Forks& forks) {
    const pid_t self = getpid();
    const Scope scope = WithCancel(ctx_background()), child = WithCancel(scope);
    Callback forking([&](ctx_t*) { forks(); }), next, below;
    forking.Arm(scope, flags);
    next.Arm(scope, flags);
    below.Arm(child);
    const int result = ctx_shutdown(CTX_FOREVER);
    EXPECT_EQ(result, getpid() == self ? 0 : -ECHILD);
    EXPECT_EQ(next.runs(), getpid() == self ? 1 : 0);
    EXPECT_EQ(below.runs(), getpid() == self ? 1 : 0);
  });
}
TEST(ForkCallback, Rule47_InAShutdownTheChildGoesOn) {
  CTX_IN_NEW_PROCESS(InAShutdownTheChildGoesOn(0));
  CTX_IN_NEW_PROCESS(InAShutdownTheChildGoesOn(CTX_WAKER));
}

}  // namespace
}  // namespace ctxtest
