// SPDX-License-Identifier: MIT
//
// Owners: a descriptor of the caller's, also number 0; and handles that go to C and come back.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "calls.h"
#include "cases.h"
#include "support/descriptor.h"
#include "support/few_descriptors.h"
#include "support/process.h"

namespace ctxtest {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(Handles, ADescriptorIsHandedOverAndExchanged) {
  Pipe ends;
  const int one = ends.read_end.release(), other = ends.write_end.release();
  ctx::unique_fd first(one), second(other);
  EXPECT_TRUE(first && second);
  first.swap(second);
  EXPECT_EQ(first.get(), other);
  EXPECT_EQ(second.get(), one);
  {
    ctx::unique_fd third(std::move(first));
    EXPECT_FALSE(first);
    EXPECT_LT(first.get(), 0);
    EXPECT_EQ(third.release(), other);
    EXPECT_FALSE(third);
    EXPECT_LT(third.get(), 0);
  }
  EXPECT_TRUE(IsOpen(other)) << "it was handed over";
  first = ctx::unique_fd(other);
  second = std::move(first);
  EXPECT_FALSE(IsOpen(one)) << "what it held is closed at once";
  EXPECT_FALSE(first);
  EXPECT_TRUE(IsOpen(other));
  second = ctx::unique_fd();
  EXPECT_FALSE(IsOpen(other));
  EXPECT_FALSE(ctx::unique_fd() || ctx::unique_fd(-5));
}

TEST(Handles, NumberZeroIsADescriptor) {
  CTX_IN_NEW_PROCESS({
    EXPECT_EQ(dup2(2, 0), 0);
    {
      const ctx::unique_fd zero(0);
      EXPECT_TRUE(zero);
    }
    EXPECT_FALSE(IsOpen(0));
  });
}

TEST(Handles, TheCallerClosesItsCopiesAndTheContextItsOwn) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const int borrowed = ctx.done_fd();
  int own = -1, right = -1;
  {
    const ctx::unique_fd fd = ctx.done_fd_dup();
    const ctx::unique_fd cancels = cancel.cancel_fd();
    own = fd.get();
    right = cancels.get();
    EXPECT_NE(own, borrowed);
    EXPECT_TRUE(IsOpen(own) && IsOpen(right));
  }
  EXPECT_FALSE(IsOpen(own) || IsOpen(right));
  EXPECT_TRUE(IsOpen(borrowed));
}

TEST(Handles, WithoutDescriptorsWhatNeedsOneThrows) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const ctx::queue queue;
  const ctx::group group;
  const ctx::manual_loop loop;
  const NoDescriptors none;
  constexpr std::errc kNone = std::errc::too_many_files_open;
  ExpectThrows(kNone, [c = ctx] { static_cast<void>(c.done_fd()); });
  ExpectThrows(kNone, [c = ctx] { static_cast<void>(c.done_fd_dup()); });
  ExpectThrows(kNone, [c = cancel] { static_cast<void>(c.cancel_fd()); });
  ExpectThrows(kNone, [&] { static_cast<void>(queue.fd()); });
  ExpectThrows(kNone, [&] { static_cast<void>(group.fd()); });
  ExpectThrows(kNone, [&] { static_cast<void>(loop.fd()); });
}

TEST(Handles, GoToCAndComeBack) {
  const long before = Handles();
  {
    ctx::derived made = ctx::with_cancel(ctx::background());
    ctx_t* const raw = made.first.release();
    ctx_canceler_t* const right = made.second.release();
    EXPECT_EQ(Handles() - before, 2);
    EXPECT_EQ(made.first.get(), nullptr);
    EXPECT_FALSE(made.second);
    const ctx::context ctx = ctx::context::adopt(raw);
    const ctx::canceler cancel = ctx::canceler::adopt(right);
    EXPECT_EQ(Handles() - before, 2);
    {
      const ctx::context shared = ctx::context::share(raw);
      const ctx::canceler shared_right = ctx::canceler::share(right);
      EXPECT_EQ(Handles() - before, 4);
    }
    EXPECT_FALSE(ctx::canceler::adopt(nullptr));
    EXPECT_TRUE(cancel.cancel(ctx::cause("why")));
    const ctx::cause why = ctx.cause();
    const ctx::cause shared = ctx::cause::share(why.get());
    EXPECT_EQ(Handles() - before, 4);
    EXPECT_EQ(shared, why);
    EXPECT_FALSE(ctx::cause::share(nullptr));
  }
  EXPECT_EQ(Handles(), before);
}

// A handle that is none, or of another kind: adopt() takes nothing, and gives nothing back.
TEST(Handles, WhatIsNotAdoptedStaysTheCallers) {
  const ctx::derived made = ctx::with_cancel(ctx::background());
  ExpectThrows(std::errc::invalid_argument, [] { (void)ctx::context::adopt(nullptr); });
  ExpectThrows(std::errc::invalid_argument,
               [&] { (void)ctx::context::adopt(reinterpret_cast<ctx_t*>(made.second.get())); });
  ExpectThrows(std::errc::invalid_argument, [&] {
    (void)ctx::cause::share(reinterpret_cast<const ctx_cause_t*>(made.first.get()));
  });
}

TEST(Handles, CopiesAndMovesHaveTheirReferences) {
  const long before = Handles();
  {
    ctx::queue queue;
    const ctx::queue copy = queue;
    EXPECT_EQ(Handles() - before, 2);
    queue = ctx::queue();
    queue = copy;
    ctx::queue moved = std::move(queue);
    queue = std::move(moved);
    ctx::queue& self = queue;
    queue = self;
    queue = std::move(self);
    EXPECT_EQ(queue.get(), copy.get());
    EXPECT_EQ(Handles() - before, 2);
    ctx::cause one("one"), other("other");
    std::swap(one, other);
    one = other;
    EXPECT_EQ(one.message(), "one");
    EXPECT_EQ(Handles() - before, 4);
    one = {};
    EXPECT_EQ(Handles() - before, 3);
  }
  EXPECT_EQ(Handles(), before);
}

// What was moved from is empty, and what was there before is gone at once.
template <class T>
void ExpectMovedBy(T to, T from) {
  const long before = Handles();
  const auto* const raw = from.get();
  to = std::move(from);
  EXPECT_EQ(to.get(), raw);
  EXPECT_EQ(from.get(), nullptr);  // NOLINT: what it is then
  EXPECT_EQ(Handles(), before - 1);
}
TEST(Handles, AMoveEmptiesAndGivesBackAtOnce) {
  ctx::derived one = ctx::with_cancel(ctx::background()), other = ctx::with_cancel(one.first);
  ExpectMovedBy(std::move(one.first), std::move(other.first));
  ExpectMovedBy(std::move(one.second), std::move(other.second));
  ExpectMovedBy(ctx::cause("one"), ctx::cause("other"));
  ExpectMovedBy(ctx::queue(), ctx::queue());
  ExpectMovedBy(ctx::manual_loop(), ctx::manual_loop());
  ExpectMovedBy(ctx::after_func(ctx::background(), [] {}), ctx::after_func(ctx::todo(), [] {}));
}

TEST(Handles, AnEmptyContextReadsAsTheRulesSay) {
  ctx::context empty;
  static_cast<void>(empty.release());
  EXPECT_EQ(empty.remaining(), std::chrono::nanoseconds::min());
  EXPECT_EQ(empty.remaining_ms(), -EINVAL);
  EXPECT_EQ(empty.now(), ctx::time_point::min());
  EXPECT_FALSE(empty.touch());
  EXPECT_EQ(empty, ctx::context(empty));
  EXPECT_NE(empty, ctx::background());
  const auto refused = [&](auto&& call) { ExpectThrows(std::errc::invalid_argument, call); };
  refused([&] { static_cast<void>(empty.strings()); });
  refused([&] { static_cast<void>(empty.cancelable()); });
  refused([&] { static_cast<void>(empty.ended_by(ctx::background())); });
  refused([&] { static_cast<void>(empty.done_fd()); });
  refused([&] { static_cast<void>(empty.done_fd_dup()); });
  refused([&] { static_cast<void>(empty.wait_for(1h)); });
  refused([&] { static_cast<void>(empty.wait_until(ctx::time_point::max())); });
  refused([&] { static_cast<void>(empty.poll(nullptr, 0, 1h)); });
  std::error_code error;
  EXPECT_EQ(empty.poll(nullptr, 0, 1h, error), 0u);
  EXPECT_EQ(error, std::errc::invalid_argument);
}

TEST(Handles, AWatchIsLentToC) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const ctx::watch armed = ctx::after_func(ctx, [] { ADD_FAILURE() << "ran"; });
  EXPECT_EQ(ctx::watch().get(), nullptr);
  EXPECT_EQ(ctx_watch_stop(armed.get()), 1);
  EXPECT_FALSE(armed.stop());
  ExpectThrows(std::errc::invalid_argument, [] { ctx::watch().stop(); });
  ExpectThrows(std::errc::invalid_argument, [] { ctx::watch().stop_wait(); });
}

}  // namespace
}  // namespace ctxtest
