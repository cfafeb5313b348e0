// SPDX-License-Identifier: MIT
//
// Queues with as many entries as fit into a piece of their memory, and drains of as many events as are taken at a
// time; one less and one more.
#include <algorithm>
#include <vector>

#include "support/handles.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

TEST(QueueBorders, Rule36_AnyNumberOfEventsInDrainsOfAnySize) {
  const Queue queue = NewQueue();
  for (const size_t many : {1u, 63u, 64u, 65u, 71u, 72u, 73u, 128u, 129u, 143u, 144u, 145u, 300u}) {
    for (const size_t room : {1u, 63u, 64u, 65u, 127u, 128u, 129u, 500u}) {
      const Scope scope = WithCancel(ctx_background());
      std::vector<Watch> watches;
      for (size_t i = 0; i < many; ++i) watches.push_back(Add(queue, scope, i));
      EXPECT_EQ(scope.Cancel(), 1);
      for (size_t next = 0; next < many;) {
        const std::vector<ctx_event_t> events = Drain(queue, room);
        ASSERT_EQ(events.size(), std::min(room, many - next)) << many << ", " << room;
        for (const ctx_event_t& event : events) ASSERT_EQ(event.token, next++);
      }
      EXPECT_FALSE(Readable(ctx_queue_fd(queue)));
    }
  }
}

// The pieces of memory come and go while entries of others stay, in any order.
TEST(QueueBorders, Rule26_EntriesAreStoppedInAnyOrder) {
  const Queue queue = NewQueue();
  const Scope scope = WithCancel(ctx_background());
  for (const size_t many : {71u, 72u, 73u, 144u, 145u, 217u}) {
    for (const size_t step : {1u, 5u, 37u, 71u}) {
      std::vector<Watch> watches;
      for (size_t i = 0; i < many; ++i) watches.push_back(Add(queue, scope, i));
      for (size_t i = 0, at = 0; i < many; ++i) {
        while (!watches[at]) at = (at + 1) % many;
        EXPECT_EQ(ctx_watch_stop(watches[at]), 1);
        watches[at].reset();
        at = (at + step) % many;
      }
    }
  }
  const Watch last = Add(queue, scope, 7);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(Tokens(queue), std::vector<uint64_t>{7});
}

}  // namespace
}  // namespace ctxtest
