// SPDX-License-Identifier: MIT
//
// Rules 34, 35 and 43: the descriptors, events and signals that a loop does not take. A clear error at
// once, nothing written, nothing watched.
#include <sys/epoll.h>

#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include "support/handles.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

class SourceRefused : public ::testing::TestWithParam<On> {
 protected:
  // Whether no loop waits for a signal of which no context was made.
  bool LeftAlone() {
    EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
    host.Settle();
    return blocked.Take() == SIGUSR1;
  }

  const BlockSignals blocked{SIGUSR1, SIGUSR2};
  const Host host{GetParam()};
};

TEST_P(SourceRefused, Rule34_ARegularFileIsEPERM) {
  char name[] = "/tmp/ctx-file-XXXXXX";
  const Fd file(mkstemp(name));
  unlink(name);
  const Fd folder(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  for (const int fd : {static_cast<int>(file), static_cast<int>(folder)}) {
    EXPECT_EQ(ctx_with_fd(host.root(), fd, POLLIN, &ctx, &canceler), -EPERM);
    EXPECT_EQ(ctx_with_fd(host.root(), fd, POLLOUT, &ctx, nullptr), -EPERM);
  }
  EXPECT_EQ(ctx, nullptr);
  EXPECT_EQ(canceler, nullptr);
  host.ExpectIdle();
}

TEST_P(SourceRefused, AnEpollThatIsNestedTooDeeplyIsELOOP) {
  std::vector<Fd> nested;
  for (int depth = 0; depth < 10; ++depth) {
    Fd outer(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event = {};
    if (depth > 0 && epoll_ctl(outer, EPOLL_CTL_ADD, nested.back(), &event) != 0) break;
    nested.push_back(std::move(outer));
  }
  ctx_t* ctx = nullptr;
  EXPECT_EQ(ctx_with_fd(host.root(), nested.back(), POLLIN, &ctx, nullptr), -ELOOP);
  EXPECT_EQ(ctx, nullptr);
  host.ExpectIdle();
}

TEST_P(SourceRefused, WhatIsNotAnOpenDescriptorIsEBADF) {
  int closed = 200;  // what is open in a test comes nowhere near, but it may inherit any
  while (fcntl(closed, F_GETFD) != -1) ++closed;
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  for (const int fd : {-1, -2, closed, INT32_MIN, INT32_MAX, 1 << 20}) {
    EXPECT_EQ(ctx_with_fd(host.root(), fd, POLLIN, &ctx, &canceler), -EBADF) << fd;
  }
  EXPECT_EQ(ctx, nullptr);
  EXPECT_EQ(canceler, nullptr);
}

TEST_P(SourceRefused, AMaskOfNothingOrOfUnknownBitsIsEINVAL) {
  const Pipe pipe;
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  const uint32_t edge = EPOLLET, once = EPOLLONESHOT, exclusive = EPOLLEXCLUSIVE,
                 wake = EPOLLWAKEUP;
  for (const uint32_t events : {uint32_t{0}, edge, once, exclusive, wake, edge | POLLIN,
                                once | POLLIN, uint32_t{1} << 16 | POLLIN, ~uint32_t{0}}) {
    EXPECT_EQ(ctx_with_fd(host.root(), pipe.read_end, events, &ctx, &canceler), -EINVAL) << events;
  }
  EXPECT_EQ(ctx, nullptr);
  EXPECT_EQ(canceler, nullptr);
}

TEST_P(SourceRefused, Rule43_NullForAParentOrForWhereToStoreIt) {
  const Pipe pipe;
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  EXPECT_EQ(ctx_with_fd(nullptr, pipe.read_end, POLLIN, &ctx, &canceler), -EINVAL);
  EXPECT_EQ(ctx_with_fd(host.root(), pipe.read_end, POLLIN, nullptr, &canceler), -EINVAL);
  const Scope other = WithCancel(host.root());
  EXPECT_EQ(ctx_with_fd(reinterpret_cast<ctx_t*>(other.canceler.get()), pipe.read_end, POLLIN, &ctx,
                        &canceler),
            -EINVAL);
  EXPECT_EQ(ctx, nullptr);
  EXPECT_EQ(canceler, nullptr);
}

TEST_P(SourceRefused, Rule35_OneThatIsNotBlockedIsEINVAL) {
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  const int unblocked[] = {SIGWINCH}, one_of_them[] = {SIGUSR1, SIGWINCH, SIGUSR2};
  EXPECT_EQ(ctx_with_signal(host.root(), unblocked, 1, &ctx, &canceler), -EINVAL);
  EXPECT_EQ(ctx_with_signal(host.root(), one_of_them, 3, &ctx, &canceler), -EINVAL);
  EXPECT_EQ(ctx, nullptr);
  EXPECT_EQ(canceler, nullptr);
  EXPECT_TRUE(LeftAlone());
}

// The check is of the calling thread.
TEST_P(SourceRefused, Rule35_BlockedInAnotherThreadIsNotEnough) {
  std::thread([&] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    ctx_t* ctx = nullptr;
    const int signal = SIGUSR1;
    EXPECT_EQ(ctx_with_signal(host.root(), &signal, 1, &ctx, nullptr), -EINVAL);
    EXPECT_EQ(ctx, nullptr);
  }).join();
}

TEST_P(SourceRefused, Rule35_InvalidOrUncatchableOnesAreEINVAL) {
  const BlockSignals all_of_it{SIGKILL, SIGSTOP};  // which blocks neither
  ctx_t* ctx = nullptr;
  for (const int signal : {0, -1, SIGKILL, SIGSTOP, SIGRTMAX + 1, 1000, INT32_MIN, INT32_MAX}) {
    const int signals[] = {SIGUSR1, signal};
    EXPECT_EQ(ctx_with_signal(host.root(), signals + 1, 1, &ctx, nullptr), -EINVAL) << signal;
    EXPECT_EQ(ctx_with_signal(host.root(), signals, 2, &ctx, nullptr), -EINVAL) << signal;
  }
  EXPECT_EQ(ctx, nullptr);
  EXPECT_TRUE(LeftAlone());
}

TEST_P(SourceRefused, NoSignalOrNullIsEINVAL) {
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  const int signal = SIGUSR1;
  EXPECT_EQ(ctx_with_signal(host.root(), &signal, 0, &ctx, &canceler), -EINVAL);
  EXPECT_EQ(ctx_with_signal(host.root(), nullptr, 0, &ctx, &canceler), -EINVAL);
  EXPECT_EQ(ctx_with_signal(host.root(), nullptr, 1, &ctx, &canceler), -EINVAL);
  EXPECT_EQ(ctx_with_signal(nullptr, &signal, 1, &ctx, &canceler), -EINVAL);
  EXPECT_EQ(ctx_with_signal(host.root(), &signal, 1, nullptr, &canceler), -EINVAL);
  EXPECT_EQ(ctx, nullptr);
  EXPECT_EQ(canceler, nullptr);
}

INSTANTIATE_TEST_SUITE_P(, SourceRefused,
                         ::testing::Values(On::kDefault, On::kThread, On::kManual, On::kVirtual),
                         [](const auto& on) { return NameOf(on.param); });

}  // namespace
}  // namespace ctxtest
