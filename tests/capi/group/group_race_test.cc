// SPDX-License-Identifier: MIT
//
// Rule 54 while threads race: begins, ends, cancels, waits, descriptors and releases meet at every point of each
// other's way.
#include <atomic>
#include <functional>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr int kGroupRounds = kSanitized ? 2'000 : 20'000;

// A program ends its group, waits, and takes away what the work uses, while others still try to begin.
TEST(GroupRace, Rule54_AfterTheLastWaitNothingBegins) {
  for (const bool watched : {false, true}) {
    Group group;
    std::atomic<bool> over{false};
    std::atomic<int> wrong{0};
    Stagger here(1), there(2), third(3);
    const auto work = [&](Stagger& stagger) {
      for (int i = 0; i < 4; ++i) {
        stagger.Pass();
        if (ctx_group_begin(group) != 0) return;
        wrong += over.load();
        ctx_group_end(group, nullptr);
      }
    };
    EXPECT_GT(Race(
                  kGroupRounds,
                  [&] {
                    over = false;
                    group = NewGroup(ctx_background());
                    wrong += watched && ctx_group_fd(group) < 0;
                  },
                  {[&] {
                     here.Pass(1024);
                     ctx_cancel(ctx_group_canceler(group));
                     wrong += ctx_group_wait(group, kLimit) != 1;
                     over = true;
                   },
                   [&] { work(there); }, [&] { work(third); }},
                  [&] { wrong += ctx_group_begin(group) != CTX_CANCELED; }),
              0);
    EXPECT_EQ(wrong, 0);
  }
}

// The waiter frees the group as soon as it may, while the last piece of work still tells others.
TEST(GroupRace, Rule54_AGroupMayGoAsSoonAsItsWorkIsOver) {
  for (const bool with_fd : {false, true}) {
    for (const bool fails : {false, true}) {
      Drop drop;
      std::atomic<int> wrong{0};
      const Cause cause = NewCause(1, "failed");
      Stagger here(1), there(2), third(3);
      ctx_group_t* held = nullptr;
      const auto end = [&](Stagger& stagger) {
        stagger.Pass();
        wrong += ctx_group_end(held, fails ? cause.get() : nullptr) != 0;
      };
      const int rounds = Race(
          kGroupRounds,
          [&] {
            held = NewGroup(Watched(ctx_background(), &drop)).release();
            wrong += ctx_group_begin(held) + ctx_group_begin(held);
            wrong += with_fd && ctx_group_fd(held) < 0;
          },
          {[&] {
             here.Pass();
             const bool waits = here.Odd();
             wrong += ctx_group_wait(held, waits ? kLimit : 0) != 1 && waits;
             wrong += waits && (ctx_group_cause(held) != nullptr) != fails;
             ctx_group_unref(held);
           },
           [&] { end(there); }, [&] { end(third); }},
          [] {});
      EXPECT_EQ(wrong, 0);
      EXPECT_EQ(drop.count(), rounds);
    }
  }
}

TEST(GroupRace, Rule54_OneFailureIsTheFirst) {
  const Cause causes[] = {NewCause(1, "one"), NewCause(2, "two"), NewCause(3, "three")};
  Group group;
  std::atomic<int> wrong{0}, runs{0};
  std::vector<std::function<void()>> runners;
  std::vector<Stagger> staggers = {Stagger(1), Stagger(2), Stagger(3)};
  for (size_t i = 0; i < 3; ++i) {
    runners.emplace_back([&, i] {
      staggers[i].Pass();
      wrong += ctx_group_end(group, causes[i]) != 0;
    });
  }
  Watch watch;
  const int rounds = Race(
      kGroupRounds / 2,
      [&] {
        group = NewGroup(ctx_background());
        for (int i = 0; i < 3; ++i) wrong += ctx_group_begin(group) != 0;
        watch = AfterFunc(
            ctx_group_context(group),
            [](ctx_t*, void* arg) { ++*static_cast<std::atomic<int>*>(arg); }, &runs);
      },
      runners,
      [&] {
        const ctx_cause_t* const first = ctx_group_cause(group);
        wrong += first == nullptr || first != ctx_cause(ctx_group_context(group));
        wrong += ctx_group_wait(group, 0) != 1;
      });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(runs, rounds);
}

// The descriptor and the count never part, though work leaves and reaches zero all the time.
TEST(GroupRace, Rule54_TheDescriptorFollowsTheCount) {
  const Group group = NewGroup(ctx_background());
  std::atomic<int> wrong{0};
  std::vector<Stagger> staggers = {Stagger(1), Stagger(2), Stagger(3)};
  std::vector<std::function<void()>> runners;
  for (size_t i = 0; i < 3; ++i) {
    runners.emplace_back([&, i] {
      for (int n = 0; n < 10; ++n) {
        staggers[i].Pass(64);
        wrong += ctx_group_begin(group) != 0;
        if (n == 5) wrong += Readable(ctx_group_fd(group));  // its own piece is still there
        staggers[i].Pass(64);
        wrong += ctx_group_end(group, nullptr) != 0;
      }
    });
  }
  Race(
      kGroupRounds / 10, [] {}, runners,
      [&] { wrong += !Readable(ctx_group_fd(group)) || ctx_group_wait(group, 0) != 1; });
  EXPECT_EQ(wrong, 0);
}

// Nested groups whose last handle and last work go at the same moment end once.
TEST(GroupRace, Rule54_ANestedGroupEndsOnce) {
  Drop drop;
  Group outer;
  ctx_group_t *first = nullptr, *second = nullptr;
  std::atomic<int> wrong{0};
  const Cause cause = NewCause(1, "failed");
  Stagger here(1), there(2), third(3);
  const int rounds = Race(
      kGroupRounds / 2,
      [&] {
        outer = NewGroup(Watched(ctx_background(), &drop));
        first = NewGroupBelow(outer).release();
        second = NewGroupBelow(first).release();
        wrong += ctx_group_begin(second) != 0;
      },
      {[&] {
         here.Pass();
         ctx_group_unref(first);
         wrong += ctx_group_wait(outer, kLimit) != 1;
         wrong += ctx_group_cause(outer) != cause.get();
         outer.reset();
       },
       [&] {
         there.Pass();
         ctx_group_unref(second);
       },
       [&] {
         third.Pass();
         wrong += ctx_group_end(second, cause) != 0;
       }},
      [] {});
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(drop.count(), rounds);
}

// Whoever asks while the work ends is told, at once or by the thread that ends it; and the group may go.
TEST(GroupRace, Rule54_NobodyMissesTheEndOfTheWork) {
  Drop drop;
  ctx_group_t* group = nullptr;
  Ctx over;
  std::atomic<int> wrong{0}, runs{0};
  Stagger here(1), there(2), third(3);
  const auto count = [](ctx_t*, void* arg) { ++*static_cast<std::atomic<int>*>(arg); };
  const int rounds = Race(
      kGroupRounds / 2,
      [&] {
        group = NewGroup(Watched(ctx_background(), &drop)).release();
        wrong += ctx_group_begin(group) + ctx_group_begin(group);
      },
      {[&] {
         here.Pass();
         wrong += ctx_group_over(group, over.out()) != 0;
         wrong += ctx_after_func(over, count, &runs, nullptr, 0, nullptr) < 0;
         ctx_group_unref(group);
       },
       [&] {
         there.Pass();
         wrong += ctx_group_end(group, nullptr) != 0;
       },
       [&] {
         third.Pass();
         wrong += ctx_group_end(group, nullptr) != 0;
       }},
      [&] { wrong += ctx_err(over) != CTX_CANCELED; });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(runs, rounds);
  EXPECT_EQ(drop.count(), rounds);
}

}  // namespace
}  // namespace ctxtest
