// SPDX-License-Identifier: MIT
//
// Rules 5, 6 and 28 below merges: all that ends with a context is marked before anybody is told, and
// callbacks come after those of every parent that the same call ended. Merges of merges, diamonds, and
// chains of a hundred thousand of them.
#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "support/callback.h"
#include "support/graph.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"

namespace ctxtest {
namespace {

constexpr unsigned kSeeds = kSanitized ? 20 : 60;
constexpr int kManyMerged = kSanitized ? 20'000 : 100'000;

// Arms a callback on each, from the last to the first, so that no order of registration helps.
void ArmAll(const Graph& graph, Recorder* recorder, uint32_t flags = 0) {
  for (size_t i = graph.size(); i-- > 0;) recorder->Arm(graph[i], static_cast<int>(i), flags);
}

// That those in `ended`, and no others, were called, each after its parents.
void ExpectCalled(const Graph& graph, const std::vector<bool>& ended,
                  const std::vector<int>& order) {
  std::vector<size_t> place(graph.size(), SIZE_MAX);
  for (size_t i = 0; i < order.size(); ++i) {
    size_t& once = place[static_cast<size_t>(order[i])];
    EXPECT_EQ(once, SIZE_MAX) << order[i] << " was called twice";
    once = i;
  }
  for (size_t i = 0; i < graph.size(); ++i) {
    ASSERT_EQ(place[i] != SIZE_MAX, ended[i]) << i;
    if (!ended[i]) continue;
    for (size_t parent : graph.parents(i)) {
      EXPECT_TRUE(!ended[parent] || place[parent] < place[i]) << parent << " before " << i;
    }
  }
}

// What has ended by now and had not before.
std::vector<bool> Newly(const std::vector<bool>& now, const std::vector<bool>& before) {
  std::vector<bool> newly(now.size());
  for (size_t i = 0; i < now.size(); ++i) newly[i] = now[i] && !before[i];
  return newly;
}

TEST(MergeOrder, Rule28_EveryParentThatTheCallEndedComesFirst) {
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    const Graph graph(ctx_background(), 3, 60, seed);
    Recorder recorder;
    ArmAll(graph, &recorder);
    std::vector<bool> ended(graph.size());
    size_t called = 0;
    for (size_t top : {size_t{10}, size_t{1}, size_t{0}, size_t{2}}) {
      if (graph[top].canceler == nullptr) continue;
      const std::vector<bool> ends = graph.EndWith(top);
      EXPECT_EQ(graph[top].Cancel(), ended[top] ? 0 : 1);
      const std::vector<int> order = recorder.order();
      ExpectCalled(graph, ended[top] ? std::vector<bool>(graph.size()) : Newly(ends, ended),
                   {order.begin() + static_cast<ptrdiff_t>(called), order.end()});
      called = order.size();
      for (size_t i = 0; i < graph.size(); ++i) ended[i] = ended[i] || ends[i];
    }
    EXPECT_EQ(called, graph.size()) << "all hang on one of the tops";
  }
}

TEST(MergeOrder, Rule28_DeferredOnesToo) {
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    const ManualLoop manual;
    const Graph graph(manual.root, 2, 60, seed);
    Recorder recorder;
    ArmAll(graph, &recorder, CTX_DEFER);
    EXPECT_EQ(graph[0].Cancel(), 1);
    EXPECT_EQ(recorder.runs(), 0);
    EXPECT_EQ(manual.Dispatch(), 0);
    ExpectCalled(graph, graph.EndWith(0), recorder.order());
  }
}

TEST(MergeOrder, Rule28_AlsoWhenADeadlineEndsThem) {
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    const VirtualLoop time;
    const Scope timed = WithTimeout(time.root, kSecond);
    const Graph graph(timed, 3, 60, seed);
    Recorder recorder;
    ArmAll(graph, &recorder);
    EXPECT_EQ(time.Advance(kSecond), 1);
    ExpectCalled(graph, std::vector<bool>(graph.size(), true), recorder.order());
  }
}

TEST(MergeOrder, Rule28_AlsoWhenTheLoopIsClosed) {
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    const VirtualLoop time;
    const Graph graph(time.root, 3, 60, seed);
    Recorder recorder;
    ArmAll(graph, &recorder);
    EXPECT_EQ(ctx_loop_close(time.loop), 0);
    ExpectCalled(graph, std::vector<bool>(graph.size(), true), recorder.order());
  }
}

// The merge is found by way of its first parent, long before the walk comes to its second.
TEST(MergeOrder, Rule28_ADiamondWithALongAndAShortSide) {
  for (bool turned : {false, true}) {
    const Scope top = WithCancel(ctx_background());
    std::vector<Scope> side;
    side.push_back(WithCancel(top));
    for (int i = 1; i < 50; ++i) side.push_back(WithCancel(side.back()));
    const Scope merged = turned ? Merge({side.back(), top}) : Merge({top, side.back()});
    const Scope below = WithCancel(merged), last = Merge({below, side[10], merged, top});
    Recorder recorder;
    std::vector<int> expected;
    recorder.Arm(last, 53);
    recorder.Arm(below, 52);
    recorder.Arm(merged, 51);
    for (int i = 50; i > 0; --i) recorder.Arm(side[static_cast<size_t>(i) - 1], i);
    recorder.Arm(top, 0);
    for (int i = 0; i <= 53; ++i) expected.push_back(i);
    EXPECT_EQ(top.Cancel(), 1);
    EXPECT_EQ(recorder.order(), expected) << "in a line, for each has a parent before it";
  }
}

TEST(MergeOrder, Rule05_AllIsMarkedAndWokenBeforeAnyCallback) {
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    const Graph graph(ctx_background(), 2, 60, seed);
    const std::vector<bool> ends = graph.EndWith(1);
    std::vector<int> fds;
    for (size_t i = 0; i < graph.size(); ++i) fds.push_back(ctx_done_fd(graph[i]));
    int wrong = 0;
    Callback callback([&](ctx_t*) {
      for (size_t i = 0; i < graph.size(); ++i) {
        wrong += (ctx_err(graph[i]) != 0) != ends[i];
        wrong += Readable(fds[i]) != ends[i];
        wrong += (ctx_cause(graph[i]) == ctx_cause(graph[1])) != ends[i];
      }
    });
    callback.Arm(graph[1]);
    EXPECT_EQ(graph[1].Cancel(), 1);
    EXPECT_EQ(callback.runs(), 1);
    EXPECT_EQ(wrong, 0);
  }
}

// Links of a chain, each a merge of those before: whatever `parents` says of the last two.
struct Chain {
  explicit Chain(ctx_t* top) : last(ctx_ref(top)), before(ctx_ref(top)) {}

  void Grow(const std::vector<ctx_t*>& parents) {
    ctx_t* next = nullptr;
    ASSERT_EQ(ctx_merge(parents.data(), parents.size(), &next, nullptr), 0);
    before = std::move(last);
    last.reset(next);
  }

  Ctx last, before;
};

using Grower = std::function<std::vector<ctx_t*>(const Chain&, ctx_t* side)>;
const std::vector<Grower> kGrowers = {
    [](const Chain& chain, ctx_t*) { return std::vector<ctx_t*>{chain.last}; },
    [](const Chain& chain, ctx_t* side) {
      return std::vector<ctx_t*>{chain.last, side};
    },
    [](const Chain& chain, ctx_t* side) {
      return std::vector<ctx_t*>{side, chain.last};
    },
    [](const Chain& chain, ctx_t*) {
      return std::vector<ctx_t*>{chain.last, chain.last};
    },
    // Twice as many ways from the top to the last with every few links: whoever walks each of them
    // does not come back.
    [](const Chain& chain, ctx_t*) {
      return std::vector<ctx_t*>{chain.last, chain.before};
    },
    [](const Chain& chain, ctx_t*) {
      return std::vector<ctx_t*>{chain.before, chain.last};
    },
};

TEST(MergeOrder, Rule45_ADeepChainOfMergesIsCanceledAndReleased) {
  for (const Grower& grower : kGrowers) {
    OnSmallStack([&] {
      Drop drop, side_drop;
      Scope top = WithCancel(Watched(ctx_background(), &drop));
      Scope side = WithCancel(Watched(ctx_background(), &side_drop));
      {
        Chain chain(top);
        for (int i = 0; i < kManyMerged; ++i) chain.Grow(grower(chain, side));
        Callback callback;
        callback.Arm(chain.last);
        const Cause cause = NewCause(28, "from the top");
        EXPECT_EQ(ctx_cancel_with(top.canceler, CTX_CANCELED, cause), 1);
        EXPECT_EQ(ctx_cause(chain.last), cause.get());
        EXPECT_EQ(callback.runs(), 1);
        EXPECT_EQ(ctx_err(side), 0);
        top.reset();
        side.reset();
        callback.Disarm();
        EXPECT_EQ(drop.count(), 0);
      }
      EXPECT_EQ(drop.count(), 1);
      EXPECT_EQ(side_drop.count(), 1);
    });
  }
}

TEST(MergeOrder, Rule45_ADeepChainOfLiveMergesIsReleased) {
  for (const Grower& grower : kGrowers) {
    OnSmallStack([&] {
      Drop drop;
      const Scope side = WithCancel(ctx_background());
      {
        Chain chain(WithTimeout(Watched(ctx_background(), &drop), kHour));
        for (int i = 0; i < kManyMerged; ++i) chain.Grow(grower(chain, side));
        EXPECT_EQ(ctx_err(chain.last), 0);
        EXPECT_EQ(drop.count(), 0);
      }
      EXPECT_EQ(drop.count(), 1);
      EXPECT_EQ(side.Cancel(), 1);
    });
  }
}

TEST(MergeOrder, Rule45_ADeepChainOfMergesIsReadAndDescribed) {
  OnSmallStack([] {
    static const ctx_key_t key = {"key"};
    int value = 0;
    const Scope side = WithCancel(ctx_background());
    Chain chain(WithTimeout(WithValue(ctx_background(), &key, &value), kHour));
    for (int i = 0; i < kManyMerged; ++i) chain.Grow({chain.last, side});
    EXPECT_EQ(ctx_value(chain.last, &key), &value);
    EXPECT_GT(ctx_remaining(chain.last), 0);
    EXPECT_GT(ctx_describe(chain.last, nullptr, 0), kManyMerged);
  });
}

TEST(MergeOrder, Rule45_AHundredThousandMergesOfTheSameTwo) {
  Drop drop;
  {
    const Scope one = WithCancel(Watched(ctx_background(), &drop));
    const Scope two = WithCancel(ctx_background());
    std::vector<Scope> merged;
    for (int i = 0; i < kManyMerged; ++i) {
      merged.push_back(i % 2 == 0 ? Merge({one, two}) : Merge({two, one}));
    }
    EXPECT_EQ(merged[7].Cancel(), 1);
    for (size_t i = 0; i < merged.size(); i += 3) merged[i].reset();
    EXPECT_EQ(two.Cancel(), 1);
    int live = 0;
    for (const Scope& scope : merged) live += scope.ctx != nullptr && ctx_err(scope) == 0;
    EXPECT_EQ(live, 0);
    EXPECT_EQ(one.Cancel(), 1);
  }
  EXPECT_EQ(drop.count(), 1);
}

// Each is over in a time that does not grow with how deep it is.
TEST(MergeOrder, Rule45_AHundredThousandMergesComeAndGoAtTheBottomOfADeepChain) {
  const Scope side = WithCancel(ctx_background()), top = WithCancel(ctx_background());
  Ctx bottom(ctx_ref(top));
  for (int i = 0; i < kManyMerged; ++i) bottom = WithCancel(bottom).ctx;
  for (int i = 0; i < kManyMerged; ++i) Merge({bottom, side});
  const Scope merged = Merge({bottom, side});
  EXPECT_EQ(ctx_err(merged), 0);
  EXPECT_EQ(top.Cancel(), 1);
  EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
}

TEST(MergeOrder, Rule45_OneMergeOfAHundredThousand) {
  Drop drop;
  {
    std::vector<Scope> scopes;
    std::vector<ctx_t*> parents;
    for (int i = 0; i < kManyMerged; ++i) {
      scopes.push_back(WithCancel(Watched(ctx_background(), &drop)));
      parents.push_back(scopes.back());
    }
    Scope merged = Merge(parents);
    scopes.resize(kManyMerged / 2);
    EXPECT_EQ(drop.count(), 0);
    EXPECT_EQ(scopes[kManyMerged / 3].Cancel(), 1);
    EXPECT_EQ(ctx_err(merged), CTX_CANCELED);
    merged.reset();
    EXPECT_EQ(drop.count(), kManyMerged - kManyMerged / 2);
  }
  EXPECT_EQ(drop.count(), kManyMerged);
}

}  // namespace
}  // namespace ctxtest
