// SPDX-License-Identifier: MIT
//
// ctx_cancel_fd: a write to it cancels, from a signal handler and from another process too; it and its
// context outlive each other, and its close ends nothing.
#include <sys/wait.h>

#include <cstring>
#include <string>
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

constexpr uint64_t kOne = 1;

bool WriteOne(int fd) { return write(fd, &kOne, sizeof kOne) == static_cast<ssize_t>(sizeof kOne); }

class CancelFd : public ::testing::TestWithParam<On> {
 protected:
  const Host host{GetParam()};
};

TEST_P(CancelFd, AWriteCancels) {
  const Scope parent = WithCancel(host.root());
  const Scope scope = WithCancel(parent), child = WithCancel(scope);
  const Fd fd(ctx_cancel_fd(scope.canceler));
  host.Settle();
  EXPECT_EQ(ctx_err(scope), 0);
  EXPECT_TRUE(WriteOne(fd));
  ASSERT_TRUE(host.Done(child));
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  EXPECT_NE(ctx_cause(scope), nullptr);
  EXPECT_EQ(ctx_cause(child), ctx_cause(scope));
  EXPECT_EQ(ctx_err(parent), 0);
  EXPECT_EQ(scope.Cancel(), 0);
  EXPECT_TRUE(WriteOne(fd)) << "a second write harms nobody";
  host.Settle();
  host.ExpectIdle();
}

TEST_P(CancelFd, ItIsCloseOnExecAndNonBlocking) {
  const Scope scope = WithCancel(host.root());
  const Fd fd(ctx_cancel_fd(scope.canceler));
  EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

// Of any context that has a canceler.
TEST_P(CancelFd, OfEveryKindOfContext) {
  const Pipe pipe;
  const Scope scopes[] = {WithTimeout(host.root(), kHour),
                          WithFd(host.root(), pipe.read_end, POLLIN),
                          WithTimeout(WithTimeout(host.root(), kHour), kSecond * 100)};
  for (const Scope& scope : scopes) {
    const Fd fd(ctx_cancel_fd(scope.canceler));
    EXPECT_TRUE(WriteOne(fd));
    ASSERT_TRUE(host.Done(scope));
    EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  }
}

TEST_P(CancelFd, SeveralForOneContext) {
  for (size_t writes = 0; writes < 3; ++writes) {
    const Scope scope = WithCancel(host.root());
    const Fd fds[] = {Fd(ctx_cancel_fd(scope.canceler)), Fd(ctx_cancel_fd(scope.canceler)),
                      Fd(ctx_cancel_fd(scope.canceler))};
    EXPECT_NE(fds[0], fds[1]);
    EXPECT_NE(fds[1], fds[2]);
    EXPECT_TRUE(WriteOne(fds[writes]));
    ASSERT_TRUE(host.Done(scope)) << writes;
    for (const Fd& fd : fds) EXPECT_TRUE(WriteOne(fd));
    host.Settle();
  }
  host.ExpectIdle();
}

TEST_P(CancelFd, OneThatIsClosedEndsNothingAndTheOthersWork) {
  const Scope scope = WithCancel(host.root());
  Fd first(ctx_cancel_fd(scope.canceler)), second(ctx_cancel_fd(scope.canceler)),
      third(ctx_cancel_fd(scope.canceler));
  first.Close();
  second.Close();
  host.Settle();
  EXPECT_EQ(ctx_err(scope), 0);
  host.ExpectIdle();
  EXPECT_TRUE(WriteOne(third));
  EXPECT_TRUE(host.Done(scope));
}

TEST_P(CancelFd, TheContextOutlivesIt) {
  const Scope scope = WithCancel(host.root());
  Fd(ctx_cancel_fd(scope.canceler)).Close();
  host.Settle();
  EXPECT_EQ(ctx_err(scope), 0) << "closing is not writing";
  host.ExpectIdle();
  EXPECT_EQ(scope.Cancel(), 1);
  host.ExpectIdle();
}

// A write, and then a close before the loop has looked.
TEST_P(CancelFd, ClosedRightAfterTheWrite) {
  for (int i = 0; i < 20; ++i) {
    const Scope scope = WithCancel(host.root());
    Fd fd(ctx_cancel_fd(scope.canceler));
    EXPECT_TRUE(WriteOne(fd));
    fd.Close();
    ASSERT_TRUE(host.Done(scope));
  }
  host.ExpectIdle();
}

TEST_P(CancelFd, ItDoesNotKeepTheContextAlive) {
  // Where it is a pipe, nobody reads it any more.
  signal(SIGPIPE, SIG_IGN);
  Drop drop;
  Fd fd;
  {
    const Scope scope = WithCancel(Watched(host.root(), &drop));
    fd = Fd(ctx_cancel_fd(scope.canceler));
  }
  EXPECT_TRUE(drop.Wait());
  EXPECT_TRUE(WriteOne(fd) || errno == EPIPE);
  host.Settle();
  host.ExpectIdle();
  signal(SIGPIPE, SIG_DFL);
}

TEST_P(CancelFd, ItOutlivesADoneContext) {
  signal(SIGPIPE, SIG_IGN);
  Fd fd;
  {
    const Scope scope = WithCancel(host.root());
    fd = Fd(ctx_cancel_fd(scope.canceler));
    scope.Cancel();
    EXPECT_TRUE(WriteOne(fd));
  }
  EXPECT_TRUE(WriteOne(fd) || errno == EPIPE);
  host.Settle();
  host.ExpectIdle();
  signal(SIGPIPE, SIG_DFL);
}

TEST_P(CancelFd, OfADoneContext) {
  const Scope scope = WithCancel(host.root());
  scope.Cancel();
  const Fd fd(ctx_cancel_fd(scope.canceler));
  EXPECT_TRUE(WriteOne(fd));
  host.Settle();
  host.ExpectIdle();
}

TEST_P(CancelFd, NoDescriptorIsLeftBehind) {
  {
    const Scope scope = WithCancel(host.root());
    Fd(ctx_cancel_fd(scope.canceler)).Close();  // the loop has its own by now
    host.Settle();
  }
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 20; ++i) {
    const Scope scope = WithCancel(host.root());
    const Fd fd(ctx_cancel_fd(scope.canceler)), other(ctx_cancel_fd(scope.canceler));
    if (i % 3 == 0) scope.Cancel();
    if (i % 3 == 1) {
      EXPECT_TRUE(WriteOne(other));
      ASSERT_TRUE(host.Done(scope));
    }
  }
  // What the loop has ended last is freed on the thread of its calls, at its leisure.
  EXPECT_TRUE(Soon([&] { return OpenDescriptors() <= before; }));
}

TEST_P(CancelFd, FromASignalHandler) {
  static int target;
  const Scope scope = WithCancel(host.root());
  const Fd fd(ctx_cancel_fd(scope.canceler));
  target = fd;
  struct sigaction handler = {}, before = {};
  handler.sa_handler = [](int) { [[maybe_unused]] const bool written = WriteOne(target); };
  ASSERT_EQ(sigaction(SIGUSR1, &handler, &before), 0);
  EXPECT_EQ(raise(SIGUSR1), 0);
  sigaction(SIGUSR1, &before, nullptr);
  EXPECT_TRUE(host.Done(scope));
}

TEST_P(CancelFd, FromAForkedChild) {
  const Scope scope = WithCancel(host.root());
  const Fd fd(ctx_cancel_fd(scope.canceler));
  const pid_t pid = fork();
  if (pid == 0) _exit(WriteOne(fd) ? 0 : 1);
  ASSERT_GT(pid, 0);
  EXPECT_TRUE(host.Done(scope));
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

// Any program that was handed the number: here a shell that prints the eight bytes.
TEST_P(CancelFd, FromAnotherProgram) {
  const Scope scope = WithCancel(host.root());
  const Fd fd(ctx_cancel_fd(scope.canceler));
  std::string bytes;
  unsigned char one[sizeof kOne];
  std::memcpy(one, &kOne, sizeof kOne);
  for (const unsigned char byte : one) bytes += byte == 0 ? "\\000" : "\\001";
  const std::string command = "printf '" + bytes + "' >&9";
  const char* const shell = "/bin/sh";
  const pid_t pid = fork();
  if (pid == 0) {
    if (fd == 9) {
      fcntl(fd, F_SETFD, 0);
    } else {
      dup2(fd, 9);
    }
    execl(shell, shell, "-c", command.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  ASSERT_GT(pid, 0);
  EXPECT_TRUE(host.Done(scope));
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

// A child that inherited it and exits without a word.
TEST_P(CancelFd, TheExitOfAChildThatHasItEndsNothing) {
  const Scope scope = WithCancel(host.root());
  Fd fd(ctx_cancel_fd(scope.canceler));
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  ASSERT_GT(pid, 0);
  EXPECT_EQ(waitpid(pid, nullptr, 0), pid);
  host.Settle();
  EXPECT_EQ(ctx_err(scope), 0);
  EXPECT_TRUE(WriteOne(fd));
  EXPECT_TRUE(host.Done(scope));
}

TEST_P(CancelFd, NullAndMixedUpHandlesAreEINVAL) {
  EXPECT_EQ(ctx_cancel_fd(nullptr), -EINVAL);
  const Scope scope = WithCancel(host.root());
  EXPECT_EQ(ctx_cancel_fd(reinterpret_cast<ctx_canceler_t*>(scope.ctx.get())), -EINVAL);
}

// Writes by many threads, while the contexts end and go.
TEST_P(CancelFd, ManyThreadsWriteWhileContextsGo) {
  signal(SIGPIPE, SIG_IGN);
  constexpr int kEach = kSanitized ? 60 : 300;
  Drop drop;
  std::atomic<int> failed{0}, working{3};
  {
    const Ctx watched = Watched(host.root(), &drop);
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        Stagger stagger(static_cast<unsigned>(t));
        for (int i = 0; i < kEach; ++i) {
          Fd fd;
          {
            Ctx ctx;
            Canceler canceler;
            failed += ctx_with_cancel(watched, ctx.out(), canceler.out()) != 0;
            fd = Fd(ctx_cancel_fd(canceler));
            if (i % 2 == 0) failed += !WriteOne(fd);
            stagger.Pass(512);
            if (stagger.Odd()) ctx_cancel(canceler);
          }
          failed += !WriteOne(fd) && errno != EPIPE;
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
  signal(SIGPIPE, SIG_DFL);
}

INSTANTIATE_TEST_SUITE_P(, CancelFd,
                         ::testing::Values(On::kDefault, On::kThread, On::kManual, On::kVirtual),
                         [](const auto& on) { return NameOf(on.param); });

}  // namespace
}  // namespace ctxtest
