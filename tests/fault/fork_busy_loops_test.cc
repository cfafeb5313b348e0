// SPDX-License-Identifier: MIT
//
// Fork while other threads use queues, sources and loops of their own: the child waits for nothing that
// they hold.
#include <vector>

#include "fault/busy.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

// The steps are those of a thread that has no time for GoogleTest's macros.
void PostAndDrain(ctx_t* shared) {
  Queue queue;
  Ctx ctx;
  Canceler canceler;
  Watch watch;
  ctx_queue_new(queue.out());
  ctx_queue_fd(queue);
  ctx_with_cancel(shared, ctx.out(), canceler.out());
  for (uint64_t i = 0; i < 4; ++i) ctx_queue_add(queue, ctx, i, i == 3 ? watch.out() : nullptr);
  ctx_cancel(canceler);
  ctx_watch_stop(watch);
  ctx_event_t events[2];
  ctx_queue_drain(queue, events, 2);
}

void WatchADescriptor(ctx_t* shared) {
  Ctx ctx;
  Canceler canceler;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  ctx_with_fd(shared, ends[0], POLLIN, ctx.out(), canceler.out());
  if (write(ends[1], "x", 1) == 1) ctx_wait(ctx, kLimit);
  ctx.reset();
  canceler.reset();
  close(ends[0]);
  close(ends[1]);
}

void WaitForASignal(ctx_t* shared) {
  Ctx ctx;
  Canceler canceler;
  const int signal = SIGUSR2;
  ctx_with_signal(shared, &signal, 1, ctx.out(), canceler.out());
  const int fd = ctx_cancel_fd(canceler);
  const uint64_t one = 1;
  if (write(fd, &one, sizeof one) == static_cast<ssize_t>(sizeof one)) ctx_wait(ctx, kLimit);
  close(fd);
}

void MakeALoop(ctx_t*) {
  for (const int kind : {CTX_LOOP_THREAD, CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL}) {
    Loop loop;
    Ctx root, ctx, grace;
    ctx_loop_new(kind, nullptr, loop.out());
    ctx_loop_background(loop, root.out());
    ctx_with_timeout(root, 50 * kMicrosecond, ctx.out(), nullptr);
    ctx_with_grace(ctx, 50 * kMicrosecond, grace.out(), nullptr);
    ctx_loop_dispatch(loop);
    ctx_loop_advance(loop, kMillisecond);
    if (kind == CTX_LOOP_THREAD) ctx_wait(grace, kLimit);
    ctx_loop_close(loop);
  }
}

void WorkWithLoopsInChild(ctx_t* shared) {
  EXPECT_EQ(ctx_err(shared), 0);
  EXPECT_EQ(ctx_wait(shared, kLimit), -ECHILD);
  for (const On on : {On::kDefault, On::kThread, On::kManual, On::kVirtual}) {
    const Host host(on);
    const Queue queue = NewQueue();
    const Pipe pipe;
    const Scope from_fd = WithFd(host.root(), pipe.read_end, POLLIN);
    const Scope from_signal = WithSignal(host.root(), {SIGUSR1});
    EXPECT_EQ(ctx_queue_add(queue, from_fd, 1, nullptr), 0);
    pipe.Write();
    EXPECT_TRUE(host.Done(from_fd));
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    EXPECT_TRUE(host.Done(from_signal));
    EXPECT_TRUE(Readable(ctx_queue_fd(queue)));
    EXPECT_EQ(Tokens(queue).size(), 1u);
  }
}

void ForkWithLoopsWhile(const std::vector<Busy::Step>& steps) {
  ctxtest::ForkWhile(steps, 20, WorkWithLoopsInChild);
}

class ForkWhileBusyWithLoops : public ::testing::Test {
 protected:
  const BlockSignals blocked{SIGUSR1, SIGUSR2};
};

TEST_F(ForkWhileBusyWithLoops, Rule47_Posting) { ForkWithLoopsWhile({PostAndDrain, PostAndDrain}); }

TEST_F(ForkWhileBusyWithLoops, Rule47_Watching) {
  ForkWithLoopsWhile({WatchADescriptor, WatchADescriptor});
}

TEST_F(ForkWhileBusyWithLoops, Rule47_WaitingForSignals) {
  ForkWithLoopsWhile({WaitForASignal, WaitForASignal});
}

TEST_F(ForkWhileBusyWithLoops, Rule47_MakingLoops) { ForkWithLoopsWhile({MakeALoop, MakeALoop}); }

TEST_F(ForkWhileBusyWithLoops, Rule47_AllOfIt) {
  ForkWithLoopsWhile({PostAndDrain, WatchADescriptor, WaitForASignal, MakeALoop});
}

}  // namespace
}  // namespace ctxtest
