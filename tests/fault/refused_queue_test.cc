// SPDX-License-Identifier: MIT
//
// Queues, merges and graces on a system that refuses: what needs memory or a descriptor, what needs
// neither, and what must have been got when the object was made.
#include <gtest/gtest.h>

#include "fault/refusals.h"

namespace ctxtest {
namespace {

int Merge(Stage& s, size_t n) { return ctx_merge(s.many.data(), n, &s.ret, &s.ret_canceler); }

int MergeWithTheDefaultLoop(Stage& s) {
  ctx_t* const parents[] = {s.parent, s.spare[0], s.spare[1], s.second, ctx_background()};
  return ctx_merge(parents, 5, &s.ret, &s.ret_canceler);
}

int IdleOf(Stage& s) { return ctx_with_idle(s.parent, kHour, nullptr, &s.ret, &s.ret_canceler); }

int GraceOf(Stage& s) { return ctx_with_grace(s.parent, kHour, &s.ret, &s.ret_canceler); }

int AddTo(ctx_queue_t* queue, ctx_t* ctx, Stage& s) {
  return ctx_queue_add(queue, ctx, 7, &s.ret_watch);
}

void ExpectEndsWithParent(Stage& s) {
  EXPECT_EQ(s.parent.Cancel(), 1);
  if (s.ret != nullptr) {
    EXPECT_EQ(ctx_err(s.ret), CTX_CANCELED);
  }
}

void ExpectEndsWithSecond(Stage& s) {
  EXPECT_EQ(s.second.Cancel(), 1);
  EXPECT_EQ(ctx_err(s.ret), CTX_CANCELED);
  EXPECT_EQ(s.parent.Cancel(), 1);
}

void ExpectOutlivesParent(Stage& s) {
  EXPECT_EQ(s.parent.Cancel(), 1);
  EXPECT_EQ(ctx_err(s.ret), 0);
  if (s.host.loop() != nullptr && ctx_loop_advance(s.host.loop(), kHour) == 1) {
    EXPECT_EQ(ctx_err(s.ret), CTX_CANCELED);
  } else {
    EXPECT_EQ(ctx_cancel(s.ret_canceler), 1);
  }
}

void ExpectOneEvent(Stage& s) {
  EXPECT_EQ(s.parent.Cancel(), 1);
  EXPECT_EQ(Tokens(s.queue), std::vector<uint64_t>{7});
}

// It was done when it was made, if it was made.
void ExpectOver(Stage& s) {
  EXPECT_TRUE(s.ret == nullptr || ctx_err(s.ret) == CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(s.parent.Cancel(), 1);
}

const Construction kQueueCases[] = {
    {"MergeOfOne", On::kDefault, kMem, kNothing, [](Stage& s) { return Merge(s, 1); },
     ExpectEndsWithParent},
    {"MergeOfTwo", On::kDefault, kMem, kNothing, [](Stage& s) { return Merge(s, 2); },
     ExpectEndsWithSecond},
    {"MergeOfMany", On::kDefault, kMem, kNothing, [](Stage& s) { return Merge(s, 50); },
     ExpectEndsWithSecond},

    {"MergeOfLoops", On::kVirtual, kMem | kDesc | kWat, kNothing, MergeWithTheDefaultLoop,
     ExpectEndsWithParent},
    {"MergeOfLoops", On::kManual, kMem | kDesc | kWat, kNothing, MergeWithTheDefaultLoop,
     ExpectEndsWithParent},

    {"Grace", On::kDefault, kMem, kNothing, GraceOf, ExpectOutlivesParent},
    {"Grace", On::kThread, kMem | kDesc | kThr, kWat, GraceOf, ExpectOutlivesParent},
    {"Grace", On::kManual, kMem, kDesc | kWat, GraceOf, ExpectOutlivesParent},
    {"Grace", On::kVirtual, kMem, kNothing, GraceOf, ExpectOutlivesParent},
    {"GraceOfNothing", On::kDefault, kMem, kNothing,
     [](Stage& s) { return ctx_with_grace(s.parent, 0, &s.ret, &s.ret_canceler); },
     ExpectEndsWithParent},
    {"GraceForEver", On::kDefault, kMem, kNothing,
     [](Stage& s) { return ctx_with_grace(s.parent, CTX_FOREVER, &s.ret, &s.ret_canceler); },
     ExpectOutlivesParent},

    {"Idle", On::kDefault, kMem, kNothing, IdleOf, ExpectEndsWithParent},
    {"Idle", On::kThread, kMem | kDesc | kThr, kWat, IdleOf, ExpectEndsWithParent},
    {"Idle", On::kManual, kMem, kDesc | kWat, IdleOf, ExpectEndsWithParent},
    {"Idle", On::kVirtual, kMem, kNothing, IdleOf, ExpectEndsWithParent},
    {"IdleForNothing", On::kDefault, kMem, kNothing,
     [](Stage& s) { return ctx_with_idle(s.parent, 0, nullptr, &s.ret, &s.ret_canceler); },
     ExpectOver},

    {"QueueNew", On::kDefault, kMem, kNothing, [](Stage& s) { return ctx_queue_new(&s.ret_queue); },
     ExpectEndsWithParent},
    {"QueueAdd", On::kDefault, kMem, kNothing, [](Stage& s) { return AddTo(s.queue, s.parent, s); },
     ExpectOneEvent},
    {"QueueAddOfADoneContext", On::kDefault, kMem, kNothing,
     [](Stage& s) {
       ctx_cancel(s.second.canceler);
       return AddTo(s.queue, s.second, s);
     },
     ExpectOneEvent},
    {"QueueAddOfARoot", On::kDefault, kMem, kNothing,
     [](Stage& s) { return AddTo(s.queue, ctx_background(), s); },
     [](Stage& s) {
       EXPECT_EQ(ctx_watch_stop(s.ret_watch), 1);
       ExpectEndsWithParent(s);
     }},
    {"QueueFd", On::kDefault, kDesc, kMem,
     [](Stage& s) {
       const int fd = ctx_queue_fd(s.queue);
       return fd < 0 ? fd : 0;
     },
     [](Stage& s) {
       EXPECT_EQ(AddTo(s.queue, s.parent, s), 0);
       EXPECT_FALSE(Readable(ctx_queue_fd(s.queue)));
       EXPECT_EQ(s.parent.Cancel(), 1);
       EXPECT_TRUE(Readable(ctx_queue_fd(s.queue)));
       EXPECT_EQ(Tokens(s.queue).size(), 1u);
     }},
    {"QueueWaitAndDrainOfNothing", On::kDefault, kNothing, kNothing,
     [](Stage& s) {
       ctx_event_t event;
       return static_cast<int>(ctx_queue_wait(s.queue, &event, 1, 1) +
                               ctx_queue_drain(s.queue, &event, 1));
     },
     ExpectEndsWithParent},
};

class RefusedQueue : public ::testing::TestWithParam<Construction> {};

TEST_P(RefusedQueue, Rule46_EachCallInTurn) { Refusals(GetParam()).EachInTurn(); }

TEST_P(RefusedQueue, Rule46_NothingLeaks) { Refusals(GetParam()).NothingLeaks(); }

INSTANTIATE_TEST_SUITE_P(, RefusedQueue, ::testing::ValuesIn(kQueueCases),
                         [](const auto& each) { return NameOf(each.param); });

// What fires later was got when it was made: posting, withdrawing, draining, releasing and firing ask
// for nothing, and a system that refuses everything changes nothing.
struct Asked {
  int memory = 0, threads = 0, descriptors = 0, watches = 0;
};

Asked WhatIsAskedBy(const std::function<void()>& body) {
  Faults faults(Resource::kMemory, ENOMEM);
  body();
  return {faults.count(Resource::kMemory), faults.count(Resource::kThread),
          faults.count(Resource::kDescriptor), faults.count(Resource::kWatch)};
}

void ExpectNothing(const Asked& asked) {
  EXPECT_EQ(asked.memory, 0);
  EXPECT_EQ(asked.threads, 0);
  EXPECT_EQ(asked.descriptors, 0);
  EXPECT_EQ(asked.watches, 0);
}

TEST(NeedsNothing, Rule46_ToPostWithdrawDrainAndReleaseAQueue) {
  for (const bool with_fd : {false, true}) {
    Queue queue = NewQueue();
    if (with_fd) {
      EXPECT_GE(ctx_queue_fd(queue), 0);
    }
    const Scope parent = WithCancel(ctx_background());
    std::vector<Scope> scopes;  // held, so that the drain frees none of them
    std::vector<Watch> watches;
    for (uint64_t i = 0; i < 1000; ++i) {
      scopes.push_back(WithTimeout(parent, kHour));
      watches.push_back(Add(queue, scopes.back(), i));
    }
    std::vector<ctx_event_t> events(500);
    int64_t drained = 0, withdrawn = 0;
    ExpectNothing(WhatIsAskedBy([&] {
      ctx_cancel(parent.canceler);
      for (size_t i = 0; i < 100; ++i) withdrawn += ctx_watch_stop(watches[i]);
      drained += ctx_queue_drain(queue, events.data(), 400);
      drained += ctx_queue_wait(queue, events.data(), 100, 0);
      queue.reset();
    }));
    EXPECT_EQ(withdrawn, 100);
    EXPECT_EQ(drained, 500);
  }
}

TEST(NeedsNothing, Rule46_ToEndMergesAndGraces) {
  const Host host(On::kVirtual);
  Drop drop;
  std::vector<Ctx> merged(200), graces(200);
  {
    const Ctx watched = Watched(host.root(), &drop);
    const Scope first = WithCancel(watched), second = WithCancel(watched);
    for (size_t i = 0; i < 200; ++i) {
      ctx_t* const parents[] = {first, second};
      const auto grace_ns = static_cast<int64_t>(i + 1) * kSecond;
      ASSERT_EQ(ctx_merge(parents, 2, merged[i].out(), nullptr), 0);
      ASSERT_EQ(ctx_with_grace(second, grace_ns, graces[i].out(), nullptr), 0);
    }
    int fired = 0;
    ExpectNothing(WhatIsAskedBy([&] {
      ctx_cancel(second.canceler);
      fired = ctx_loop_advance(host.loop(), 100 * kSecond);
    }));
    EXPECT_EQ(fired, 100);
  }
  EXPECT_EQ(ctx_err(merged[199]), CTX_CANCELED);
  EXPECT_EQ(ctx_err(graces[99]), CTX_CANCELED);
  EXPECT_EQ(ctx_err(graces[100]), 0);
  {
    // Freed they may ask for smaller arrays; being refused them is no harm.
    Faults faults(Resource::kMemory, ENOMEM);
    merged.clear();
    graces.clear();
  }
  EXPECT_EQ(drop.count(), 1);
}

// Everything that can be done or due on a manual loop, once it has begun.
TEST(NeedsNothing, Rule46_ToDispatchAndCloseAManualLoop) {
  const BlockSignals blocked{SIGUSR1};
  const Host host(On::kManual);
  const Pipe pipe;
  ASSERT_GE(ctx_loop_fd(host.loop()), 0);
  int runs = 0;
  const auto count = [](ctx_t*, void* arg) { ++*static_cast<int*>(arg); };
  std::vector<Scope> scopes;
  std::vector<Watch> watches;
  for (int i = 0; i < 50; ++i) {
    scopes.push_back(WithTimeout(host.root(), 1));
    scopes.push_back(WithFd(host.root(), pipe.read_end, POLLIN));
    scopes.push_back(WithSignal(host.root(), {SIGUSR1}));
    scopes.push_back(WithTimeout(host.root(), kHour));
    for (size_t back = 1; back <= 4; ++back) {
      watches.push_back(AfterFunc(scopes[scopes.size() - back], count, &runs, CTX_DEFER, nullptr,
                                  ctx_err(scopes[scopes.size() - back]) == 0 ? 0 : 1));
    }
  }
  pipe.Write();
  EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
  int born_done = 0, fired = 0, closed = -1;
  for (const Scope& scope : scopes) born_done += ctx_err(scope) != 0;  // a deadline past at once
  const int64_t limit = ctx_now(ctx_background()) + kLimit;
  const Asked asked = WhatIsAskedBy([&] {
    // More than one dispatch, where the clock has not moved on yet.
    while (born_done + fired < 150 && ctx_now(ctx_background()) < limit) {
      fired += ctx_loop_dispatch(host.loop());
    }
    closed = ctx_loop_close(host.loop());
    ctx_loop_dispatch(host.loop());
  });
  ExpectNothing(asked);
  EXPECT_EQ(born_done + fired, 150);
  EXPECT_EQ(closed, 0);
  EXPECT_EQ(runs, 200);
  for (const Scope& scope : scopes) EXPECT_NE(ctx_err(scope), 0);
}

}  // namespace
}  // namespace ctxtest
