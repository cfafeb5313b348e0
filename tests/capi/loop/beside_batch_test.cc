// SPDX-License-Identifier: MIT
//
// While one thread ends very many deadlines, others have their turn: waits, derivations and callbacks. How long it
// takes depends on the machine; so each case is tried a number of times, until it has met the moment that it needs.
#include <functional>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr int kBatchOfMany = kSanitized ? 10'000 : 200'000;
constexpr int kTries = 20;

// Many deadlines, so far apart, the last of them at this time.
std::vector<Ctx> Many(ctx_t* root, int64_t due, int64_t apart) {
  std::vector<Ctx> made(kBatchOfMany);
  for (int64_t i = 0; i < kBatchOfMany; ++i) {
    Ctx& ctx = made[static_cast<size_t>(i)];
    EXPECT_EQ(ctx_with_deadline(root, due - (kBatchOfMany - 1 - i) * apart, ctx.out(), nullptr), 0);
  }
  return made;
}

// Calls `beside` while another thread is ending many deadlines. `before` may set others, when there is time.
void BesideADispatch(
    const std::function<void(const ManualLoop&, int64_t due, const Ctx& last)>& beside,
    const std::function<void(const ManualLoop&, int64_t due)>& before = {}) {
  for (int64_t lead = 500 * kMillisecond;; lead *= 2) {
    const ManualLoop manual;
    const int64_t due = manual.Now() + lead;
    const std::vector<Ctx> elders = Many(manual.root, due, 1);
    if (before) before(manual, due);
    if (manual.Now() >= due - kBatchOfMany) continue;  // some were past when they were set
    SleepUntil(due + kMillisecond);
    std::thread host([&] { EXPECT_GE(manual.Dispatch(), 0); });
    while (ctx_err(elders.front()) == 0) {
    }
    beside(manual, due, elders.back());
    host.join();
    return;
  }
}

// Other deadlines come due while the waiter sleeps, so that it looks at the loop.
TEST(BesideABatch, Rule40_AWaitKeepsItsLimitWhileAnotherThreadEndsMany) {
  bool in_time = false;
  for (int i = 0; i < kTries && !in_time; ++i) {
    std::vector<Scope> timed;
    BesideADispatch([&](const ManualLoop& manual, int64_t, const Ctx& last) {
      const Scope far = WithTimeout(manual.root, kHour);
      for (int later = 1; later < 20; ++later) {
        timed.push_back(WithTimeout(manual.root, later * 50 * kMicrosecond));
      }
      EXPECT_EQ(ctx_wait(far, kMillisecond), 0);
      in_time = ctx_err(last) == 0;
    });
  }
  EXPECT_TRUE(in_time) << "each wait came back when all was over";
}

// A wait tells whether its own context's deadline has passed, however much else is due.
TEST(BesideABatch, Rule38_AWaitForWhatIsDueBehindManyDoesNotWaitForAll) {
  using Wait = std::function<int(ctx_t*)>;
  const Wait waits[] = {
      [](ctx_t* ctx) { return ctx_wait(ctx, 0); },
      [](ctx_t* ctx) { return ctx_wait(ctx, kMillisecond); },
      [](ctx_t* ctx) { return ctx_poll(ctx, nullptr, 0, kMillisecond) == ctx_err(ctx) ? 1 : 0; },
      [](ctx_t* ctx) {
        ctx_t* const any[] = {ctx_background(), ctx};
        size_t index = 0;
        return ctx_wait_any(any, 2, kMillisecond, &index) == 1 && index == 1 ? 1 : 0;
      },
  };
  for (const Wait& wait : waits) {
    bool in_time = false;
    for (int i = 0; i < kTries && !in_time; ++i) {
      Scope behind, below;
      BesideADispatch(
          [&](const ManualLoop&, int64_t, const Ctx& last) {
            EXPECT_EQ(wait(below), 1) << "its deadline has passed";
            EXPECT_EQ(ctx_err(behind), CTX_DEADLINE_EXCEEDED);
            in_time = ctx_err(last) == 0;
          },
          [&](const ManualLoop& manual, int64_t due) {
            behind = WithDeadline(manual.root, due + 1);
            below = Merge({WithCancel(manual.root), WithCancel(behind)});
          });
    }
    EXPECT_TRUE(in_time) << "each wait came back when all was over";
  }
}

// A derivation ends its parent and everything due before that, and waits for nothing due later.
TEST(BesideABatch, Rule17_ADerivationWaitsForEldersAndNotForAll) {
  bool in_time = false;
  for (int i = 0; i < kTries && !in_time; ++i) {
    Scope first, parent;
    BesideADispatch(
        [&](const ManualLoop&, int64_t due, const Ctx& last) {
          const bool was_live = ctx_err(parent) == 0;
          EXPECT_EQ(ctx_err(WithDeadline(parent, due + kHour)), CTX_DEADLINE_EXCEEDED);
          in_time = was_live && ctx_err(last) == 0;
          EXPECT_EQ(ctx_err(first), CTX_DEADLINE_EXCEEDED);
        },
        [&](const ManualLoop& manual, int64_t due) {
          first = WithDeadline(manual.root, due - kBatchOfMany / 2 - 1);
          parent = WithDeadline(manual.root, due - kBatchOfMany / 2);
        });
  }
  EXPECT_TRUE(in_time) << "each derivation came back when all was over";
}

TEST(BesideABatch, Rule24_CallbacksBeginWhileOthersAreStillToEnd) {
  bool in_time = false;
  int64_t lead = 500 * kMillisecond;
  for (int i = 0; i < kTries && !in_time;) {
    const Loop loop = NewLoop(CTX_LOOP_THREAD);
    const Ctx root = LoopBackground(loop);
    const int64_t due = ctx_now(root) + lead;
    const std::vector<Ctx> timed = Many(root, due, 0);
    bool last_is_live = false;
    Callback callback([&](ctx_t*) { last_is_live = ctx_err(timed.back()) == 0; });
    callback.Arm(timed.front());
    const bool set_in_time = ctx_now(root) < due;
    ASSERT_TRUE(callback.WaitRun());
    ASSERT_TRUE(Done(timed.back()));
    in_time = set_in_time && last_is_live;
    set_in_time ? ++i : lead *= 2;
  }
  EXPECT_TRUE(in_time) << "the callback of the first ran after the last had ended, each time";
}

}  // namespace
}  // namespace ctxtest
