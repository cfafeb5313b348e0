// SPDX-License-Identifier: MIT
//
// A system that refuses eventfd: done descriptors are pipes then, and behave the same. Each errno in
// a process of its own, since the library may remember the answer.
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "fault/faults.h"
#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"

namespace ctxtest {
namespace {

int DoneFdWithout(int error, ctx_t* ctx) {
  Faults faults(Resource::kEventfd, error);
  return ctx_done_fd(ctx);
}

void ExpectReadsEmpty(int fd) {
  char bytes[64];
  EXPECT_EQ(read(fd, bytes, sizeof bytes), -1);
  EXPECT_EQ(errno, EAGAIN);
}

// Readers that take what is not theirs, with every size and many times.
void ReadAtRandom(int fd) {
  for (size_t i = 0; i < 1'000; ++i) {
    char bytes[8192];
    EXPECT_GE(read(fd, bytes, i % 3 == 0 ? sizeof bytes : i % 64 + 8), 0);
  }
}

void BehaveAsAlways(int error) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  const int fd = DoneFdWithout(error, scope);
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(IsPipe(fd)) << KindOf(fd);
  EXPECT_EQ(ctx_done_fd(scope), fd);
  EXPECT_EQ(ctx_done_fd(value), fd);
  EXPECT_TRUE((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  EXPECT_TRUE((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);

  const int copy = ctx_done_fd_dup(scope);
  ASSERT_GE(copy, 0);
  EXPECT_NE(copy, fd);
  EXPECT_TRUE((fcntl(copy, F_GETFD) & FD_CLOEXEC) != 0);

  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event = {EPOLLIN, {}};
  EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, copy, &event), 0);

  EXPECT_FALSE(Readable(fd));
  ExpectReadsEmpty(fd);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(epoll_wait(epoll, &event, 1, kLimitMs), 1);
  ReadAtRandom(fd);
  EXPECT_TRUE(Readable(fd));
  EXPECT_TRUE(Readable(copy));
  close(copy);
  close(epoll);
}

void WorkWithDeadlinesAndPoll(int error) {
  const Scope timed = WithTimeout(ctx_background(), 5 * kMillisecond);
  const int fd = DoneFdWithout(error, timed);
  EXPECT_TRUE(IsPipe(fd));
  EXPECT_TRUE(Readable(fd, kLimitMs));
  EXPECT_EQ(ctx_err(timed), CTX_DEADLINE_EXCEEDED);

  const Scope born_done = WithTimeout(ctx_background(), 0);
  const int done_fd = DoneFdWithout(error, born_done);
  EXPECT_TRUE(IsPipe(done_fd));
  EXPECT_TRUE(Readable(done_fd));

  const Scope polled = WithTimeout(ctx_background(), 5 * kMillisecond);
  int result;
  {
    Faults faults(Resource::kEventfd, error);
    result = ctx_poll(polled, nullptr, 0, kLimit);
  }
  EXPECT_EQ(result, CTX_DEADLINE_EXCEEDED);
}

// Canceled while another thread makes the descriptor: it must not be lost, either.
void RaceWithCancel(int error) {
  int fd = -1;
  Scope scope;
  Race(
      1'000, [&] { scope = WithCancel(ctx_background()); },
      {[&] { fd = DoneFdWithout(error, scope); }, [&] { scope.Cancel(); }},
      [&] {
        ASSERT_GE(fd, 0);
        EXPECT_TRUE(Readable(fd));
      });
}

void LeakNothing(int error) {
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 100; ++i) {
    const Scope canceled = WithCancel(ctx_background());
    EXPECT_GE(DoneFdWithout(error, canceled), 0);
    EXPECT_EQ(canceled.Cancel(), 1);
    const Scope dropped = WithCancel(ctx_background());
    EXPECT_GE(DoneFdWithout(error, dropped), 0);
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

class EventfdRefused : public ::testing::TestWithParam<int> {};

TEST_P(EventfdRefused, Rule46_PipesBehaveAsAlways) {
  CTX_IN_NEW_PROCESS(BehaveAsAlways(GetParam()));
}

TEST_P(EventfdRefused, Rule46_PipesWorkWithDeadlinesAndPoll) {
  CTX_IN_NEW_PROCESS(WorkWithDeadlinesAndPoll(GetParam()));
}

TEST_P(EventfdRefused, Rule46_PipesMadeDuringACancel) {
  CTX_IN_NEW_PROCESS(RaceWithCancel(GetParam()));
}

TEST_P(EventfdRefused, Rule46_PipesLeakNothing) { CTX_IN_NEW_PROCESS(LeakNothing(GetParam())); }

INSTANTIATE_TEST_SUITE_P(, EventfdRefused, ::testing::Values(ENOSYS, EPERM), [](const auto& error) {
  return std::string(error.param == ENOSYS ? "ENOSYS" : "EPERM");
});

// "None at the moment" is not "none on this system".
TEST(EventfdRefusedForLackOfDescriptors, Rule46_IsNoReasonForAPipe) {
  const Scope refused = WithCancel(ctx_background());
  int result;
  {
    Faults faults(Resource::kDescriptor, EMFILE);
    result = ctx_done_fd(refused);
  }
  EXPECT_EQ(result, -EMFILE);
  const Scope other = WithCancel(ctx_background());
  EXPECT_EQ(IsPipe(ctx_done_fd(refused)), IsPipe(ctx_done_fd(other)));
  EXPECT_EQ(refused.Cancel(), 1);
  EXPECT_TRUE(Readable(ctx_done_fd(refused)));

  const Scope third = WithCancel(ctx_background());
  {
    Faults faults(Resource::kDescriptor, ENFILE);
    result = ctx_done_fd(third);
  }
  EXPECT_EQ(result, -ENFILE);
}

}  // namespace
}  // namespace ctxtest
