// SPDX-License-Identifier: MIT
//
// Rule 45: nothing recurses. Chains and fans of a million contexts cancel, look up values, are
// described and are freed in constant stack. Each test runs on a thread with a small one.
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"

namespace ctxtest {
namespace {

const ctx_key_t kMissing = {"missing"};

// With a sanitizer's memory and time for each, a tenth is enough: its small stack would not take
// that either.
constexpr int kMany = kSanitized ? 100'000 : 1'000'000;

// The last of a chain of cancel contexts below parent; the others are held by their children alone.
Ctx CancelChain(ctx_t* parent, int length) {
  Ctx last(ctx_ref(parent));
  for (int i = 0; i < length; ++i) {
    ctx_t* next = nullptr;
    ctx_canceler_t* canceler = nullptr;
    if (ctx_with_cancel(last, &next, &canceler) != 0) {
      ADD_FAILURE() << "at " << i;
      break;
    }
    ctx_canceler_unref(canceler);
    last.reset(next);
  }
  return last;
}

TEST(Depth, Rule45_AChainIsCanceledAndReleased) {
  Drop drop;
  OnSmallStack([&] {
    Scope root = WithCancel(Watched(ctx_background(), &drop));
    Ctx last = CancelChain(root, kMany);
    EXPECT_EQ(root.Cancel(), 1);
    EXPECT_EQ(ctx_err(last), CTX_CANCELED);
    EXPECT_EQ(ctx_cause(last), ctx_cause(root));
    root.reset();
    EXPECT_EQ(drop.count(), 0);
    last.reset();
    EXPECT_EQ(drop.count(), 1);
  });
}

TEST(Depth, Rule45_ALiveChainIsReleased) {
  Drop drop;
  OnSmallStack([&] {
    Ctx last = CancelChain(Watched(ctx_background(), &drop), kMany);
    EXPECT_EQ(drop.count(), 0);
    last.reset();
    EXPECT_EQ(drop.count(), 1);
  });
}

TEST(Depth, Rule45_AChainEndsWithItsDeadline) {
  Drop drop;
  OnSmallStack([&] {
    Scope timed = WithTimeout(Watched(ctx_background(), &drop), 500 * kMillisecond);
    Ctx last = CancelChain(timed, kMany);
    EXPECT_TRUE(Done(last));
    EXPECT_EQ(ctx_err(last), CTX_DEADLINE_EXCEEDED);
    timed.reset();
    last.reset();
    EXPECT_TRUE(drop.Wait());
  });
}

TEST(Depth, Rule45_AChainOfDeadlinesIsCanceledAndReleased) {
  Drop drop;
  OnSmallStack([&] {
    constexpr int kTimers = kMany / 10;
    Scope root = WithCancel(Watched(ctx_background(), &drop));
    Ctx last(ctx_ref(root));
    for (int i = 0; i < kTimers; ++i) {
      ctx_t* next = nullptr;
      const int64_t deadline = ctx_now(root) + 2 * kHour - i * kMicrosecond;
      ASSERT_EQ(ctx_with_deadline(last, deadline, &next, nullptr), 0);
      last.reset(next);
    }
    EXPECT_EQ(root.Cancel(), 1);
    EXPECT_EQ(ctx_err(last), CTX_CANCELED);
    root.reset();
    last.reset();
    EXPECT_EQ(drop.count(), 1);
  });
}

TEST(Depth, Rule45_AFanIsCanceledAndReleased) {
  Drop drop;
  OnSmallStack([&] {
    Scope root = WithCancel(Watched(ctx_background(), &drop));
    std::vector<Scope> fan;
    fan.reserve(kMany);
    for (int i = 0; i < kMany; ++i) fan.push_back(WithCancel(root));
    EXPECT_EQ(root.Cancel(), 1);
    int live = 0;
    for (const Scope& scope : fan) live += ctx_err(scope) != CTX_CANCELED;
    EXPECT_EQ(live, 0);
    root.reset();
    fan.clear();
    EXPECT_EQ(drop.count(), 1);
  });
}

TEST(Depth, Rule45_AChainOfCallbacksRunsInOrder) {
  struct Order {
    int next = 0;
    int wrong = 0;
  } order;
  struct Place {
    Order* order;
    int number;
  };
  OnSmallStack([&] {
    constexpr int kCallbacks = kMany / 10;
    std::vector<Place> places(kCallbacks, Place{&order, 0});
    const auto fn = [](ctx_t*, void* arg) {
      auto* place = static_cast<Place*>(arg);
      place->order->wrong += place->order->next++ != place->number;
    };
    const Scope root = WithCancel(ctx_background());
    Ctx last(ctx_ref(root));
    for (int i = 0; i < kCallbacks; ++i) {
      places[static_cast<size_t>(i)].number = i;
      last = WithCancel(last).ctx;
      ASSERT_EQ(ctx_after_func(last, fn, &places[static_cast<size_t>(i)], nullptr, 0, nullptr), 0);
    }
    last.reset();
    EXPECT_EQ(root.Cancel(), 1);
    EXPECT_EQ(order.next, kCallbacks);
    EXPECT_EQ(order.wrong, 0);
  });
}

TEST(Depth, Rule45_ADeepChainOfValuesIsLookedUpAndReleased) {
  int drops = 0;
  OnSmallStack([&] {
    const auto drop = [](void* value) { ++*static_cast<int*>(value); };
    int top = 0;
    Ctx last = WithString(WithValue(ctx_background(), &kKey, &top), "top", "text");
    static const ctx_key_t other = {"other"};
    for (int i = 0; i < kMany; ++i) {
      ctx_t* next = nullptr;
      ASSERT_EQ(ctx_with_value(last, &other, &drops, drop, &next), 0);
      last.reset(next);
    }
    EXPECT_EQ(ctx_value(last, &kKey), &top);
    EXPECT_EQ(ctx_value(last, &kMissing), nullptr);
    EXPECT_EQ(ctx_value(last, &other), &drops);
    EXPECT_STREQ(ctx_string(last, "top"), "text");
    EXPECT_EQ(ctx_string(last, "missing"), nullptr);
    EXPECT_EQ(drops, 0);
    last.reset();
    EXPECT_EQ(drops, kMany);
  });
}

TEST(Depth, Rule45_ADeepChainOfEveryKindIsReleased) {
  Drop drop;
  OnSmallStack([&] {
    const Scope root = WithCancel(ctx_background());
    Ctx last = Watched(root, &drop);
    for (int i = 0; i < kMany / 4; ++i) {
      last = i % 4 == 0   ? WithoutCancel(last)
             : i % 4 == 1 ? WithCancel(last).ctx
             : i % 4 == 2 ? WithString(last, "name", "text")
                          : WithValue(last, &kKey, nullptr);
    }
    EXPECT_EQ(root.Cancel(), 1);
    EXPECT_EQ(ctx_err(last), 0);
    last.reset();
    EXPECT_EQ(drop.count(), 1);
  });
}

TEST(Depth, Rule45_ADeepChainIsDescribed) {
  OnSmallStack([&] {
    const Ctx last = CancelChain(ctx_background(), kMany);
    const std::string root = "context.Background", step = ".WithCancel";
    const size_t length = root.size() + step.size() * kMany;
    EXPECT_EQ(ctx_describe(last, nullptr, 0), static_cast<int>(length));
    std::string text(length + 1, '#');
    EXPECT_EQ(ctx_describe(last, text.data(), text.size()), static_cast<int>(length));
    EXPECT_EQ(text.substr(0, root.size() + step.size()), root + step);
    EXPECT_EQ(text.substr(length - step.size(), step.size()), step);
  });
}

// Causes, descriptors and errors of a deep node are those of the top.
TEST(Depth, Rule45_EverythingWorksAtTheBottom) {
  OnSmallStack([&] {
    const Scope root = WithTimeout(ctx_background(), kHour);
    const Ctx last = CancelChain(root, kMany / 10);
    const Scope bottom = WithCancel(last);
    Callback callback;
    callback.Arm(bottom);
    int64_t of_root = 0, of_bottom = 0;
    EXPECT_EQ(ctx_deadline(root, &of_root), 1);
    EXPECT_EQ(ctx_deadline(bottom, &of_bottom), 1);
    EXPECT_EQ(of_root, of_bottom);
    const int fd = ctx_done_fd(bottom);
    const Cause cause = NewCause(12, "from the top");
    EXPECT_EQ(ctx_cancel_with(root.canceler, CTX_CANCELED, cause), 1);
    EXPECT_EQ(ctx_cause(bottom), cause.get());
    EXPECT_TRUE(Readable(fd));
    EXPECT_EQ(callback.runs(), 1);
  });
}

}  // namespace
}  // namespace ctxtest
