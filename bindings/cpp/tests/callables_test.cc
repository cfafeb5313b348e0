// SPDX-License-Identifier: MIT
//
// Callables on their way to C: copied if they are lvalues, moved if they are not, called as they can be, with the
// flags of their tag.
#include <unistd.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "calls.h"
#include "cases.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// Callable, and tells whether it was moved from.
struct Movable {
  std::shared_ptr<int> calls = std::make_shared<int>(0);
  void operator()() const { ++*calls; }
};

TEST(Callables, ThatAreLvaluesAreCopied) {
  static const ctx::key<Movable> key("movable");
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Movable callback, value, data, token, work, posted;
  const auto inline_executor = [](const auto& run) { run(); };
  ctx::after_func(ctx, callback);
  EXPECT_TRUE(callback.calls);
  EXPECT_EQ(ctx::with_value(ctx, key, value).value(key)->calls, value.calls);
  EXPECT_EQ(ctx::cause(1, "text", key, data).data(key)->calls, data.calls);
  {
    const ctx::done_callback registered(ctx::done_token(ctx), token);
    cancel();
    EXPECT_EQ(*callback.calls, 1);
    EXPECT_EQ(*token.calls, 1);
  }
  const ctx::group group;
  EXPECT_TRUE(group.spawn(work));
  EXPECT_TRUE(group.spawn(inline_executor, posted));
  group.wait();
  ASSERT_TRUE(work.calls && posted.calls);
  EXPECT_EQ(*work.calls, 1);
  EXPECT_EQ(*posted.calls, 1);
}

// An executor that is an lvalue is called itself, if it need not be kept.
TEST(Callables, AnExecutorOfAGroupIsNotCopied) {
  struct Executor {
    Executor() = default;
    Executor(const Executor&) = delete;
    void operator()(const std::function<void()>& work) { works.push_back(work); }
    std::vector<std::function<void()>> works;
  };
  Executor executor;
  const ctx::group group;
  int runs = 0;
  EXPECT_TRUE(group.spawn(executor, [&] { ++runs; }));
  ASSERT_EQ(executor.works.size(), 1u);
  executor.works[0]();
  EXPECT_EQ(runs, 1);
}

TEST(Callables, ThatTakeTheContextOrNothingGetIt) {
  struct Both {
    std::string* seen;
    void operator()() const { *seen += "nothing,"; }
    void operator()(const ctx::context& ctx) const { *seen += ctx.is_done() ? "done," : "live,"; }
  };
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  std::string seen;
  ctx::after_func(ctx, Both{&seen});
  ctx::after_func(ctx, [&](auto&&... args) { seen += std::to_string(sizeof...(args)); });
  ctx::after_func(ctx, [&](ctx::context by_value) { seen += by_value.is_done() ? ",kept" : ""; });
  cancel();
  EXPECT_EQ(seen, "done,1,kept");
}

// Small ones lie in the pointer that C hands back: each call has the bytes that were given.
TEST(Callables, OfEverySizeKeepWhatTheyHold) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  std::int64_t sum = 0;
  static std::int64_t* to;
  to = &sum;
  ctx::after_func(ctx, [byte = std::int8_t{1}] { *to += byte; });
  ctx::after_func(ctx, [two = std::int16_t{20}] { *to += two; });
  ctx::after_func(ctx, [four = std::int32_t{300}] { *to += four; });
  ctx::after_func(ctx, [eight = std::int64_t{4'000'000'000}] { *to += eight; });
  ctx::after_func(ctx, [three = std::array<char, 3>{1, 2, 3}] { *to += three[2] * 1000; });
  ctx::after_func(ctx, [many = std::array<std::int64_t, 9>{}]() mutable { *to += ++many[8]; });
  cancel();
  EXPECT_EQ(sum, 4'000'003'322);
}

// One that is no larger than a pointer, but has a copy constructor of its own, is an object and stays one.
struct Itself {
  explicit Itself(bool* result) : whole(result) {}
  Itself(const Itself& other) : whole(other.whole) { ++copies; }
  void operator()() const { *whole = copies > 0; }
  bool* whole;
  static inline int copies = 0;
};

TEST(Callables, ThatAreObjectsAreNotMadeOfBytes) {
  static_assert(sizeof(Itself) == sizeof(void*) && std::is_trivially_destructible_v<Itself>);
  static_assert(!ctx::detail::fits_pointer<Itself>);
  static_assert(ctx::detail::fits_pointer<int*> && ctx::detail::fits_pointer<void (*)()>);
  static_assert(ctx::detail::fits_pointer<char> && !ctx::detail::fits_pointer<std::array<char, 9>>);
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  bool whole = false;
  ctx::after_func(ctx, Itself(&whole));
  cancel();
  EXPECT_TRUE(whole);
}

TEST(Callables, HaveTheFlagsOfTheirTag) {
  std::vector<std::uint32_t> flags;
  const Answer<ctx_after_func> looks_on([&](ctx_t* ctx, ctx_fn fn, void* arg, ctx_drop_fn drop,
                                            std::uint32_t with, ctx_watch_t** made) {
    flags.push_back(with);
    return Library<ctx_after_func>()(ctx, fn, arg, drop, with, made);
  });
  const ctx::context root;
  ctx::after_func(root, [] {});
  ctx::after_func(root, ctx::deferred, [] {});
  ctx::after_func(root, ctx::blocking, [] {});
  ctx::after_func(root, ctx::waker, [] {});
  const ctx::done_callback callback(ctx::done_token(), [] {});
  using Flags = std::vector<std::uint32_t>;
  EXPECT_EQ(flags, (Flags{0, CTX_DEFER, CTX_DEFER | CTX_BLOCKING, CTX_WAKER, CTX_BLOCKING}));
#if defined(CTX_HAS_STOP_TOKEN)
  flags.clear();
  const ctx::stop_source source(root);
  EXPECT_EQ(flags, Flags{CTX_BLOCKING});
#endif
}

TEST(Callables, ThatBlockNeverRunInsideACancel) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Gate canceled, ran;
  std::string thread;
  const auto blocks = [&] {
    EXPECT_TRUE(canceled.Wait());
    thread = CurrentThreadName();
    ran.Open();
  };
  ctx::after_func(ctx, ctx::blocking, blocks);
  cancel();
  canceled.Open();
  ASSERT_TRUE(ran.Wait());
  EXPECT_EQ(thread, "ctx-lane");
}

TEST(Callables, ThatAreDeferredRunLaterOnADoneContextToo) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 0s);
  Gate armed;
  Counter ran;
  std::string deferred, blocking;
  ctx::after_func(ctx, ctx::deferred, [&] {
    EXPECT_TRUE(armed.Wait());
    deferred = CurrentThreadName();
    ran.Add();
  });
  ctx::after_func(ctx, ctx::blocking, [&] {
    EXPECT_TRUE(armed.Wait());
    blocking = CurrentThreadName();
    ran.Add();
  });
  armed.Open();
  ASSERT_TRUE(ran.WaitFor(2));
  EXPECT_EQ(deferred, "ctx-calls");
  EXPECT_EQ(blocking, "ctx-lane");
}

TEST(CallablesThatThrow, AreNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const ctx::derived made = ctx::with_cancel(ctx::background());
        const ctx::done_callback callback(ctx::done_token(made.first),
                                          [] { throw std::runtime_error("late"); });
        made.second.cancel();
      },
      "^libctx: an exception left a ctx::done_callback: late\n");
}

// The handler of the program gets what is no std::exception, too.
TEST(CallablesThatThrow, EndInTheHandlerWhateverTheyThrow) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const bool known : {false, true}) {
    EXPECT_EXIT(
        {
          std::set_terminate([] { _exit(std::current_exception() != nullptr ? 42 : 1); });
          ctx::derived made = ctx::with_timeout(ctx::background(), 0s);
          ctx::after_func(made.first, [=] {
            if (known) throw std::runtime_error("known");
            throw 1;
          });
        },
        ::testing::ExitedWithCode(42), "");
  }
}

TEST(Callables, ATokenIsPossibleOnlyIfItsContextCanEnd) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 0s);
  EXPECT_TRUE(ctx::done_token(ctx).stop_possible()) << "it is done";
  EXPECT_FALSE(ctx::done_token(ctx::without_cancel(ctx)).stop_possible());
  ctx::done_token token(ctx);
  const ctx::done_token taken = std::move(token);
  EXPECT_TRUE(token != taken);
  EXPECT_FALSE(token.stop_possible()) << "an empty one";
  const auto [other, right] = ctx::with_timeout(ctx::background(), 0s);
  EXPECT_TRUE(ctx::done_token(other) != taken) << "both are done";
  EXPECT_FALSE(ctx::done_token(ctx) != taken);
}

// One that is referred to is called itself.
TEST(Callables, ADoneCallbackMayReferToOne) {
  struct Counts {
    int calls = 0;
    void operator()() & { ++calls; }
    void operator()() && { calls += 100; }
  };
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Counts counts;
  const ctx::done_callback<Counts&> callback(ctx::done_token(ctx), counts);
  cancel();
  EXPECT_EQ(counts.calls, 1);
}

}  // namespace
}  // namespace ctxtest
