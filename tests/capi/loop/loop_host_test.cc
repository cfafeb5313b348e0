// SPDX-License-Identifier: MIT
//
// How the host of a manual loop learns that there is work: its descriptor, in poll and in epoll with
// edges, or ctx_loop_next() (rule 41) for hosts that would rather sleep.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(LoopHost, TheDescriptorIsOneAndTheLoops) {
  const ManualLoop manual;
  const int fd = manual.Fd();
  ASSERT_GE(fd, 0);
  EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  const Scope timed = WithTimeout(manual.root, kMillisecond);
  EXPECT_EQ(manual.DriveUntilDone(timed), 1);
  EXPECT_EQ(manual.Fd(), fd);
}

TEST(LoopHost, TheDescriptorIsQuietWithoutWork) {
  const ManualLoop manual;
  EXPECT_FALSE(Readable(manual.Fd()));
  const Scope far = WithTimeout(manual.root, kHour);
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_FALSE(Readable(manual.Fd()));
  const Scope timed = WithTimeout(manual.root, kMillisecond);
  EXPECT_EQ(manual.DriveUntilDone(timed), 1);
  EXPECT_TRUE(manual.Settles());
}

// The host sleeps on a far deadline when another thread sets a near one.
TEST(LoopHost, AnEarlierDeadlineFromAnotherThreadWakesTheHost) {
  const ManualLoop manual;
  const Scope far = WithTimeout(manual.root, kHour);
  EXPECT_EQ(manual.Dispatch(), 0);
  Scope near;
  std::thread other([&] { near = WithTimeout(manual.root, 30 * kMillisecond); });
  EXPECT_TRUE(Readable(manual.Fd(), kLimitMs));
  other.join();
  EXPECT_EQ(manual.DriveUntilDone(near), 1);
}

TEST(LoopHost, Rule41_NextTellsWhenThereIsWork) {
  const ManualLoop manual;
  EXPECT_EQ(manual.Next(), INT64_MAX);
  const Scope far = WithTimeout(manual.root, kHour);
  EXPECT_LE(manual.Next(), manual.Now() + kHour + kMillisecond);
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_FALSE(manual.WorkWaits());
  {
    const Scope near = WithTimeout(manual.root, kHour / 2);
    EXPECT_LE(manual.Next(), manual.Now() + kHour / 2 + kMillisecond);
  }
  const Scope timed = WithTimeout(manual.root, kMillisecond);
  SleepUntil(manual.Now() + kPast);
  EXPECT_TRUE(manual.WorkWaits());
  EXPECT_EQ(manual.Dispatch(), 1);
  EXPECT_FALSE(manual.WorkWaits());
  EXPECT_EQ(far.Cancel(), 1);
  EXPECT_EQ(manual.Dispatch(), 0);
  EXPECT_EQ(manual.Next(), INT64_MAX);
}

// Of a deadline within the next millisecond it is exactly that, and whoever looks then finds it due.
TEST(LoopHost, Rule41_NextIsNeverLaterThanTheDeadlineAndThenThereIsWork) {
  const ManualLoop manual;
  const Scope far = WithTimeout(manual.root, kHour);
  for (int64_t timeout = kMicrosecond; timeout < 900 * kMicrosecond; timeout += 2'917) {
    const Scope timed = WithTimeout(manual.root, timeout);
    int64_t deadline = 0;
    EXPECT_EQ(ctx_deadline(timed, &deadline), 1);
    const int64_t next = manual.Next();
    if (next != deadline) {
      ASSERT_GE(next, deadline);
      ASSERT_LE(next, manual.Now()) << "when the deadline has passed it is now";
    }
    while (manual.Now() < deadline) {
    }
    ASSERT_EQ(manual.Dispatch(), 1);
    ASSERT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
  }
}

// A host without descriptors. That the loop may be a little early costs it a few rounds, not many.
TEST(LoopHost, Rule41_AHostMaySleepUntilNextInstead) {
  const ManualLoop manual;
  const Scope far = WithTimeout(manual.root, kHour);
  for (int64_t timeout = 100; timeout < 300 * kMillisecond; timeout *= 6) {
    const Scope timed = WithTimeout(manual.root, timeout);
    Callback callback;
    callback.Arm(timed);
    int64_t deadline = 0;
    EXPECT_EQ(ctx_deadline(timed, &deadline), 1);
    int rounds = 0;
    for (; ctx_err(timed) == 0; ++rounds) {
      const int64_t next = manual.Next();
      // When the deadline has passed it is now.
      ASSERT_LE(next, std::max(deadline, manual.Now()));
      SleepUntil(next);
      EXPECT_GE(manual.Dispatch(), 0);
    }
    EXPECT_EQ(callback.runs(), 1);
    EXPECT_LE(rounds, 20);
  }
}

// What a program may do on a loop that has not started: none of it needs the loop's clock.
const std::vector<std::function<void(ctx_t* root)>> kBeforeTheStart = {
    [](ctx_t*) {},
    [](ctx_t* root) { WithDeadline(WithTimeout(root, 0), INT64_MAX - 1); },
    [](ctx_t* root) { WithTimeout(WithDeadline(root, INT64_MIN), kHour).Cancel(); },
    [](ctx_t* root) {
      const Ctx value = WithValue(WithTimeout(root, 0), &kKey, nullptr);
      WithTimeout(WithCancel(value), kHour);
    },
    [](ctx_t* root) {
      WithTimeout(Merge({WithCancel(root), WithTimeout(root, 0)}), kHour);
    },
    [](ctx_t* root) {
      const Scope past = WithTimeout(root, 0);
      Callback callback;
      EXPECT_EQ(callback.Arm(past), 1);
      EXPECT_EQ(ctx_wait(past, 0), 1);
      EXPECT_EQ(ctx_poll(WithTimeout(past, kHour), nullptr, 0, 0), CTX_DEADLINE_EXCEEDED);
    },
    [](ctx_t* root) {
      const Scope scope = WithCancel(root);
      Callback callback;
      callback.Arm(scope);
      scope.Cancel();
      EXPECT_EQ(callback.runs(), 1);
    },
};

TEST(LoopHost, NothingBeforeTheStartLosesADeadlineAfterIt) {
  for (const auto& something : kBeforeTheStart) {
    const ManualLoop manual;
    errno = 0;
    something(manual.root);
    EXPECT_EQ(errno, 0) << "it is the program's";
    EXPECT_EQ(manual.Next(), INT64_MAX);
    const Scope timed = WithTimeout(manual.root, 2 * kMillisecond);
    something(manual.root);  // which may find the time over, and end what is due
    EXPECT_GE(manual.DriveUntilDone(timed), 0);
    EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
    EXPECT_TRUE(manual.Settles());
    EXPECT_EQ(manual.Next(), INT64_MAX);
  }
}

TEST(LoopHost, NorDoesAnythingWhileItStarts) {
  std::unique_ptr<ManualLoop> manual;
  Scope past, timed;
  Race(
      Rounds(kSanitized ? 300 : 1'000),
      [&] {
        past = Scope(), timed = Scope();
        manual = std::make_unique<ManualLoop>();
        past = WithTimeout(manual->root, 0);
      },
      {[&] { timed = WithTimeout(manual->root, 20 * kMicrosecond); },
       [&] {
         for (int i = 0; i < 4; ++i) WithTimeout(past, kHour);
       }},
      [&] { ASSERT_NE(manual->DriveUntilDone(timed), -1); });
}

// Rules 38 and 41: who ends a deadline that nobody dispatched leaves no work behind, and wakes nobody for it.
TEST(LoopHost, Rule38_ADeadlineThatAWaiterHasEndedIsNoWorkAnyMore) {
  const std::vector<std::function<void(ctx_t*)>> enders = {
      [](ctx_t* ctx) { EXPECT_EQ(ctx_wait(ctx, kLimit), 1); },
      [](ctx_t* ctx) { EXPECT_EQ(ctx_poll(ctx, nullptr, 0, kLimit), CTX_DEADLINE_EXCEEDED); },
      [](ctx_t* ctx) {
        ctx_t* const any[] = {ctx, ctx};
        EXPECT_EQ(ctx_wait_any(any, 2, kLimit, nullptr), 1);
      },
      [](ctx_t* ctx) { WithTimeout(ctx, kHour); },
      [](ctx_t* ctx) { ctx_wait(WithGrace(ctx, kMillisecond), kLimit); },
  };
  for (const auto& end : enders) {
    const ManualLoop manual;
    const int fd = manual.Fd();
    const Scope timed = WithTimeout(manual.root, 2 * kMillisecond), below = WithCancel(timed);
    EXPECT_TRUE(Readable(fd, kLimitMs));
    SleepUntil(manual.Now() + kPast);
    end(below);
    EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(manual.Next(), INT64_MAX);
    EXPECT_FALSE(Readable(fd));
    EXPECT_EQ(manual.Dispatch(), 0);
  }
}

TEST(LoopHost, Rule41_ADeadlineThatWasCanceledInTimeIsNoWorkAtItsTime) {
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, kMillisecond);
  timed.Cancel();
  SleepUntil(manual.Now() + kPast);
  EXPECT_EQ(manual.Next(), INT64_MAX);
  EXPECT_FALSE(Readable(manual.Fd())) << "who asks for the next work takes the alarm back";
}

// Threads that derive, cancel, defer and let go, while one thread drives the loop as a host does. Each
// ends with something deferred, so that the last thing to happen is a dispatch's.
void DriveWithWorkers(const std::function<bool(const ManualLoop&)>& sleep_and_dispatch) {
  constexpr int kWorkers = 3, kEach = kSanitized ? 150 : 600;
  struct Shared {
    std::atomic<int> runs{0}, drops{0}, live{0};
  } shared;
  const ManualLoop manual;
  const auto run = [](ctx_t* ctx, void* arg) {
    static_cast<Shared*>(arg)->live += ctx_err(ctx) == 0;
    ++static_cast<Shared*>(arg)->runs;
  };
  const auto drop = [](void* arg) { ++static_cast<Shared*>(arg)->drops; };
  std::vector<std::thread> workers;
  for (int worker = 0; worker < kWorkers; ++worker) {
    workers.emplace_back([&, worker] {
      for (int i = 1; i < kEach; ++i) {
        const Scope timed = WithTimeout(manual.root, (i * 7919 + worker) % 3000 * kMicrosecond);
        const uint32_t flags = i % 2 == 0 ? CTX_DEFER : 0;
        EXPECT_GE(ctx_after_func(timed, run, &shared, drop, flags, nullptr), 0);
        if (i % 3 == 0) timed.Cancel();
      }
      const Scope done = WithTimeout(manual.root, 0);
      EXPECT_EQ(ctx_after_func(done, run, &shared, drop, CTX_DEFER, nullptr), 1);
    });
  }
  bool awake = true;
  while (awake && shared.drops < kWorkers * kEach) awake = sleep_and_dispatch(manual);
  EXPECT_TRUE(awake) << "nothing came, and not all was done";
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(shared.runs, kWorkers * kEach);
  EXPECT_EQ(shared.live, 0);
}

TEST(LoopHost, AHostThatPollsMissesNothing) {
  DriveWithWorkers([](const ManualLoop& manual) {
    return Readable(manual.Fd(), kLimitMs) && manual.Dispatch() >= 0;
  });
}

TEST(LoopHost, AnEdgeTriggeredHostThatDispatchesUntil0MissesNothing) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  bool added = false;
  DriveWithWorkers([&](const ManualLoop& manual) {
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLET;
    if (!added) added = epoll_ctl(epoll, EPOLL_CTL_ADD, manual.Fd(), &event) == 0;
    if (epoll_wait(epoll, &event, 1, kLimitMs) != 1) return false;
    int result = 0;
    while ((result = manual.Dispatch()) > 0) {
    }
    return result == 0;
  });
  close(epoll);
}

// A descriptor that is ready is work, though it has no time.
TEST(LoopHost, Rule41_TheNextWorkIsNowWhenADescriptorIsReady) {
  const Pipe pipe;
  const ManualLoop manual;
  const VirtualLoop time;
  const Scope on_manual = WithFd(manual.root, pipe.read_end, POLLIN);
  const Scope on_virtual = WithFd(time.root, pipe.read_end, POLLIN);
  EXPECT_TRUE(manual.Settles());
  EXPECT_EQ(manual.Next(), INT64_MAX);
  EXPECT_EQ(time.Next(), INT64_MAX);
  pipe.Write();
  EXPECT_TRUE(manual.WorkWaits());
  EXPECT_LE(time.Next(), time.Now());
  EXPECT_EQ(manual.Dispatch(), 1);
  EXPECT_EQ(time.Advance(0), 1);
  EXPECT_EQ(time.Next(), INT64_MAX);
}

// What has come on a descriptor is no work if only a context that is gone asked for it.
TEST(LoopHost, Rule41_WhatNobodyAsksForAnyMoreIsNoWork) {
  const std::vector<std::function<void(Scope*)>> enders = {
      [](Scope* scope) { EXPECT_EQ(scope->Cancel(), 1); },
      [](Scope* scope) { *scope = Scope(); },
  };
  for (const auto& end : enders) {
    const SocketPair sockets;
    const ManualLoop manual;
    const VirtualLoop time;
    for (ctx_t* root : {manual.root.get(), time.root.get()}) {
      for (const bool others : {true, false}) {
        const Scope stays = others ? WithFd(root, sockets.server, POLLRDHUP) : Scope();
        Scope goes = WithFd(root, sockets.server, POLLIN);
        EXPECT_EQ(write(sockets.client, "x", 1), 1);
        end(&goes);
        EXPECT_EQ(manual.Next(), INT64_MAX);
        EXPECT_EQ(time.Next(), INT64_MAX);
        EXPECT_FALSE(Readable(manual.Fd()));
      }
    }
    const Scope on_manual = WithFd(manual.root, sockets.server, POLLRDHUP);
    EXPECT_EQ(shutdown(sockets.client, SHUT_WR), 0);
    EXPECT_EQ(manual.DriveUntilDone(on_manual), 1);
  }
}

bool WorkWaits(ctx_loop_t* loop) {
  const int64_t next = ctx_loop_next(loop);
  return next <= ctx_loop_now(loop);
}

// Another loop has read the signal, so the descriptor of this one shows nothing any more.
TEST(LoopHost, Rule41_TheNextWorkIsNowWhenAnotherLoopHasReadTheSignal) {
  const BlockSignals blocked{SIGUSR1};
  for (const int kind : {CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL}) {
    const Loop loop = NewLoop(kind);
    const ManualLoop reader;
    const Scope scope = WithSignal(LoopBackground(loop), {SIGUSR1});
    const Scope read = WithSignal(reader.root, {SIGUSR1});
    Send(SIGUSR1);
    EXPECT_EQ(reader.Dispatch(), 1);
    EXPECT_EQ(ctx_err(scope), 0);
    EXPECT_TRUE(WorkWaits(loop));
    EXPECT_EQ(kind == CTX_LOOP_MANUAL ? ctx_loop_dispatch(loop) : ctx_loop_advance(loop, 0), 1);
    EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
    EXPECT_EQ(ctx_loop_next(loop), CTX_FOREVER);
  }
}

// Whatever a cancel leaves to the host, and nothing else waits for it.
TEST(LoopHost, Rule41_TheNextWorkIsNowWhenCallbacksOfAnyKindWait) {
  for (const int kind : {CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL}) {
    for (const uint32_t flags : {0u, CTX_DEFER, CTX_BLOCKING, CTX_WAKER}) {
      const Loop loop = NewLoop(kind);
      const Scope scope = WithCancel(LoopBackground(loop));
      Callback callback;
      callback.Arm(scope, flags);
      EXPECT_EQ(ctx_cancel_deferred(scope.canceler, CTX_CANCELED, nullptr), 1);
      EXPECT_EQ(callback.runs(), 0);
      EXPECT_TRUE(WorkWaits(loop)) << flags;
      EXPECT_EQ(kind == CTX_LOOP_MANUAL ? ctx_loop_dispatch(loop) : ctx_loop_advance(loop, 0), 0);
      EXPECT_EQ(callback.runs(), 1);
      EXPECT_EQ(ctx_loop_next(loop), CTX_FOREVER) << flags;
    }
  }
}

}  // namespace
}  // namespace ctxtest
