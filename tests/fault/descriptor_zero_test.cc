// SPDX-License-Identifier: MIT
//
// A process that has closed its standard input: 0 is a descriptor like any other, for a program and for the library.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <vector>

#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

bool ZeroIsOpen() { return fcntl(0, F_GETFD) >= 0; }

// While it lives, 0 is the lowest descriptor to be had.
class ZeroIsFree {
 public:
  ZeroIsFree() : input_(fcntl(0, F_DUPFD_CLOEXEC, 3)) {
    EXPECT_GE(input_, 3);
    close(0);
  }
  ZeroIsFree(const ZeroIsFree&) = delete;
  ~ZeroIsFree() {
    EXPECT_FALSE(ZeroIsOpen()) << "it was not closed";
    EXPECT_EQ(dup2(input_, 0), 0);
    close(input_);
  }

 private:
  int input_;
};

void ExpectTimersAndDescriptors(const ManualLoop& manual) {
  EXPECT_GE(manual.DriveUntilDone(WithTimeout(manual.root, kMillisecond)), 0);
  const Pipe pipe;
  pipe.Write();
  EXPECT_GE(manual.DriveUntilDone(WithFd(manual.root, pipe.read_end, POLLIN)), 0);
}

TEST(DescriptorZero, MayBeThatOfADoneContext) {
  const ZeroIsFree zero;
  {
    const Scope scope = WithCancel(ctx_background());
    EXPECT_EQ(ctx_done_fd(scope), 0);
    EXPECT_EQ(ctx_done_fd(scope), 0);
    const Fd copy(ctx_done_fd_dup(scope));
    EXPECT_NE(copy, 0);
    EXPECT_FALSE(Readable(0));
    EXPECT_EQ(ctx_poll(scope, nullptr, 0, 0), 0);
    EXPECT_EQ(scope.Cancel(), 1);
    EXPECT_TRUE(Readable(0));
    EXPECT_TRUE(Readable(copy));
  }
  const Scope scope = WithCancel(ctx_background());
  const int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(first, 0);
  EXPECT_GT(ctx_done_fd(scope), 0);
  close(first);
  {
    const Fd copy(ctx_done_fd_dup(scope));
    EXPECT_EQ(copy, 0);
  }
}

TEST(DescriptorZero, MayBeThatOfAPoll) {
  const Pipe pipe;
  pipe.Write();
  const ZeroIsFree zero;
  const Scope scope = WithCancel(ctx_background());
  pollfd ready = {pipe.read_end, POLLIN, 0};
  EXPECT_EQ(ctx_poll(scope, &ready, 1, kLimit), 1);
  EXPECT_TRUE(ZeroIsOpen());
  EXPECT_EQ(ctx_poll(scope, &ready, 1, kLimit), 1);
}

// The descriptor of a parent that lives on another loop.
TEST(DescriptorZero, MayBeThatOfAMergesParent) {
  const ManualLoop manual, other;
  ExpectTimersAndDescriptors(manual);  // all else is open
  const ZeroIsFree zero;
  const Scope near = WithCancel(manual.root), far = WithCancel(other.root);
  EXPECT_EQ(ctx_done_fd(far), 0);
  const Scope merged = Merge({near, far});
  EXPECT_EQ(far.Cancel(), 1);
  EXPECT_GE(manual.DriveUntilDone(merged), 0);
}

TEST(DescriptorZero, MayBeThatOfAQueue) {
  const ZeroIsFree zero;
  const Queue queue = NewQueue();
  EXPECT_EQ(ctx_queue_fd(queue), 0);
  EXPECT_EQ(ctx_queue_fd(queue), 0);
  for (int round = 0; round < 2; ++round) {
    const Scope scope = WithCancel(ctx_background());
    const Watch watch = Add(queue, scope, 7);
    EXPECT_FALSE(Readable(0));
    scope.Cancel();
    EXPECT_TRUE(Readable(0));
    EXPECT_EQ(Drain(queue).size(), 1u);
    EXPECT_FALSE(Readable(0));
  }
}

TEST(DescriptorZero, MayBeThatOfAGroup) {
  const ZeroIsFree zero;
  const Group group = NewGroup(ctx_background());
  EXPECT_EQ(ctx_group_fd(group), 0);
  EXPECT_EQ(ctx_group_fd(group), 0);
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(Readable(0));
    EXPECT_EQ(ctx_group_begin(group), 0);
    EXPECT_FALSE(Readable(0));
    EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  }
  EXPECT_TRUE(Readable(0));
}

TEST(DescriptorZero, MayBeThatOfALoop) {
  const ZeroIsFree zero;
  const ManualLoop manual;
  EXPECT_EQ(manual.Fd(), 0);
  EXPECT_EQ(manual.Fd(), 0);
  ExpectTimersAndDescriptors(manual);
  const ManualLoop other;
  EXPECT_GT(other.Fd(), 0);
  ExpectTimersAndDescriptors(other);
}

TEST(DescriptorZero, MayBeThatOfALoopsSignals) {
  const BlockSignals blocked = {SIGUSR1, SIGUSR2};
  const ManualLoop manual;
  ExpectTimersAndDescriptors(manual);  // all else is open
  const ZeroIsFree zero;
  const Scope first = WithSignal(manual.root, {SIGUSR1});
  EXPECT_TRUE(ZeroIsOpen());
  const Scope second = WithSignal(manual.root, {SIGUSR2});
  for (const Scope* scope : {&second, &first}) {
    EXPECT_EQ(ctx_err(*scope), 0);
    Send(scope == &first ? SIGUSR1 : SIGUSR2);
    EXPECT_GE(manual.DriveUntilDone(*scope), 0);
  }
}

TEST(DescriptorZero, MayBeACancelFd) {
  const ManualLoop manual;
  ExpectTimersAndDescriptors(manual);  // all else is open
  const ZeroIsFree zero;
  const Scope first = WithCancel(manual.root), second = WithCancel(manual.root);
  for (const Scope* scope : {&first, &second}) {
    const Fd canceling(ctx_cancel_fd(scope->canceler));
    EXPECT_TRUE(ZeroIsOpen());
    EXPECT_EQ(ctx_err(*scope), 0);
    constexpr uint64_t kOne = 1;
    EXPECT_EQ(write(canceling, &kOne, sizeof kOne), ssize_t{sizeof kOne});
    EXPECT_GE(manual.DriveUntilDone(*scope), 0);
  }
}

TEST(DescriptorZero, OfTheProgramEndsAContextAndIsPolled) {
  const ZeroIsFree zero;
  const Pipe pipe;
  EXPECT_EQ(pipe.read_end, 0);
  const ManualLoop manual;
  for (ctx_t* root : {ctx_background(), manual.root.get()}) {
    const Scope polling = WithCancel(root);
    pollfd polled[] = {{0, POLLIN, -1}, {-1, POLLIN, -1}};
    EXPECT_EQ(ctx_poll(polling, polled, 2, 0), 0);
    EXPECT_EQ(polled[0].revents, 0);
    const Scope scope = WithFd(root, 0, POLLIN);
    pipe.Write();
    EXPECT_EQ(ctx_poll(polling, polled, 2, kLimit), 1);
    EXPECT_EQ(polled[0].revents, POLLIN);
    EXPECT_EQ(polled[1].revents, 0);
    if (root == manual.root) {
      EXPECT_GE(manual.DriveUntilDone(scope), 0);
    } else {
      EXPECT_TRUE(Done(scope));
    }
    pipe.Read();
  }
}

}  // namespace
}  // namespace ctxtest
