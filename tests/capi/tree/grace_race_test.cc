// SPDX-License-Identifier: MIT
//
// Rule 23 where the parent's end meets the making, the end and the release of a grace.
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

const int kGraceRounds = Rounds(kSanitized ? 200 : 1000);

TEST(GraceRace, Rule23_MadeWhileTheParentEndsItNeverMissesThat) {
  const VirtualLoop time;
  Scope parent;
  std::array<Scope, 40> graceful;
  int live = 0, wrong_cause = 0;
  std::atomic<int> failed{0};
  Stagger stagger(23);
  Race(
      kGraceRounds, [&] { parent = WithCancel(time.root); },
      {[&] {
         stagger.Pass(8'000);
         failed += parent.Cancel() != 1;
       },
       [&] {
         for (size_t i = 0; i < graceful.size(); ++i) {
           ctx_t* const above = i % 3 == 2 ? graceful[i - 1] : parent;
           failed +=
               ctx_with_grace(above, 5, graceful[i].ctx.out(), graceful[i].canceler.out()) != 0;
         }
       }},
      [&] {
        for (const Scope& scope : graceful) failed += ctx_err(scope) != 0;
        failed += time.Advance(10) != static_cast<int>(graceful.size());
        for (const Scope& scope : graceful) {
          live += ctx_err(scope) == 0;
          wrong_cause += ctx_cause(scope) != ctx_cause(parent);
        }
      });
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(live, 0);
  EXPECT_EQ(wrong_cause, 0);
}

TEST(GraceRace, Rule09_ItsOwnCancelAndTheEndOfItsGraceGiveErrorAndCauseTogether) {
  const VirtualLoop time;
  const Cause parents = NewCause(1, "parent's"), own = NewCause(2, "own");
  Scope parent, graceful;
  Callback* callback = nullptr;
  std::unique_ptr<Callback> armed;
  int got = 0, fired = 0, wrong = 0;
  Stagger stagger(9);
  Race(
      kGraceRounds,
      [&] {
        parent = WithCancel(time.root);
        graceful = WithGrace(parent, 5);
        armed = std::make_unique<Callback>();
        callback = armed.get();
        callback->Arm(graceful);
      },
      {[&] {
         ctx_cancel_with(parent.canceler, CTX_DEADLINE_EXCEEDED, parents);
         fired = time.Advance(5);
       },
       [&] {
         stagger.Pass(4'000);
         got = ctx_cancel_with(graceful.canceler, CTX_CANCELED, own);
       }},
      [&] {
        wrong += got + fired != 1;
        wrong += (ctx_cause(graceful) == own.get()) != (got == 1);
        wrong += (ctx_cause(graceful) == parents.get()) != (fired == 1);
        wrong += (ctx_err(graceful) == CTX_CANCELED) != (got == 1);
        wrong += callback->runs() != 1;
        wrong += time.Next() != INT64_MAX;
      });
  EXPECT_EQ(wrong, 0);
}

TEST(GraceRace, Rule11_AReleaseThatRacesWithTheParentsEnd) {
  const VirtualLoop time;
  Drop drop;
  Scope parent;
  std::vector<Scope> graceful(32);
  int rounds = 0, wrong = 0;
  Stagger stagger(11);
  Race(
      kGraceRounds,
      [&] {
        parent = WithCancel(time.root);
        for (size_t i = 0; i < graceful.size(); ++i) {
          const Ctx watched = Watched(i % 2 == 0 ? parent : graceful[i - 1], &drop);
          graceful[i] = WithGrace(watched, static_cast<int64_t>(i % 3));
        }
        ++rounds;
      },
      {[&] {
         stagger.Pass(4'000);
         parent.Cancel();
       },
       [&] {
         for (Scope& scope : graceful) scope.reset();
       },
       [&] { time.Advance(1); }},
      [&] {
        time.Advance(
            0);  // the cancel may have fired a timer, and left its last release to the loop
        wrong += time.Next() != INT64_MAX;
      });
  EXPECT_EQ(wrong, 0) << "a timer without a context";
  EXPECT_EQ(drop.count(), rounds * 32);
}

// On the loop's own threads, in real time.
TEST(GraceRace, Rule23_DeadlinesGracesAndReleasesAtOnce) {
  const int kEach = kSanitized ? 300 : 2000;
  Drop drop;
  Counter ran;
  const auto run = [](ctx_t*, void* counter) { static_cast<Counter*>(counter)->Add(); };
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const Scope parent =
            WithTimeout(Watched(ctx_background(), &drop), (i * 7 + t) % 300 * kMicrosecond);
        const Scope graceful = WithGrace(parent, (1 + i % 5) * 50 * kMicrosecond);
        const Scope merged = Merge({graceful, ctx_background()});
        EXPECT_GE(ctx_after_func(merged, run, &ran, nullptr, 0, nullptr), 0);
        if (i % 3 == 0) parent.Cancel();
        if (i % 7 == 0) graceful.Cancel();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(ran.WaitFor(3 * kEach));
  EXPECT_TRUE(drop.Wait(3 * kEach)) << "and all has gone";
}

}  // namespace
}  // namespace ctxtest
