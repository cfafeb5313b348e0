// SPDX-License-Identifier: MIT
//
// Derivation: every kind of context, as values.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "cases.h"

namespace ctxtest {
namespace {

TEST(Derive, WithCancelEndsWhatIsBelow) {
  const auto [parent, cancel] = ctx::with_cancel(ctx::background());
  const auto [child, cancel_child] = ctx::with_cancel(parent);
  const auto [sibling, unused] = ctx::with_cancel(parent);
  EXPECT_TRUE(cancel_child());
  EXPECT_TRUE(child.is_done());
  EXPECT_FALSE(parent.is_done());
  EXPECT_FALSE(sibling.is_done());
  EXPECT_TRUE(cancel());
  EXPECT_TRUE(sibling.is_done());
  EXPECT_TRUE(ctx::with_cancel(parent).first.is_done());
}

TEST(Derive, WithADeadline) {
  const ctx::time_point time = ctx::clock::now() + 1h;
  const auto [ctx, cancel] = ctx::with_deadline(ctx::background(), time);
  EXPECT_EQ(ctx.deadline(), time);
  EXPECT_GT(ctx.remaining(), 59min);
  EXPECT_LE(ctx.remaining(), 1h);
  const auto [child, unused] = ctx::with_timeout(ctx, 2h);
  EXPECT_EQ(child.deadline(), time);
  EXPECT_FALSE(ctx::background().deadline());
  EXPECT_EQ(ctx::background().remaining(), std::chrono::nanoseconds::max());
}

TEST(Derive, WithoutCancel) {
  const auto [parent, cancel] = ctx::with_timeout(ctx::background(), 1h);
  const ctx::context detached = ctx::without_cancel(parent);
  cancel();
  EXPECT_FALSE(detached.is_done());
  EXPECT_FALSE(detached.cancelable());
  EXPECT_TRUE(parent.cancelable());
  EXPECT_FALSE(detached.deadline());
}

TEST(Derive, ANameIsInTheDescription) {
  const std::string name("fetch user");
  EXPECT_EQ(ctx::with_name(ctx::background(), name).describe(),
            "context.Background.WithName(fetch user)");
}

TEST(Derive, MergeEndsWithTheFirst) {
  static const ctx::key<int> key("number");
  const auto [first, unused] = ctx::with_cancel(ctx::with_value(ctx::background(), key, 1));
  const auto [second, cancel] = ctx::with_timeout(ctx::background(), 1h);
  const auto [merged, cancel_merged] = ctx::merge({first, second});
  EXPECT_EQ(*merged.value(key), 1);
  EXPECT_EQ(merged.deadline(), second.deadline());
  cancel(ctx::cause(7, "second"));
  EXPECT_EQ(merged.cause().code(), 7);
  EXPECT_FALSE(merged.ended_by(merged));
  EXPECT_FALSE(merged.ended_by(first));
  EXPECT_TRUE(merged.ended_by(second));
  ctx::context emptied = second;
  const ctx::context kept = std::move(emptied);
  EXPECT_THROW(merged.ended_by(emptied), std::system_error);  // NOLINT
  EXPECT_FALSE(first.is_done());
}

// As views of C++20 are that leave something out: to be walked if not const, and not twice the same.
class Growing {
 public:
  explicit Growing(std::vector<ctx::context>* all) : all_(all) {}
  auto begin() { return all_->begin(); }
  auto end() { return ++walks_ == 1 ? all_->begin() + 1 : all_->end(); }

 private:
  std::vector<ctx::context>* all_;
  int walks_ = 0;
};

TEST(Derive, MergeOfAViewThatChanges) {
  const auto [first, cancel_first] = ctx::with_cancel(ctx::background());
  const auto [second, cancel_second] = ctx::with_cancel(ctx::background());
  std::vector<ctx::context> all(20, second);
  all[0] = first;
  const auto [merged, unused] = ctx::merge(Growing(&all));
  cancel_second();
  EXPECT_FALSE(merged.is_done());
  EXPECT_EQ(ctx::wait_any_for(Growing(&all), 0s), std::nullopt);
  cancel_first();
  EXPECT_TRUE(merged.is_done());
  EXPECT_EQ(ctx::wait_any(Growing(&all)), 0u);
  EXPECT_EQ(ctx::wait_any_until(Growing(&all), ctx::clock::now()), 0u);
}

TEST(Derive, MergeOfVeryMany) {
  for (const int n : {15, 16, 17, 100}) {  // beyond sixteen in an array of its own
    std::vector<ctx::context> parents;
    ctx::canceler last;
    for (int i = 0; i < n; ++i) {
      ctx::derived made = ctx::with_cancel(ctx::background());
      parents.push_back(made.first);
      last = made.second;
    }
    const auto [merged, unused] = ctx::merge(parents);
    EXPECT_FALSE(merged.is_done());
    last();
    EXPECT_TRUE(merged.is_done()) << n;
    EXPECT_EQ(ctx::wait_any(parents), static_cast<std::size_t>(n - 1));
  }
  ExpectThrows(std::errc::invalid_argument, [] { (void)ctx::merge(std::vector<ctx::context>()); });
}

TEST(Derive, WithGraceEndsLater) {
  const ctx::virtual_loop loop;
  const auto [parent, cancel] = ctx::with_cancel(loop.background());
  const auto [drain, unused] = ctx::with_grace(parent, 1min);
  cancel(ctx::cause(9, "shutdown"));
  EXPECT_FALSE(drain.is_done());
  EXPECT_EQ(loop.advance(1min), 1);
  EXPECT_EQ(drain.cause().code(), 9);
}

TEST(Derive, WithADescriptor) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const auto [ctx, cancel] = ctx::with_fd(ctx::background(), ends[0], POLLRDHUP);
  EXPECT_FALSE(ctx.is_done());
  close(ends[1]);
  ASSERT_TRUE(ctx.wait_for(kWatchdog));
  EXPECT_EQ(ctx.err(), std::errc::operation_canceled);
  EXPECT_NE(ctx.cause().code() & POLLRDHUP, 0);
  close(ends[0]);
}

TEST(Derive, WithASignal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &set, nullptr), 0);
  const auto [ctx, cancel] = ctx::with_signal(ctx::background(), {SIGUSR2, SIGUSR2});
  ASSERT_EQ(kill(getpid(), SIGUSR2), 0);
  ASSERT_TRUE(ctx.wait_for(kWatchdog));
  EXPECT_EQ(ctx.cause().code(), SIGUSR2);
}

TEST(Derive, ACancelDescriptorCancels) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const ctx::unique_fd fd = cancel.cancel_fd();
  const std::uint64_t one = 1;
  ASSERT_EQ(write(fd.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  ASSERT_TRUE(ctx.wait_for(kWatchdog));
  EXPECT_EQ(ctx.err(), std::errc::operation_canceled);
}

TEST(Derive, DescribesItself) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::with_cancel(ctx::background()).first, 1h);
  EXPECT_EQ(ctx.describe().rfind("context.Background.WithCancel.WithDeadline(", 0), 0u);
  ctx::context deep = ctx;
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    deep = ctx::with_cancel(deep).first;
    expected += ".WithCancel";
  }
  const std::string text = deep.describe();
  ASSERT_GT(text.size(), expected.size());
  EXPECT_EQ(text.substr(text.size() - expected.size()), expected);
}

}  // namespace
}  // namespace ctxtest
