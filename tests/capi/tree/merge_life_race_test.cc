// SPDX-License-Identifier: MIT
//
// Rules 8 and 11 where merges are made, and given back, while their parents end.
#include <array>
#include <atomic>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

const int kLifeRounds = Rounds(kSanitized ? 200 : 1000);

// Merges, and what is derived from them, are made while their parents end.
TEST(MergeLifeRace, Rule08_MergingWhileTheParentsAreCanceledNeverMissesIt) {
  Scope one, two, above_two;
  std::array<Scope, 60> derived;
  int live = 0;
  std::atomic<int> failed{0};
  std::array<Stagger, 2> staggers = {Stagger(5), Stagger(6)};
  Race(
      kLifeRounds,
      [&] {
        one = WithCancel(ctx_background());
        above_two = WithCancel(ctx_background());
        two = WithCancel(above_two);
      },
      {[&] {
         staggers[0].Pass(20'000);
         failed += one.Cancel() != 1;
       },
       [&] {
         staggers[1].Pass(20'000);
         failed += above_two.Cancel() != 1;
       },
       [&] {
         for (size_t i = 0; i < derived.size(); ++i) {
           ctx_t* const last = i == 0 ? one : derived[i - 1].ctx;
           ctx_t* const parents[] = {i % 3 == 0 ? one.ctx.get() : last, two, ctx_background()};
           ctx_t** const ret = derived[i].ctx.out();
           ctx_canceler_t** const canceler = derived[i].canceler.out();
           failed += (i % 4 == 3 ? ctx_with_cancel(last, ret, canceler)
                                 : ctx_merge(parents + i % 2, 2, ret, canceler)) != 0;
         }
       }},
      [&] {
        for (const Scope& scope : derived) live += ctx_err(scope) == 0 || !ctx_cause(scope);
      });
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(live, 0);
}

TEST(MergeLifeRace, Rule08_OnceAParentIsSeenDoneAMergeIsDoneOnReturn) {
  Scope one, two;
  std::atomic<int> live{0};
  Race(
      kLifeRounds,
      [&] {
        one = WithCancel(ctx_background());
        two = WithCancel(ctx_background());
      },
      {[&] { one.Cancel(); },
       [&] {
         while (ctx_err(one) == 0) {
         }
         const Scope merged = Merge({two, one}), below = WithCancel(merged);
         live += ctx_err(merged) == 0 || ctx_cause(below) != ctx_cause(one);
       }},
      [] {});
  EXPECT_EQ(live, 0);
}

// Merges come and go below one ancestor, so that now one and now none is there when the ancestor ends.
TEST(MergeLifeRace, Rule05_AnAncestorEndsWhileItsFirstAndLastMergesComeAndGo) {
  Scope top, other;
  std::array<Scope, 3> kept, parents;
  std::atomic<int> live{0};
  std::array<Stagger, 3> staggers = {Stagger(7), Stagger(8), Stagger(9)};
  const auto come_and_go = [&](size_t which) {
    return [&, which] {
      staggers[which].Pass(20'000);
      for (int i = 0; i < 8; ++i) {
        const bool done = ctx_err(parents[which]) != 0;
        kept[which] = Merge({parents[which], other});  // the one before goes
        const Scope below = WithCancel(kept[which]);
        live += done && ctx_err(below) == 0;
        if (i % 3 == 0) kept[which].reset();
      }
    };
  };
  Race(
      kLifeRounds,
      [&] {
        top = WithCancel(ctx_background());
        other = WithCancel(ctx_background());
        for (size_t i = 0; i < parents.size(); ++i) {
          parents[i] = i == 2 ? WithCancel(parents[1]) : WithCancel(top);
        }
      },
      {come_and_go(0), come_and_go(2),
       [&] {
         staggers[1].Pass(20'000);
         top.Cancel();
       }},
      [&] {
        live += ctx_err(kept[0]) == 0 || ctx_err(kept[2]) == 0;
        for (Scope& scope : kept) scope.reset();
      });
  EXPECT_EQ(live, 0);
}

// The last handles of merges go while both parents end.
TEST(MergeLifeRace, Rule11_AReleaseThatRacesWithTheParentsCancels) {
  Drop drop;
  Scope one, two;
  std::vector<Scope> merged(32);
  int rounds = 0;
  std::array<Stagger, 2> staggers = {Stagger(7), Stagger(8)};
  Race(
      kLifeRounds,
      [&] {
        one = WithCancel(ctx_background());
        two = WithCancel(ctx_background());
        for (size_t i = 0; i < merged.size(); ++i) {
          const Ctx first = Watched(i % 2 == 0 ? one : two, &drop);
          ctx_t* const third = i % 2 == 1 ? merged[i - 1] : two;
          merged[i] = Merge({first, i % 3 == 0 ? one : two, third});
        }
        ++rounds;
      },
      {[&] {
         staggers[0].Pass(8'000);
         one.Cancel();
       },
       [&] {
         staggers[1].Pass(8'000);
         two.Cancel();
       },
       [&] {
         for (Scope& scope : merged) scope.reset();
       }},
      [&] {
        one.reset();
        two.reset();
      });
  EXPECT_EQ(drop.count(), rounds * 32);
}

}  // namespace
}  // namespace ctxtest
