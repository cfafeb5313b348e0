// SPDX-License-Identifier: MIT
//
// A system that refuses eventfd, from here on: queues and the descriptors of ctx_cancel_fd() are pipes
// then, and behave the same. Each errno in a process of its own, since the library may remember it.
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "fault/faults.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

void QueueOnAPipe(int error) {
  const size_t before = OpenDescriptors();
  {
    const Queue queue = NewQueue();
    int fd;
    {
      Faults faults(Resource::kEventfd, error);
      fd = ctx_queue_fd(queue);
    }
    ASSERT_TRUE(IsPipe(fd)) << fd;
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    for (int round = 0; round < 100; ++round) {
      const Scope parent = WithCancel(ctx_background());
      std::vector<Watch> watches;
      for (uint64_t i = 0; i < 10; ++i) watches.push_back(Add(queue, parent, i));
      EXPECT_FALSE(Readable(fd));
      parent.Cancel();
      EXPECT_TRUE(Readable(fd));
      EXPECT_EQ(Drain(queue, 3).size(), 3u);
      EXPECT_TRUE(Readable(fd));
      for (size_t i = 4; i < 10; ++i) EXPECT_EQ(ctx_watch_stop(watches[i]), 1);
      EXPECT_TRUE(Readable(fd));
      if (round % 2 == 0) {
        EXPECT_EQ(ctx_watch_stop(watches[3]), 1);
      } else {
        EXPECT_EQ(Drain(queue).size(), 1u);
      }
      EXPECT_FALSE(Readable(fd));
    }
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

void CancelFdOnAPipe(int error) {
  for (const On on : {On::kDefault, On::kManual}) {
    const Host host(on);
    const Scope scope = WithCancel(host.root());
    int raw;
    {
      Faults faults(Resource::kEventfd, error);
      raw = ctx_cancel_fd(scope.canceler);
    }
    ASSERT_TRUE(IsPipe(raw)) << raw;
    const Fd fd(raw);
    host.Settle();
    EXPECT_EQ(ctx_err(scope), 0);
    const uint64_t one = 1;
    EXPECT_EQ(write(fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));
    EXPECT_TRUE(host.Done(scope));
    host.Settle();
    host.ExpectIdle();
  }
}

class EventfdRefusedToQueues : public ::testing::TestWithParam<int> {};

TEST_P(EventfdRefusedToQueues, Rule46_QueuesBehaveAsAlways) {
  CTX_IN_NEW_PROCESS(QueueOnAPipe(GetParam()));
}

TEST_P(EventfdRefusedToQueues, Rule46_CancelFdsBehaveAsAlways) {
  CTX_IN_NEW_PROCESS(CancelFdOnAPipe(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(, EventfdRefusedToQueues, ::testing::Values(ENOSYS, EPERM),
                         [](const auto& error) {
                           return std::string(error.param == ENOSYS ? "ENOSYS" : "EPERM");
                         });

}  // namespace
}  // namespace ctxtest
