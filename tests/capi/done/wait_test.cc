// SPDX-License-Identifier: MIT
//
// ctx_wait and ctx_wait_any: rules 6, 40 and 42 as a waiting thread meets them, and -EINTR. ctx_poll is
// in poll_test.cc.
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <functional>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/signals.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Wait, Returns1WhenDoneAnd0WhenNot) {
  const Scope scope = WithCancel(ctx_background());
  EXPECT_EQ(ctx_wait(scope, 0), 0);
  EXPECT_EQ(ctx_wait(scope, kMillisecond), 0);
  scope.Cancel();
  EXPECT_EQ(ctx_wait(scope, 0), 1);
  EXPECT_EQ(ctx_wait(scope, kLimit), 1);
  EXPECT_EQ(ctx_wait(scope, CTX_FOREVER), 1);
}

TEST(Wait, EndsWithACancelFromAnotherThread) {
  Scope scope;
  std::atomic<int> wrong{0};
  Race(
      kSanitized ? 200 : 1000, [&] { scope = WithCancel(ctx_background()); },
      {[&] { scope.Cancel(); }, [&] { wrong += ctx_wait(scope, CTX_FOREVER) != 1; }}, [] {});
  EXPECT_EQ(wrong, 0);
}

TEST(Wait, ManyThreadsOnOneContextAreAllWoken) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  Counter woken;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      if (ctx_wait(i % 2 == 0 ? scope : value, kLimit) == 1) woken.Add();
    });
  }
  scope.Cancel();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(woken.Get(), 16);
}

TEST(Wait, EndsWithTheDeadline) {
  const Scope timed = WithTimeout(ctx_background(), 2 * kMillisecond);
  const Scope below = WithCancel(timed);
  EXPECT_EQ(ctx_wait(below, CTX_FOREVER), 1);
  EXPECT_EQ(ctx_err(below), CTX_DEADLINE_EXCEEDED);
}

TEST(Wait, Rule40_ANegativeLimitIsEINVAL) {
  const Scope live = WithCancel(ctx_background()), done = WithTimeout(ctx_background(), 0);
  for (int64_t limit : {int64_t{-1}, -kHour, INT64_MIN}) {
    for (ctx_t* ctx : {live.ctx.get(), done.ctx.get(), ctx_background()}) {
      size_t untouched = 42;
      EXPECT_EQ(ctx_wait(ctx, limit), -EINVAL);
      EXPECT_EQ(ctx_wait_any(&ctx, 1, limit, &untouched), -EINVAL);
      EXPECT_EQ(ctx_poll(ctx, nullptr, 0, limit), -EINVAL);
      EXPECT_EQ(untouched, 42u);
    }
  }
}

TEST(Wait, Rule40_AWaitDoesNotTimeOutEarly) {
  const Scope scope = WithCancel(ctx_background());
  ctx_t* const any[] = {scope};
  for (int64_t limit = 1; limit < 10 * kMillisecond; limit = limit * 7 + 3) {
    for (const std::function<int()>& wait :
         {std::function<int()>([&] { return ctx_wait(scope, limit); }),
          {[&] { return ctx_wait_any(any, 1, limit, nullptr); }},
          {[&] { return ctx_poll(scope, nullptr, 0, limit); }}}) {
      const int64_t start = ctx_now(scope);
      EXPECT_EQ(wait(), 0);
      EXPECT_GE(ctx_now(scope) - start, limit);
    }
  }
}

TEST(Wait, OnWhatIsNeverDoneTimesOut) {
  const Ctx detached = WithoutCancel(WithTimeout(ctx_background(), 0));
  for (ctx_t* ctx : {ctx_background(), ctx_todo(), detached.get()}) {
    EXPECT_EQ(ctx_wait(ctx, 0), 0);
    EXPECT_EQ(ctx_wait(ctx, kMillisecond), 0);
  }
}

// A wait that timed out leaves nothing behind: the context goes with its last handle, and a later
// cancel wakes nobody who is gone.
TEST(Wait, ATimeOutLeavesNothingBehind) {
  Drop drop;
  Scope scope = WithCancel(Watched(ctx_background(), &drop));
  for (int i = 0; i < 10; ++i) {
    ctx_t* const any[] = {scope, ctx_background(), scope};
    EXPECT_EQ(ctx_wait(scope, 1), 0);
    EXPECT_EQ(ctx_wait_any(any, 3, 1, nullptr), 0);
    EXPECT_EQ(ctx_poll(scope, nullptr, 0, 1), 0);
  }
  EXPECT_EQ(scope.Cancel(), 1);
  scope.reset();
  EXPECT_EQ(drop.count(), 1);
}

// Waits that time out at the moment of the cancel.
TEST(Wait, ATimeOutThatRacesWithTheCancel) {
  Scope scope;
  std::atomic<int> wrong{0};
  Stagger stagger(40);
  Race(
      kSanitized ? 200 : 1000, [&] { scope = WithCancel(ctx_background()); },
      {[&] {
         stagger.Pass(65536);
         scope.Cancel();
       },
       [&] {
         const int result = ctx_wait(scope, 50 * kMicrosecond);
         wrong += result != 0 && result != 1;
         wrong += result == 1 && ctx_err(scope) == 0;
       },
       [&] {
         ctx_t* const any[] = {ctx_background(), scope};
         size_t index = 9;
         const int result = ctx_wait_any(any, 2, 50 * kMicrosecond, &index);
         wrong += result != 0 && (result != 1 || index != 1 || ctx_err(scope) == 0);
       }},
      [] {});
  EXPECT_EQ(wrong, 0);
}

TEST(WaitAny, Rule42_OfNoneIsEINVAL) {
  const Scope scope = WithCancel(ctx_background());
  ctx_t* const any[] = {scope};
  size_t untouched = 42;
  EXPECT_EQ(ctx_wait_any(any, 0, 0, &untouched), -EINVAL);
  EXPECT_EQ(ctx_wait_any(nullptr, 0, 0, &untouched), -EINVAL);
  EXPECT_EQ(ctx_wait_any(nullptr, 1, 0, &untouched), -EINVAL);
  EXPECT_EQ(untouched, 42u);
}

TEST(WaitAny, Rule42_OneNullAmongThemIsEINVAL) {
  const Scope done = WithTimeout(ctx_background(), 0);
  size_t untouched = 42;
  ctx_t *const last[] = {done, nullptr}, *const first[] = {nullptr, done};
  EXPECT_EQ(ctx_wait_any(last, 2, 0, &untouched), -EINVAL);
  EXPECT_EQ(ctx_wait_any(first, 2, 0, &untouched), -EINVAL);
  EXPECT_EQ(untouched, 42u);
}

// More contexts than an address space has room for: an error before any of them is looked at.
TEST(WaitAny, AnAbsurdNumberOfContextsIsAnError) {
  CTX_IN_NEW_PROCESS({
    const Scope done = WithTimeout(ctx_background(), 0);
    ctx_t* const any[] = {done};
    for (size_t n : {SIZE_MAX, SIZE_MAX / sizeof(ctx_t*), SIZE_MAX / sizeof(ctx_t*) + 1}) {
      size_t untouched = 42;
      const int result = ctx_wait_any(any, n, 0, &untouched);
      EXPECT_TRUE(result == -EINVAL || result == -ENOMEM) << result;
      EXPECT_EQ(untouched, 42u);
    }
  });
}

TEST(WaitAny, Rule42_OfSeveralThatAreDoneTheLowestIndex) {
  std::vector<Scope> scopes;
  std::vector<ctx_t*> any;
  for (int i = 0; i < 10; ++i) {
    scopes.push_back(WithCancel(ctx_background()));
    any.push_back(scopes.back());
  }
  for (size_t i : {size_t{9}, size_t{4}, size_t{7}, size_t{0}}) {
    scopes[i].Cancel();
    size_t lowest = 0, index = 42;
    while (ctx_err(any[lowest]) == 0) ++lowest;
    EXPECT_EQ(ctx_wait_any(any.data(), any.size(), kLimit, &index), 1);
    EXPECT_EQ(index, lowest);
  }
}

TEST(WaitAny, TheIndexMayBeLeftOut) {
  const Scope done = WithTimeout(ctx_background(), 0);
  ctx_t* const any[] = {done};
  EXPECT_EQ(ctx_wait_any(any, 1, 0, nullptr), 1);
}

TEST(WaitAny, NeverDoneOnesAndDuplicatesMayBeAmongThem) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  ctx_t* const any[] = {ctx_background(), ctx_todo(), scope, value, scope, scope};
  size_t index = 42;
  EXPECT_EQ(ctx_wait_any(any, 6, kMillisecond, &index), 0);
  std::thread canceler([&] { scope.Cancel(); });
  EXPECT_EQ(ctx_wait_any(any, 6, CTX_FOREVER, &index), 1);
  EXPECT_EQ(index, 2u);
  canceler.join();
}

TEST(WaitAny, OfNeverDoneOnesAloneTimesOut) {
  ctx_t* const any[] = {ctx_background(), ctx_todo(), ctx_background()};
  EXPECT_EQ(ctx_wait_any(any, 3, 0, nullptr), 0);
  EXPECT_EQ(ctx_wait_any(any, 3, 2 * kMillisecond, nullptr), 0);
}

TEST(WaitAny, AThousandContextsEachOfWhichMayEndIt) {
  constexpr size_t kMany = 1000;
  std::vector<Scope> scopes;
  std::vector<ctx_t*> any;
  for (size_t i = 0; i < kMany; ++i) {
    scopes.push_back(WithCancel(ctx_background()));
    any.push_back(scopes.back());
  }
  for (size_t last : {size_t{0}, size_t{499}, size_t{999}}) {
    std::thread canceler([&] { scopes[last].Cancel(); });
    size_t index = kMany;
    EXPECT_EQ(ctx_wait_any(any.data(), kMany, CTX_FOREVER, &index), 1);
    EXPECT_EQ(index, last);
    canceler.join();
    scopes[last] = WithCancel(ctx_background());
    any[last] = scopes[last];
  }
  EXPECT_EQ(ctx_wait_any(any.data(), kMany, 0, nullptr), 0);
}

TEST(WaitAny, EndsWithTheFirstDeadline) {
  const Scope late = WithTimeout(ctx_background(), kHour);
  const Scope soon = WithTimeout(ctx_background(), 3 * kMillisecond);
  ctx_t* const any[] = {late, soon};
  size_t index = 42;
  EXPECT_EQ(ctx_wait_any(any, 2, CTX_FOREVER, &index), 1);
  EXPECT_EQ(index, 1u);
}

TEST(Wait, ASignalHandlerEndsIt) {
  const Scope scope = WithCancel(ctx_background());
  ctx_t* const any[] = {ctx_background(), scope};
  for (int flags : {0, SA_RESTART}) {
    EXPECT_EQ(Interrupted(flags, [&] { return ctx_wait(scope, kLimit); }), -EINTR);
    EXPECT_EQ(Interrupted(flags, [&] { return ctx_wait(scope, CTX_FOREVER); }), -EINTR);
    EXPECT_EQ(Interrupted(flags, [&] { return ctx_wait(ctx_background(), CTX_FOREVER); }), -EINTR);
    EXPECT_EQ(Interrupted(flags, [&] { return ctx_wait_any(any, 2, CTX_FOREVER, nullptr); }),
              -EINTR);
    EXPECT_EQ(Interrupted(flags, [&] { return ctx_wait_any(any, 2, kLimit, nullptr); }), -EINTR);
  }
  EXPECT_EQ(ctx_err(scope), 0);
}

TEST(Wait, AnInterruptedWaitCanBeTakenUpAgain) {
  const Scope scope = WithCancel(ctx_background());
  Gate interrupted;
  std::thread canceler([&] {
    if (interrupted.Wait()) scope.Cancel();
  });
  EXPECT_EQ(Interrupted(0, [&] { return ctx_wait(scope, CTX_FOREVER); }), -EINTR);
  interrupted.Open();
  EXPECT_EQ(ctx_wait(scope, CTX_FOREVER), 1);
  canceler.join();
}

}  // namespace
}  // namespace ctxtest
