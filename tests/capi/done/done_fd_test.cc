// SPDX-License-Identifier: MIT
//
// Rules 6 and 7: done descriptors, whatever they are made of.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(DoneFd, Rule06_BecomesReadableWithTheEndAndStaysSo) {
  const Scope scope = WithCancel(ctx_background());
  const int fd = ctx_done_fd(scope);
  ASSERT_GE(fd, 0);
  EXPECT_FALSE(Readable(fd));
  scope.Cancel();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(Readable(fd));
}

TEST(DoneFd, Rule06_OfADoneContextItIsReadableAtOnce) {
  const Scope parent = WithCancel(ctx_background());
  const Scope child = WithCancel(parent);
  parent.Cancel();
  const Scope late = WithTimeout(ctx_background(), -1), born_done = WithCancel(parent);
  for (ctx_t* ctx : {parent.ctx.get(), child.ctx.get(), late.ctx.get(), born_done.ctx.get()}) {
    EXPECT_TRUE(Readable(ctx_done_fd(ctx)));
    EXPECT_TRUE(Readable(Fd(ctx_done_fd_dup(ctx))));
  }
}

TEST(DoneFd, Rule06_ADeadlineMakesItReadable) {
  const Scope timed = WithTimeout(ctx_background(), 3 * kMillisecond);
  EXPECT_TRUE(Readable(ctx_done_fd(timed), kLimitMs));
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);
}

TEST(DoneFd, IsOneForAContextAndItsValueContexts) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  const Ctx text = WithString(value, "name", "text");
  const int fd = ctx_done_fd(text);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(ctx_done_fd(text), fd);
  EXPECT_EQ(ctx_done_fd(value), fd);
  EXPECT_EQ(ctx_done_fd(scope), fd);
  const Scope child = WithCancel(value);
  EXPECT_NE(ctx_done_fd(child), fd);
  EXPECT_NE(ctx_done_fd(WithTimeout(text, kHour)), fd);
}

TEST(DoneFd, IsOneHoweverManyThreadsAskForItFirst) {
  Scope scope;
  std::array<int, 3> fds{};
  int wrong = 0;
  Race(
      kSanitized ? 200 : 1000, [&] { scope = WithCancel(ctx_background()); },
      {[&] { fds[0] = ctx_done_fd(scope); }, [&] { fds[1] = ctx_done_fd(scope); },
       [&] { fds[2] = ctx_done_fd(scope); }},
      [&] {
        wrong += fds[0] < 0 || fds[0] != fds[1] || fds[1] != fds[2];
        scope.Cancel();
        wrong += !Readable(fds[0]);
      });
  EXPECT_EQ(wrong, 0);
}

TEST(DoneFd, IsMadeWhenFirstAskedForAndNeverBefore) {
  const size_t before = OpenDescriptors();
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  const Scope child = WithCancel(value);
  Callback callback;
  callback.Arm(child);
  EXPECT_EQ(ctx_wait(child, 0), 0);
  EXPECT_EQ(OpenDescriptors(), before);
  scope.Cancel();
  EXPECT_EQ(ctx_wait(child, 0), 1);
  EXPECT_EQ(OpenDescriptors(), before);
  ASSERT_GE(ctx_done_fd(child), 0);
  EXPECT_GT(OpenDescriptors(), before);
}

TEST(DoneFd, GoesWithItsContext) {
  const size_t before = OpenDescriptors();
  {
    std::vector<Scope> scopes;
    for (int i = 0; i < 50; ++i) {
      scopes.push_back(WithCancel(ctx_background()));
      ASSERT_GE(ctx_done_fd(scopes.back()), 0);
      if (i % 2 == 0) scopes.back().Cancel();
    }
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(DoneFd, IsCloseOnExecAndNonBlocking) {
  const Scope live = WithCancel(ctx_background()), done = WithTimeout(ctx_background(), 0);
  for (ctx_t* ctx : {live.ctx.get(), done.ctx.get()}) {
    const Fd dup(ctx_done_fd_dup(ctx));
    for (int fd : {ctx_done_fd(ctx), static_cast<int>(dup)}) {
      EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
      EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    }
  }
}

// A reader that reads it by mistake takes nothing from anyone.
TEST(DoneFd, SurvivesStrayReads) {
  const Scope scope = WithCancel(ctx_background());
  const int fd = ctx_done_fd(scope);
  std::vector<char> large(1 << 16);
  uint64_t word = 0;
  EXPECT_LT(read(fd, &word, sizeof word), 0) << "nothing to read, and it does not block";
  EXPECT_LT(read(fd, large.data(), large.size()), 0);
  EXPECT_EQ(ctx_err(scope), 0);
  scope.Cancel();
  const Fd dup(ctx_done_fd_dup(scope));
  for (int i = 0; i < 1000; ++i) {
    for (int each : {fd, static_cast<int>(dup)}) {
      [[maybe_unused]] ssize_t size = read(each, &word, sizeof word);
      size = read(each, &word, 1);
      size = read(each, large.data(), large.size());
      ASSERT_TRUE(Readable(each));
    }
  }
  EXPECT_TRUE(Readable(ctx_done_fd(scope)));
}

TEST(DoneFd, SurvivesStrayReadsThatRaceWithTheCancel) {
  Scope scope;
  std::atomic<int> lost{0};
  Race(
      kSanitized ? 200 : 1000,
      [&] {
        scope = WithCancel(ctx_background());
        lost += ctx_done_fd(scope) < 0;
      },
      {[&] { scope.Cancel(); },
       [&] {
         const int fd = ctx_done_fd(scope);
         for (int i = 0; i < 50; ++i) {
           uint64_t word = 0;
           [[maybe_unused]] const ssize_t size = read(fd, &word, sizeof word);
         }
         lost += !Readable(fd, kLimitMs);
       },
       [&] { lost += ctx_wait(scope, kLimit) != 1; }},
      [&] { lost += !Readable(ctx_done_fd(scope)); });
  EXPECT_EQ(lost, 0);
}

TEST(DoneFd, DupIsTheCallersOwn) {
  const Scope scope = WithCancel(ctx_background());
  Fd first(ctx_done_fd_dup(scope));
  const Fd second(ctx_done_fd_dup(scope));
  const int borrowed = ctx_done_fd(scope);
  EXPECT_NE(first, second);
  EXPECT_NE(static_cast<int>(first), borrowed);
  first.Close();
  EXPECT_TRUE(IsOpen(borrowed));
  scope.Cancel();
  EXPECT_TRUE(Readable(second));
  EXPECT_TRUE(Readable(borrowed));
}

TEST(DoneFd, DupOutlivesADoneContext) {
  Scope scope = WithCancel(ctx_background());
  const Fd dup(ctx_done_fd_dup(scope));
  scope.Cancel();
  scope.reset();
  EXPECT_TRUE(Readable(dup));
}

TEST(DoneFd, DupOutlivesALiveContextAndIsStillTheCallersToClose) {
  const Scope parent = WithCancel(ctx_background());
  Scope child = WithCancel(parent);
  const int dup = ctx_done_fd_dup(child);
  child.reset();
  parent.Cancel();
  EXPECT_TRUE(IsOpen(dup));
  EXPECT_EQ(close(dup), 0);
}

TEST(DoneFd, WorksInPollSelectAndEpoll) {
  const Scope first = WithCancel(ctx_background()), second = WithCancel(ctx_background());
  const int fd = ctx_done_fd(first), other = ctx_done_fd(second);
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
  event.data.fd = other;
  ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, other, &event), 0);
  std::array<epoll_event, 4> events{};
  EXPECT_EQ(epoll_wait(epoll, events.data(), 4, 0), 0);
  first.Cancel();
  for (int i = 0; i < 3; ++i) {  // level-triggered: for as long as it is in the set
    ASSERT_EQ(epoll_wait(epoll, events.data(), 4, kLimitMs), 1);
    EXPECT_EQ(events[0].data.fd, fd);
  }
  ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr), 0);
  EXPECT_EQ(epoll_wait(epoll, events.data(), 4, 0), 0);

  std::array<pollfd, 2> polled = {pollfd{other, POLLIN, 0}, pollfd{fd, POLLIN, 0}};
  EXPECT_EQ(poll(polled.data(), 2, 0), 1);
  EXPECT_EQ(polled[0].revents, 0);
  EXPECT_NE(polled[1].revents, 0);

  fd_set readable;
  FD_ZERO(&readable);
  FD_SET(fd, &readable);
  FD_SET(other, &readable);
  timeval now{};
  EXPECT_EQ(select(std::max(fd, other) + 1, &readable, nullptr, nullptr, &now), 1);
  EXPECT_TRUE(FD_ISSET(fd, &readable));
}

TEST(DoneFd, WorksInAnEdgeTriggeredLoop) {
  const Scope scope = WithCancel(ctx_background());
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, ctx_done_fd(scope), &event), 0);
  std::thread canceler([&] { scope.Cancel(); });
  EXPECT_EQ(epoll_wait(epoll, &event, 1, kLimitMs), 1);
  canceler.join();
}

TEST(DoneFd, TheSameOneTwiceInOneEpollIsEEXISTAndADupIsNot) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC)), dup(ctx_done_fd_dup(value));
  epoll_event event{};
  event.events = EPOLLIN;
  ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, ctx_done_fd(scope), &event), 0);
  EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, ctx_done_fd(value), &event), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, dup, &event), 0);
  scope.Cancel();
  std::array<epoll_event, 4> events{};
  EXPECT_EQ(epoll_wait(epoll, events.data(), 4, kLimitMs), 2);
}

// A pipe or an eventfd of the context's is nobody else's: no other context's end shows on it.
TEST(DoneFd, Rule07_ShowsTheEndOfItsOwnContextAlone) {
  const Scope parent = WithCancel(ctx_background());
  const Scope child = WithCancel(parent), sibling = WithCancel(parent);
  const int of_parent = ctx_done_fd(parent), of_child = ctx_done_fd(child),
            of_sibling = ctx_done_fd(sibling);
  child.Cancel();
  EXPECT_TRUE(Readable(of_child));
  EXPECT_FALSE(Readable(of_parent));
  EXPECT_FALSE(Readable(of_sibling));
  parent.Cancel();
  EXPECT_TRUE(Readable(of_parent));
  EXPECT_TRUE(Readable(of_sibling));
}

}  // namespace
}  // namespace ctxtest
