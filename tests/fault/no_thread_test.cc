// SPDX-License-Identifier: MIT
//
// No thread to be had: the first deadline, and the first deferred callback, answer -EAGAIN; nothing
// has changed then, what needs no thread goes on, and both work once there are threads again.
#include <poll.h>

#include <cerrno>
#include <thread>

#include "fault/faults.h"
#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/require.h"

namespace ctxtest {
namespace {

// A thread that was joined may still be listed for a moment.
void ExpectNoThreadsOfTheLibrary() {
  EXPECT_TRUE(Soon([] { return Tasks("ctx-").empty(); }));
}

void ExpectTreeWorks() {
  const Scope parent = WithCancel(ctx_background());
  const Scope child = WithCancel(parent);
  Callback callback;
  EXPECT_EQ(callback.Arm(child), 0);
  EXPECT_TRUE(ctx_done_fd(child) >= 0);
  std::thread waiter([&] { EXPECT_TRUE(Done(child)); });
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(callback.runs(), 1);
  EXPECT_TRUE(Readable(ctx_done_fd(child)));
  waiter.join();
}

void ExpectClockWorks() {
  const Scope scope = WithTimeout(ctx_background(), kMillisecond);
  Callback callback, deferred;
  EXPECT_GE(callback.Arm(scope), 0);  // 1 if it was late
  EXPECT_GE(deferred.Arm(scope, CTX_DEFER), 0);
  EXPECT_TRUE(Done(scope));
  EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
  EXPECT_TRUE(callback.WaitRun());
  EXPECT_TRUE(deferred.WaitRun());
}

// The library's own threads, refused from the nth on.
void FirstDeadline(int nth) {
  const size_t descriptors = OpenDescriptors();
  Drop drop;
  {
    const Ctx watched = Watched(ctx_background(), &drop);
    ctx_t* ctx = nullptr;
    ctx_canceler_t* canceler = nullptr;
    int with_timeout, with_deadline, refused;
    {
      Faults faults(Resource::kThread, EAGAIN, nth);
      with_timeout = ctx_with_timeout(watched, kHour, &ctx, &canceler);
      refused = faults.refused();
    }
    {
      Faults faults(Resource::kThread, EAGAIN, nth);
      with_deadline = ctx_with_deadline(watched, ctx_now(watched) + kHour, &ctx, nullptr);
    }
    EXPECT_EQ(refused, 1);
    EXPECT_EQ(with_timeout, -EAGAIN);
    EXPECT_EQ(with_deadline, -EAGAIN);
    EXPECT_EQ(ctx, nullptr);
    EXPECT_EQ(canceler, nullptr);
  }
  EXPECT_EQ(drop.count(), 1);  // no reference to the parent was kept
  EXPECT_EQ(OpenDescriptors(), descriptors);
  ExpectNoThreadsOfTheLibrary();
  ExpectTreeWorks();
  ExpectClockWorks();
}

TEST(NoThread, Rule46_FirstDeadlineWithoutTheFirstThread) { CTX_IN_NEW_PROCESS(FirstDeadline(0)); }

TEST(NoThread, Rule46_FirstDeadlineWithoutTheSecondThread) { CTX_IN_NEW_PROCESS(FirstDeadline(1)); }

// A cancel that leaves its callbacks to the loop cancels only if there is one to run them.
void FirstDeferredCancel(int nth) {
  const Scope scope = WithCancel(ctx_background()), done = WithCancel(ctx_background());
  Callback callback;
  callback.Arm(scope);
  EXPECT_EQ(done.Cancel(), 1);
  {
    Faults faults(Resource::kThread, EAGAIN, nth);
    EXPECT_EQ(ctx_cancel_deferred(scope.canceler, CTX_CANCELED, nullptr), -EAGAIN);
    EXPECT_EQ(faults.refused(), 1);
    EXPECT_EQ(ctx_cancel_deferred(done.canceler, CTX_CANCELED, nullptr), 0) << "nothing to do";
  }
  EXPECT_EQ(ctx_err(scope), 0);
  EXPECT_EQ(callback.runs(), 0);
  ExpectNoThreadsOfTheLibrary();
  EXPECT_EQ(ctx_cancel_deferred(scope.canceler, CTX_CANCELED, nullptr), 1);
  EXPECT_TRUE(callback.WaitDrop());
}

TEST(NoThread, Rule46_ADeferredCancelWithoutTheFirstThread) {
  CTX_IN_NEW_PROCESS(FirstDeferredCancel(0));
}

TEST(NoThread, Rule46_ADeferredCancelWithoutTheSecondThread) {
  CTX_IN_NEW_PROCESS(FirstDeferredCancel(1));
}

void FirstDeferred(int nth, bool on_done_context) {
  const size_t descriptors = OpenDescriptors();
  Drop parent_drop, drop;
  {
    const Ctx watched = Watched(ctx_background(), &parent_drop);
    const Scope scope = WithCancel(watched);
    EXPECT_EQ(on_done_context ? scope.Cancel() : 1, 1);
    ctx_watch_t* watch = nullptr;
    int result;
    {
      Faults faults(Resource::kThread, EAGAIN, nth);
      const auto fn = [](ctx_t*, void*) { ADD_FAILURE() << "ran, though it was refused"; };
      result = ctx_after_func(scope, fn, &drop, Drop::Run, CTX_DEFER, &watch);
    }
    EXPECT_EQ(result, -EAGAIN);
    EXPECT_EQ(watch, nullptr);
    EXPECT_EQ(scope.Cancel(), on_done_context ? 0 : 1);
  }
  EXPECT_EQ(parent_drop.count(), 1);
  EXPECT_EQ(OpenDescriptors(), descriptors);
  ExpectNoThreadsOfTheLibrary();
  ExpectTreeWorks();
  ExpectClockWorks();
  EXPECT_EQ(drop.count(), 0);
}

TEST(NoThread, Rule46_FirstDeferredCallbackWithoutTheFirstThread) {
  CTX_IN_NEW_PROCESS(FirstDeferred(0, false));
}

TEST(NoThread, Rule46_FirstDeferredCallbackWithoutTheSecondThread) {
  CTX_IN_NEW_PROCESS(FirstDeferred(1, false));
}

TEST(NoThread, Rule46_FirstDeferredCallbackOnADoneContext) {
  CTX_IN_NEW_PROCESS(FirstDeferred(0, true));
}

// What needs no clock asks for no thread.
void NoClockNeeded() {
  int threads = 0;
  {
    Faults faults(Resource::kThread, EAGAIN);
    Ctx never, past, below;
    Canceler canceler;
    REQUIRE(ctx_with_deadline(ctx_background(), CTX_FOREVER, never.out(), canceler.out()) == 0);
    REQUIRE(ctx_with_timeout(never, CTX_FOREVER, below.out(), nullptr) == 0);
    REQUIRE(ctx_with_timeout(never, 0, past.out(), nullptr) == 0);
    REQUIRE(ctx_err(past) == CTX_DEADLINE_EXCEEDED);
    REQUIRE(ctx_with_deadline(past, ctx_now(past) + kHour, below.out(), nullptr) == 0);
    REQUIRE(ctx_err(below) == CTX_DEADLINE_EXCEEDED);
    threads = faults.count(Resource::kThread);
  }
  EXPECT_EQ(threads, 0);
  EXPECT_TRUE(Tasks("ctx-").empty());
}

TEST(NoThread, Rule46_NoneIsNeededForNoDeadlineOrOneThatIsPast) {
  CTX_IN_NEW_PROCESS(NoClockNeeded());
}

// Only the first deadline of a process needs them.
TEST(NoThread, Rule46_LaterDeadlinesNeedNone) {
  ExpectClockWorks();
  int result, asked;
  Ctx ctx;
  {
    Faults faults(Resource::kThread, EAGAIN);
    result = ctx_with_timeout(ctx_background(), kMillisecond, ctx.out(), nullptr);
    asked = faults.count(Resource::kThread);
  }
  EXPECT_EQ(result, 0);
  EXPECT_EQ(asked, 0);
  EXPECT_TRUE(Done(ctx));
}

}  // namespace
}  // namespace ctxtest
