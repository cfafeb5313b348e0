// SPDX-License-Identifier: MIT
//
// Rule 34 where it is broken, or nearly: descriptors that their owner closed too early, numbers that
// stand for another file by then, and sources that end, are made and are released on many threads at
// once. No context is ended by what is not its own, and no loop runs in circles.
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

class FdGone : public ::testing::TestWithParam<On> {
 protected:
  const Host host{GetParam()};
};

// Gives a number that its owner has closed to another file.
Fd Reuse(int number, int fd) {
  EXPECT_EQ(dup3(fd, number, O_CLOEXEC), number);
  return Fd(number);
}

TEST_P(FdGone, Rule34_ClosedBeforeItIsNotEndedByIt) {
  Pipe pipe;
  const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
  pipe.read_end.Close();
  pipe.write_end.Close();
  host.Settle();
  EXPECT_EQ(ctx_err(scope), 0);
  host.ExpectIdle();
  EXPECT_EQ(scope.Cancel(), 1);
}

TEST_P(FdGone, Rule34_TheNextFileOfTheSameNumberDoesNotEndIt) {
  Pipe first;
  const Pipe second;
  const int number = first.read_end;
  const Scope old = WithFd(host.root(), number, POLLIN);
  first.read_end.Close();
  second.Write();
  const Fd reused = Reuse(number, second.read_end);
  host.Settle();
  EXPECT_EQ(ctx_err(old), 0);
  host.ExpectIdle();
  EXPECT_EQ(old.Cancel(), 1);
}

// A source of the new file beside the old one, which nobody has taken away.
TEST_P(FdGone, Rule34_ANewSourceOnAReusedNumberWorks) {
  Pipe first;
  const Pipe second;
  const int number = first.read_end;
  const Scope old = WithFd(host.root(), number, POLLIN);
  first.read_end.Close();
  const Fd reused = Reuse(number, second.read_end);
  const Scope fresh = WithFd(host.root(), number, POLLIN);
  host.Settle();
  EXPECT_EQ(ctx_err(fresh), 0);
  second.Write();
  ASSERT_TRUE(host.Done(fresh));
  EXPECT_EQ(ctx_cause_code(ctx_cause(fresh)), POLLIN);
  EXPECT_EQ(ctx_err(old), 0) << "it is the old file's";
  EXPECT_EQ(old.Cancel(), 1);
  host.ExpectIdle();
}

// The end or the release of the old context must not take the new one's watch away.
TEST_P(FdGone, Rule34_AnOldSourceThatGoesLeavesTheNewOneWatched) {
  for (const bool cancel : {false, true}) {
    Pipe first;
    const Pipe second;
    const int number = first.read_end;
    Scope old = WithFd(host.root(), number, POLLIN);
    first.read_end.Close();
    const Fd reused = Reuse(number, second.read_end);
    const Scope fresh = WithFd(host.root(), number, POLLIN);
    if (cancel) {
      EXPECT_EQ(old.Cancel(), 1);
    }
    old.reset();
    host.Settle();
    EXPECT_EQ(ctx_err(fresh), 0);
    second.Write();
    EXPECT_TRUE(host.Done(fresh));
  }
}

// The old file is still open by another number, so that the system goes on reporting it: it may say
// that it is ready, but the loop must not spin on it.
TEST_P(FdGone, Rule34_AFileThatIsStillOpenByAnotherNumber) {
  Pipe pipe;
  const Pipe quiet;
  const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
  const Fd other(fcntl(pipe.read_end, F_DUPFD_CLOEXEC, 0));
  const int number = pipe.read_end;
  pipe.read_end.Close();
  const Fd reused = Reuse(number, quiet.read_end);
  pipe.Write();
  host.Settle();
  host.ExpectIdle();
  const Scope fresh = WithFd(host.root(), number, POLLIN);
  host.Settle();
  EXPECT_EQ(ctx_err(fresh), 0) << "ended by the file that had its number before";
  host.ExpectIdle();
  quiet.Write();
  EXPECT_TRUE(host.Done(fresh));
}

// The same when sources have come and gone before, for which the loop changed what it watches for.
TEST_P(FdGone, Rule34_AFileThatLivesOnAfterOtherSourcesOfItsNumber) {
  enum class Before { kMade, kReleased, kEnded };
  for (const Before before : {Before::kMade, Before::kReleased, Before::kEnded}) {
    // Their numbers are lower, so what is opened later gets these, and not the one that the loop's thread looks at.
    std::optional<Pipe> lower[2];
    for (auto& pipe : lower) pipe.emplace();
    SocketPair sockets;
    const Scope scope = WithFd(host.root(), sockets.server, POLLIN);
    Scope other =
        WithFd(host.root(), sockets.server, before == Before::kEnded ? POLLIN | POLLOUT : POLLPRI);
    if (before == Before::kEnded) {
      EXPECT_TRUE(host.Done(other));
    }
    if (before == Before::kReleased) other.reset();
    const Fd lives_on(fcntl(sockets.server, F_DUPFD_CLOEXEC, 0));
    sockets.server.Close();
    for (auto& pipe : lower) pipe.reset();
    ASSERT_EQ(write(sockets.client, "x", 1), 1);
    host.Settle();
    host.ExpectIdle();
  }
}

// The number is used again while the file before it lives on: what comes there ends nothing.
TEST_P(FdGone, Rule34_AFileThatLivesOnDoesNotEndWhatWatchesItsNumberNow) {
  const Pipe before, after;
  const Fd number(fcntl(before.read_end, F_DUPFD_CLOEXEC, 0));
  Scope first = WithFd(host.root(), number, POLLIN);
  ASSERT_EQ(dup3(after.read_end, number, O_CLOEXEC), number);
  const Scope second = WithFd(host.root(), number, POLLIN);
  before.Write();
  host.Settle();
  EXPECT_EQ(ctx_err(first), 0) << "its number is no longer that file's";
  EXPECT_EQ(ctx_err(second), 0);
  first.reset();
  host.Settle();
  EXPECT_EQ(ctx_err(second), 0);
  after.Write();
  EXPECT_TRUE(host.Done(second));
}

// A number stands again for a file that has lived on by another one: the system still knows both together.
TEST_P(FdGone, Rule34_ANumberThatComesBackToItsFile) {
  for (const bool other_in_between : {false, true}) {
    const Pipe pipe, other;
    Fd number(fcntl(pipe.read_end, F_DUPFD_CLOEXEC, 0));
    Scope old = WithFd(host.root(), number, POLLIN);
    if (other_in_between) {
      ASSERT_EQ(dup3(other.read_end, number, O_CLOEXEC), number);
      const Scope in_between = WithFd(host.root(), number, POLLIN);
    } else {
      const int closed = number;
      number.Close();
      old.reset();
      number = Reuse(closed, other.read_end);
    }
    ASSERT_EQ(dup3(pipe.read_end, number, O_CLOEXEC), number);
    const Scope fresh = WithFd(host.root(), number, POLLIN);
    ASSERT_NE(fresh.ctx.get(), nullptr);
    host.Settle();
    EXPECT_EQ(ctx_err(fresh), 0);
    pipe.Write();
    EXPECT_TRUE(host.Done(fresh));
    if (other_in_between) {
      EXPECT_EQ(ctx_err(old), 0) << "its number was another file's";
    }
    host.ExpectIdle();
  }
}

// A released source whose file lives on by another number: the context's memory is gone by then.
TEST_P(FdGone, Rule34_AReleasedSourceOfAFileThatLivesOn) {
  for (int i = 0; i < 20; ++i) {
    Pipe pipe;
    const Fd other(fcntl(pipe.read_end, F_DUPFD_CLOEXEC, 0));
    Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
    if (i % 2 == 0) pipe.read_end.Close();
    scope.reset();
    pipe.Write();
    host.Settle();
  }
  host.ExpectIdle();
}

TEST_P(FdGone, Rule34_ClosedOnceItsContextIsDoneNothingIsLeft) {
  for (int i = 0; i < 50; ++i) {
    const Pipe pipe;  // the same numbers every time
    const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
    if (i % 2 == 0) {
      pipe.Write();
      ASSERT_TRUE(host.Done(scope));
    } else {
      EXPECT_EQ(scope.Cancel(), 1);
    }
  }
  host.ExpectIdle();
}

// Sources that are made and released, become ready, and are canceled, while other threads do the same
// and the loop is at work.
TEST_P(FdGone, ManyThreadsMakeEndAndReleaseSources) {
  constexpr int kEach = kSanitized ? 100 : 500;
  Drop drop;
  std::atomic<int> failed{0};
  std::atomic<int> working{3};
  {
    const Ctx watched = Watched(host.root(), &drop);
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        Stagger stagger(static_cast<unsigned>(t));
        const Pipe shared;
        for (int i = 0; i < kEach; ++i) {
          const Pipe own;
          Ctx ctx, other;
          Canceler canceler;
          failed += ctx_with_fd(watched, own.read_end, POLLIN, ctx.out(), canceler.out()) != 0;
          failed += ctx_with_fd(watched, shared.read_end, POLLIN, other.out(), nullptr) != 0;
          own.Write();
          stagger.Pass(512);
          if (stagger.Odd()) ctx_cancel(canceler);
          if (i % 3 == 0 && GetParam() != On::kManual && GetParam() != On::kVirtual) {
            failed += ctx_wait(ctx, kLimit) != 1;
          }
          failed += ctx_err(other) != 0;
        }
        --working;
      });
    }
    while (working > 0) host.Settle();
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(failed, 0);
  EXPECT_TRUE(drop.Wait());
  host.ExpectIdle();
}

// The end by the descriptor and the end by a cancel at the same time: one of them, error and cause
// together.
TEST_P(FdGone, Rule09_ReadyAtTheMomentOfTheCancel) {
  const Cause cause = NewCause(-77, "mine");
  for (int i = 0; i < 200; ++i) {
    const Pipe pipe;
    const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
    int won = 0;
    pipe.Write();
    std::thread cancels([&] { won = ctx_cancel_with(scope.canceler, CTX_CANCELED, cause); });
    ASSERT_TRUE(host.Done(scope));
    cancels.join();
    ASSERT_EQ(ctx_cause_code(ctx_cause(scope)), won == 1 ? -77 : POLLIN);
  }
}

INSTANTIATE_TEST_SUITE_P(, FdGone,
                         ::testing::Values(On::kDefault, On::kThread, On::kManual, On::kVirtual),
                         [](const auto& on) { return NameOf(on.param); });

}  // namespace
}  // namespace ctxtest
