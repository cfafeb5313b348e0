// SPDX-License-Identifier: MIT
//
// Rule 52: a thread that pthread_cancel() wants to end goes through every function of the library, also through
// those that wait, and ends behind it. So no family is left half woken, and no lock taken.
#include <poll.h>
#include <pthread.h>

#include <functional>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/held.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"
#include "support/time.h"
#include "support/victim.h"

namespace ctxtest {
namespace {

// The thread is to end before it calls.
void GoesThrough(const char* call, const std::function<void()>& body) {
  Victim victim(call, [&] {
    pthread_cancel(pthread_self());
    body();
  });
  victim.Join();
}
#define GOES_THROUGH(statement) GoesThrough(#statement, [&] { statement; })

void EveryFunctionOfAFamily() {
  const BlockSignals blocked({SIGUSR1});
  const Pipe pipe;
  Scope top, timed, fd, signal, merged, grace, below;
  Ctx value;
  Queue queue;
  Watch armed, added;
  Fd copy, writes;
  int number = -1;
  GOES_THROUGH(top = WithCancel(ctx_background()));
  GOES_THROUGH(timed = WithTimeout(top, kHour));
  GOES_THROUGH(value = WithString(timed, "name", "value"));
  GOES_THROUGH(fd = WithFd(top, pipe.read_end, POLLIN));
  GOES_THROUGH(signal = WithSignal(top, {SIGUSR1}));
  GOES_THROUGH(merged = Merge({timed, fd}));
  GOES_THROUGH(grace = WithGrace(top, kHour));
  GOES_THROUGH(below = WithCancel(value));
  GOES_THROUGH(number = ctx_done_fd(top));
  GOES_THROUGH(EXPECT_GE(ctx_done_fd(below), 0));
  GOES_THROUGH(copy = Fd(ctx_done_fd_dup(below)));
  GOES_THROUGH(writes = Fd(ctx_cancel_fd(top.canceler)));
  GOES_THROUGH(queue = NewQueue());
  GOES_THROUGH(added = Add(queue, below, 1));
  GOES_THROUGH(EXPECT_GE(ctx_queue_fd(queue), 0));
  Callback callback;
  GOES_THROUGH(callback.Arm(below));
  GOES_THROUGH(armed = AfterFunc(
                   top, [](ctx_t*, void*) {}, nullptr));
  GOES_THROUGH(EXPECT_EQ(ctx_watch_stop_wait(armed), 1));
  GOES_THROUGH(EXPECT_EQ(ctx_wait(below, kMillisecond), 0));
  ctx_t* const several[] = {below, merged, grace, value, top, timed, fd};
  GOES_THROUGH(EXPECT_EQ(ctx_wait_any(several, 7, kMillisecond, nullptr), 0));
  pollfd polled[] = {{pipe.read_end, POLLIN, 0}};
  GOES_THROUGH(EXPECT_EQ(ctx_poll(below, polled, 1, kMillisecond), 0));
  GOES_THROUGH(EXPECT_EQ(ctx_poll(ctx_background(), polled, 1, kMillisecond), 0));
  ctx_event_t event;
  GOES_THROUGH(EXPECT_EQ(ctx_queue_wait(queue, &event, 1, kMillisecond), 0));
  char text[200];
  GOES_THROUGH(EXPECT_GT(ctx_describe(below, text, sizeof text), 0));

  GOES_THROUGH(EXPECT_EQ(top.Cancel(), 1));
  for (ctx_t* ctx : {top.ctx.get(), timed.ctx.get(), fd.ctx.get(), signal.ctx.get(),
                     merged.ctx.get(), below.ctx.get()}) {
    EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
  }
  EXPECT_EQ(ctx_err(grace), 0);
  EXPECT_TRUE(Readable(number));
  EXPECT_TRUE(Readable(copy));
  EXPECT_EQ(callback.runs(), 1);
  GOES_THROUGH(EXPECT_EQ(top.Cancel(), 0));
  GOES_THROUGH(EXPECT_EQ(ctx_queue_drain(queue, &event, 1), 1));
  GOES_THROUGH(EXPECT_EQ(ctx_wait(below, CTX_FOREVER), 1));
  GOES_THROUGH(EXPECT_EQ(ctx_poll(below, polled, 1, CTX_FOREVER), CTX_CANCELED));
  GOES_THROUGH(queue.reset());
  for (Scope* scope : {&grace, &merged, &signal, &fd, &below, &timed, &top}) {
    GOES_THROUGH(scope->reset());
  }
  GOES_THROUGH(value.reset());
  GOES_THROUGH(EXPECT_EQ(ctx_shutdown(kLimit), 0));
}

void EveryFunctionOfLoops() {
  for (const int kind : {CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL, CTX_LOOP_THREAD}) {
    const Pipe pipe;
    Loop loop;
    Ctx root;
    Scope near, other, fd;
    GOES_THROUGH(loop = NewLoop(kind));
    GOES_THROUGH(root = LoopBackground(loop));
    GOES_THROUGH(near = WithTimeout(root, kMillisecond));
    GOES_THROUGH(fd = WithFd(root, pipe.read_end, POLLIN));
    GOES_THROUGH(other = WithFd(root, pipe.read_end, POLLIN));
    pipe.Write();
    if (kind == CTX_LOOP_MANUAL) {
      GOES_THROUGH(EXPECT_GE(ctx_loop_fd(loop), 0));
      GOES_THROUGH(EXPECT_GE(ctx_loop_next(loop), 0));
      GOES_THROUGH(EXPECT_GE(ctx_loop_dispatch(loop), 2));
      GOES_THROUGH(EXPECT_EQ(ctx_poll(near, nullptr, 0, kLimit), CTX_DEADLINE_EXCEEDED));
      GOES_THROUGH(EXPECT_GE(ctx_loop_dispatch(loop), 0));
    }
    if (kind == CTX_LOOP_VIRTUAL) {
      GOES_THROUGH(EXPECT_EQ(ctx_loop_advance(loop, kSecond), 3));
      GOES_THROUGH(EXPECT_EQ(ctx_loop_next(loop), INT64_MAX));
    }
    GOES_THROUGH(EXPECT_EQ(ctx_wait(near, kLimit), 1));
    GOES_THROUGH(EXPECT_EQ(ctx_wait(fd, kLimit), 1));
    GOES_THROUGH(EXPECT_EQ(ctx_wait(other, kLimit), 1));
    GOES_THROUGH(EXPECT_EQ(ctx_loop_close(loop), 0));
    for (Scope* scope : {&near, &fd, &other}) GOES_THROUGH(scope->reset());
    GOES_THROUGH(root.reset());
    GOES_THROUGH(loop.reset());
  }
}

// Each of the waits, without a limit, on a thread that is asked to end while it waits, and is woken later. (A libc may
// ask with a signal, which is -EINTR.)
void EveryWait() {
  const Pipe pipe;
  Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
  Queue queue = NewQueue();
  Watch added = Add(queue, scope, 1);
  const Group group = NewGroup(ctx_background());
  EXPECT_EQ(ctx_group_begin(group), 0);
  EXPECT_GE(ctx_done_fd(scope), 0);
  HeldCallback callback;
  callback.Arm(other, CTX_DEFER);
  EXPECT_EQ(other.Cancel(), 1);
  EXPECT_TRUE(callback.begun.Wait());  // one that has not begun is stopped, and not waited for
  const Ctx live = WithCancel(ctx_background()).ctx;
  pollfd polled[] = {{pipe.read_end, POLLIN, 0}};
  ctx_t* const several[] = {scope, live};
  ctx_event_t event;
  Victim waits("ctx_wait", [&] { ctx_wait(scope, CTX_FOREVER); });
  Victim waits_any("ctx_wait_any", [&] { ctx_wait_any(several, 2, CTX_FOREVER, nullptr); });
  Victim polls("ctx_poll", [&] { ctx_poll(scope, polled, 1, CTX_FOREVER); });
  Victim drains("ctx_queue_wait", [&] { ctx_queue_wait(queue, &event, 1, CTX_FOREVER); });
  Victim works("ctx_group_wait", [&] { ctx_group_wait(group, CTX_FOREVER); });
  Victim stops("ctx_watch_stop_wait", [&] { callback.StopWait(); });
  Victim* const victims[] = {&waits, &waits_any, &polls, &drains, &works, &stops};
  for (const Victim* victim : victims) {
    EXPECT_TRUE(Soon([&] { return victim->Waits(); })) << victim->call;
    victim->AskToEnd();
  }
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  callback.go_on.Open();
  for (Victim* victim : victims) victim->Join();
}

// The end of the library's threads, which a callback holds up.
void Shutdown() {
  const Scope scope = WithCancel(ctx_background());
  Gate over;
  Callback callback([&](ctx_t*) { EXPECT_TRUE(over.Wait()); });
  callback.Arm(scope, CTX_DEFER);
  EXPECT_EQ(scope.Cancel(), 1);
  Victim ends("ctx_shutdown", [] { EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0); });
  EXPECT_TRUE(Soon([&] { return ends.Waits(); }));
  ends.AskToEnd();
  over.Open();
  ends.Join();
}

TEST(ThreadCancel, Rule52_NoFunctionOfAFamilyEndsItsThread) {
  CTX_IN_NEW_PROCESS(EveryFunctionOfAFamily());
}

TEST(ThreadCancel, Rule52_NoFunctionOfALoopEndsItsThread) {
  CTX_IN_NEW_PROCESS(EveryFunctionOfLoops());
}

// A thread that is not to be canceled stays so, whatever it calls.
void KeepTheStateOfTheThread() {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  const auto kept = [] {
    int state = 0;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state == PTHREAD_CANCEL_DISABLE;
  };
  const Scope scope = WithCancel(ctx_background());
  Callback callback;
  callback.Arm(scope);
  EXPECT_GE(ctx_done_fd(scope), 0);
  const Fd copy(ctx_done_fd_dup(scope));
  EXPECT_TRUE(kept()) << "ctx_done_fd_dup";
  EXPECT_EQ(ctx_poll(scope, nullptr, 0, 0), 0);
  EXPECT_TRUE(kept()) << "ctx_poll";
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_TRUE(kept()) << "ctx_cancel";
  const ManualLoop manual;
  EXPECT_GE(manual.Dispatch(), 0);
  EXPECT_TRUE(kept()) << "ctx_loop_dispatch";
}

TEST(ThreadCancel, Rule52_AThreadThatIsNotToBeCanceledStaysSo) {
  CTX_IN_NEW_PROCESS(KeepTheStateOfTheThread());
}

TEST(ThreadCancel, Rule52_NoWaitEndsItsThread) { CTX_IN_NEW_PROCESS(EveryWait()); }

TEST(ThreadCancel, Rule52_NorDoesAShutdown) { CTX_IN_NEW_PROCESS(Shutdown()); }

}  // namespace
}  // namespace ctxtest
