// SPDX-License-Identifier: MIT
//
// Queues: many contexts, one descriptor, as value types.
#include <array>
#include <thread>
#include <vector>

#include "cases.h"
#include "support/descriptor.h"

namespace ctxtest {
namespace {

TEST(Queues, GiveOneEventForEachContext) {
  const ctx::queue queue;
  const auto [parent, cancel] = ctx::with_cancel(ctx::background());
  for (std::uint64_t token = 0; token < 1000; ++token) {
    queue.add(ctx::with_cancel(parent).first, token);
  }
  EXPECT_FALSE(Readable(queue.fd()));
  cancel();
  EXPECT_TRUE(Readable(queue.fd()));
  std::vector<bool> seen(1000);
  std::array<ctx::event, 64> events;
  while (const std::size_t n = queue.drain(events)) {
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_FALSE(seen.at(events[i].token));
      seen[events[i].token] = true;
      EXPECT_EQ(ctx::to_error_code(events[i].err), std::errc::operation_canceled);
    }
  }
  EXPECT_EQ(seen, std::vector<bool>(1000, true));
  EXPECT_FALSE(Readable(queue.fd()));
}

TEST(Queues, AWatchWithdraws) {
  const ctx::queue queue;
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const ctx::watch first = queue.add_watch(ctx, 1);
  const ctx::watch second = queue.add_watch(ctx, 2);
  EXPECT_TRUE(first.stop());
  cancel();
  ctx::event events[4];
  EXPECT_EQ(queue.wait(events), 1u);
  EXPECT_EQ(events[0].token, 2u);
  EXPECT_FALSE(second.stop());
}

TEST(Queues, AreWaitedFor) {
  const ctx::queue queue;
  const ctx::queue copy = queue;
  EXPECT_EQ(copy.get(), queue.get());
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  copy.add(ctx, 5);
  ctx::event event;
  EXPECT_EQ(queue.wait_for(&event, 1, 1ms), 0u);
  std::thread thread([c = cancel] { c.cancel(); });
  EXPECT_EQ(queue.wait_for(&event, 1, kWatchdog), 1u);
  EXPECT_EQ(event.token, 5u);
  thread.join();
  std::vector<ctx::event> events(2);
  queue.add(ctx, 6);
  EXPECT_EQ(queue.wait_for(events, kWatchdog), 1u);
  EXPECT_EQ(queue.drain(events), 0u);
}

TEST(Queues, HandContextsOver) {
  static const ctx::key<Tracked> key("tracked");
  Tracked::Log log;
  const ctx::queue queue;
  for (int i = 0; i < 100; ++i) {
    const auto [ctx, cancel] =
        ctx::with_cancel(ctx::with_value(ctx::background(), key, Tracked(&log)));
    queue.add(ctx, static_cast<std::uint64_t>(i));
    cancel(ctx::cause(i + 1, "why"));
  }
  EXPECT_EQ(log.live, 100);
  int all = 0;
  for (const std::size_t n : {1u, 80u, 1000u, 1000u}) {
    for (const auto& [event, ctx] : queue.drain_contexts(n)) {
      EXPECT_EQ(event.token, static_cast<std::uint64_t>(all));
      EXPECT_EQ(ctx.cause().code(), ++all);
    }
  }
  EXPECT_EQ(all, 100);
  EXPECT_EQ(log.live, 0);
}

TEST(Queues, KeepAContextUntilItsEventIsDrained) {
  static const ctx::key<Tracked> key("tracked");
  Tracked::Log log;
  const ctx::queue queue;
  {
    const auto [ctx, cancel] =
        ctx::with_cancel(ctx::with_value(ctx::background(), key, Tracked(&log)));
    queue.add(ctx, 1);
    cancel();
  }
  EXPECT_EQ(log.live, 1);
  ctx::event event;
  EXPECT_EQ(queue.drain(&event, 1), 1u);
  EXPECT_EQ(log.live, 0);
}

}  // namespace
}  // namespace ctxtest
