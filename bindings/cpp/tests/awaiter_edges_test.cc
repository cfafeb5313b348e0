// SPDX-License-Identifier: MIT
//
// `co_await ctx.done()` at its edges: a coroutine that goes while its callback is on its way, or as soon as it is
// resumed, or inside the call that suspends it; what does not fit; and what is handed on.
#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "calls.h"
#include "cases.h"
#include "coroutine.h"
#include "counted.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

Coroutine Resumes(ctx::context ctx, Result* result) {
  result->why = co_await ctx.done();
  result->resumed.Add();
}

// A callback that is about to run when its coroutine is destroyed: the destructor waits for it, and it leaves the
// coroutine alone.
TEST(AwaiterEdges, DestroyedItWaitsForACallbackThatIsOnItsWay) {
  ctx_fn fire = nullptr;
  void* awaiter = nullptr;
  const Answer<ctx_after_func> looks_on([&](ctx_t* ctx, ctx_fn fn, void* arg, ctx_drop_fn drop,
                                            std::uint32_t flags, ctx_watch_t** made) {
    fire = fn;
    awaiter = arg;
    return Library<ctx_after_func>()(ctx, fn, arg, drop, flags, made);
  });
  int waited = 0;
  const Answer<ctx_watch_stop_wait> is_late([&](ctx_watch_t* watch) {
    ++waited;
    fire(nullptr, awaiter);
    return Library<ctx_watch_stop_wait>()(watch);
  });
  Result result;
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  { const Coroutine task = Resumes(ctx, &result); }
  EXPECT_EQ(waited, 1);
  EXPECT_EQ(result.resumed.Get(), 0);
}

TEST(AwaiterEdges, DestroyedItWaitsForNothingOnceResumed) {
  int waited = 0;
  const Answer<ctx_watch_stop_wait> looks_on([&](ctx_watch_t* watch) {
    ++waited;
    return Library<ctx_watch_stop_wait>()(watch);
  });
  const ctx::manual_loop loop;
  Result result;
  {
    const auto [ctx, cancel] = ctx::with_cancel(loop.background());
    const Coroutine task = Resumes(ctx, &result);
    cancel();
    loop.dispatch();
    EXPECT_TRUE(task.done());
  }
  EXPECT_EQ(waited, 0);
}

TEST(AwaiterEdges, EachFormHasItsFlags) {
  std::vector<std::uint32_t> flags;
  const Answer<ctx_after_func> looks_on([&](ctx_t* ctx, ctx_fn fn, void* arg, ctx_drop_fn drop,
                                            std::uint32_t with, ctx_watch_t** made) {
    flags.push_back(with);
    return Library<ctx_after_func>()(ctx, fn, arg, drop, with, made);
  });
  const auto wait = [](auto awaiter) -> Coroutine { (void)co_await std::move(awaiter); };
  const auto drops = [](const std::function<void()>&) {};
  const ctx::context root;
  { const Coroutine one = wait(root.done()); }
  { const Coroutine one = wait(root.done(ctx::deferred)); }
  { const Coroutine one = wait(root.done(drops)); }
  EXPECT_EQ(flags, (std::vector<std::uint32_t>{CTX_DEFER | CTX_BLOCKING, CTX_DEFER, CTX_WAKER}));
}

// Deferred, it does not go on inside the call even if the context is done: whoever awaits may hold a lock.
TEST(AwaiterEdges, ADeferredOneResumesLaterOnADoneContextToo) {
  const ctx::manual_loop loop;
  const auto [ctx, cancel] = ctx::with_cancel(loop.background());
  cancel();
  std::error_code why;
  const auto wait = [](ctx::context c, std::error_code* to) -> Coroutine {
    *to = co_await c.done(ctx::deferred);
  };
  const Coroutine task = wait(ctx, &why);
  EXPECT_FALSE(task.done());
  loop.dispatch();
  EXPECT_TRUE(task.done());
  EXPECT_EQ(why, std::errc::operation_canceled);
}

// A coroutine that nobody holds. Its frame goes when it has ended.
struct Free {
  struct promise_type {
    Free get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
};

// An executor that calls the work at once: on a done context the frame is gone before await_suspend() returns.
TEST(AwaiterEdges, AnExecutorMayEndTheCoroutineInsideTheCallThatSuspendsIt) {
  const long live = LiveNews();
  for (int i = 0; i < 100; ++i) {
    int ended = 0;
    const auto run = [](ctx::context ctx, int* count) -> Free {
      const auto now = [](const auto& work) { work(); };
      if ((co_await ctx.done(now)) == std::errc::timed_out) ++*count;
    };
    run(ctx::with_timeout(ctx::background(), 0s).first, &ended);  // which holds it alone
    EXPECT_EQ(ended, 1);
  }
  EXPECT_EQ(LiveNews(), live);
}

// Work that an executor calls twice, or after the coroutine has gone, does nothing.
TEST(AwaiterEdges, WorkResumesOnce) {
  std::vector<std::function<void()>> works;
  const auto later = [&](const std::function<void()>& work) { works.push_back(work); };
  int resumed = 0;
  const auto wait = [&](ctx::context ctx) -> Coroutine {
    (void)co_await ctx.done(later);
    ++resumed;
  };
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  {
    const Coroutine one = wait(ctx), other = wait(ctx);
    cancel();
    ASSERT_EQ(works.size(), 2u);
    works[0]();
    works[0]();
    EXPECT_EQ(resumed, 1);
    EXPECT_TRUE(one.done());
  }
  works[1]();
  EXPECT_EQ(resumed, 1);
}

// Awaitables that were made and are not awaited, or were moved from, leave nothing.
TEST(AwaiterEdges, OneThatIsNotAwaitedLeavesNothing) {
  const long live = LiveNews();
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  {
    auto first = ctx.done(), deferred = ctx.done(ctx::deferred);
    const auto second = std::move(first), third = std::move(deferred);
    auto posted = ctx.done([](const std::function<void()>&) {});
    const auto moved = std::move(posted);
  }
  cancel();
  EXPECT_EQ(LiveNews(), live);
}

using Posts = std::function<void(const std::function<void()>&)>;
Coroutine WaitsOn(ctx::context ctx, Posts executor) { (void)co_await ctx.done(executor); }

TEST(AwaiterEdges, AnExecutorThatThrowsEndsTheProcessAndSaysSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const ctx::derived made = ctx::with_cancel(ctx::background());
        const Posts throws = [](const std::function<void()>&) { throw std::runtime_error("full"); };
        const Coroutine task = WaitsOn(made.first, throws);
        made.second.cancel();
      },
      "^libctx: an exception left the executor of co_await ctx.done\\(executor\\): full\n");
}

TEST(AwaiterEdges, WhatCannotBeArmedIsNamed) {
  const Answer<ctx_after_func> refuses(
      [](ctx_t*, ctx_fn, void*, ctx_drop_fn, std::uint32_t, ctx_watch_t**) { return -ENOMEM; });
  std::vector<std::string> said;
  const auto wait = [&](auto awaiter) -> Coroutine {
    try {
      (void)co_await std::move(awaiter);
    } catch (const std::system_error& e) {
      said.push_back(e.what());
    }
  };
  const auto drops = [](const std::function<void()>&) {};
  const ctx::context root;
  const Coroutine one = wait(root.done()), other = wait(root.done(drops));
  EXPECT_EQ(said, std::vector<std::string>(2, "co_await done(): Cannot allocate memory"));
  EXPECT_TRUE(one.done() && other.done());
}

}  // namespace
}  // namespace ctxtest
