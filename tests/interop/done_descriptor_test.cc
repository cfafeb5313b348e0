// SPDX-License-Identifier: MIT
//
// Done descriptors in loops that others wrote.
#include <array>
#include <vector>

#include "interop/interop.h"

namespace ctxtest {
namespace {

class DoneDescriptor : public Interop {};

// Reads a descriptor as someone does who takes it for an eventfd, or for a stream.
void ReadByMistake(int fd) {
  uint64_t word = 0;
  std::array<char, 4096> large{};
  for (int i = 0; i < 3; ++i) {
    [[maybe_unused]] ssize_t size = read(fd, &word, sizeof word);
    size = read(fd, large.data(), large.size());
  }
}

TEST_P(DoneDescriptor, WakesOnCancel) {
  const Scope scope = WithCancel(ctx_background());
  int seen = 0;
  Watcher watcher(host(), ctx_done_fd(scope), [&] {
    seen = ctx_err(scope);
    watcher.Stop();
  });
  const OnceAsleep canceler([&] { scope.Cancel(); });
  ASSERT_TRUE(RunUntil([&] { return watcher.reports() > 0; }));
  EXPECT_EQ(seen, CTX_CANCELED);

  ASSERT_TRUE(TurnForSomethingElse());
  EXPECT_EQ(watcher.reports(), 1) << "it was stopped";
}

TEST_P(DoneDescriptor, WakesOnADeadlineOfAManualLoop) {
  Manual manual(host());
  const Scope timed = WithTimeout(manual.root(), 20 * kMillisecond);
  int seen = 0;
  Watcher watcher(host(), ctx_done_fd(timed), [&] {
    seen = ctx_err(timed);
    watcher.Stop();
  });
  ASSERT_TRUE(RunUntil([&] { return watcher.reports() > 0; }));
  EXPECT_EQ(seen, CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(manual.fired(), 1);
  ExpectNoThreadOfTheLibrary();
}

TEST_P(DoneDescriptor, ShowsAnEndThatCameBeforeItWasWatched) {
  const Scope early = WithCancel(ctx_background()), late = WithCancel(ctx_background());
  const int made_early = ctx_done_fd(early);
  early.Cancel();
  late.Cancel();
  for (const int fd : {made_early, ctx_done_fd(late)}) {
    Watcher watcher(host(), fd, [&] { watcher.Stop(); });
    ASSERT_TRUE(RunUntil([&] { return watcher.reports() > 0; }));
  }
}

TEST_P(DoneDescriptor, AllOfATreeShowItsEnd) {
  const Scope parent = WithCancel(ctx_background());
  std::vector<Scope> children;
  std::vector<std::unique_ptr<Watcher>> watchers;
  size_t ended = 0;
  for (size_t i = 0; i < 20; ++i) {
    children.push_back(WithCancel(parent));
    watchers.push_back(std::make_unique<Watcher>(host(), ctx_done_fd(children[i]), [&, i] {
      ended += ctx_err(children[i]) == CTX_CANCELED;
      watchers[i]->Stop();
    }));
  }
  const OnceAsleep canceler([&] { parent.Cancel(); });
  EXPECT_TRUE(RunUntil([&] { return ended == children.size(); }));
}

TEST_P(DoneDescriptor, WakesThoughSomeoneHasReadItBeforeTheEnd) {
  const Scope scope = WithCancel(ctx_background());
  const int fd = ctx_done_fd(scope);
  Watcher watcher(host(), fd, [&] { watcher.Stop(); });
  const OnceAsleep canceler([&] {
    ReadByMistake(fd);
    scope.Cancel();
    ReadByMistake(fd);
  });
  EXPECT_TRUE(RunUntil([&] { return watcher.reports() > 0; }));
}

// The end is there, and before the loop could look at it somebody has read.
TEST_P(DoneDescriptor, WakesThoughSomeoneHasReadItAfterTheEnd) {
  const Scope scope = WithCancel(ctx_background());
  const int fd = ctx_done_fd(scope);
  Watcher watcher(host(), fd, [&] { watcher.Stop(); });
  ASSERT_TRUE(TurnForSomethingElse());
  ASSERT_EQ(watcher.reports(), 0);
  scope.Cancel();
  ReadByMistake(fd);
  EXPECT_TRUE(RunUntil([&] { return watcher.reports() > 0; }));
}

// The handlers of a descriptor and of its duplicate, in the same loop, both read what they watch.
TEST_P(DoneDescriptor, WakesEveryoneThoughEachReadsIt) {
  const Scope scope = WithCancel(ctx_background());
  const int fd = ctx_done_fd(scope);
  const Fd dup(ctx_done_fd_dup(scope));
  for (int round = 0; round < 3; ++round) {
    Watcher first(host(), fd, [&] {
      ReadByMistake(fd);
      first.Stop();
    });
    Watcher second(host(), dup, [&] {
      ReadByMistake(dup);
      second.Stop();
    });
    scope.Cancel();
    ASSERT_TRUE(RunUntil([&] { return first.reports() > 0 && second.reports() > 0; }));
  }
}

CTX_IN_LOOPS(DoneDescriptor, HostKinds());

}  // namespace
}  // namespace ctxtest
