// SPDX-License-Identifier: MIT
//
// Rule 46: callbacks that may block run also where the system gives no thread for them: on `ctx-calls`, or on
// the threads that the lane has already; and on threads of their own as soon as there are some.
#include <poll.h>

#include <atomic>
#include <cerrno>
#include <deque>
#include <memory>

#include "fault/faults.h"
#include "support/callback.h"
#include "support/handles.h"
#include "support/held.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr uint32_t kLane = CTX_DEFER | CTX_BLOCKING;

// While it lives, the library gets no new thread.
struct NoThreads : Faults {
  NoThreads() : Faults(kOfLibrary, Resource::kThread, EAGAIN) {}
};

void RunOnTheCallbackThread() {
  const Scope timed = WithTimeout(ctx_background(), kHour), scope = WithCancel(timed);
  std::deque<Callback> callbacks(5);
  const auto none = std::make_unique<NoThreads>();
  for (Callback& callback : callbacks) ASSERT_EQ(callback.Arm(scope, kLane), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  for (Callback& callback : callbacks) {
    EXPECT_TRUE(callback.WaitDrop());
    EXPECT_EQ(callback.thread_name(), "ctx-calls");
  }
  EXPECT_GE(none->refused(), 1);
  EXPECT_TRUE(Tasks("ctx-lane").empty());
}
TEST(RefusedLane, Rule46_BlockingCallbacksRunOnTheCallbackThread) {
  CTX_IN_NEW_PROCESS(RunOnTheCallbackThread());
}

void ThoseOfALoopToo() {
  const Pipe pipe;
  const Scope scope = WithFd(ctx_background(), pipe.read_end, POLLIN);
  Callback callback;
  ASSERT_EQ(callback.Arm(scope, CTX_BLOCKING), 0);
  const NoThreads none;
  pipe.Write();
  EXPECT_TRUE(callback.WaitDrop());
  EXPECT_EQ(callback.thread_name(), "ctx-calls");
}
TEST(RefusedLane, Rule46_AlsoThoseThatALoopSetsOff) { CTX_IN_NEW_PROCESS(ThoseOfALoopToo()); }

// The loop's thread asks again for a thread that was refused; ctx_shutdown() waits for that one, too.
void OneThatIsStartedDuringAShutdown() {
  static const Faults* refusing = nullptr;
  static std::atomic<bool> waits{false}, taken{false}, over{false};
  const Scope scope = WithTimeout(ctx_background(), kHour);
  const auto until_refused = [](ctx_t*, void*) {  // on the loop's thread
    waits = true;
    while (refusing->refused() == 0) poll(nullptr, 0, 1);
  };
  const auto until_taken = [](ctx_t*,
                              void*) {  // on `ctx-calls`, which would take the work otherwise
    while (!taken) poll(nullptr, 0, 1);
  };
  const auto take_long = [](ctx_t*,
                            void*) {  // so long that a shutdown which does not wait is over first
    taken = true;
    poll(nullptr, 0, 200);
    over = true;
  };
  const Pipe pipe;
  const Scope told = WithFd(ctx_background(), pipe.read_end, POLLIN);
  ASSERT_EQ(ctx_after_func(scope, take_long, nullptr, nullptr, CTX_BLOCKING, nullptr), 0);
  ASSERT_EQ(ctx_after_func(told, until_refused, nullptr, nullptr, CTX_WAKER, nullptr), 0);
  ASSERT_EQ(ctx_after_func(told, until_taken, nullptr, nullptr, CTX_DEFER, nullptr), 0);
  const Faults once(Faults::kOfLibrary, Resource::kThread, EAGAIN, 0, 1);
  refusing = &once;
  pipe.Write();
  while (!waits) poll(nullptr, 0, 1);
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_TRUE(over);
  EXPECT_EQ(once.refused(), 1);
}
TEST(RefusedLane, Rule46_AShutdownWaitsForAThreadThatTheLoopStartsMeanwhile) {
  CTX_IN_NEW_PROCESS(OneThatIsStartedDuringAShutdown());
}

// The lane knows that its threads have ended: here the end of the default loop has ended them.
void AfterTheLanesThreadsHaveEnded() {
  const Loop own = NewLoop(CTX_LOOP_THREAD);
  const Ctx root = LoopBackground(own);
  const Scope timed = WithTimeout(root, kHour);  // so that the loop has threads
  Callback before, after;
  {
    const Scope scope = WithCancel(ctx_background());
    ASSERT_EQ(before.Arm(scope, kLane), 0);
    EXPECT_EQ(scope.Cancel(), 1);
    ASSERT_TRUE(before.WaitDrop());
    EXPECT_EQ(before.thread_name(), "ctx-lane");
  }
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  const Scope scope = WithCancel(root);
  const NoThreads none;
  ASSERT_EQ(after.Arm(scope, kLane), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_TRUE(after.WaitDrop());
  EXPECT_EQ(after.thread_name(), "ctx-calls");
}
TEST(RefusedLane, Rule46_AlsoAfterTheLanesThreadsHaveEnded) {
  CTX_IN_NEW_PROCESS(AfterTheLanesThreadsHaveEnded());
}

// However long a plain callback holds `ctx-calls` up, the loop asks for a thread of the lane again.
void OnTheirOwnOnceThereAreThreads() {
  const Scope first = WithTimeout(ctx_background(), kMillisecond);
  HeldCallback plain;
  plain.Arm(first, CTX_DEFER);
  ASSERT_TRUE(plain.begun.Wait());
  const Scope scope = WithCancel(ctx_background());
  Callback blocking;
  {
    const NoThreads none;
    ASSERT_EQ(blocking.Arm(scope, kLane), 0);
    EXPECT_EQ(scope.Cancel(), 1);
    EXPECT_TRUE(Soon([&] { return none.refused() > 0; }));
    EXPECT_EQ(blocking.runs(), 0);
  }
  EXPECT_TRUE(blocking.WaitDrop());
  EXPECT_EQ(blocking.thread_name(), "ctx-lane");
  EXPECT_EQ(plain.runs(), 0);
  plain.go_on.Open();
  EXPECT_TRUE(plain.WaitDrop());
}
TEST(RefusedLane, Rule46_TheyRunOnTheirOwnAsSoonAsThereAreThreads) {
  CTX_IN_NEW_PROCESS(OnTheirOwnOnceThereAreThreads());
}

// The lane's only thread waits for a callback that has no thread yet.
void OnesThatWaitForEachOther() {
  const Scope first = WithCancel(ctx_background()), second = WithCancel(ctx_background());
  HeldCallback waits;
  Callback opens([&](ctx_t*) { waits.go_on.Open(); });
  ASSERT_EQ(waits.Arm(first, kLane), 0);
  first.Cancel();
  ASSERT_TRUE(waits.begun.Wait());
  {
    const NoThreads none;
    ASSERT_EQ(opens.Arm(second, kLane), 0);
    second.Cancel();
    EXPECT_TRUE(Soon([&] { return none.refused() > 0; }));
  }
  EXPECT_TRUE(waits.WaitDrop());
  EXPECT_TRUE(opens.WaitDrop());
}
TEST(RefusedLane, Rule46_OneThatWaitsForAnotherDoesNotWaitForEver) {
  CTX_IN_NEW_PROCESS(OnesThatWaitForEachOther());
}

void TheEndNeedsNoThread() {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  Callback blocking, waker, plain;
  blocking.Arm(scope, kLane);
  waker.Arm(scope, CTX_WAKER);
  plain.Arm(scope);
  const auto none = std::make_unique<NoThreads>();
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(blocking.drops() + waker.drops() + plain.drops(), 3);
  EXPECT_EQ(blocking.thread_name(), "ctx-calls");
}
TEST(RefusedLane, Rule51_AnOrderlyEndNeedsNoThread) { CTX_IN_NEW_PROCESS(TheEndNeedsNoThread()); }

}  // namespace
}  // namespace ctxtest
