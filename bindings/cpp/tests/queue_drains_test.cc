// SPDX-License-Identifier: MIT
//
// What a queue hands over: as many as were asked for, into arrays of every kind; and what it fails with.
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <vector>

#include "calls.h"
#include "cases.h"

namespace ctxtest {
namespace {

TEST(QueueDrains, ErrorsOfCAreThrown) {
  const ctx::queue queue;
  const auto refused = [](auto&& call) { ExpectThrows(std::errc::operation_not_permitted, call); };
  ctx::event events[2];
  const Answer<ctx_queue_drain_ctxs> drains(
      [](ctx_queue_t*, ctx_event_t*, ctx_t**, size_t) { return std::int64_t{-EPERM}; });
  const Answer<ctx_queue_wait> waits(
      [](ctx_queue_t*, ctx_event_t*, size_t, std::int64_t) { return std::int64_t{-EPERM}; });
  refused([&] { (void)queue.drain_contexts(1); });
  refused([&] { queue.wait(events); });
  refused([&] { queue.wait_for(events, 1s); });
  EXPECT_EQ(queue.drain(events), 0u);
  EXPECT_TRUE(queue.drain_contexts(0).empty()) << "asks for none";
}

// Takes as many as were asked for, in steps of its own.
TEST(QueueDrains, AQueueHandsOverNoMoreThanWasAskedFor) {
  const ctx::queue queue;
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  for (std::uint64_t i = 0; i < 400; ++i) queue.add(ctx, i);
  cancel();
  std::uint64_t next = 0;
  for (const std::size_t n : {1u, 63u, 64u, 65u, 0u, 128u}) {
    const auto all = queue.drain_contexts(n);
    ASSERT_EQ(all.size(), n);
    EXPECT_EQ(all.capacity(), n) << "the room is there before anything is taken";
    for (const auto& each : all) {
      EXPECT_EQ(each.first.token, next++);
      EXPECT_EQ(each.second, ctx);
    }
  }
  EXPECT_EQ(queue.drain_contexts(1000).size(), 400u - next);
  EXPECT_TRUE(queue.drain_contexts(1000).empty());
}

TEST(QueueDrains, AQueueDrainsArraysOfEveryKind) {
  const ctx::queue queue;
  const ctx::context done = ctx::with_timeout(ctx::background(), 0s).first;
  const auto fill = [&] {
    for (std::uint64_t i = 0; i < 3; ++i) queue.add(done, i);
  };
  ctx::event array[3];
  std::vector<ctx::event> vector(3);
  fill();
  EXPECT_EQ(queue.drain(array), 3u);
  EXPECT_EQ(array[2].token, 2u);
  EXPECT_EQ(ctx::to_error_code(array[2].err), std::errc::timed_out);
  fill();
  EXPECT_EQ(queue.wait(vector), 3u);
  fill();
  EXPECT_EQ(queue.wait_for(array, 1s), 3u);
  fill();
  EXPECT_EQ(queue.drain(array, 2), 2u);
  EXPECT_EQ(queue.wait(array, 2), 1u);
}

}  // namespace
}  // namespace ctxtest
