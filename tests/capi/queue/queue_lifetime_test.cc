// SPDX-License-Identifier: MIT
//
// Who keeps what alive: an entry keeps its context until it is drained or stopped, nothing keeps a queue
// but its handles, and user code that runs in the middle of a drain may do whatever it likes. What has
// been freed is seen by the drop of a value above it.
#include <malloc.h>

#include <functional>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

using Tokens64 = std::vector<uint64_t>;

TEST(QueueLifetime, Rule36_ReleasingAQueueDisarmsItsEntries) {
  Drop drop;
  Queue queue = NewQueue();
  const Scope parent = WithCancel(ctx_background());
  std::vector<Watch> watches;
  {
    const Ctx watched = Watched(parent, &drop);
    for (uint64_t i = 0; i < 10; ++i) {
      const Scope child = WithCancel(watched);
      watches.push_back(Add(queue, child, i));
      ASSERT_EQ(ctx_queue_add(queue, child, i, nullptr), 0);
    }
  }
  EXPECT_EQ(drop.count(), 0) << "the entries hold them";
  queue.reset();
  EXPECT_EQ(drop.count(), 1) << "though their watches are held";
  EXPECT_EQ(drop.thread(), std::this_thread::get_id());
  for (const Watch& watch : watches) {
    EXPECT_EQ(ctx_watch_stop(watch), 0);
    EXPECT_EQ(ctx_watch_stop_wait(watch), 0);
  }
  EXPECT_EQ(parent.Cancel(), 1);
}

TEST(QueueLifetime, Rule36_ReleasingAQueueForgetsItsEvents) {
  Drop drop;
  Queue queue = NewQueue();
  Watch watch;
  {
    const Scope scope = WithCancel(Watched(ctx_background(), &drop));
    watch = Add(queue, scope, 1);
    ASSERT_EQ(ctx_queue_add(queue, scope, 2, nullptr), 0);
    scope.Cancel();
    ASSERT_EQ(ctx_queue_add(queue, scope, 3, nullptr), 0);
  }
  EXPECT_EQ(drop.count(), 0);
  queue.reset();
  EXPECT_EQ(drop.count(), 1);
  EXPECT_EQ(ctx_watch_stop(watch), 0);
}

TEST(QueueLifetime, ArmedPostedAndDrainedEntriesInOneQueueThatGoes) {
  Drop drop;
  const Scope parent = WithCancel(ctx_background());
  std::vector<Watch> watches;
  {
    const Queue queue = NewQueue();
    const Ctx watched = Watched(parent, &drop);
    for (uint64_t i = 0; i < 9; ++i) {
      const Scope child = WithTimeout(watched, kHour);
      watches.push_back(Add(queue, child, i));
      if (i % 3 != 0) child.Cancel();
    }
    EXPECT_EQ(Drain(queue, 3).size(), 3u);
    EXPECT_GE(ctx_queue_fd(queue), 0);
  }
  EXPECT_EQ(drop.count(), 1);
}

TEST(QueueLifetime, TheLastHandleOfAContextGoesWhileAQueueWaitsForIt) {
  Drop drop;
  const Queue queue = NewQueue();
  const Scope parent = WithCancel(ctx_background());
  {
    const Scope child = WithCancel(Watched(parent, &drop));
    ASSERT_EQ(ctx_queue_add(queue, child, 5, nullptr), 0);
  }
  EXPECT_EQ(drop.count(), 0);
  EXPECT_TRUE(Drain(queue).empty());
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(drop.count(), 0) << "a posted entry keeps its context";
  EXPECT_EQ(Tokens(queue), Tokens64{5}) << "never silently lost";
  EXPECT_EQ(drop.count(), 1);
}

TEST(QueueLifetime, ADeadlineOfAContextThatNobodyHolds) {
  Drop drop;
  const Queue queue = NewQueue();
  ASSERT_EQ(ctx_queue_add(queue, WithTimeout(Watched(ctx_background(), &drop), kMillisecond).ctx, 5,
                          nullptr),
            0);
  ctx_event_t event;
  ASSERT_EQ(ctx_queue_wait(queue, &event, 1, kLimit), 1);
  EXPECT_EQ(event.err, CTX_DEADLINE_EXCEEDED);
  // The wheel may have been the last to let go.
  EXPECT_TRUE(drop.Wait());
  EXPECT_NE(drop.thread_name(), "ctx-loop");
}

TEST(QueueLifetime, Rule30_ADrainGivesTheReferencesBackOnItsThread) {
  Drop drop;
  const Queue queue = NewQueue();
  Watch watch;
  {
    const Scope scope = WithCancel(Watched(ctx_background(), &drop));
    watch = Add(queue, scope, 1);
    scope.Cancel();
  }
  std::thread::id drains;
  std::thread([&] {
    drains = std::this_thread::get_id();
    EXPECT_EQ(Drain(queue).size(), 1u);
    EXPECT_EQ(drop.count(), 1);
  }).join();
  EXPECT_EQ(drop.thread(), drains);
  EXPECT_EQ(ctx_watch_stop(watch), 0);
}

TEST(QueueLifetime, Rule26_AStopGivesTheReferenceBack) {
  for (const bool posted : {false, true}) {
    for (const auto stop : {ctx_watch_stop, ctx_watch_stop_wait}) {
      Drop drop;
      const Queue queue = NewQueue();
      Watch watch;
      {
        const Scope scope = WithCancel(Watched(ctx_background(), &drop));
        watch = Add(queue, scope, 1);
        if (posted) scope.Cancel();
      }
      EXPECT_EQ(drop.count(), 0);
      EXPECT_EQ(stop(watch), 1);
      EXPECT_EQ(drop.count(), 1);
    }
  }
}

TEST(QueueLifetime, AWatchOutlivesItsQueueAndItsContext) {
  std::vector<Watch> watches;
  {
    const Queue queue = NewQueue();
    const Scope armed = WithCancel(ctx_background()), posted = WithCancel(ctx_background()),
                drained = WithCancel(ctx_background());
    for (ctx_t* ctx : {armed.ctx.get(), drained.ctx.get(), posted.ctx.get(), ctx_background()}) {
      watches.push_back(Add(queue, ctx, 1));
    }
    drained.Cancel();
    EXPECT_EQ(Drain(queue).size(), 1u);
    posted.Cancel();
  }
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(ctx_watch_stop(watches[i]), 0) << i;
}

// In a queue that lives on. A sanitizer's allocator does not tell how much is in use.
TEST(QueueLifetime, Rule11_AnEntryThatCanNeverFireIsGivenBackWithItsWatch) {
  const Queue queue = NewQueue();
  const Ctx detached = WithoutCancel(ctx_background());
  const auto come_and_go = [&](int times) {
    for (int i = 0; i < times; ++i) {
      Watch kept = Add(queue, i % 2 == 0 ? ctx_background() : detached.get(), 1);
      EXPECT_TRUE(i % 3 != 0 || ctx_watch_stop(kept) == 1);
    }
  };
  come_and_go(1'000);
  const size_t before = mallinfo2().uordblks;
  come_and_go(200'000);
  EXPECT_TRUE(kSanitized || mallinfo2().uordblks < before + 1'000'000);
}

TEST(QueueLifetime, ASecondHandleKeepsItAlive) {
  Queue first = NewQueue();
  const Queue second(ctx_queue_ref(first));
  EXPECT_EQ(second.get(), first.get());
  const Scope scope = WithCancel(ctx_background());
  ASSERT_EQ(ctx_queue_add(first, scope, 1, nullptr), 0);
  const int fd = ctx_queue_fd(first);
  first.reset();
  scope.Cancel();
  EXPECT_TRUE(Readable(fd));
  EXPECT_EQ(Tokens(second), Tokens64{1});
}

TEST(QueueLifetime, ItsDescriptorGoesWithIt) {
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 20; ++i) {
    const Queue queue = NewQueue();
    const Scope scope = WithCancel(ctx_background());
    if (i % 2 == 0) Add(queue, scope, 1).reset();
    EXPECT_GE(ctx_queue_fd(queue), 0);
    if (i % 3 == 0) scope.Cancel();
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

// A callback that is called between two events, as it were: it takes some of them and adds others.
TEST(QueueLifetime, DrainsAndAddsFromInsideACallback) {
  const Queue queue = NewQueue();
  const Scope first = WithCancel(ctx_background()), second = WithCancel(ctx_background());
  Tokens64 inside;
  Callback callback([&](ctx_t* ctx) {
    EXPECT_EQ(ctx_queue_add(queue, ctx, 2, nullptr), 0);  // done already
    second.Cancel();
    for (const ctx_event_t& event : Drain(queue, 2)) inside.push_back(event.token);
  });
  callback.Arm(first);
  ASSERT_EQ(ctx_queue_add(queue, first, 1, nullptr), 0);
  ASSERT_EQ(ctx_queue_add(queue, second, 3, nullptr), 0);
  first.Cancel();
  EXPECT_EQ(inside, (Tokens64{1, 2}));
  EXPECT_EQ(Tokens(queue), Tokens64{3});
}

TEST(QueueLifetime, ACallbackReleasesTheQueueThatItsContextPostedTo) {
  Drop drop;
  Queue queue = NewQueue();
  Watch watch;
  Callback callback([&](ctx_t*) { queue.reset(); });
  {
    const Scope scope = WithCancel(Watched(ctx_background(), &drop));
    watch = Add(queue, scope, 1);
    callback.Arm(scope);
    scope.Cancel();
    EXPECT_EQ(ctx_watch_stop(watch), 0);
  }
  callback.Disarm();
  EXPECT_EQ(drop.count(), 1);
}

// A value's drop that runs inside a drain, with user code of the test's.
class Inside {
 public:
  explicit Inside(std::function<void()> body) : body_(std::move(body)) {}
  Ctx Value() { return WithValue(ctx_background(), &kKey, this, Run); }
  int runs() const { return runs_; }

 private:
  static void Run(void* self) {
    auto* inside = static_cast<Inside*>(self);
    ++inside->runs_;
    inside->body_();
  }
  std::function<void()> body_;
  int runs_ = 0;
};

void Post(ctx_queue_t* queue, ctx_t* parent, uint64_t token) {
  const Scope scope = WithCancel(parent);
  ASSERT_EQ(ctx_queue_add(queue, scope, token, nullptr), 0);
  scope.Cancel();
}

TEST(QueueLifetime, ADropInsideADrainDrainsAndAdds) {
  const Queue queue = NewQueue();
  Tokens64 inside;
  Inside drop([&] {
    for (const ctx_event_t& event : Drain(queue, 1)) inside.push_back(event.token);
    Post(queue, ctx_background(), 9);
  });
  Post(queue, drop.Value(), 1);
  Post(queue, ctx_background(), 2);
  Post(queue, ctx_background(), 3);
  Tokens64 drained;
  for (const ctx_event_t& event : Drain(queue, 1)) drained.push_back(event.token);
  EXPECT_EQ(drop.runs(), 1);
  EXPECT_EQ(drained, Tokens64{1});
  EXPECT_EQ(inside, Tokens64{2});
  EXPECT_EQ(Tokens(queue), (Tokens64{3, 9}));
}

TEST(QueueLifetime, ADropInsideADrainStopsTheNextOfTheBatchOrComesTooLate) {
  const Queue queue = NewQueue();
  Watch next;
  int stopped = -1;
  Inside drop([&] { stopped = ctx_watch_stop(next); });
  Post(queue, drop.Value(), 1);
  const Scope scope = WithCancel(ctx_background());
  next = Add(queue, scope, 2);
  scope.Cancel();
  const size_t drained = Drain(queue).size();
  ASSERT_EQ(drop.runs(), 1);
  EXPECT_EQ(drained, stopped == 1 ? 1u : 2u) << "withdrawn or drained, and not both";
}

TEST(QueueLifetime, ADropInsideADrainReleasesTheQueue) {
  constexpr uint64_t kEvents = 200;
  for (const size_t room : {size_t{1}, size_t{kEvents}}) {
    Queue queue = NewQueue();
    Drop other;
    Inside drop([&] { queue.reset(); });
    Post(queue, drop.Value(), 0);
    for (uint64_t i = 1; i < kEvents; ++i) Post(queue, ctx_background(), i);
    Post(queue, Watched(ctx_background(), &other), kEvents);
    const Scope armed = WithCancel(Watched(ctx_background(), &other));
    ASSERT_EQ(ctx_queue_add(queue, armed, 3, nullptr), 0);
    std::vector<ctx_event_t> events(room);
    const int64_t taken = ctx_queue_drain(queue, events.data(), room);
    EXPECT_GE(taken, 1);
    EXPECT_EQ(events[0].token, 0u);
    EXPECT_EQ(drop.runs(), 1);
    EXPECT_EQ(other.count(), 1) << "what waited is gone, with its queue or by the drain";
  }
}

// The queue goes while the drops of its own entries run, which use it no more but others.
TEST(QueueLifetime, ADropInsideAReleaseUsesAnotherQueue) {
  Queue queue = NewQueue();
  const Queue other = NewQueue();
  Inside drop([&] { Post(other, ctx_background(), 7); });
  Post(queue, drop.Value(), 1);
  {
    const Scope armed = WithCancel(drop.Value());
    ASSERT_EQ(ctx_queue_add(queue, armed, 2, nullptr), 0);
  }
  queue.reset();
  EXPECT_EQ(drop.runs(), 2);
  EXPECT_EQ(Tokens(other), (Tokens64{7, 7}));
}

// A deep chain of which each link is held by an entry alone goes in constant stack.
TEST(QueueLifetime, ALongChainHeldByEntriesAlone) {
  Drop drop;
  constexpr uint64_t kLinks = 50'000;
  for (const bool drain : {false, true}) {
    OnSmallStack([&] {
      Queue queue = NewQueue();
      {
        const Scope root = WithCancel(Watched(ctx_background(), &drop));
        Ctx last(ctx_ref(root));
        for (uint64_t i = 0; i < kLinks; ++i) {
          last = WithCancel(last).ctx;
          ASSERT_EQ(ctx_queue_add(queue, last, i, nullptr), 0);
        }
        if (drain) root.Cancel();
      }
      EXPECT_EQ(Drain(queue, kLinks).size(), drain ? kLinks : 0);
      queue.reset();
    });
  }
  EXPECT_EQ(drop.count(), 2);
}

}  // namespace
}  // namespace ctxtest
