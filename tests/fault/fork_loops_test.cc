// SPDX-License-Identifier: MIT
//
// Fork with loops, sources and queues alive: in the child, what was made before answers -ECHILD and is
// never touched by what the child does; new loops, sources and queues work there at once; and the parent
// process, which shares descriptors with it, notices nothing.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "support/callback.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

constexpr On kKinds[] = {On::kDefault, On::kThread, On::kManual, On::kVirtual};

void WriteOne(int fd) {
  const uint64_t one = 1;
  EXPECT_EQ(write(fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));
}

// Sources of every kind on a new loop of each kind, and a queue, in this process and from scratch.
void ExpectLoopsWork() {
  for (const On on : kKinds) {
    const Host host(on);
    const Pipe pipe;
    const Queue queue = NewQueue();
    const int queue_fd = ctx_queue_fd(queue);
    EXPECT_GE(queue_fd, 0);
    const Scope from_fd = WithFd(host.root(), pipe.read_end, POLLIN);
    const Scope from_signal = WithSignal(host.root(), {SIGUSR1});
    const Scope from_write = WithCancel(host.root());
    const Fd fd(ctx_cancel_fd(from_write.canceler));
    const Scope merged = Merge({from_fd, from_signal});
    const Scope grace = WithGrace(from_fd, kHour);
    uint64_t token = 0;
    for (ctx_t* ctx : {from_fd.ctx.get(), from_signal.ctx.get(), from_write.ctx.get()}) {
      EXPECT_EQ(ctx_queue_add(queue, ctx, token++, nullptr), 0);
    }
    pipe.Write();
    EXPECT_TRUE(host.Done(from_fd));
    EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
    EXPECT_EQ(ctx_err(grace), 0);
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    EXPECT_TRUE(host.Done(from_signal));
    WriteOne(fd);
    EXPECT_TRUE(host.Done(from_write));
    EXPECT_TRUE(Readable(queue_fd));
    EXPECT_EQ(Tokens(queue), (std::vector<uint64_t>{0, 1, 2}));
    EXPECT_FALSE(Readable(queue_fd));
    if (on == On::kVirtual) {
      EXPECT_EQ(ctx_loop_advance(host.loop(), kHour), 1);
      EXPECT_EQ(ctx_err(grace), CTX_CANCELED);
    } else {
      EXPECT_TRUE(host.Done(WithTimeout(host.root(), kMillisecond)));
      EXPECT_EQ(grace.Cancel(), 1);
    }
  }
}

// What a process has made before it forks, on a loop of one kind.
struct BeforeWithLoops {
  explicit BeforeWithLoops(On on) : host(on) {
    queue = NewQueue();
    queue_fd = ctx_queue_fd(queue);
    const Ctx watched = Watched(host.root(), &drop);
    from_fd = WithFd(watched, pipe.read_end, POLLIN);
    from_signal = WithSignal(watched, {SIGUSR2});
    from_write = WithTimeout(watched, kHour);
    cancel_fd = Fd(ctx_cancel_fd(from_write.canceler));
    posted = WithCancel(watched);
    merged = Merge({posted, from_write});
    grace = WithGrace(from_write, kHour);
    armed_watch = Add(queue, from_fd, 1);
    posted_watch = Add(queue, posted, 2);
    posted.Cancel();
    host.Settle();
  }

  const BlockSignals blocked{SIGUSR1, SIGUSR2};
  Drop drop;
  Host host;
  Pipe pipe;
  Queue queue;
  int queue_fd;
  Scope from_fd, from_signal, from_write, posted, merged, grace;
  Fd cancel_fd;
  Watch armed_watch, posted_watch;

  // All of it still works in this process.
  void ExpectUntouched() {
    EXPECT_TRUE(Readable(queue_fd));
    EXPECT_EQ(Tokens(queue), std::vector<uint64_t>{2});
    EXPECT_FALSE(Readable(queue_fd));
    EXPECT_EQ(ctx_err(from_fd), 0);
    EXPECT_EQ(ctx_err(from_signal), 0);
    EXPECT_EQ(ctx_err(from_write), 0);
    pipe.Write();
    EXPECT_TRUE(host.Done(from_fd));
    EXPECT_TRUE(Readable(queue_fd, kLimitMs));
    EXPECT_EQ(Tokens(queue), std::vector<uint64_t>{1});
    EXPECT_EQ(kill(getpid(), SIGUSR2), 0);
    EXPECT_TRUE(host.Done(from_signal));
    WriteOne(cancel_fd);
    EXPECT_TRUE(host.Done(from_write));
    EXPECT_EQ(ctx_err(grace), 0);
    EXPECT_EQ(drop.count(), 0);
    host.ExpectIdle();
  }

  // What a careless child does with what is not its own.
  void GiveBack() {
    armed_watch.reset();
    posted_watch.reset();
    for (Scope* scope : {&from_fd, &from_signal, &from_write, &posted, &merged, &grace}) {
      scope->reset();
    }
    queue.reset();
    host = Host(On::kVirtual);  // and so both its handles
  }
};

class ForkLoops : public ::testing::TestWithParam<On> {};

TEST_P(ForkLoops, Rule47_AllOfItAnswersEchild) {
  BeforeWithLoops before(GetParam());
  ctx_loop_t* const loop = before.host.loop();
  ctx_t* const root = before.host.root();
  InChild([&] {
    ctx_t* ret = nullptr;
    ctx_canceler_t* canceler = nullptr;
    ctx_watch_t* watch = nullptr;
    ctx_event_t event = {99, 99, 99};
    const int signal = SIGUSR1;
    const Pipe pipe;
    const Scope fresh = WithCancel(ctx_background());
    if (loop != nullptr) {
      EXPECT_EQ(ctx_loop_close(loop), -ECHILD);
      EXPECT_EQ(ctx_loop_set_default(loop), -ECHILD);
      EXPECT_EQ(ctx_loop_background(loop, &ret), -ECHILD);
      EXPECT_EQ(ctx_loop_fd(loop), -ECHILD);
      EXPECT_EQ(ctx_loop_dispatch(loop), -ECHILD);
      EXPECT_EQ(ctx_loop_advance(loop, 0), -ECHILD);
      EXPECT_NE(ctx_loop_now(loop), INT64_MIN);  // which can be read
      EXPECT_EQ(ctx_with_cancel(root, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_with_fd(root, pipe.read_end, POLLIN, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_with_signal(root, &signal, 1, &ret, &canceler), -ECHILD);
    }
    for (const Scope* old : {&before.from_fd, &before.from_signal, &before.from_write,
                             &before.posted, &before.merged, &before.grace}) {
      ctx_t* const mixed[] = {fresh, *old};
      EXPECT_EQ(ctx_merge(mixed, 2, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_merge(mixed + 1, 1, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_with_grace(*old, kHour, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_with_idle(*old, kHour, nullptr, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_touch(*old), -ECHILD);
      EXPECT_EQ(ctx_with_fd(*old, pipe.read_end, POLLIN, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_with_signal(*old, &signal, 1, &ret, &canceler), -ECHILD);
      EXPECT_EQ(ctx_cancel_fd(old->canceler), -ECHILD);
      EXPECT_EQ(ctx_queue_add(NewQueue(), *old, 1, &watch), -ECHILD);
      EXPECT_EQ(old->Cancel(), -ECHILD);
    }
    EXPECT_EQ(ctx_queue_fd(before.queue), -ECHILD);
    EXPECT_EQ(ctx_queue_add(before.queue, fresh, 1, &watch), -ECHILD);
    EXPECT_EQ(ctx_queue_drain(before.queue, &event, 1), -ECHILD);
    ctx_t* taken = nullptr;
    EXPECT_EQ(ctx_queue_drain_ctxs(before.queue, &event, &taken, 1), -ECHILD);
    EXPECT_EQ(ctx_queue_wait(before.queue, &event, 1, kLimit), -ECHILD);
    EXPECT_EQ(ctx_watch_stop(before.armed_watch), -ECHILD);
    EXPECT_EQ(ctx_watch_stop(before.posted_watch), -ECHILD);
    EXPECT_EQ(ret, nullptr);
    EXPECT_EQ(canceler, nullptr);
    EXPECT_EQ(watch, nullptr);
    EXPECT_EQ(event.token, 99u);
  });
  before.ExpectUntouched();
}

// It shares the parent's epoll sets, eventfds and timerfds, and must not change any of them.
TEST_P(ForkLoops, Rule47_TheChildGivesItAllBackAndWorks) {
  void (*const ways[])(int) = {_exit, exit};
  for (const auto leave : ways) {
    BeforeWithLoops before(GetParam());
    InChild(
        [&] {
          before.GiveBack();
          EXPECT_EQ(before.drop.count(), 0);
          ExpectLoopsWork();
        },
        leave);
    before.ExpectUntouched();
  }
}

TEST_P(ForkLoops, Rule47_TheChildWorksInAGrandchildToo) {
  BeforeWithLoops before(GetParam());
  InChild([] {
    ExpectLoopsWork();
    InChild(ExpectLoopsWork);
    ExpectLoopsWork();
  });
  before.ExpectUntouched();
}

// A source of the parent's is ready, and its signal is pending, when the child comes.
TEST_P(ForkLoops, Rule47_SourcesOfTheParentFireInTheParentAlone) {
  BeforeWithLoops before(GetParam());
  Callback callback;
  callback.Arm(before.from_fd);
  const pid_t pid = Fork([&] {
    before.pipe.Write();
    EXPECT_EQ(kill(getpid(), SIGUSR2), 0);
    ExpectLoopsWork();
    EXPECT_EQ(ctx_err(before.from_fd), 0);
    EXPECT_EQ(ctx_err(before.from_signal), 0);
    EXPECT_EQ(callback.runs(), 0);
    EXPECT_EQ(before.blocked.Take(), SIGUSR2) << "the child's own signals are the child's";
  });
  EXPECT_TRUE(before.host.Done(before.from_fd));
  Join(pid);
  EXPECT_EQ(ctx_err(before.from_signal), 0);
  before.host.Settle();
  EXPECT_TRUE(callback.WaitRun());
}

INSTANTIATE_TEST_SUITE_P(, ForkLoops, ::testing::ValuesIn(kKinds),
                         [](const auto& on) { return NameOf(on.param); });

// The child begins life inside a callback of a dispatch or an advance, or inside a drain.
// A child that runs none of our code, such as one of vfork's, keeps copies of the descriptors.
TEST(ForkSignals, Rule35_ASignalIsLeftAloneThoughAChildKeepsTheDescriptor) {
  const BlockSignals blocked{SIGUSR1};
  const ManualLoop manual;
  const Scope scope = WithSignal(manual.root, {SIGUSR1});
  ASSERT_GE(manual.Fd(), 0);
  const pid_t child = _Fork();
  if (child == 0) {
    for (;;) pause();
  }
  ASSERT_GT(child, 0);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_TRUE(manual.Settles());
  Send(SIGUSR1);
  EXPECT_FALSE(Readable(manual.Fd()));
  EXPECT_EQ(blocked.Take(), SIGUSR1);
  kill(child, SIGKILL);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

TEST(ForkSignals, Rule47_TheChildWaitsForTheSignalThatItsParentWaitsFor) {
  const BlockSignals blocked{SIGUSR1};
  const ManualLoop manual;
  const Scope scope = WithSignal(manual.root, {SIGUSR1});
  Join(Fork([] {
    const ManualLoop own;
    const Scope child = WithSignal(own.root, {SIGUSR1});
    Send(SIGUSR1);
    EXPECT_NE(own.DriveUntilDone(child), -1);
  }));
  EXPECT_EQ(ctx_err(scope), 0);
}

TEST(ForkInside, Rule47_ADispatchOrAnAdvance) {
  for (const On on : {On::kManual, On::kVirtual}) {
    const BlockSignals blocked{SIGUSR1};
    const Host host(on);
    const Pipe pipe;
    const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
    pid_t pid = -1;
    Callback callback([&](ctx_t*) { pid = Fork(ExpectLoopsWork); });
    callback.Arm(scope);
    pipe.Write();
    EXPECT_TRUE(host.Done(scope));
    Join(pid);
    EXPECT_EQ(callback.runs(), 1);
    host.Settle();
  }
}

TEST(ForkInside, Rule47_ADrain) {
  const BlockSignals blocked{SIGUSR1};
  static pid_t pid;
  static const ctx_key_t key = {"key"};
  pid = -1;
  const Queue queue = NewQueue();
  {
    const auto forks = [](void*) { pid = Fork(ExpectLoopsWork); };
    const Scope scope = WithCancel(WithValue(ctx_background(), &key, &pid, forks));
    ASSERT_EQ(ctx_queue_add(queue, scope, 1, nullptr), 0);
    scope.Cancel();
  }
  EXPECT_EQ(Tokens(queue).size(), 1u);
  Join(pid);
}

// The default loop of the child is its own, also where the parent has set one.
TEST(ForkDefault, Rule47_ALoopThatWasSetIsTheParentsAlone) {
  CTX_IN_NEW_PROCESS({
    const BlockSignals blocked{SIGUSR1};
    const Loop loop = NewLoop(CTX_LOOP_MANUAL);
    ASSERT_EQ(ctx_loop_set_default(loop), 0);
    const Scope old = WithTimeout(ctx_background(), kHour);
    InChild([&] {
      const Scope fresh = WithTimeout(ctx_background(), kMillisecond);
      EXPECT_TRUE(Done(fresh));
      EXPECT_EQ(ctx_err(fresh), CTX_DEADLINE_EXCEEDED);
      Callback deferred;
      deferred.Arm(fresh, CTX_DEFER);
      EXPECT_TRUE(deferred.WaitRun());
      EXPECT_EQ(deferred.thread_name(), "ctx-calls");
      ExpectLoopsWork();
      EXPECT_EQ(old.Cancel(), -ECHILD);
    });
    EXPECT_EQ(old.Cancel(), 1);
    EXPECT_TRUE(Tasks("ctx-").empty());
  });
}

}  // namespace
}  // namespace ctxtest
