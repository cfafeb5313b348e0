// SPDX-License-Identifier: MIT
//
// std::stop_token in both directions: a context stops tokens, and a token ends contexts.
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <utility>

#include "cases.h"
#include "counted.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// A token of a source that goes at once would never be stopped.
template <class Source, class = void>
struct GivesTokens : std::false_type {};
template <class Source>
struct GivesTokens<Source, std::void_t<decltype(std::declval<Source>().get_token())>>
    : std::true_type {};
static_assert(GivesTokens<const ctx::stop_source&>::value);
static_assert(!GivesTokens<ctx::stop_source>::value);

TEST(AsStopToken, StopsWithTheContext) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const ctx::stop_source source(ctx);
  const std::stop_token token = source.get_token();
  EXPECT_TRUE(token.stop_possible());
  EXPECT_FALSE(token.stop_requested());
  bool called = false;
  const std::stop_callback callback(token, [&, c = ctx] { called = c.is_done(); });
  cancel();
  EXPECT_TRUE(token.stop_requested());
  EXPECT_TRUE(called);
}

TEST(AsStopToken, OfADoneContextIsStopped) {
  const ctx::stop_source source(ctx::with_timeout(ctx::background(), 0s).first);
  EXPECT_TRUE(source.stop_requested());
}

TEST(AsStopToken, EndsAWaitOfTheStandardLibrary) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  const ctx::stop_source source(ctx);
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  EXPECT_FALSE(never.wait(lock, source.get_token(), [] { return false; }));
  EXPECT_EQ(ctx.err(), std::errc::timed_out);
}

TEST(AsStopToken, IsNotBehindACallbackOfSomebodyElses) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  Counter stopped, unblocked;
  ctx::after_func(ctx, ctx::deferred, [&] { unblocked.Add(stopped.WaitFor(1) ? 1 : 1000); });
  const ctx::stop_source source(ctx);
  const std::stop_callback callback(source.get_token(), [&] { stopped.Add(); });
  ASSERT_TRUE(unblocked.WaitFor(1));
  EXPECT_EQ(unblocked.Get(), 1);
}

TEST(AsStopToken, DisarmsWithTheSource) {
  static const ctx::key<Tracked> key("tracked");
  Tracked::Log log;
  const auto [ctx, cancel] =
      ctx::with_cancel(ctx::with_value(ctx::background(), key, Tracked(&log)));
  const long live = LiveNews();
  std::stop_token token;
  {
    ctx::stop_source source(ctx);
    const ctx::stop_source moved(std::move(source));
    token = moved.get_token();
  }
  cancel();
  EXPECT_FALSE(token.stop_requested());
  token = {};
  EXPECT_EQ(LiveNews(), live);
}

TEST(AsStopToken, GoesWithoutWaitingForAStopThatRuns) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  auto source = std::make_unique<ctx::stop_source>(ctx);
  Gate running, gone;
  const std::stop_callback callback(source->get_token(), [&] {
    running.Open();
    EXPECT_TRUE(gone.Wait());
  });
  std::thread thread([c = cancel] { c.cancel(); });
  EXPECT_TRUE(running.Wait());
  source.reset();
  gone.Open();
  thread.join();
}

TEST(WithStopToken, EndsWithTheToken) {
  std::stop_source source;
  const auto [ctx, cancel] = ctx::with_stop_token(ctx::background(), source.get_token());
  const auto [child, unused] = ctx::with_timeout(ctx, 1h);
  EXPECT_FALSE(ctx.is_done());
  source.request_stop();
  EXPECT_EQ(child.err(), std::errc::operation_canceled);
  EXPECT_EQ(child.cause().message(), "std::stop_token: stop requested");
}

TEST(WithStopToken, EndsWithItsParentOrItsCanceler) {
  std::stop_source source;
  const auto [parent, cancel_parent] = ctx::with_cancel(ctx::background());
  const auto [first, cancel_first] = ctx::with_stop_token(parent, source.get_token());
  const auto [second, unused] = ctx::with_stop_token(parent, source.get_token());
  EXPECT_TRUE(cancel_first());
  EXPECT_FALSE(second.is_done());
  cancel_parent(ctx::cause(5));
  source.request_stop();
  EXPECT_EQ(second.cause().code(), 5);
}

TEST(WithStopToken, StoppedBeforeIsDoneAtOnce) {
  std::stop_source source;
  source.request_stop();
  EXPECT_TRUE(ctx::with_stop_token(ctx::background(), source.get_token()).first.is_done());
}

TEST(WithStopToken, ThatNeverStopsIsAPlainContext) {
  const auto [ctx, cancel] = ctx::with_stop_token(ctx::background(), std::stop_token());
  EXPECT_FALSE(ctx.is_done());
  EXPECT_TRUE(cancel());
}

TEST(WithStopToken, LeavesNothingBehind) {
  std::stop_source source;
  const long live = LiveNews();
  const long before = NewCalls();
  { const auto [ctx, cancel] = ctx::with_stop_token(ctx::background(), source.get_token()); }
  EXPECT_EQ(NewCalls() - before, 1);
  EXPECT_EQ(LiveNews(), live);
  source.request_stop();
}

// What the stop calls back lets go of the last context, and with it of the link that is being called.
TEST(WithStopToken, MayGoInsideItsOwnStop) {
  std::stop_source source;
  auto held =
      std::make_unique<ctx::derived>(ctx::with_stop_token(ctx::background(), source.get_token()));
  ctx::after_func(held->first, [&] { held.reset(); });
  source.request_stop();
  EXPECT_EQ(held, nullptr);
}

TEST(WithStopToken, MayGoWhileItStops) {
  std::stop_source source;
  ctx::derived made;
  Race(
      2000,
      [&] {
        source = std::stop_source();
        made = ctx::with_stop_token(ctx::background(), source.get_token());
      },
      {[&] { source.request_stop(); }, [&] { made = {}; }}, [] {});
}

TEST(WithStopToken, MayGoWhileItStopsAndItsParentEnds) {
  std::stop_source source;
  ctx::derived parent, made, child;
  Race(
      2000,
      [&] {
        source = std::stop_source();
        parent = ctx::with_cancel(ctx::background());
        made = ctx::with_stop_token(parent.first, source.get_token());
        child = ctx::with_cancel(made.first);
        ctx::after_func(child.first, [second = child.second] { second.cancel(); });
      },
      {[&] { source.request_stop(); }, [&] { parent.second.cancel(); },
       [&] {
         made = {};
         child = {};
       }},
      [] {});
}

// Whatever holds what was derived keeps the link to the token: the canceler, an armed callback, a queue,
// and what was merged of it, in any place.
TEST(WithStopToken, IsLinkedAsLongAsAnythingHoldsIt) {
  const auto stopped = [](auto hold) {
    std::stop_source source;
    auto held = hold(ctx::with_stop_token(ctx::background(), source.get_token()));
    source.request_stop();
    return held;
  };
  EXPECT_FALSE(stopped([](ctx::derived made) { return made.second; }).cancel());
  const ctx::queue queue;
  int runs = 0;
  stopped([&](ctx::derived made) {
    queue.add(made.first, 1);
    return ctx::after_func(made.first, [&] { ++runs; });
  });
  EXPECT_EQ(runs, 1);
  ctx::event event;
  EXPECT_EQ(queue.drain(&event, 1), 1u);
  const ctx::context other = ctx::with_cancel(ctx::background()).first;
  const auto merged = [&](ctx::derived made) { return ctx::merge({other, made.first}).first; };
  EXPECT_TRUE(stopped(merged).is_done());
}

// A jthread's own token, and a context in it: the thread's stop reaches what it derived.
TEST(WithStopToken, OfAJthread) {
  Gate ready;
  std::error_code why;
  {
    std::jthread thread([&](std::stop_token token) {
      const auto [ctx, cancel] = ctx::with_stop_token(ctx::background(), token);
      ready.Open();
      if (ctx.wait_for(kWatchdog)) why = ctx.err();
    });
    ASSERT_TRUE(ready.Wait());
  }
  EXPECT_EQ(why, std::errc::operation_canceled);
}

}  // namespace
}  // namespace ctxtest
