// SPDX-License-Identifier: MIT
//
// Rule 6 and the order of a cancel as other threads see it: no descriptor, wait or callback before
// the error, no error or cause without the other, no child before its parent.
#include <poll.h>

#include <array>
#include <atomic>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr int kSignalRounds = kSanitized ? 200 : 1000;

TEST(Signal, Rule06_NoDescriptorIsReadableBeforeTheErrorIsSet) {
  Scope parent, child;
  std::array<int, 2> fds{};
  std::atomic<int> early{0}, lost{0};
  Race(
      kSignalRounds,
      [&] {
        parent = WithCancel(ctx_background());
        child = WithCancel(parent);
        fds = {ctx_done_fd(parent), ctx_done_fd(child)};
      },
      {[&] { parent.Cancel(); },
       [&] {
         std::array<pollfd, 2> polled = {pollfd{fds[0], POLLIN, 0}, pollfd{fds[1], POLLIN, 0}};
         do {
           lost += poll(polled.data(), polled.size(), kLimitMs) < 1;
           // Whichever of the two is readable, both contexts are marked.
           early += ctx_err(parent) == 0 || ctx_err(child) == 0;
         } while (lost == 0 && (polled[0].revents == 0 || polled[1].revents == 0));
       }},
      [] {});
  EXPECT_EQ(early, 0);
  EXPECT_EQ(lost, 0);
}

TEST(Signal, Rule06_AnErrorSeenIsFollowedByTheDescriptor) {
  Scope scope;
  int fd = -1;
  std::atomic<int> lost{0};
  Race(
      kSignalRounds,
      [&] {
        scope = WithCancel(ctx_background());
        fd = ctx_done_fd(scope);
      },
      {[&] { scope.Cancel(); },
       [&] {
         while (ctx_err(scope) == 0) {
         }
         lost += !Readable(fd, kLimitMs);
       }},
      [] {});
  EXPECT_EQ(lost, 0);
}

TEST(Signal, Rule06_WhoeverIsWokenSeesEveryDescendantDone) {
  struct Family {
    Scope top;
    std::vector<Scope> below;
  } family;
  std::atomic<int> live{0}, not_woken{0};
  const auto look = [&] {
    live += ctx_err(family.top) == 0;
    for (const Scope& scope : family.below) live += ctx_err(scope) == 0;
  };
  Race(
      kSignalRounds / 2,
      [&] {
        family.top = WithCancel(ctx_background());
        family.below.clear();
        for (int i = 0; i < 50; ++i) {
          family.below.push_back(
              WithCancel(i % 3 == 0 ? family.top : family.below[static_cast<size_t>(i - 1)]));
        }
      },
      {[&] { family.top.Cancel(); },
       [&] {
         not_woken += ctx_wait(family.top, kLimit) != 1;
         look();
       },
       [&] {
         ctx_t* const any[] = {ctx_background(), family.top};
         size_t index = 0;
         not_woken += ctx_wait_any(any, 2, kLimit, &index) != 1 || index != 1;
         look();
       },
       [&] {
         not_woken += ctx_poll(family.top, nullptr, 0, kLimit) != CTX_CANCELED;
         look();
       }},
      [] {});
  EXPECT_EQ(live, 0);
  EXPECT_EQ(not_woken, 0);
}

TEST(Signal, Rule06_NoCallbackRunsBeforeTheErrorsAreSet) {
  const Scope parent = WithCancel(ctx_background());
  const Scope child = WithTimeout(parent, kHour);
  const Scope grandchild = WithCancel(child);
  int errors = 0;
  Callback callback([&](ctx_t* ctx) {
    EXPECT_EQ(ctx, parent.ctx.get());
    errors = (ctx_err(parent) != 0) + (ctx_err(child) != 0) + (ctx_err(grandchild) != 0);
  });
  callback.Arm(parent);
  parent.Cancel();
  EXPECT_EQ(errors, 3);
}

// The same where a deadline ends the family, on the library's own threads.
TEST(Signal, Rule06_HoldsForDeadlinesToo) {
  std::atomic<int> early{0};
  for (int round = 0; round < 50; ++round) {
    const Scope timed = WithTimeout(ctx_background(), kMillisecond);
    const Scope child = WithCancel(timed);
    const int fd = ctx_done_fd(child);
    Callback callback(
        [&](ctx_t*) { early += ctx_err(timed) == 0 || ctx_err(child) == 0 || !Readable(fd); });
    const int armed = callback.Arm(timed);
    ASSERT_GE(armed, 0);
    ASSERT_TRUE(Readable(fd, kLimitMs));
    early += ctx_err(timed) == 0 || ctx_err(child) == 0;
    ASSERT_TRUE(callback.WaitDrop());
  }
  EXPECT_EQ(early, 0);
}

// Whoever sees a child done sees its parent done, although nothing was asked of the parent before:
// the own signal comes before the children's.
TEST(Signal, Rule06_NobodySeesAChildDoneBeforeItsParent_Fan) {
  constexpr size_t kChildren = kSanitized ? 500 : 5000;
  Scope root;
  std::vector<Ctx> children(kChildren);
  std::atomic<int> early{0};
  const auto watch = [&](size_t i) {
    while (ctx_err(children[i]) == 0) {
    }
    early += ctx_err(root) == 0 || ctx_cause(root) == nullptr;
  };
  for (size_t watched : {size_t{0}, kChildren / 2, kChildren - 1}) {
    Race(
        30,
        [&] {
          root = WithCancel(ctx_background());
          for (Ctx& child : children) child = WithCancel(root).ctx;
        },
        {[&] { root.Cancel(); }, [&] { watch(watched); }}, [] {});
  }
  EXPECT_EQ(early, 0);
}

TEST(Signal, Rule06_NobodySeesAChildDoneBeforeItsParent_Chain) {
  constexpr size_t kDepth = kSanitized ? 300 : 3000;
  std::vector<Ctx> chain(kDepth);
  Scope root;
  std::atomic<int> early{0};
  for (size_t watched : {size_t{1}, kDepth / 2, kDepth - 1}) {
    Race(
        30,
        [&] {
          root = WithCancel(ctx_background());
          for (size_t i = 0; i < kDepth; ++i) {
            chain[i] = WithCancel(i == 0 ? root : chain[i - 1].get()).ctx;
          }
        },
        {[&] { root.Cancel(); },
         [&] {
           while (ctx_err(chain[watched]) == 0) {
           }
           early += ctx_err(root) == 0;
           for (size_t i = watched; i-- > 0;) early += ctx_err(chain[i]) == 0;
         }},
        [] {});
  }
  EXPECT_EQ(early, 0);
}

// What an observer of a cancel found amiss.
struct Apart {
  std::atomic<int> cause_alone{0}, error_alone{0};

  // Reads the two in both orders; true once the context is done.
  bool Look(ctx_t* ctx) {
    const ctx_cause_t* const before = ctx_cause(ctx);
    const int err = ctx_err(ctx);
    const ctx_cause_t* const after = ctx_cause(ctx);
    cause_alone += before != nullptr && err == 0;
    error_alone += err != 0 && after == nullptr;
    return err != 0;
  }
  void Expect() const {
    EXPECT_EQ(cause_alone, 0) << "a cause was visible while the error was not";
    EXPECT_EQ(error_alone, 0) << "an error was visible while the cause was not";
  }
};

// The moment between the two is short: many rounds, all of them cheap. Where stores that follow each
// other are seen as one it takes a build with ThreadSanitizer to see them apart.
TEST(Signal, Rule18_CauseAndErrorAreSeenTogether_OfTheContextThatIsCanceled) {
  Scope scope;
  const Cause cause = NewCause(5, "for a reason");
  Apart apart;
  Stagger stagger(18);
  Race(
      10'000, [&] { scope = WithCancel(ctx_background()); },
      {[&] {
         stagger.Pass();
         ctx_cancel_with(scope.canceler, CTX_CANCELED, stagger.Odd() ? cause.get() : nullptr);
       },
       [&] {
         while (!apart.Look(scope)) {
         }
       }},
      [] {});
  apart.Expect();
}

TEST(Signal, Rule18_CauseAndErrorAreSeenTogether_OfAllBelowIt) {
  Scope root;
  std::vector<Ctx> below(100);
  const Cause cause = NewCause(5, "for a reason");
  const ctx_key_t key = {"key"};
  Apart apart;
  Race(
      2'000,
      [&] {
        root = WithCancel(ctx_background());
        for (size_t i = 0; i < below.size(); ++i) {
          ctx_t* const parent = i % 10 == 0 ? root : below[i - 1].get();
          below[i] = i % 3 == 0   ? WithCancel(root).ctx
                     : i % 3 == 1 ? WithTimeout(parent, CTX_FOREVER).ctx
                                  : WithValue(parent, &key, nullptr);
        }
      },
      {[&] { ctx_cancel_with(root.canceler, CTX_CANCELED, cause); },
       [&] {
         bool all_done = false;
         while (!all_done) {
           all_done = true;
           for (const Ctx& ctx : below) all_done = apart.Look(ctx) && all_done;
         }
       }},
      [] {});
  apart.Expect();
}

// Rule 6: a descriptor made while the cancel is under way becomes readable all the same.
TEST(Signal, Rule06_ADescriptorMadeDuringACancelBecomesReadable) {
  Scope root, child;
  std::atomic<int> lost{0}, early{0};
  Stagger stagger(4);
  Race(
      kSignalRounds,
      [&] {
        root = WithCancel(ctx_background());
        child = WithCancel(root);
      },
      {[&] {
         stagger.Pass(2048);
         root.Cancel();
       },
       [&] {
         const int fd = ctx_done_fd(child);
         early += Readable(fd) && ctx_err(child) == 0;
         lost += fd < 0 || !Readable(fd, kLimitMs);
       },
       [&] {
         const int fd = ctx_done_fd_dup(child);
         lost += fd < 0 || !Readable(fd, kLimitMs);
         if (fd >= 0) close(fd);
       }},
      [] {});
  EXPECT_EQ(early, 0);
  EXPECT_EQ(lost, 0);
}

// The same for one who begins to wait while the cancel is under way.
TEST(Signal, Rule06_AWaitBegunDuringACancelEnds) {
  Scope root, child;
  std::atomic<int> lost{0};
  Stagger stagger(14);
  Race(
      kSignalRounds,
      [&] {
        root = WithCancel(ctx_background());
        child = WithCancel(root);
      },
      {[&] {
         stagger.Pass(512);
         root.Cancel();
       },
       [&] { lost += ctx_wait(child, kLimit) != 1; },
       [&] { lost += ctx_poll(child, nullptr, 0, kLimit) != CTX_CANCELED; }},
      [] {});
  EXPECT_EQ(lost, 0);
}

}  // namespace
}  // namespace ctxtest
