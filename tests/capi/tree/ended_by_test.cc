// SPDX-License-Identifier: MIT
//
// Rule 55: which context ended another, on every kind of loop.
#include <poll.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

class EndedBy : public ::testing::TestWithParam<On> {
 protected:
  // Lets a context end that does so in this time.
  bool EndsWithin(ctx_t* ctx, int64_t ns) const {
    if (GetParam() == On::kVirtual) {
      EXPECT_GE(ctx_loop_advance(host.loop(), ns), 0);
    }
    return host.Done(ctx);
  }

  const Host host{GetParam()};
};

// Expects exactly the candidates of the second list, of those of both.
void ExpectEndedBy(ctx_t* ctx, const std::vector<ctx_t*>& not_by, const std::vector<ctx_t*>& by) {
  for (size_t i = 0; i < not_by.size(); ++i) EXPECT_EQ(ctx_ended_by(ctx, not_by[i]), 0) << i;
  for (size_t i = 0; i < by.size(); ++i) EXPECT_EQ(ctx_ended_by(ctx, by[i]), 1) << i;
}

TEST_P(EndedBy, Rule55_NobodyWhileLive) {
  const Scope parent = WithCancel(host.root()), child = WithCancel(parent);
  ExpectEndedBy(child, {child, parent, host.root()}, {});
  child.Cancel();
  ExpectEndedBy(parent, {child, parent, host.root()}, {});
  ExpectEndedBy(host.root(), {child, parent, host.root()}, {});
}

TEST_P(EndedBy, Rule55_ItselfIfItEndedOnItsOwn) {
  const Scope parent = WithCancel(host.root()), child = WithCancel(parent);
  const Scope late = WithTimeout(parent, 0), timed = WithTimeout(parent, kMillisecond);
  const Pipe pipe;
  pipe.Write();
  const Scope readable = WithFd(parent, pipe.read_end, POLLIN);
  child.Cancel();
  EXPECT_TRUE(EndsWithin(timed, kMillisecond));
  EXPECT_TRUE(host.Done(readable));
  for (ctx_t* ctx : {child.ctx.get(), late.ctx.get(), timed.ctx.get(), readable.ctx.get()}) {
    ExpectEndedBy(ctx, {parent, host.root()}, {ctx});
  }
  parent.Cancel();
  for (ctx_t* ctx : {child.ctx.get(), late.ctx.get(), timed.ctx.get(), readable.ctx.get()}) {
    ExpectEndedBy(ctx, {parent, host.root()}, {ctx});
  }
}

TEST_P(EndedBy, Rule55_TheAncestorAndThoseBetween) {
  const Scope top = WithCancel(host.root()), above = WithCancel(top), middle = WithCancel(above);
  const Scope bottom = WithTimeout(middle, kHour), beside = WithCancel(above);
  const Scope other = WithCancel(host.root());
  above.Cancel();
  ExpectEndedBy(bottom, {bottom, beside, other, top, host.root()}, {middle, above});
  ExpectEndedBy(middle, {bottom, middle, beside, other, top}, {above});
  ExpectEndedBy(above, {bottom, middle, beside, other, top}, {above});
  top.Cancel();
  other.Cancel();
  ExpectEndedBy(bottom, {bottom, beside, other, top, host.root()}, {middle, above});
  ExpectEndedBy(top, {above, bottom}, {top});
}

TEST_P(EndedBy, Rule55_ThePartOfTheTreeThatEndedFirst) {
  const Scope top = WithCancel(host.root()), middle = WithCancel(top), bottom = WithCancel(middle);
  middle.Cancel();
  top.Cancel();
  ExpectEndedBy(bottom, {bottom, top}, {middle});
}

TEST_P(EndedBy, Rule55_WhenBornDone) {
  const Scope top = WithCancel(host.root()), middle = WithCancel(top);
  top.Cancel();
  const Scope bottom = WithCancel(middle), late = WithTimeout(middle, 0);
  ExpectEndedBy(bottom, {bottom, late, host.root()}, {middle, top});
  ExpectEndedBy(late, {bottom, late, host.root()}, {middle, top});
}

TEST_P(EndedBy, Rule55_AParentsDeadline) {
  const Scope parent = WithTimeout(host.root(), kMillisecond), child = WithTimeout(parent, kHour);
  const Scope at_once = WithTimeout(host.root(), 0), below = WithTimeout(at_once, 0);
  EXPECT_TRUE(EndsWithin(child, kMillisecond));
  ExpectEndedBy(child, {child, host.root()}, {parent});
  ExpectEndedBy(below, {below, host.root()}, {at_once});
}

TEST_P(EndedBy, Rule55_ValuesCountAsWhatTheyWereDerivedFrom) {
  const Scope parent = WithCancel(host.root());
  const Ctx value = WithValue(parent, &kKey, nullptr), text = WithString(value, "name", "value");
  const Scope child = WithCancel(text);
  parent.Cancel();
  ExpectEndedBy(child, {child}, {parent, value, text});
  ExpectEndedBy(text, {child}, {parent, value, text});
  ExpectEndedBy(parent, {child}, {parent, value, text});
}

TEST_P(EndedBy, Rule55_NothingAboveADetachedContext) {
  const Scope parent = WithCancel(host.root());
  const Ctx detached = WithoutCancel(parent);
  const Scope child = WithCancel(detached);
  parent.Cancel();
  ExpectEndedBy(child, {child, detached, parent}, {});
  child.Cancel();
  ExpectEndedBy(child, {detached, parent, host.root()}, {child});
  ExpectEndedBy(detached, {child, detached, parent}, {});
}

TEST_P(EndedBy, Rule55_AGraceByItsParent) {
  const Scope top = WithCancel(host.root()), parent = WithCancel(top), beside = WithCancel(top);
  const Scope grace = WithGrace(parent, kMillisecond), below = WithCancel(grace);
  const Scope again = WithGrace(below, kMillisecond);
  top.Cancel();
  ASSERT_TRUE(EndsWithin(again, 2 * kMillisecond));
  ExpectEndedBy(grace, {grace, below, beside, host.root()}, {parent, top});
  ExpectEndedBy(below, {below, beside, host.root()}, {grace, parent, top});
  ExpectEndedBy(again, {again, beside, host.root()}, {below, grace, parent, top});
  const Scope late = WithGrace(parent, kMillisecond), none = WithGrace(parent, 0);
  ASSERT_TRUE(EndsWithin(late, kMillisecond));
  ExpectEndedBy(late, {late, grace}, {parent, top});
  ExpectEndedBy(none, {none, grace}, {parent, top});
}

// Also with the very cause that its parent has.
TEST_P(EndedBy, Rule55_AGraceByItself) {
  const Scope parent = WithCancel(host.root());
  const Scope early = WithGrace(parent, kHour), late = WithGrace(parent, kHour);
  early.Cancel();
  parent.Cancel();
  EXPECT_EQ(ctx_err(late), 0);
  ExpectEndedBy(late, {late, parent}, {});
  late.Cancel();
  EXPECT_EQ(ctx_cause(late), ctx_cause(parent));
  ExpectEndedBy(early, {parent, host.root()}, {early});
  ExpectEndedBy(late, {parent, host.root()}, {late});
}

TEST_P(EndedBy, Rule55_AMergeByTheParentThatWasFirst) {
  const Scope top = WithCancel(host.root()), first = WithCancel(top),
              second = WithCancel(host.root());
  const Ctx value = WithValue(second, &kKey, nullptr);
  const Scope merged = Merge({first, value, host.root(), second}), below = WithCancel(merged);
  const Scope other = Merge({first, value}), canceled = Merge({first, second});
  const Scope nested = Merge({other, below});
  ExpectEndedBy(merged, {merged, first, second, top}, {});
  canceled.Cancel();
  second.Cancel();
  top.Cancel();
  ExpectEndedBy(merged, {merged, below, first, top, host.root()}, {second, value});
  ExpectEndedBy(below, {below, first, top, host.root()}, {merged, second});
  ExpectEndedBy(other, {other, merged, first, top}, {second});
  ExpectEndedBy(canceled, {first, second, top, merged}, {canceled});
  ExpectEndedBy(nested, {nested, canceled, first, top}, {second});
  EXPECT_EQ(ctx_ended_by(nested, other) + ctx_ended_by(nested, below), 1);
  const Scope born = Merge({second, first});
  ExpectEndedBy(born, {born, first, top, merged}, {second});
}

TEST_P(EndedBy, Rule55_AMergeByAnAncestorOfBothParents) {
  const Scope top = WithCancel(host.root()), first = WithCancel(top), second = WithCancel(top);
  const Scope merged = Merge({first, second}), twice = Merge({first, first});
  top.Cancel();
  const Scope born = WithCancel(merged);
  for (ctx_t* ctx : {merged.ctx.get(), born.ctx.get()}) {
    EXPECT_EQ(ctx_ended_by(ctx, top), 1);
    EXPECT_EQ(ctx_ended_by(ctx, first) + ctx_ended_by(ctx, second), 1);
  }
  ExpectEndedBy(twice, {twice, second}, {first, top});
}

TEST_P(EndedBy, Rule55_AGraceAndAMergeTogether) {
  const Scope parent = WithCancel(host.root()), other = WithCancel(host.root());
  const Scope grace = WithGrace(parent, kMillisecond), merged = Merge({other, grace});
  const Scope last = WithGrace(merged, kMillisecond);
  parent.Cancel();
  ASSERT_TRUE(EndsWithin(last, 2 * kMillisecond));
  ExpectEndedBy(merged, {merged, other}, {grace, parent});
  ExpectEndedBy(last, {last, other}, {merged, grace, parent});
}

TEST_P(EndedBy, Rule45_ThroughALongChain) {
  constexpr int kLength = 100'000;
  const Scope top = WithCancel(host.root());
  Scope bottom = WithCancel(top);
  for (int i = 0; i < kLength; ++i) bottom = WithCancel(bottom);
  const Scope merged = Merge({host.root(), bottom});
  top.Cancel();
  ExpectEndedBy(merged, {merged, host.root()}, {bottom, top});
}

// Whoever is first, the answer and the cause agree.
TEST_P(EndedBy, Rule55_WhenParentsAndTheContextItselfEndAtOnce) {
  constexpr int kRounds = 200;
  const Cause causes[] = {NewCause(1, "first"), NewCause(2, "second"), NewCause(3, "itself")};
  int wins[3] = {};
  for (int round = 0; round < kRounds; ++round) {
    const Scope first = WithCancel(host.root()), second = WithCancel(host.root());
    const Scope merged = Merge({first, second}), below = WithCancel(merged);
    const Scope* const scopes[] = {&first, &second, &merged};
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] {
        ++ready;
        while (ready < 3) std::this_thread::yield();
        ctx_cancel_with(scopes[i]->canceler, CTX_CANCELED, causes[i]);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (int i = 0; i < 3; ++i) {
      const bool won = ctx_cause(merged) == causes[i].get();
      wins[i] += won ? 1 : 0;
      ASSERT_EQ(ctx_ended_by(merged, *scopes[i]), won ? 1 : 0) << i;
    }
    ASSERT_EQ(ctx_ended_by(below, merged), 1);
  }
  EXPECT_EQ(wins[0] + wins[1] + wins[2], kRounds);
}

INSTANTIATE_TEST_SUITE_P(, EndedBy,
                         ::testing::Values(On::kDefault, On::kThread, On::kManual, On::kVirtual),
                         [](const auto& each) { return NameOf(each.param); });

TEST(EndedByALoop, Rule55_NobodyIfTheLoopEnds) {
  for (int kind : kLoopKinds) {
    const Loop loop = NewLoop(kind);
    const Ctx root = LoopBackground(loop);
    const Scope parent = WithCancel(root), child = WithCancel(parent);
    const Scope merged = Merge({parent, child}), grace = WithGrace(parent, kHour);
    ASSERT_GE(ctx_loop_close(loop), 0);
    const Scope born = WithCancel(root);
    for (ctx_t* ctx : {child.ctx.get(), merged.ctx.get(), grace.ctx.get(), born.ctx.get()}) {
      EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
      EXPECT_EQ(ctx_ended_by(ctx, ctx), 0);
      EXPECT_EQ(ctx_ended_by(ctx, root), 0);
    }
    EXPECT_EQ(ctx_ended_by(child, parent), 1) << "the end came through it";
  }
}

TEST(EndedByBadInput, BadHandlesAreErrors) {
  const Scope scope = WithCancel(ctx_background());
  const auto* const canceler = reinterpret_cast<const ctx_t*>(scope.canceler.get());
  for (int done = 0; done < 2; ++done) {
    EXPECT_EQ(ctx_ended_by(nullptr, scope), -EINVAL);
    EXPECT_EQ(ctx_ended_by(scope, nullptr), -EINVAL);
    EXPECT_EQ(ctx_ended_by(nullptr, nullptr), -EINVAL);
    EXPECT_EQ(ctx_ended_by(canceler, scope), -EINVAL);
    EXPECT_EQ(ctx_ended_by(scope, canceler), -EINVAL);
    scope.Cancel();
  }
  const ManualLoop other;
  EXPECT_EQ(ctx_ended_by(scope, other.root), 0) << "of another loop";
}

}  // namespace
}  // namespace ctxtest
