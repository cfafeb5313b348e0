// SPDX-License-Identifier: MIT
//
// Rule 45 at its full size: chains of a million links of each kind are derived, read, ended, closed, forked over and
// freed, in each order, on 64 KiB of stack.
#include "scale/chains.h"

#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include <string>

#include "scale/measure.h"
#include "support/callback.h"
#include "support/forked.h"
#include "support/loops.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

const ctx_key_t kMissing = {"missing"};

__attribute__((noinline)) int Recurse(int depth) {
  volatile char frame[1024];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? frame[0] : Recurse(depth - 1) + frame[0];
}

size_t StackOf(pthread_t thread) {
  pthread_attr_t attr;
  size_t size = 0;
  EXPECT_EQ(pthread_getattr_np(thread, &attr), 0);
  pthread_attr_getstacksize(&attr, &size);
  pthread_attr_destroy(&attr);
  return size;
}

// What these cases stand on: a recursion over a hundred links would not survive, on any thread.
TEST(ScaleStack, Rule45_ARecursionWouldNotSurvive) {
  EXPECT_LE(StackOf(pthread_self()), kStack);
  size_t of_a_thread = 0, of_a_callback = 0;
  std::thread([&] { of_a_thread = StackOf(pthread_self()); }).join();
  const Scope scope = WithTimeout(ctx_background(), kMillisecond);
  Callback callback([&](ctx_t*) { of_a_callback = StackOf(pthread_self()); });
  callback.Arm(scope, CTX_DEFER);
  EXPECT_TRUE(callback.WaitRun());
  EXPECT_LE(of_a_thread, kStack);
  EXPECT_LE(of_a_callback, kStack);
  for (const bool on_main : {true, false}) {
    const pid_t pid = fork();
    if (pid == 0) {
      if (on_main) _exit(Recurse(100) == -1);
      std::thread([] { _exit(Recurse(100) == -1); }).join();
    }
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
  }
}

class ScaleChain : public ::testing::TestWithParam<ChainKind> {
 protected:
  const BlockSignals blocked{SIGUSR1};
  const Pipe pipe;
};

// The answers at the bottom are those of the top.
void ExpectReadable(const ChainKind& kind, ctx_t* top, ctx_t* leaf, const void* value) {
  EXPECT_EQ(ctx_value(leaf, &kKey), value);
  EXPECT_EQ(ctx_value(leaf, &kMissing), nullptr);
  EXPECT_EQ(ctx_string(leaf, "missing"), nullptr);
  size_t strings = 0;
  const auto count = [](const char*, const char*, void* arg) {
    ++*static_cast<size_t*>(arg);
    return 0;
  };
  EXPECT_EQ(ctx_strings(leaf, count, &strings), 0);
  EXPECT_EQ(strings, strcmp(kind.name, "String") == 0 ? 1u : 0u);
  EXPECT_EQ(ctx_ended_by(leaf, top), 0);
  const int length = ctx_describe(leaf, nullptr, 0);
  ASSERT_GT(length, static_cast<int>(kMillion));
  std::string text(static_cast<size_t>(length) + 64, '\0');  // remaining times may grow by a digit
  EXPECT_GT(ctx_describe(leaf, text.data(), text.size()), static_cast<int>(kMillion));
  size_t links = 0;
  for (size_t at = 0; (at = text.find(kind.in_text, at)) != std::string::npos; ++at) ++links;
  EXPECT_GE(links, kMillion);
}

TEST_P(ScaleChain, Rule45_IsReadEndedAndFreedInEachOrder) {
  const ChainKind& kind = GetParam();
  double derive = 0, read = 0, end = 0, release = 0;
  size_t bytes = 0;
  for (const bool ended : {true, false}) {
    for (const Order order : kOrders) {
      Drop drop;
      GivesAllBack all;
      {
        const Ctx watched = Watched(ctx_background(), &drop);
        int value = 0;
        Scope top = WithCancel(WithValue(watched, &kKey, &value)), side = WithCancel(watched);
        Many chain;
        const double begin = Seconds();
        ASSERT_TRUE(MakeChain(kind, top, side, pipe.read_end, kMillion, &chain));
        const double derived = Seconds();
        bytes = all.Taken() / kMillion;
        EXPECT_EQ(chain.CountNot(0), 0u);
        if (ended && order == Order::kLeafFirst) {
          ExpectReadable(kind, top, chain.back(), &value);
          read = Seconds() - derived;
        }
        const double at_end = Seconds();
        if (ended) {
          EXPECT_EQ(top.Cancel(), 1);
          end = std::max(end, Seconds() - at_end);
          EXPECT_EQ(chain.CountNot(kind.ends ? CTX_CANCELED : 0), 0u);
          EXPECT_EQ(ctx_ended_by(chain.back(), top), kind.ends ? 1 : 0);
          EXPECT_EQ(ctx_ended_by(chain.back(), side), 0);
          EXPECT_EQ(ctx_cause(chain.back()), kind.ends ? ctx_cause(top) : nullptr);
        }
        top.reset();
        side.reset();
        const double at_release = Seconds();
        chain.Release(order);
        derive = std::max(derive, derived - begin);
        release = std::max(release, Seconds() - at_release);
      }
      EXPECT_TRUE(drop.Wait());
    }
  }
  Measured(
      "a chain of 1,000,000 of kind %s: derive %.2f s, read %.2f s, cancel %.2f s, release %.2f s, "
      "%zu bytes each",
      kind.name, derive, read, end, release, bytes);
}

// A child reads the chain, gives it back, which does nothing there, and the parent's stays as it was.
TEST_P(ScaleChain, Rule47_IsReadInAForkedChild) {
  const ChainKind& kind = GetParam();
  GivesAllBack all;
  const Scope top = WithCancel(ctx_background()), side = WithCancel(ctx_background());
  Many chain;
  ASSERT_TRUE(MakeChain(kind, top, side, pipe.read_end, kMillion, &chain));
  InChild([&] {
    EXPECT_EQ(chain.CountNot(0), 0u);
    EXPECT_EQ(ctx_value(chain.back(), &kMissing), nullptr);
    EXPECT_GT(ctx_describe(chain.back(), nullptr, 0), static_cast<int>(kMillion));
    EXPECT_EQ(ctx_cancel(top.canceler), -ECHILD);
    chain.Release(Order::kRandom);
    const Scope fresh = WithTimeout(ctx_background(), kMillisecond);
    EXPECT_TRUE(Done(fresh));
  });
  EXPECT_EQ(chain.CountNot(0), 0u);
  EXPECT_EQ(top.Cancel(), 1);
  EXPECT_EQ(chain.CountNot(kind.ends ? CTX_CANCELED : 0), 0u);
  Measured("a chain of 1,000,000 of kind %s, with a forked child: %.2f s", kind.name,
           all.Elapsed());
}

// Closing a loop ends what can be canceled there, also graces, which no parent's end would have ended.
TEST_P(ScaleChain, Rule39_EndsWithItsLoop) {
  const ChainKind& kind = GetParam();
  GivesAllBack all;
  for (const int of : kLoopKinds) {
    for (const bool by_last_handle : {false, true}) {
      if (of == CTX_LOOP_THREAD && by_last_handle) continue;  // that does not close it
      Loop loop = NewLoop(of);
      const Ctx root = LoopBackground(loop);
      const Scope side = WithCancel(root);
      Many chain;
      ASSERT_TRUE(MakeChain(kind, root, side, pipe.read_end, kMillion, &chain));
      Callback callback;
      callback.Arm(chain.back());
      const bool ends = ctx_cancelable(chain.back()) == 1;
      EXPECT_EQ(chain.CountNot(0), 0u);
      if (by_last_handle) {
        loop.reset();
      } else {
        EXPECT_EQ(ctx_loop_close(loop), 0);
      }
      EXPECT_EQ(chain.CountNot(ends ? CTX_CANCELED : 0), 0u);
      if (ends) {
        EXPECT_TRUE(callback.WaitRun());
        EXPECT_EQ(ctx_cause_origin(ctx_cause(chain.back())), CTX_ORIGIN_SHUTDOWN);
      }
      chain.Release(Order::kRandom);
    }
  }
  Measured("a chain of 1,000,000 of kind %s ends with its loop, five times: %.2f s", kind.name,
           all.Elapsed());
}

INSTANTIATE_TEST_SUITE_P(, ScaleChain, ::testing::ValuesIn(kChainKinds),
                         [](const auto& each) { return std::string(each.param.name); });

// Two rails, each rung merged of both rungs before: the number of ways from the top to the bottom has no name.
TEST(ScaleLadder, Rule22_OfMergesIsCanceledAndFreed) {
  for (const Order order : kOrders) {
    Drop drop;
    GivesAllBack all;
    {
      Scope top = WithCancel(Watched(ctx_background(), &drop));
      ctx_t* rails[2] = {top, top};
      Many ladder;
      for (size_t i = 0; i < kMillion / 2; ++i) {
        ctx_t *left = nullptr, *right = nullptr;
        ctx_t* const crossed[2] = {rails[1], rails[0]};
        ASSERT_EQ(ctx_merge(rails, 2, &left, nullptr), 0);
        ASSERT_EQ(ctx_merge(crossed, 2, &right, nullptr), 0);
        ladder.Add(left);
        ladder.Add(right);
        rails[0] = left;
        rails[1] = right;
      }
      Callback callback;
      callback.Arm(ladder.back());
      const double begin = Seconds();
      EXPECT_EQ(top.Cancel(), 1);
      const double canceled = Seconds();
      EXPECT_EQ(callback.runs(), 1);
      EXPECT_EQ(ladder.CountNot(CTX_CANCELED), 0u);
      EXPECT_EQ(ctx_ended_by(ladder.back(), top), 1);
      top.reset();
      ladder.Release(order);
      Measured("a ladder of 1,000,000 merges: cancel %.2f s, release %.2f s", canceled - begin,
               Seconds() - canceled);
    }
    EXPECT_TRUE(drop.Wait());
  }
}

// Each grace begins when the one above it ends.
TEST(ScaleGraces, Rule23_EndOneAfterTheOther) {
  GivesAllBack all;
  const VirtualLoop host;
  Scope top = WithCancel(host.root);
  Many chain;
  const ChainKind one_ns = {
      "Grace",
      [](const Link& link, ctx_t** ret) { return ctx_with_grace(link.before, 1, ret, nullptr); },
      false, ""};
  ASSERT_TRUE(MakeChain(one_ns, top, nullptr, -1, kMillion, &chain));
  EXPECT_EQ(top.Cancel(), 1);
  const double begin = Seconds();
  EXPECT_EQ(host.Advance(static_cast<int64_t>(kMillion) / 2), static_cast<int>(kMillion) / 2);
  EXPECT_EQ(ctx_err(chain[kMillion / 2 - 1]), CTX_CANCELED);
  EXPECT_EQ(ctx_err(chain[kMillion / 2]), 0);
  EXPECT_EQ(host.Advance(static_cast<int64_t>(kMillion) / 2), static_cast<int>(kMillion) / 2);
  EXPECT_EQ(chain.CountNot(CTX_CANCELED), 0u);
  EXPECT_EQ(ctx_ended_by(chain.back(), top), 1);
  EXPECT_EQ(host.Next(), INT64_MAX);
  Measured("1,000,000 graces end one after the other: %.2f s", Seconds() - begin);
}

// All begin at once if they have no length, and end in one cancel.
TEST(ScaleGraces, Rule23_OfNoLengthEndWithTheTop) {
  GivesAllBack all;
  Scope top = WithCancel(ctx_background());
  Many chain;
  const ChainKind none = {
      "Grace",
      [](const Link& link, ctx_t** ret) { return ctx_with_grace(link.before, 0, ret, nullptr); },
      false, ""};
  ASSERT_TRUE(MakeChain(none, top, nullptr, -1, kMillion, &chain));
  EXPECT_EQ(top.Cancel(), 1);
  EXPECT_TRUE(Done(chain.back()));
  EXPECT_EQ(chain.CountNot(CTX_CANCELED), 0u);
  Measured("1,000,000 graces of no length end: %.2f s", all.Elapsed());
}

// A touch of the last one reaches all above.
TEST(ScaleIdle, Rule53_AMillionAreTouchedTogetherAndEndTogether) {
  GivesAllBack all;
  const VirtualLoop host;
  Many chain;
  const ChainKind& idle =
      *std::find_if(std::begin(kChainKinds), std::end(kChainKinds),
                    [](const ChainKind& kind) { return strcmp(kind.name, "Idle") == 0; });
  ASSERT_TRUE(MakeChain(idle, host.root, nullptr, -1, kMillion, &chain));
  for (int i = 0; i < 3; ++i) {
    EXPECT_GE(host.Advance(kHour - 1), 0);
    EXPECT_EQ(chain.CountNot(0), 0u);
    EXPECT_EQ(ctx_touch(chain.back()), 0);
  }
  EXPECT_GE(host.Advance(kHour), 1);
  EXPECT_EQ(chain.CountNot(CTX_DEADLINE_EXCEEDED), 0u);
  Measured("1,000,000 idle contexts, touched three times: %.2f s", all.Elapsed());
}

// The innermost group ends the work of all around it.
TEST(ScaleGroups, Rule54_AMillionNestedOnesEndFromTheInside) {
  for (const bool failed : {false, true}) {
    GivesAllBack all;
    const Group outermost = NewGroup(ctx_background());
    std::vector<ctx_group_t*> groups{ctx_group_ref(outermost)};
    groups.reserve(kMillion);
    for (size_t i = 1; i < kMillion; ++i) {
      ctx_group_t* next = nullptr;
      ASSERT_EQ(ctx_group_new_below(groups.back(), &next), 0);
      groups.push_back(next);
    }
    ASSERT_EQ(ctx_group_begin(groups.back()), 0);
    ctx_group_t* const innermost = groups.back();
    for (ctx_group_t* group : groups)
      ctx_group_unref(group);  // work holds the innermost, and that all others
    EXPECT_EQ(ctx_group_wait(outermost, 0), 0);
    const Cause cause = NewCause(7, "inside");
    const double begin = Seconds();
    EXPECT_EQ(ctx_group_end(innermost, failed ? cause.get() : nullptr), 0);
    EXPECT_EQ(ctx_group_wait(outermost, 0), 1);
    EXPECT_EQ(ctx_group_cause(outermost), failed ? cause.get() : nullptr);
    EXPECT_EQ(ctx_err(ctx_group_context(outermost)), failed ? CTX_CANCELED : 0);
    Measured("1,000,000 nested groups end from the inside%s: %.2f s",
             failed ? " with a failure" : "", Seconds() - begin);
  }
}

}  // namespace
}  // namespace ctxtest
