// SPDX-License-Identifier: MIT
//
// Rules 5 and 24 at full size: a million callbacks, each of which cancels the context of the next. They do not nest:
// each runs when the one before has returned.
#include <atomic>
#include <string>
#include <vector>

#include "scale/chains.h"
#include "scale/measure.h"
#include "support/handles.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

struct Case {
  const char* name;
  uint32_t flags;
  size_t links;
};

class ScaleCancels : public ::testing::TestWithParam<Case> {};

struct Step {
  ctx_canceler_t* next;  // what it cancels; NULL: it is the last
  std::atomic<size_t>* runs;
  std::atomic<size_t>* nested;
  Counter* last;
};

thread_local int depth = 0;

void CancelNext(ctx_t*, void* arg) {
  const Step& step = *static_cast<Step*>(arg);
  if (++depth > 1) step.nested->fetch_add(1);
  step.runs->fetch_add(1);
  if (step.next != nullptr) {
    EXPECT_EQ(ctx_cancel(step.next), 1);
  } else {
    step.last->Add();
  }
  --depth;
}

// On the default loop, or on another: siblings, or each below the one that it cancels.
TEST_P(ScaleCancels, Rule05_OfCallbacksDoNotNest) {
  const Case& param = GetParam();
  for (const int kind : {0, CTX_LOOP_THREAD, CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL}) {
    // Where each callback takes a dispatch of its own, fewer do.
    const bool each_alone =
        (kind == CTX_LOOP_MANUAL || kind == CTX_LOOP_VIRTUAL) && param.flags != 0;
    const size_t links = each_alone ? param.links / 20 : param.links;
    for (const bool chained : {false, true}) {
      GivesAllBack all;
      {
        Loop loop;
        if (kind != 0) loop = NewLoop(kind);
        const Ctx root = kind != 0 ? LoopBackground(loop) : Ctx(ctx_ref(ctx_background()));
        std::atomic<size_t> runs{0}, nested{0};
        Counter last;
        Many contexts;
        std::vector<ctx_canceler_t*> cancelers;
        std::vector<Step> steps(links);
        for (size_t i = 0; i < links; ++i) {
          ctx_t* ctx = nullptr;
          ctx_canceler_t* canceler = nullptr;
          ctx_t* const parent = chained && i > 0 ? contexts.back() : root.get();
          ASSERT_EQ(ctx_with_cancel(parent, &ctx, &canceler), 0);
          contexts.Add(ctx);
          cancelers.push_back(canceler);
        }
        for (size_t i = 0; i < links; ++i) {
          // A chain is canceled from its leaf up, so that each cancel ends one context.
          steps[i] = {nullptr, &runs, &nested, &last};
          if (chained && i > 0) steps[i].next = cancelers[i - 1];
          if (!chained && i + 1 < links) steps[i].next = cancelers[i + 1];
          ASSERT_EQ(
              ctx_after_func(contexts[i], CancelNext, &steps[i], nullptr, param.flags, nullptr), 0);
        }
        const double begin = Seconds();
        EXPECT_EQ(ctx_cancel(chained ? cancelers.back() : cancelers.front()), 1);
        for (size_t i = 0; i <= links && last.Get() == 0; ++i) {
          if (kind == CTX_LOOP_MANUAL) {
            ASSERT_GE(ctx_loop_dispatch(loop), 0);
          }
          if (kind == CTX_LOOP_VIRTUAL) {
            ASSERT_GE(ctx_loop_advance(loop, 0), 0);
          }
          if (kind == 0 || kind == CTX_LOOP_THREAD) break;
        }
        EXPECT_TRUE(last.WaitFor(1));
        EXPECT_EQ(runs.load(), links);
        EXPECT_EQ(nested.load(), 0u);
        EXPECT_EQ(contexts.CountNot(CTX_CANCELED), 0u);
        if (kind == 0) {
          Measured("%zu callbacks (%s), each cancels the next (%s): %.2f s", links, param.name,
                   chained ? "its parent" : "a sibling", Seconds() - begin);
        }
        for (ctx_canceler_t* canceler : cancelers) ctx_canceler_unref(canceler);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    , ScaleCancels,
    ::testing::Values(Case{"Plain", 0, kMillion}, Case{"Deferred", CTX_DEFER, kMillion},
                      Case{"Wakers", CTX_WAKER, kMillion}, Case{"Blocking", CTX_BLOCKING, kMillion},
                      Case{"BlockingDeferred", CTX_BLOCKING | CTX_DEFER, kMillion / 10}),
    [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace ctxtest
