// SPDX-License-Identifier: MIT
//
// Cancels that meet below merges: of parents whose families share many merges, in both directions. Rules
// 4, 5, 6, 9, 10 and 14 hold all the same, and nobody waits for ever.
#include <poll.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "support/callback.h"
#include "support/graph.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

const int kMergeRounds = Rounds(kSanitized ? 200 : 1000);

// A graph with a cause, a count of callbacks and some descriptors for each context.
struct WatchedGraph {
  explicit WatchedGraph(ctx_t* root, size_t tops, size_t others, unsigned seed)
      : graph(root, tops, others, seed), calls(graph.size()) {
    for (size_t top = 0; top < tops; ++top) {
      ends.push_back(graph.EndWith(top));
      causes.push_back(NewCause(static_cast<int>(top), "top"));
    }
    for (size_t i = 0; i < graph.size(); ++i) {
      fds.push_back(i % 5 == 0 ? ctx_done_fd(graph[i]) : -1);
      const auto count = [](ctx_t*, void* arg) { ++*static_cast<std::atomic<int>*>(arg); };
      EXPECT_EQ(ctx_after_func(graph[i], count, &calls[i], nullptr, 0, nullptr), 0);
    }
  }

  int Cancel(size_t top) const {
    return ctx_cancel_with(graph[top].canceler, CTX_CANCELED, causes[top]);
  }

  // Rule 5: what must be so when a cancel of this top has returned. How much is not.
  int Unfinished(size_t top) const {
    int wrong = 0;
    for (size_t i = 0; i < graph.size(); ++i) {
      if (!ends[top][i]) continue;
      wrong += ctx_err(graph[i]) == 0 || ctx_cause(graph[i]) == nullptr;
      wrong += fds[i] >= 0 && !Readable(fds[i]);
    }
    return wrong;
  }

  // Once all calls are over: done with a top that it hangs on, called once, and what is below one that
  // was ended by nobody is live.
  int Wrong(const std::vector<size_t>& canceled) const {
    int wrong = 0;
    for (size_t i = 0; i < graph.size(); ++i) {
      bool must_be_done = false, has_cause = false;
      for (size_t top : canceled) {
        must_be_done = must_be_done || ends[top][i];
        has_cause = has_cause || (ends[top][i] && ctx_cause(graph[i]) == causes[top].get());
      }
      wrong += (ctx_err(graph[i]) != 0) != must_be_done;
      wrong += has_cause != must_be_done;
      wrong += calls[i] != (must_be_done ? 1 : 0);
    }
    return wrong;
  }

  Graph graph;
  std::vector<std::atomic<int>> calls;
  std::vector<std::vector<bool>> ends;  // for each top
  std::vector<Cause> causes;
  std::vector<int> fds;
};

TEST(MergeRace, Rule05_CancelsOfParentsWhoseFamiliesShareMerges) {
  std::unique_ptr<WatchedGraph> watched;
  std::array<std::atomic<int>, 3> got{};
  std::atomic<int> unfinished{0};
  int wrong = 0;
  unsigned seed = 0;
  std::array<Stagger, 3> staggers = {Stagger(1), Stagger(2), Stagger(3)};
  const auto cancel = [&](size_t top) {
    staggers[top].Pass(8'000);
    got[top] = watched->Cancel(top);
    unfinished += watched->Unfinished(top);
  };
  Race(
      kMergeRounds,
      [&] { watched = std::make_unique<WatchedGraph>(ctx_background(), 3, 80, ++seed); },
      {[&] { cancel(0); }, [&] { cancel(1); }, [&] { cancel(2); }},
      [&] {
        wrong += got[0] + got[1] + got[2] != 3;  // tops are independent
        wrong += watched->Wrong({0, 1, 2});
      });
  EXPECT_EQ(unfinished, 0);
  EXPECT_EQ(wrong, 0);
}

// Two parents, and merges of each one's children with the other's grandchildren: each walk comes upon
// what the other is ending, from above and from below.
struct Crossing {
  explicit Crossing(int n) {
    for (Scope& top : tops) top = WithCancel(ctx_background());
    std::array<Ctx, 2> last = {Ctx(ctx_ref(tops[0])), Ctx(ctx_ref(tops[1]))};
    for (int i = 0; i < n; ++i) {
      const size_t side = static_cast<size_t>(i) % 2;
      const Scope child = WithCancel(tops[side]);
      merged.push_back(i % 4 < 2 ? Merge({last[1 - side], child}) : Merge({child, last[1 - side]}));
      last[side] = WithCancel(merged.back()).ctx;
    }
  }
  int Live() const {
    int live = 0;
    for (const Scope& scope : merged) live += ctx_err(scope) == 0;
    return live;
  }

  std::array<Scope, 2> tops;
  std::vector<Scope> merged;
};

TEST(MergeRace, Rule10_CrosswiseInBothDirectionsNobodyWaitsForEver) {
  std::unique_ptr<Crossing> crossing;
  std::atomic<int> live{0}, failed{0};
  std::array<Stagger, 2> staggers = {Stagger(10), Stagger(11)};
  const auto cancel = [&](size_t side) {
    staggers[side].Pass(20'000);
    failed += crossing->tops[side].Cancel() != 1;
    live += crossing->Live();  // all of them are below either
  };
  Race(
      kMergeRounds, [&] { crossing = std::make_unique<Crossing>(120); },
      {[&] { cancel(0); }, [&] { cancel(1); }}, [] {});
  EXPECT_EQ(live, 0);
  EXPECT_EQ(failed, 0);
}

// As above, with a third thread that ends merges in the middle: it may lose to either parent, and must
// then wait for that one's marks.
TEST(MergeRace, Rule05_WithCancelsOfTheMergesThemselves) {
  std::unique_ptr<WatchedGraph> watched;
  std::atomic<int> unfinished{0};
  unsigned seed = 1000;
  Stagger stagger(12), other(13);
  Race(
      kMergeRounds,
      [&] { watched = std::make_unique<WatchedGraph>(ctx_background(), 2, 80, ++seed); },
      {[&] {
         stagger.Pass(8'000);
         watched->Cancel(0);
         unfinished += watched->Unfinished(0);
       },
       [&] {
         other.Pass(8'000);
         watched->Cancel(1);
         unfinished += watched->Unfinished(1);
       },
       [&] {
         for (size_t i = 20; i < watched->graph.size(); i += 7) {
           if (watched->graph[i].canceler == nullptr) continue;
           watched->graph[i].Cancel();
           const std::vector<bool> below = watched->graph.EndWith(i);
           for (size_t j = i; j < below.size(); ++j) {
             unfinished += below[j] && ctx_err(watched->graph[j]) == 0;
           }
         }
       }},
      [&] {
        for (const std::atomic<int>& calls : watched->calls) unfinished += calls != 1;
      });
  EXPECT_EQ(unfinished, 0);
}

TEST(MergeRace, Rule04_OfACancelOfTheMergeAndOfEachParentOneWins) {
  Scope one, two, merged;
  const Cause causes[] = {NewCause(0, "one"), NewCause(1, "two"), NewCause(2, "own")};
  int got = 0, wrong = 0;
  Stagger stagger(4);
  Race(
      kMergeRounds,
      [&] {
        one = WithCancel(ctx_background());
        two = WithCancel(ctx_background());
        merged = Merge({one, two});
      },
      {[&] {
         stagger.Pass();
         ctx_cancel_with(one.canceler, CTX_CANCELED, causes[0]);
       },
       [&] { ctx_cancel_with(two.canceler, CTX_DEADLINE_EXCEEDED, causes[1]); },
       [&] { got = ctx_cancel_with(merged.canceler, CTX_CANCELED, causes[2]); }},
      [&] {
        const ctx_cause_t* const cause = ctx_cause(merged);
        wrong += (got == 1) != (cause == causes[2].get());
        wrong += cause == nullptr || ctx_cause_code(cause) > 2;
        wrong += (ctx_err(merged) == CTX_DEADLINE_EXCEEDED) != (cause == causes[1].get());
      });
  EXPECT_EQ(wrong, 0) << "rule 9: error and cause together";
}

// Whoever polls a parent sees all merges done, whichever call ended them, and all that is below.
TEST(MergeRace, Rule06_APollerOfAParentSeesEveryMergeDone) {
  constexpr size_t kMerges = 4'000;
  Scope one, two;
  std::vector<Scope> merged(kMerges);
  pollfd descriptor = {-1, POLLIN, 0};
  int live = 0;
  Stagger stagger(9);
  Race(
      kSanitized ? 20 : 60,
      [&] {
        one = WithCancel(ctx_background());
        two = WithCancel(ctx_background());
        for (size_t i = 0; i < kMerges; ++i) {
          merged[i] =
              i % 3 == 2 ? WithCancel(merged[i - 1]) : Merge({i % 2 == 0 ? one : two, one, two});
        }
        descriptor.fd = ctx_done_fd(one);
      },
      {[&] {
         stagger.Pass(40'000);
         one.Cancel();
       },
       [&] { two.Cancel(); },
       [&] {
         for (Patience wait; poll(&descriptor, 1, 0) == 0;) wait.Pause();
         for (const Scope& scope : merged) live += ctx_err(scope) == 0;
       }},
      [] {});
  EXPECT_EQ(live, 0);
}

TEST(MergeRace, Rule10_CallbacksThatCancelTheOtherParent) {
  int wrong = 0;
  for (int round = 0; round < kMergeRounds / 4; ++round) {
    const Scope left = WithCancel(ctx_background()), right = WithCancel(ctx_background());
    const Scope merged = Merge({left, right}), turned = Merge({right, left});
    Callback on_left([&](ctx_t*) { right.Cancel(); });
    Callback on_right([&](ctx_t*) { left.Cancel(); });
    Callback on_merged([&](ctx_t*) { turned.Cancel(); });
    on_left.Arm(left);
    on_right.Arm(right);
    on_merged.Arm(merged);
    StartLine line(2);
    std::thread other([&] {
      line.Meet();
      right.Cancel();
    });
    line.Meet();
    left.Cancel();
    other.join();
    wrong += on_left.runs() + on_right.runs() + on_merged.runs() != 3;
    wrong += ctx_err(merged) == 0 || ctx_err(turned) == 0;
  }
  EXPECT_EQ(wrong, 0);
}

// Deadlines of parents, on the loop's own threads, against cancels here.
TEST(MergeRace, Rule14_ADeadlineOfOneParentAndACancelOfTheOther) {
  int wrong = 0;
  Stagger stagger(14);
  for (int round = 0; round < kMergeRounds / 4; ++round) {
    const Scope timed = WithTimeout(ctx_background(), 100 * kMicrosecond);
    const Scope plain = WithCancel(ctx_background());
    std::vector<Scope> merged;
    for (int i = 0; i < 16; ++i)
      merged.push_back(i % 2 == 0 ? Merge({timed, plain}) : Merge({plain, timed}));
    stagger.Pass(60'000);
    plain.Cancel();
    for (const Scope& scope : merged) {
      wrong += ctx_err(scope) == 0;
      wrong += (ctx_cause(scope) == ctx_cause(plain)) == (ctx_err(scope) == CTX_DEADLINE_EXCEEDED);
    }
    EXPECT_TRUE(Done(timed));
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace ctxtest
