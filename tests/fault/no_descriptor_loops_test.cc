// SPDX-License-Identifier: MIT
//
// No descriptor left: queues and virtual loops go on without, loops that have begun go on with what they
// have, and what needs a new one says so and works later. Each point where one is made is refused by
// itself in every_failure_test.cc.
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/few_descriptors.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(NoDescriptorForQueues, Rule46_OnlyTheirDescriptorIsMissing) {
  const Queue queue = NewQueue(), with_fd = NewQueue();
  const int fd = ctx_queue_fd(with_fd);
  const Scope scope = WithCancel(ctx_background());
  {
    const NoDescriptors none;
    EXPECT_EQ(ctx_queue_fd(queue), -EMFILE);
    EXPECT_EQ(ctx_queue_fd(with_fd), fd);
    const Queue made_now = NewQueue();
    for (ctx_queue_t* each : {queue.get(), with_fd.get(), made_now.get()}) {
      EXPECT_EQ(ctx_queue_add(each, scope, 1, nullptr), 0);
    }
    EXPECT_EQ(scope.Cancel(), 1);
    EXPECT_EQ(ctx_queue_fd(queue), -EMFILE);
    ctx_event_t event;
    EXPECT_EQ(ctx_queue_wait(made_now, &event, 1, kLimit), 1);
    EXPECT_TRUE(Readable(fd));
    EXPECT_EQ(Tokens(with_fd).size(), 1u);
    EXPECT_FALSE(Readable(fd));
  }
  EXPECT_TRUE(Readable(ctx_queue_fd(queue))) << "what waited meanwhile is seen";
  EXPECT_EQ(Tokens(queue).size(), 1u);
}

TEST(NoDescriptorForLoops, Rule46_AVirtualLoopNeedsNoneForItsClock) {
  const NoDescriptors none;
  const Host host(On::kVirtual);
  const Scope timed = WithTimeout(host.root(), kHour);
  Ctx grace;
  EXPECT_EQ(ctx_with_grace(timed, kHour, grace.out(), nullptr), 0);
  Callback callback;
  EXPECT_EQ(callback.Arm(timed, CTX_DEFER), 0);
  EXPECT_EQ(ctx_loop_advance(host.loop(), kHour), 1);
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(ctx_loop_advance(host.loop(), kHour), 1);
  EXPECT_EQ(ctx_err(grace), CTX_DEADLINE_EXCEEDED);
}

// A threaded loop ends its threads, and gives its descriptors back, when its last context has gone.
void ExpectOnlyThese(size_t threads, size_t descriptors) {
  EXPECT_TRUE(Soon([&] { return ThreadCount() == threads; })) << ThreadCount();
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

// Counted beside a thread that waits: a sanitizer starts one of its own with the first, and one that was
// joined may still be counted for a moment.
size_t ThreadsWithoutALoop() {
  Gate counted;
  std::thread one([&] { EXPECT_TRUE(counted.Wait()); });
  const size_t threads = ThreadCount() - 1;
  counted.Open();
  one.join();
  return threads;
}

// With none left at all, and with more and more: it fails as a whole, whatever it had got by then, or
// works.
void ExpectWholeOrNot(On on, int (*construct)(const Host&, const Pipe&, ctx_t**)) {
  const BlockSignals blocked{SIGUSR1};
  const Pipe pipe;
  const size_t threads = ThreadsWithoutALoop();
  const size_t descriptors = OpenDescriptors();
  int failures = 0, result = -1;
  for (int n = 0; result != 0 && n < 20; ++n) {
    SCOPED_TRACE(testing::Message() << n << " left");
    Drop drop;
    ctx_t* ctx = nullptr;
    {
      const Host host(on);
      const Ctx watched = Watched(host.root(), &drop);
      std::vector<int> room;
      for (int i = 0; i < n; ++i) room.push_back(dup(0));
      {
        const NoDescriptors none;
        for (const int fd : room) close(fd);
        result = construct(host, pipe, &ctx);
      }
      if (result != 0) {
        ++failures;
        EXPECT_EQ(result, -EMFILE);
        EXPECT_EQ(ctx, nullptr);
        EXPECT_EQ(construct(host, pipe, &ctx), 0) << "it works later";
      }
      ctx_unref(ctx);
    }
    EXPECT_TRUE(drop.Wait());
    ExpectOnlyThese(threads, descriptors);
  }
  EXPECT_EQ(result, 0);
  EXPECT_GT(failures, 0);
}

int Timeout(const Host& host, const Pipe&, ctx_t** ret) {
  return ctx_with_timeout(host.root(), kHour, ret, nullptr);
}

int FromFd(const Host& host, const Pipe& pipe, ctx_t** ret) {
  return ctx_with_fd(host.root(), pipe.read_end, POLLIN, ret, nullptr);
}

int FromSignal(const Host& host, const Pipe&, ctx_t** ret) {
  const int signal = SIGUSR1;
  return ctx_with_signal(host.root(), &signal, 1, ret, nullptr);
}

int LoopFd(const Host& host, const Pipe&, ctx_t**) {
  const int fd = ctx_loop_fd(host.loop());
  return fd < 0 ? fd : 0;
}

TEST(NoDescriptorForLoops, Rule46_FirstDeadlineOfAThread) {
  ExpectWholeOrNot(On::kThread, Timeout);
}

TEST(NoDescriptorForLoops, Rule46_FirstDescriptorOfEachKind) {
  for (const On on : {On::kThread, On::kManual, On::kVirtual}) ExpectWholeOrNot(on, FromFd);
}

TEST(NoDescriptorForLoops, Rule46_FirstSignalOfEachKind) {
  for (const On on : {On::kThread, On::kManual, On::kVirtual}) ExpectWholeOrNot(on, FromSignal);
}

TEST(NoDescriptorForLoops, Rule46_TheDescriptorOfAManualLoop) {
  ExpectWholeOrNot(On::kManual, LoopFd);
}

TEST(NoDescriptorForLoops, Rule46_ALoopThatHasBegunTakesDeadlinesAndDescriptors) {
  for (const On on : {On::kDefault, On::kThread, On::kManual, On::kVirtual}) {
    const Host host(on);
    const Pipe pipe;
    host.Settle();
    const Scope other = WithCancel(host.root());
    const NoDescriptors none;
    const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
    const Scope timed = WithTimeout(host.root(), kHour);
    EXPECT_EQ(ctx_cancel_fd(other.canceler), -EMFILE);
    EXPECT_EQ(ctx_err(other), 0);
    pipe.Write();
    // Not host.Done(), which asks for a descriptor of the context's.
    for (int i = 0; i < kLimitMs && ctx_err(scope) == 0; ++i) {
      if (on == On::kManual) {
        Readable(ctx_loop_fd(host.loop()), 1);
        EXPECT_GE(ctx_loop_dispatch(host.loop()), 0);
      } else if (on == On::kVirtual) {
        EXPECT_GE(ctx_loop_advance(host.loop(), 0), 0);
      } else {
        ctx_wait(scope, kMillisecond);
      }
    }
    EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  }
}

}  // namespace
}  // namespace ctxtest
