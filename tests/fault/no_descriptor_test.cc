// SPDX-License-Identifier: MIT
//
// No descriptor left (RLIMIT_NOFILE): what needs one answers -EMFILE and changes nothing; cancels,
// callbacks and waits go on.
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/few_descriptors.h"
#include "support/handles.h"
#include "support/process.h"

namespace ctxtest {
namespace {

TEST(NoDescriptor, Rule46_DoneFdAndItsKinAnswerEmfile) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  {
    const NoDescriptors none;
    EXPECT_EQ(ctx_done_fd(scope), -EMFILE);
    EXPECT_EQ(ctx_done_fd(value), -EMFILE);
    EXPECT_EQ(ctx_done_fd_dup(scope), -EMFILE);
    EXPECT_EQ(ctx_poll(scope, nullptr, 0, kLimit), -EMFILE);
  }
  const int fd = ctx_done_fd(scope);
  EXPECT_GE(fd, 0);
  {
    const NoDescriptors none;
    EXPECT_EQ(ctx_done_fd(scope), fd);  // there is one already
    EXPECT_EQ(ctx_done_fd(value), fd);
    EXPECT_EQ(ctx_done_fd_dup(scope), -EMFILE);
    EXPECT_EQ(ctx_poll(scope, nullptr, 0, 0), 0);
    EXPECT_EQ(scope.Cancel(), 1);
    EXPECT_TRUE(Readable(fd));
    EXPECT_EQ(ctx_poll(scope, nullptr, 0, kLimit), CTX_CANCELED);
  }
}

TEST(NoDescriptor, Rule46_PollOnADoneContextNeedsNone) {
  const Scope scope = WithCancel(ctx_background());
  EXPECT_EQ(scope.Cancel(), 1);
  const NoDescriptors none;
  EXPECT_EQ(ctx_poll(scope, nullptr, 0, kLimit), CTX_CANCELED);
  EXPECT_EQ(ctx_done_fd(scope), -EMFILE);
}

TEST(NoDescriptor, Rule46_CancelCallbacksAndWaitsGoOn) {
  const Scope parent = WithCancel(ctx_background());
  const NoDescriptors none;
  // No std::thread: it has virtual functions, which UBSan looks at by way of a pipe.
  const auto wait = [](void* ctx) { return Done(static_cast<ctx_t*>(ctx)) ? ctx : nullptr; };
  pthread_t waiter;
  ASSERT_EQ(pthread_create(&waiter, nullptr, wait, parent.ctx.get()), 0);
  const Scope child = WithCancel(parent);
  const Ctx value = WithString(child, "name", "value");
  Callback callback;
  EXPECT_EQ(callback.Arm(value), 0);
  EXPECT_EQ(ctx_done_fd(child), -EMFILE);
  EXPECT_EQ(ctx_wait(child, kMillisecond), 0);
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_EQ(ctx_wait(value, 0), 1);
  void* done = nullptr;
  EXPECT_EQ(pthread_join(waiter, &done), 0);
  EXPECT_EQ(done, parent.ctx.get());
}

TEST(NoDescriptor, Rule46_DeadlinesAndDeferredCallbacksGoOnOnceTheyHaveBegun) {
  EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMillisecond)));
  const NoDescriptors none;
  const Scope scope = WithTimeout(ctx_background(), 5 * kMillisecond);
  Callback callback, deferred;
  EXPECT_GE(callback.Arm(scope), 0);  // 1 if it was late
  EXPECT_GE(deferred.Arm(scope, CTX_DEFER), 0);
  EXPECT_TRUE(Done(scope));
  EXPECT_TRUE(callback.WaitRun());
  EXPECT_TRUE(deferred.WaitRun());
}

// With n descriptors left. The clock may need more than one, and then must give back the others.
void FirstDeadline(int n) {
  const size_t threads = ThreadCount();
  Drop drop;
  const size_t descriptors = OpenDescriptors();
  {
    const Ctx watched = Watched(ctx_background(), &drop);
    ctx_t* ctx = nullptr;
    ctx_canceler_t* canceler = nullptr;
    int result;
    std::vector<int> room;
    for (int i = 0; i < n; ++i) room.push_back(dup(0));
    {
      const NoDescriptors none;
      for (const int fd : room) close(fd);
      result = ctx_with_timeout(watched, kHour, &ctx, &canceler);
    }
    if (result != 0) {
      EXPECT_EQ(result, -EMFILE);
      EXPECT_EQ(ctx, nullptr);
      EXPECT_EQ(canceler, nullptr);
      EXPECT_EQ(ThreadCount(), threads);
      EXPECT_EQ(OpenDescriptors(), descriptors);
    } else {
      EXPECT_GT(n, 0);
      ctx_canceler_unref(canceler);
      ctx_unref(ctx);
    }
  }
  EXPECT_EQ(drop.count(), 1);
  EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMillisecond)));
}

TEST(NoDescriptor, Rule46_FirstDeadlineAnswersEmfile) { CTX_IN_NEW_PROCESS(FirstDeadline(0)); }

TEST(NoDescriptor, Rule46_FirstDeadlineWithOneDescriptorLeft) {
  CTX_IN_NEW_PROCESS(FirstDeadline(1));
}

TEST(NoDescriptor, Rule46_FirstDeadlineWithTwoDescriptorsLeft) {
  CTX_IN_NEW_PROCESS(FirstDeadline(2));
}

void FirstDeferred() {
  Drop parent_drop, drop;
  {
    const Ctx watched = Watched(ctx_background(), &parent_drop);
    const Scope scope = WithCancel(watched);
    ctx_watch_t* watch = nullptr;
    {
      const NoDescriptors none;
      const auto fn = [](ctx_t*, void*) { ADD_FAILURE() << "ran, though it was refused"; };
      EXPECT_EQ(ctx_after_func(scope, fn, &drop, Drop::Run, CTX_DEFER, &watch), -EMFILE);
    }
    EXPECT_EQ(watch, nullptr);
    EXPECT_EQ(scope.Cancel(), 1);

    Callback later;
    EXPECT_EQ(later.Arm(scope, CTX_DEFER), 1);
    EXPECT_TRUE(later.WaitRun());
    EXPECT_TRUE(later.WaitDrop());
  }
  EXPECT_TRUE(parent_drop.Wait());  // the callback's thread may have been the last
  EXPECT_EQ(parent_drop.count(), 1);
  EXPECT_EQ(drop.count(), 0);
}

TEST(NoDescriptor, Rule46_FirstDeferredCallbackAnswersEmfile) {
  CTX_IN_NEW_PROCESS(FirstDeferred());
}

}  // namespace
}  // namespace ctxtest
