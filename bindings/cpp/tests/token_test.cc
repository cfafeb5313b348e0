// SPDX-License-Identifier: MIT
//
// A context as a token of generic code: it models C++26's stoppable_token, and its callbacks lie in the caller's
// own objects.
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "cases.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

using ctx::done_callback;
using ctx::done_token;

static_assert(std::is_nothrow_copy_constructible_v<done_token>);
static_assert(std::is_nothrow_move_constructible_v<done_token>);
static_assert(std::is_nothrow_copy_assignable_v<done_token>);
static_assert(noexcept(std::declval<const done_token&>().stop_requested()));
static_assert(noexcept(std::declval<const done_token&>().stop_possible()));
static_assert(noexcept(done_token() == done_token()));
static_assert(std::is_same_v<done_token::callback_type<void (*)()>, done_callback<void (*)()>>);
static_assert(!std::is_move_constructible_v<done_callback<void (*)()>>);
static_assert(!std::is_constructible_v<done_callback<void (*)()>, done_token, int>);

// A generic algorithm's way to a callback.
template <class Token, class F>
using CallbackFor = typename Token::template callback_type<F>;

TEST(DoneToken, StopsWithItsContext) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const done_token token(ctx);
  EXPECT_TRUE(token.stop_possible());
  EXPECT_FALSE(token.stop_requested());
  int calls = 0;
  const auto count = [&, c = ctx] { calls += c.is_done() ? 1 : 100; };
  const CallbackFor<done_token, decltype(count)> first(token, count);
  const done_callback second(token, count);
  EXPECT_EQ(calls, 0);
  cancel();
  EXPECT_EQ(calls, 2) << "before the cancel returned";
  EXPECT_TRUE(token.stop_requested());
  EXPECT_TRUE(token.stop_possible());
}

TEST(DoneToken, OfTheRootNeverStops) {
  const done_token token;
  EXPECT_FALSE(token.stop_possible());
  EXPECT_FALSE(token.stop_requested());
  const done_callback callback(token, [] { ADD_FAILURE(); });
}

TEST(DoneToken, IsEqualToThoseOfItsContext) {
  const auto [one, cancel] = ctx::with_cancel(ctx::background());
  const auto [other, right] = ctx::with_cancel(ctx::background());
  EXPECT_TRUE(done_token(one) == done_token(one));
  EXPECT_TRUE(done_token(one) != done_token(other));
  EXPECT_TRUE(done_token() == done_token(ctx::background()));
}

TEST(DoneToken, ACallbackForADoneContextRunsInItsConstructor) {
  const done_token token(ctx::with_timeout(ctx::background(), 0s).first);
  EXPECT_TRUE(token.stop_requested());
  std::thread::id thread;
  const done_callback callback(token, [&] { thread = std::this_thread::get_id(); });
  EXPECT_EQ(thread, std::this_thread::get_id());
}

TEST(DoneToken, ACallbackThatIsDestroyedDoesNotRun) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int calls = 0;
  {
    const done_callback callback(done_token(ctx), [&] { ++calls; });
  }
  cancel();
  EXPECT_EQ(calls, 0);
}

TEST(DoneToken, DestroyingACallbackWaitsUntilItHasReturned) {
  for (int round = 0; round < 100; ++round) {
    const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
    Gate running;
    std::atomic<bool> over{false};
    std::optional<std::thread> other;
    {
      const done_callback callback(done_token(ctx), [&] {
        running.Open();
        std::this_thread::yield();
        over = true;
      });
      other.emplace([right = cancel] { right.cancel(); });
      EXPECT_TRUE(running.Wait());
    }
    EXPECT_TRUE(over);
    other->join();
  }
}

TEST(DoneToken, ACallbackMayDestroyItself) {
  struct DestroysItself {
    std::unique_ptr<done_callback<DestroysItself>>* self;
    int* calls;
    void operator()() const {
      ++*calls;
      self->reset();
    }
  };
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  std::unique_ptr<done_callback<DestroysItself>> self;
  int calls = 0;
  self = std::make_unique<done_callback<DestroysItself>>(done_token(ctx),
                                                         DestroysItself{&self, &calls});
  cancel();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(self, nullptr);
}

TEST(DoneToken, AfterADeadlineACallbackIsNotBehindAnother) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  Gate called;
  const ctx::watch_guard blocked(
      ctx::after_func(ctx, ctx::deferred, [&] { EXPECT_TRUE(called.Wait()); }));
  const done_callback callback(done_token(ctx), [&] { called.Open(); });
  EXPECT_TRUE(called.Wait());
}

TEST(DoneToken, ACallbackIsCalledAsWhatItWasGivenAs) {
  struct OnlyOnce {
    int* calls;
    void operator()() && { ++*calls; }
  };
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int calls = 0;
  const done_callback callback(done_token(ctx), OnlyOnce{&calls});
  cancel();
  EXPECT_EQ(calls, 1);
}

#if defined(__cpp_concepts) && defined(__cpp_lib_concepts)
// The words of [stoptoken.concepts].
template <template <class> class>
struct TakesATemplate;
template <class Token>
concept Stoppable = requires(const Token token) {
  typename TakesATemplate<Token::template callback_type>;
  { token.stop_requested() }
  noexcept->std::same_as<bool>;
  { token.stop_possible() }
  noexcept->std::same_as<bool>;
  { Token(token) }
  noexcept;
}
&&std::copyable<Token>&& std::equality_comparable<Token>&& std::default_initializable<Token>;
static_assert(Stoppable<done_token>);
#endif

}  // namespace
}  // namespace ctxtest
