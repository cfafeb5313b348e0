// SPDX-License-Identifier: MIT
//
// Rules 4, 5, 8, 9 and 10 where cancels meet each other, a derive, or themselves in a callback.
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

const int kCancelRounds = Rounds(kSanitized ? 300 : 2000);

TEST(CancelRace, Rule04_ExactlyOneCallerGets1) {
  Scope scope;
  std::array<int, 3> got{};
  int wrong = 0;
  Stagger stagger(4);
  Race(
      kCancelRounds, [&] { scope = WithCancel(ctx_background()); },
      {[&] {
         stagger.Pass();
         got[0] = scope.Cancel();
       },
       [&] { got[1] = scope.Cancel(); }, [&] { got[2] = scope.Cancel(); }},
      [&] { wrong += got[0] + got[1] + got[2] != 1; });
  EXPECT_EQ(wrong, 0);
}

// Whether a call ended a context is known from its cause, also when the end came from above.
TEST(CancelRace, Rule04_TheCallThatGot1IsTheOneWhoseCauseIsSeen) {
  Scope parent, child;
  const Cause above = NewCause(1, "above"), own = NewCause(2, "own");
  int parent_got = 0, child_got = 0, wrong = 0;
  Stagger stagger(5);
  Race(
      kCancelRounds,
      [&] {
        parent = WithCancel(ctx_background());
        child = WithCancel(parent);
      },
      {[&] {
         stagger.Pass();
         parent_got = ctx_cancel_with(parent.canceler, CTX_CANCELED, above);
       },
       [&] { child_got = ctx_cancel_with(child.canceler, CTX_CANCELED, own); }},
      [&] {
        wrong += parent_got != 1;
        wrong += (child_got == 1) != (ctx_cause(child) == own.get());
        wrong += (child_got == 0) != (ctx_cause(child) == above.get());
      });
  EXPECT_EQ(wrong, 0);
}

// A root with a fan and a chain below, and a descriptor on some of them.
struct Bush {
  Bush() {
    root = WithCancel(ctx_background());
    ctx_t* below = root;
    for (int i = 0; i < 8; ++i) {
      all.push_back(WithCancel(root));
      all.push_back(WithCancel(below));
      below = all.back();
    }
    for (size_t i = 0; i < all.size(); i += 5) fds.push_back(ctx_done_fd(all[i].ctx));
  }
  bool Marked() const {
    for (const Scope& scope : all) {
      if (ctx_err(scope) == 0 || ctx_cause(scope) == nullptr) return false;
    }
    return ctx_err(root) != 0;
  }
  bool Woken() const {
    for (int fd : fds) {
      if (!Readable(fd)) return false;
    }
    return true;
  }

  Scope root;
  std::vector<Scope> all;
  std::vector<int> fds;
};

TEST(CancelRace, Rule05_ALoserReturnsWhenMarkingAndWakingAreComplete) {
  std::unique_ptr<Bush> bush;
  std::atomic<int> unmarked{0}, not_woken{0};
  const auto cancel = [&] {
    bush->root.Cancel();
    unmarked += !bush->Marked();
    not_woken += !bush->Woken();
  };
  Race(
      kCancelRounds / 4, [&] { bush = std::make_unique<Bush>(); }, {cancel, cancel},
      [&] { bush.reset(); });
  EXPECT_EQ(unmarked, 0);
  EXPECT_EQ(not_woken, 0);
}

// A cancel that comes upon a context which another call is ending waits for that one's marks, and a
// descendant's cancel that lost to the root's for its own subtree's.
TEST(CancelRace, Rule05_CancelsOfAncestorAndDescendantLeaveNothingUnmarked) {
  std::unique_ptr<Bush> bush;
  std::atomic<int> unmarked{0}, not_woken{0};
  Stagger stagger(6);
  Race(
      kCancelRounds / 4, [&] { bush = std::make_unique<Bush>(); },
      {[&] {
         bush->root.Cancel();
         unmarked += !bush->Marked();
         not_woken += !bush->Woken();
       },
       [&] {
         stagger.Pass();
         bush->all[3].Cancel();  // every odd one is a link of the chain
         for (size_t i = 3; i < bush->all.size(); i += 2) unmarked += ctx_err(bush->all[i]) == 0;
         not_woken += !Readable(bush->fds[1]) || !Readable(bush->fds[3]);  // of numbers 5 and 15
       }},
      [&] { bush.reset(); });
  EXPECT_EQ(unmarked, 0);
  EXPECT_EQ(not_woken, 0);
}

TEST(CancelRace, Rule05_NoCancelBlocksOnAnotherCallsCallback) {
  const Scope top = WithCancel(ctx_background());
  const Scope middle = WithCancel(top);
  const Scope below = WithCancel(middle);
  Gate started, go_on;
  bool went_on = false;
  Callback blocked([&](ctx_t*) {
    started.Open();
    went_on = go_on.Wait();
  });
  Callback on_top, on_below;
  blocked.Arm(middle);
  on_below.Arm(below);
  on_top.Arm(top);
  std::thread first([&] { EXPECT_EQ(middle.Cancel(), 1); });
  ASSERT_TRUE(started.Wait());
  EXPECT_EQ(middle.Cancel(), 0);
  EXPECT_EQ(below.Cancel(), 0);
  EXPECT_EQ(top.Cancel(), 1);
  EXPECT_EQ(on_top.runs(), 1);
  EXPECT_EQ(on_below.runs(), 0) << "it is the blocked call's to run, after its parent's";
  EXPECT_EQ(blocked.runs(), 0);
  go_on.Open();
  first.join();
  EXPECT_TRUE(went_on);
  EXPECT_EQ(on_below.runs(), 1);
}

TEST(CancelRace, Rule08_DerivingWhileTheParentIsCanceledNeverMissesIt) {
  Scope root, middle;
  std::array<Ctx, 48> derived;
  std::array<Canceler, 48> cancelers;
  const Cause cause = NewCause(8, "gone");
  int live = 0, wrong_cause = 0;
  std::atomic<int> failed{0};
  Stagger stagger(8);
  Race(
      kCancelRounds,
      [&] {
        root = WithCancel(ctx_background());
        middle = WithCancel(root);
      },
      {[&] {
         stagger.Pass(4096);
         failed += ctx_cancel_with(root.canceler, CTX_CANCELED, cause) != 1;
       },
       [&] {
         for (size_t i = 0; i < derived.size(); ++i) {
           ctx_t* parent = i % 2 == 0 ? root : middle;
           ctx_t** ret = derived[i].out();
           int result = 0;
           switch (i % 6) {
             case 0:
             case 1:
               result = ctx_with_cancel(parent, ret, cancelers[i].out());
               break;
             case 2:
             case 3:
               result = ctx_with_timeout(parent, kHour, ret, nullptr);
               break;
             case 4:
               result = ctx_with_value(parent, &kKey, nullptr, nullptr, ret);
               break;
             default:  // below one that was derived while the race was on
               result = ctx_with_cancel(derived[i - 1], ret, cancelers[i].out());
           }
           failed += result != 0;
         }
       }},
      [&] {
        for (const Ctx& ctx : derived) {
          live += ctx_err(ctx) != CTX_CANCELED;
          wrong_cause += ctx_cause(ctx) != cause.get();
        }
      });
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(live, 0);
  EXPECT_EQ(wrong_cause, 0);
}

// Two threads derive from one parent, as a server's do, while a third ends it.
TEST(CancelRace, Rule08_TwoThreadsDerivingWhileAThirdCancels) {
  Scope root;
  std::array<std::array<Scope, 24>, 2> derived;
  int live = 0;
  Stagger stagger(9);
  const auto derive = [&](size_t who) {
    for (Scope& scope : derived[who]) {
      ctx_with_cancel(root, scope.ctx.out(), scope.canceler.out());
    }
  };
  Race(
      kCancelRounds / 2, [&] { root = WithCancel(ctx_background()); },
      {[&] {
         stagger.Pass(4096);
         root.Cancel();
       },
       [&] { derive(0); }, [&] { derive(1); }},
      [&] {
        for (const auto& scopes : derived) {
          for (const Scope& scope : scopes) live += ctx_err(scope) != CTX_CANCELED;
        }
      });
  EXPECT_EQ(live, 0);
}

// What a derive returned after ctx_err(parent) was seen set is done on return.
TEST(CancelRace, Rule08_OnceTheParentIsSeenDoneADeriveIsDoneOnReturn) {
  Scope root;
  std::atomic<int> live{0};
  Race(
      kCancelRounds, [&] { root = WithCancel(ctx_background()); },
      {[&] { root.Cancel(); },
       [&] {
         while (ctx_err(root) == 0) {
         }
         const Scope scope = WithCancel(root);
         const Ctx value = WithValue(root, &kKey, nullptr);
         live += ctx_err(scope) == 0 || ctx_cause(scope) == nullptr;
         live += ctx_err(value) == 0 || ctx_cause(value) == nullptr;
       }},
      [] {});
  EXPECT_EQ(live, 0);
}

TEST(CancelRace, Rule09_ErrorAndCauseComeFromOneAndTheSameCancel) {
  Scope parent, child, leaf;
  const Cause above = NewCause(1, "above"), own = NewCause(2, "own");
  int mixed = 0, changed = 0;
  int seen_err = 0;
  const ctx_cause_t* seen_cause = nullptr;
  Stagger stagger(10);
  Race(
      kCancelRounds,
      [&] {
        parent = WithCancel(ctx_background());
        child = WithCancel(parent);
        leaf = WithCancel(child);
      },
      {[&] {
         stagger.Pass();
         ctx_cancel_with(parent.canceler, CTX_CANCELED, above);
       },
       [&] { ctx_cancel_with(child.canceler, CTX_DEADLINE_EXCEEDED, own); },
       [&] {
         while ((seen_err = ctx_err(leaf)) == 0) {
           std::this_thread::yield();
         }
         seen_cause = ctx_cause(leaf);
       }},
      [&] {
        for (ctx_t* ctx : {child.ctx.get(), leaf.ctx.get()}) {
          mixed += (ctx_err(ctx) == CTX_CANCELED) != (ctx_cause(ctx) == above.get());
          mixed += (ctx_err(ctx) == CTX_DEADLINE_EXCEEDED) != (ctx_cause(ctx) == own.get());
        }
        mixed += ctx_err(child) != ctx_err(leaf);
        changed += seen_err != ctx_err(leaf) || seen_cause != ctx_cause(leaf);
      });
  EXPECT_EQ(mixed, 0);
  EXPECT_EQ(changed, 0);
}

TEST(CancelRace, Rule10_CallbacksThatCancelEachOthersTreesDoNotDeadlock) {
  int wrong = 0;
  for (int round = 0; round < kCancelRounds / 4; ++round) {
    const Scope left = WithCancel(ctx_background()), right = WithCancel(ctx_background());
    const Scope below_left = WithCancel(left), below_right = WithCancel(right);
    Callback on_left([&](ctx_t*) { right.Cancel(); });
    Callback on_right([&](ctx_t*) { left.Cancel(); });
    on_left.Arm(below_left);
    on_right.Arm(below_right);
    StartLine line(2);
    std::thread other([&] {
      line.Meet();
      right.Cancel();
    });
    line.Meet();
    left.Cancel();
    other.join();
    wrong += on_left.runs() != 1 || on_right.runs() != 1;
  }
  EXPECT_EQ(wrong, 0);
}

TEST(CancelRace, Rule10_ACallbackMayCancelWithinItsOwnTree) {
  const Scope top = WithCancel(ctx_background());
  const Scope middle = WithCancel(top);
  const Scope below = WithCancel(middle);
  const Scope sibling = WithCancel(top);
  std::vector<int> results;
  Callback callback([&](ctx_t*) {
    results = {middle.Cancel(), below.Cancel(), sibling.Cancel(), top.Cancel()};
  });
  Callback on_top, on_sibling;
  callback.Arm(middle);
  on_top.Arm(top);
  on_sibling.Arm(sibling);
  EXPECT_EQ(middle.Cancel(), 1);
  EXPECT_EQ(results, (std::vector<int>{0, 0, 1, 1})) << "itself, below, beside, above";
  EXPECT_EQ(on_top.runs(), 1);
  EXPECT_EQ(on_sibling.runs(), 1);
}

TEST(CancelRace, Rule10_CancelsNestThroughCallbacks) {
  constexpr int kDepth = 100;
  std::vector<Scope> scopes(kDepth);
  std::vector<std::unique_ptr<Callback>> callbacks;
  for (Scope& scope : scopes) scope = WithCancel(ctx_background());
  for (int i = 0; i + 1 < kDepth; ++i) {
    callbacks.push_back(
        std::make_unique<Callback>([&scopes, i](ctx_t*) { scopes[i + 1].Cancel(); }));
    callbacks.back()->Arm(scopes[i]);
  }
  EXPECT_EQ(scopes[0].Cancel(), 1);
  EXPECT_EQ(ctx_err(scopes[kDepth - 1]), CTX_CANCELED);
}

}  // namespace
}  // namespace ctxtest
