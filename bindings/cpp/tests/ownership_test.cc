// SPDX-License-Identifier: MIT
//
// Ownership: a copy is one more reference, a move takes it along, what was moved from is empty and
// safe, and the last one frees.
#include <fcntl.h>

#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cases.h"

namespace ctxtest {
namespace {

static_assert(std::is_nothrow_move_constructible_v<ctx::context>);
static_assert(std::is_nothrow_copy_constructible_v<ctx::context>);
static_assert(std::is_nothrow_move_assignable_v<ctx::canceler>);
static_assert(sizeof(ctx::context) == sizeof(void*));
static_assert(sizeof(ctx::canceler) == sizeof(void*));
static_assert(!std::is_copy_constructible_v<ctx::watch>);
static_assert(!std::is_constructible_v<ctx::canceler, ctx::context>);
// A context is one class in files of C++17 and of C++20, which may be mixed: it has all members in both.
static_assert(std::is_same_v<decltype(ctx::context().done()), ctx::done_awaiter>);
static_assert(std::is_same_v<decltype(ctx::context().done(ctx::deferred)), ctx::done_awaiter>);

const ctx::key<Tracked> kKey("tracked");

// A context that tells by its value when it has gone.
ctx::context Watched(Tracked::Log* log) {
  return ctx::with_value(ctx::background(), kKey, Tracked(log));
}

TEST(Ownership, TheLastCopyFrees) {
  Tracked::Log log;
  {
    ctx::context first = Watched(&log);
    const ctx::context copy = first;
    ctx::context moved = std::move(first);
    EXPECT_EQ(moved, copy);
    first = moved;
    moved = ctx::background();
    const ctx::context& self = first;
    first = self;
    EXPECT_EQ(first, copy);
    EXPECT_EQ(log.live, 1);
  }
  EXPECT_EQ(log.live, 0);
}

TEST(Ownership, AChildThatIsLetGoIsFreedWhileItsParentLives) {
  Tracked::Log log;
  const auto [parent, cancel] = ctx::with_cancel(ctx::background());
  {
    const auto [child, right] = ctx::with_cancel(ctx::with_value(parent, kKey, Tracked(&log)));
    EXPECT_EQ(log.live, 1);
  }
  EXPECT_EQ(log.live, 0);
  EXPECT_FALSE(parent.is_done());
}

TEST(Ownership, ADroppedCancelerCancelsNothing) {
  auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  cancel = ctx::canceler();
  EXPECT_FALSE(ctx.is_done());
}

TEST(Ownership, TheOnlyOneAssignedToItselfStays) {
  Tracked::Log log;
  ctx::context only = Watched(&log);
  ctx::context& self = only;
  only = self;
  EXPECT_EQ(log.live, 1);
  only = std::move(self);
  EXPECT_EQ(log.live, 1);
  EXPECT_EQ(only.value(kKey)->number, 0);
  ctx::context other;
  std::swap(only, other);
  EXPECT_EQ(only, ctx::background());
  EXPECT_TRUE(other.value(kKey));
}

TEST(Ownership, AContextThatWasMovedFromIsEmptyAndSafe) {
  auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const ctx::context taken = std::move(ctx);
  EXPECT_EQ(ctx.get(), nullptr);
  EXPECT_TRUE(ctx.is_done());
  EXPECT_EQ(ctx.err(), std::errc::invalid_argument);
  EXPECT_FALSE(ctx.cause());
  EXPECT_FALSE(ctx.value(kKey));
  EXPECT_FALSE(ctx.string("name"));
  const ctx::context& empty = ctx;
  ExpectThrows(std::errc::invalid_argument, [&] { empty.throw_if_done(); });
  ExpectThrows(std::errc::invalid_argument, [&] { (void)ctx::with_cancel(empty); });
  ExpectThrows(std::errc::invalid_argument, [&] { empty.wait(); });
  ExpectThrows(std::errc::invalid_argument, [&] { (void)empty.deadline(); });
  ExpectThrows(std::errc::invalid_argument, [&] { (void)empty.describe(); });
  const ctx::context copy = empty;
  EXPECT_EQ(copy.get(), nullptr);
}

TEST(Ownership, ACancelerKeepsItsContext) {
  Tracked::Log log;
  ctx::canceler kept;
  {
    const auto [ctx, cancel] = ctx::with_cancel(Watched(&log));
    kept = cancel;
  }
  EXPECT_EQ(log.live, 1);
  EXPECT_TRUE(kept.cancel());
  kept = {};
  EXPECT_EQ(log.live, 0);
}

TEST(Ownership, AnEmptyCancelerThrows) {
  const ctx::canceler none;
  EXPECT_FALSE(none);
  ExpectThrows(std::errc::invalid_argument, [&] { none.cancel(); });
  ExpectThrows(std::errc::invalid_argument, [&] { (void)none.cancel_fd(); });
}

TEST(Ownership, HandlesGoToCAndComeBack) {
  Tracked::Log log;
  ctx_t* raw = Watched(&log).release();
  ctx::context shared = ctx::context::share(raw);
  EXPECT_EQ(shared.get(), raw);
  const ctx::context adopted = ctx::context::adopt(raw);
  shared = ctx::background();
  EXPECT_EQ(log.live, 1);
  EXPECT_EQ(adopted.value(kKey)->number, 0);
}

TEST(Ownership, WhatIsNoContextIsRefused) {
  auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  ExpectThrows(std::errc::invalid_argument, [] { (void)ctx::context::share(nullptr); });
  ExpectThrows(std::errc::invalid_argument,
               [c = cancel] { (void)ctx::context::share(reinterpret_cast<ctx_t*>(c.get())); });
}

TEST(Ownership, WhatIsNoCancelerIsRefused) {
  EXPECT_FALSE(ctx::canceler::share(nullptr));
  auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  ExpectThrows(std::errc::invalid_argument, [c = ctx] {
    (void)ctx::canceler::share(reinterpret_cast<ctx_canceler_t*>(c.get()));
  });
  const ctx::canceler shared = ctx::canceler::share(cancel.get());
  cancel = {};
  EXPECT_TRUE(shared.cancel());
  EXPECT_TRUE(ctx.is_done());
}

TEST(Ownership, TheTwoRootsAreTwo) {
  EXPECT_EQ(ctx::context(), ctx::background());
  EXPECT_NE(ctx::todo(), ctx::background());
  EXPECT_EQ(ctx::background().get(), ctx_background());
}

TEST(Ownership, EqualContextsAreOneKey) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  std::unordered_map<ctx::context, int> numbers;
  numbers[ctx] = 1;
  numbers[ctx::context::share(ctx.get())] += 1;
  EXPECT_EQ(numbers.at(ctx), 2);
  EXPECT_EQ(numbers.count(ctx::background()), 0u);
}

TEST(Ownership, ThousandsLiveInContainers) {
  Tracked::Log log;
  std::vector<ctx::context> all(100, Watched(&log));
  for (int i = 0; i < 1000; ++i) all.push_back(ctx::with_cancel(all.back()).first);
  all.erase(all.begin(), all.begin() + 1000);
  EXPECT_EQ(log.live, 1);
  all.clear();
  EXPECT_EQ(log.live, 0);
}

TEST(Ownership, ADescriptorOfTheCallersIsClosed) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  int number = -1;
  {
    ctx::unique_fd fd = ctx.done_fd_dup();
    const ctx::unique_fd moved = std::move(fd);
    number = moved.get();
    EXPECT_GE(number, 0);
    EXPECT_EQ(fcntl(number, F_GETFD), FD_CLOEXEC);
  }
  EXPECT_EQ(fcntl(number, F_GETFD), -1);

  ctx::unique_fd fd = ctx.done_fd_dup();
  number = fd.get();
  fd = ctx.done_fd_dup();
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
  number = fd.get();
  ctx::unique_fd& self = fd;
  fd = std::move(self);
  EXPECT_EQ(fcntl(number, F_GETFD), FD_CLOEXEC);
  fd = {};
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

}  // namespace
}  // namespace ctxtest
