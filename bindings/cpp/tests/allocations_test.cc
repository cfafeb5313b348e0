// SPDX-License-Identifier: MIT
//
// Memory: of its own the binding allocates once for what is larger than a pointer, and else nothing.
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "cases.h"
#include "counted.h"

namespace ctxtest {
namespace {

// How often body allocates on this thread by operator new.
template <class Body>
long Allocations(Body&& body) {
  const long before = NewCalls();
  body();
  return NewCalls() - before;
}

struct Large {
  int numbers[16] = {};
};

TEST(Allocations, AreCounted) {
  EXPECT_EQ(Allocations([] { ::operator delete(::operator new(1)); }), 1);
  EXPECT_EQ(Allocations([] { std::vector<int> v(100); }), 1);
}

TEST(Allocations, NoneForContexts) {
  EXPECT_EQ(Allocations([] {
              auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1h);
              const ctx::cancel_guard guard(cancel);
              const ctx::context copy = ctx;
              const auto [merged, unused] = ctx::merge({ctx, copy});
              const auto [grace, unused2] = ctx::with_grace(merged, 1s);
              const ctx::context text = ctx::with_string(grace, "name", "a text that is not short");
              EXPECT_FALSE(text.wait_for(0s));
              EXPECT_FALSE(ctx::wait_any_for({ctx, copy}, 0s));
              EXPECT_EQ(text.string("name")->size(), 24u);
              cancel.cancel(ctx::cause(1, "a message that is not short"));
              EXPECT_EQ(merged.cause().code(), 1);
              const ctx::queue queue;
              queue.add(ctx, 1);
            }),
            0);
}

TEST(Allocations, NoneForTextThatIsAString) {
  const std::string text = "a text that is too long to lie in a string object itself";
  EXPECT_EQ(Allocations([&] {
              EXPECT_EQ(ctx::cause(1, text).message().size(), text.size());
              const ctx::context ctx = ctx::with_string(ctx::background(), text, text);
              EXPECT_TRUE(ctx.string(text));
            }),
            0);
}

TEST(Allocations, NoneForACallableOfAPointer) {
  EXPECT_EQ(Allocations([] {
              const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
              int runs = 0;
              ctx::after_func(ctx, [&runs] { ++runs; });
              ctx::after_func(ctx, [] {});
              ctx::after_func(ctx, ctx::deferred, [&ctx = ctx](const ctx::context&) { (void)ctx; });
              const ctx::watch stopped = ctx::after_func(ctx, [&runs] { ++runs; });
              EXPECT_TRUE(stopped.stop());
              cancel();
              EXPECT_EQ(runs, 1);
            }),
            0);
}

TEST(Allocations, OneForALargerCallable) {
  const long live = LiveNews();
  EXPECT_EQ(Allocations([] {
              const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
              int a = 0, b = 0;
              ctx::after_func(ctx, [&a, &b] { a = b = 1; });
              cancel();
              EXPECT_EQ(a + b, 2);
            }),
            1);
  EXPECT_EQ(Allocations([] {
              const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
              ctx::after_func(ctx, [large = Large()] { (void)large; }).stop();
            }),
            1);
  EXPECT_EQ(LiveNews(), live);
}

TEST(Allocations, NoneForATokenAndItsCallbacks) {
  EXPECT_EQ(Allocations([] {
              const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
              const ctx::done_token token(ctx);
              const ctx::done_callback callback(token, [large = Large()] { (void)large; });
              cancel();
            }),
            0);
}

TEST(Allocations, OneForAValue) {
  static const ctx::key<int> number("number");
  static const ctx::key<Large> large("large");
  const long live = LiveNews();
  EXPECT_EQ(Allocations([] {
              const ctx::context ctx = ctx::with_value(ctx::background(), large, Large());
              EXPECT_EQ(ctx.value(large)->numbers[0], 0);
              const ctx::context copy = ctx;
            }),
            1);
  EXPECT_EQ(Allocations([] {
              const ctx::context ctx = ctx::with_value(ctx::background(), number, 1);
              EXPECT_EQ(*ctx.value(number), 1);
            }),
            1);
  EXPECT_EQ(LiveNews(), live);
}

// A hundred thousand requests leave nothing behind.
TEST(Allocations, NothingStaysBehind) {
  static const ctx::key<std::string> key("user");
  const long live = LiveNews();
  for (int i = 0; i < 100'000; ++i) {
    const auto [ctx, cancel] =
        ctx::with_timeout(ctx::with_value(ctx::background(), key, "somebody with a long name"), 1h);
    const ctx::watch_guard guard(ctx::after_func(ctx, [large = Large()] { (void)large; }));
    if (i % 2 == 0) cancel();
  }
  EXPECT_EQ(LiveNews(), live);
}

}  // namespace
}  // namespace ctxtest
