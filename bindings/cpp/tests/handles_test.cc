// SPDX-License-Identifier: MIT
//
// Owners: a descriptor of the caller's, also number 0; handles that go to C and come back; and texts of every length.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

TEST(Handles, ACanceledContextsDescriptorsAreItsOwn) {
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

TEST(Handles, DescriptorsThatAreNotToBeHadAreErrors) {
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

// adopt() of what is none takes nothing, so it gives nothing back.
TEST(Handles, WhatIsNotAdoptedStaysTheCallers) {
  const ctx::derived made = ctx::with_cancel(ctx::background());
  ExpectThrows(std::errc::invalid_argument, [] { (void)ctx::context::adopt(nullptr); });
  ExpectThrows(std::errc::invalid_argument,
               [&] { (void)ctx::context::adopt(reinterpret_cast<ctx_t*>(made.second.get())); });
  ExpectThrows(std::errc::invalid_argument, [&] {
    (void)ctx::cause::share(reinterpret_cast<const ctx_cause_t*>(made.first.get()));
  });
}

TEST(Handles, CopiesAndMovesOfOthersToo) {
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

// A description that just fits, just does not, or grows while it is written.
TEST(Handles, DescriptionsOfEveryLengthAreWhole) {
  std::string name;
  for (int length = 0; length < 300; ++length) {
    name += static_cast<char>('a' + length % 26);
    ASSERT_EQ(ctx::with_name(ctx::background(), name).describe(),
              "context.Background.WithName(" + name + ")");
  }
}
TEST(Handles, ADescriptionMayGrowWhileItIsWritten) {
  for (const std::size_t grows : {1u, 15u, 16u, 17u, 100u}) {
    std::string text(80, 'x');
    int calls = 0;
    const Answer<ctx_describe> answers([&](const ctx_t*, char* to, std::size_t size) {
      if (++calls < 4) text.append(grows, 'y');
      EXPECT_GE(size, text.copy(to, size - 1));
      to[std::min(size - 1, text.size())] = '\0';
      return static_cast<int>(text.size());
    });
    EXPECT_EQ(ctx::background().describe(), text);
  }
}

TEST(Handles, TextsAreWholeWhateverTheyAreMadeOf) {
  const std::string empty;
  const auto of = [](auto&& text) { return ctx::cause(-EIO, text); };
  EXPECT_EQ(of(empty).message(), "");
  EXPECT_EQ(of(std::string_view()).message(), "");
  EXPECT_EQ(of("").message(), "");
  EXPECT_NE(of(nullptr).message(), "") << "the text of the code";
  EXPECT_EQ(ctx::cause(std::string_view("abc").substr(0, 2)).message(), "ab");
  const std::string is_long(1000, 'x');
  EXPECT_EQ(of(is_long).message(), is_long);
  EXPECT_EQ(of(std::string_view(is_long).substr(1)).message().size(), 999u);
  EXPECT_EQ(of(std::string(100, 'a') + '\0').message(), std::string(100, 'a') + "\xEF\xBF\xBD");

  const ctx::context ctx = ctx::with_string(ctx::background(), std::string_view("name"), empty);
  EXPECT_EQ(ctx.string(std::string("name")), "");
  EXPECT_EQ(ctx::with_string(ctx, "name", std::string_view()).string("name"), "");
  EXPECT_FALSE(ctx::with_string(ctx, "name", nullptr).string("name"));
  EXPECT_FALSE(ctx.string(nullptr));
  const auto refused = [&](auto&& call) { ExpectThrows(std::errc::invalid_argument, call); };
  const std::string cut("na\0me", 5), ends("name\0", 5);
  refused([&] { (void)ctx::with_string(ctx, cut, "value"); });
  refused([&] { (void)ctx::with_string(ctx, std::string_view(ends), "value"); });
  refused([&] { (void)ctx::with_name(ctx, ends); });
  refused([&] { (void)ctx::without_string(ctx, cut); });
  refused([&] { (void)ctx::with_string(ctx, nullptr, "value"); });
  refused([&] { (void)ctx::with_name(ctx, nullptr); });
}

// An array of texts is made once; adding one must not throw through C.
TEST(Handles, ManyTextsAreListed) {
  ctx::context ctx;
  for (int i = 0; i < 100; ++i)
    ctx = ctx::with_string(ctx, std::to_string(i), "of " + std::to_string(i));
  const auto all = ctx.strings();
  ASSERT_EQ(all.size(), 100u);
  EXPECT_EQ(all.capacity(), 100u);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(all[static_cast<std::size_t>(i)].first, std::to_string(99 - i));
    EXPECT_EQ(all[static_cast<std::size_t>(i)].second, "of " + std::to_string(99 - i));
  }
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
