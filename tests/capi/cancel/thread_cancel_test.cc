// SPDX-License-Identifier: MIT
//
// Rule 52: a thread that pthread_cancel() wants to end goes through every function of the library, also through
// those that wait, and ends behind it. So no family is left half woken, and no lock taken.
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/time.h"

namespace ctxtest {
namespace {

using Body = std::function<void()>;

struct Victim {
  Victim(const char* what, Body within) : call(what), body(std::move(within)) {
    EXPECT_EQ(pthread_create(&thread, nullptr, Run, this), 0);
  }
  // Expects that the thread went through its body and ended behind it. If it ended inside, locks may be
  // taken for ever: the process leaves at once.
  void Join() {
    void* result = nullptr;
    EXPECT_EQ(pthread_join(thread, &result), 0);
    if (result == PTHREAD_CANCELED && through) return;
    ADD_FAILURE() << (through ? "not canceled: " : "ended inside ") << call;
    fflush(stdout);
    _exit(1);
  }
  static void* Run(void* arg) {
    auto* self = static_cast<Victim*>(arg);
    self->body();
    self->through = true;
    for (;;) pthread_testcancel();
  }

  const char* call;
  Body body;
  bool through = false;
  pthread_t thread{};
};

// The thread is to end before it calls.
void GoesThrough(const char* call, const Body& body) {
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

// Each of the waits, without a limit, on a thread that is asked to end while it waits. (A libc may ask with a
// signal, which is -EINTR.)
void EveryWait() {
  const Pipe pipe;
  Scope scope = WithCancel(ctx_background()), other = WithCancel(ctx_background());
  Queue queue = NewQueue();
  Watch added = Add(queue, scope, 1);
  EXPECT_GE(ctx_done_fd(scope), 0);
  pollfd polled[] = {{pipe.read_end, POLLIN, 0}};
  Victim waits("ctx_wait", [&] { ctx_wait(scope, CTX_FOREVER); });
  ctx_t* const several[] = {scope, other};
  Victim waits_any("ctx_wait_any", [&] { ctx_wait_any(several, 2, CTX_FOREVER, nullptr); });
  Victim polls("ctx_poll", [&] { ctx_poll(scope, polled, 1, CTX_FOREVER); });
  ctx_event_t event;
  Victim drains("ctx_queue_wait", [&] { ctx_queue_wait(queue, &event, 1, CTX_FOREVER); });
  for (const Victim* victim : {&waits, &waits_any, &polls, &drains}) {
    EXPECT_EQ(pthread_cancel(victim->thread), 0);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(scope.Cancel(), 1);
  for (Victim* victim : {&waits, &waits_any, &polls, &drains}) victim->Join();
}

TEST(ThreadCancel, Rule52_NoFunctionOfAFamilyEndsItsThread) {
  CTX_IN_NEW_PROCESS(EveryFunctionOfAFamily());
}

TEST(ThreadCancel, Rule52_NoFunctionOfALoopEndsItsThread) {
  CTX_IN_NEW_PROCESS(EveryFunctionOfLoops());
}

TEST(ThreadCancel, Rule52_NoWaitEndsItsThread) { CTX_IN_NEW_PROCESS(EveryWait()); }

}  // namespace
}  // namespace ctxtest
