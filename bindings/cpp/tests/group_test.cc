// SPDX-License-Identifier: MIT
//
// ctx::group: threads and executors, exceptions as failures, nested groups, and the end of the scope.
#include <atomic>
#include <functional>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cases.h"
#include "support/descriptor.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(Groups, WaitForTheirThreads) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> ended{0};
    const ctx::group group;
    for (int i = 0; i < 8; ++i) EXPECT_TRUE(group.spawn([&] { ++ended; }));
    group.wait();
    EXPECT_EQ(ended, 8);
    EXPECT_TRUE(group.wait_for(0s));
    EXPECT_FALSE(group.cause());
    EXPECT_FALSE(group.get_context().is_done());
  }
}

TEST(Groups, AnExceptionStopsTheOthersAndIsThrownByWait) {
  const ctx::group group;
  for (int i = 0; i < 3; ++i) {
    group.spawn([](const ctx::context& ctx) {
      ctx.wait();
      ctx.throw_if_done();
    });
  }
  EXPECT_FALSE(group.wait_for(1ms));
  group.spawn([] { throw std::runtime_error("the disk is full"); });
  for (int i = 0; i < 2; ++i) {
    try {
      group.wait();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "the disk is full");
    }
  }
  EXPECT_THROW(static_cast<void>(group.wait_for(0s)), std::runtime_error);
  EXPECT_THROW(static_cast<void>(group.wait_until(ctx::clock::now())), std::runtime_error);
  EXPECT_EQ(group.get_context().err(), std::errc::operation_canceled);
  EXPECT_EQ(group.get_context().cause(), group.cause());
  EXPECT_EQ(group.cause().message(), "the disk is full");
  EXPECT_FALSE(group.spawn([] { ADD_FAILURE() << "on a done context"; }));
  EXPECT_FALSE(group.begin());
}

TEST(Groups, ACauseThatIsReturnedIsAFailure) {
  const ctx::group group;
  const ctx::cause full(std::errc::no_space_on_device, "full");
  group.spawn([] { return ctx::cause(); });
  EXPECT_TRUE(group.wait_for(kWatchdog));
  group.spawn([&] { return full; });
  try {
    group.wait();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
    EXPECT_EQ(e.cause(), full);
  }
}

TEST(Groups, TheEndOfTheScopeCancelsAndWaits) {
  std::atomic<int> ended{0};
  ctx::context inside;
  {
    const ctx::group group;
    inside = group.get_context();
    for (int i = 0; i < 4; ++i) {
      group.spawn([&](const ctx::context& ctx) {
        ctx.wait();
        ++ended;
      });
    }
  }
  EXPECT_EQ(ended, 4);
  EXPECT_TRUE(inside.is_done());
}

TEST(Groups, CancelAsCancelersDo) {
  const ctx::group group, other;
  group.spawn([](const ctx::context& ctx) { ctx.wait(); });
  EXPECT_TRUE(group.cancel(ctx::cause(7, "enough")));
  EXPECT_FALSE(group.cancel());
  group.wait();  // no work has failed
  EXPECT_EQ(group.get_context().cause().code(), 7);
  EXPECT_TRUE(other.get_canceler().cancel(std::errc::timed_out));
  EXPECT_EQ(other.get_context().err(), std::errc::timed_out);
}

TEST(Groups, EndWithTheirParent) {
  const auto [parent, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  const ctx::group group(parent);
  group.spawn([](const ctx::context& ctx) {
    ctx.wait();
    ctx.throw_if_done();
  });
  try {
    group.wait();
    EXPECT_FALSE(group.cause()) << "the deadline was faster";
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(e.code(), std::errc::timed_out);
  }
}

TEST(Groups, CountWorkThatIsStartedByOtherMeans) {
  const ctx::group group;
  const int fd = group.fd();
  EXPECT_TRUE(Readable(fd));
  EXPECT_TRUE(group.begin());
  EXPECT_FALSE(Readable(fd));
  EXPECT_FALSE(group.wait_until(ctx::clock::now() + 1ms));
  std::thread thread([&] { group.end(); });
  group.wait();
  thread.join();
  EXPECT_TRUE(Readable(fd));
  ExpectThrows(std::errc::invalid_argument, [&] { group.end(); });
  EXPECT_TRUE(group.begin());
  group.end(ctx::cause(5, "failed"));
  EXPECT_EQ(group.cause().code(), 5);
}

TEST(Groups, TellTheirEndAsAContext) {
  const ctx::group group;
  EXPECT_TRUE(group.over().is_done());
  EXPECT_TRUE(group.begin());
  const ctx::context over = group.over();
  EXPECT_FALSE(over.is_done());
  bool told = false;
  const ctx::watch_guard guard(ctx::after_func(over, [&] { told = true; }));
  group.end();
  EXPECT_TRUE(told);
}

// Objects that are thread_local in the work are gone when the wait is over.
std::atomic<int> alive_in_threads{0};
struct AliveInThread {
  AliveInThread() { ++alive_in_threads; }
  ~AliveInThread() {
    std::this_thread::sleep_for(2ms);
    --alive_in_threads;
  }
};

TEST(Groups, WaitForThreadLocalObjectsToo) {
  const ctx::group group;
  for (int i = 0; i < 4; ++i) {
    group.spawn([] {
      thread_local AliveInThread one;
      EXPECT_GT(alive_in_threads, 0);
    });
  }
  group.wait();
  EXPECT_EQ(alive_in_threads, 0);
}

TEST(Groups, WorkIsDestroyedBeforeItEnds) {
  Tracked::Log log;
  const ctx::group group;
  std::vector<std::function<void()>> queue;
  const auto later = [&](const std::function<void()>& work) { queue.push_back(work); };
  group.spawn([tracked = Tracked(&log)] {});
  group.spawn(later, [tracked = Tracked(&log)] {});
  EXPECT_EQ(queue.size(), 1u);
  queue.front()();
  group.wait();
  EXPECT_EQ(log.live, 0);
  queue.front()();  // once too often: nothing runs
  EXPECT_TRUE(group.wait_for(0s));
}

TEST(Groups, RunOnAnExecutor) {
  std::vector<std::function<void()>> queue;
  const auto later = [&](const std::function<void()>& work) { queue.push_back(work); };
  const ctx::group group;
  int runs = 0;
  EXPECT_TRUE(group.spawn(later, [&] { ++runs; }));
  EXPECT_TRUE(group.spawn(later, [&](const ctx::context& ctx) {
    EXPECT_EQ(ctx, group.get_context());
    throw std::runtime_error("failed");
  }));
  EXPECT_FALSE(group.wait_for(0s));
  for (const auto& work : queue) work();
  EXPECT_EQ(runs, 1);
  EXPECT_THROW(group.wait(), std::runtime_error);
  EXPECT_FALSE(group.spawn(later, [] {}));
  EXPECT_EQ(queue.size(), 2u);
}

TEST(Groups, WorkThatAnExecutorDropsHasFailed) {
  const ctx::group group;
  const auto drops = [](const std::function<void()>&) {};
  EXPECT_TRUE(group.spawn(drops, [] { ADD_FAILURE() << "ran"; }));
  EXPECT_TRUE(group.get_context().is_done());
  EXPECT_THROW(group.wait(), ctx::context_error);
}

TEST(Groups, WorkThatAnExecutorRefusesHasNotBegun) {
  const ctx::group group;
  const auto refuses = [](const std::function<void()>&) { throw std::logic_error("closed"); };
  EXPECT_THROW(group.spawn(refuses, [] { ADD_FAILURE() << "ran"; }), std::logic_error);
  group.wait();
  EXPECT_FALSE(group.get_context().is_done());
}

TEST(Groups, NestedOnesAreWorkOfTheOuterOne) {
  const ctx::group outer;
  {
    const ctx::group inner = outer.nested();
    EXPECT_FALSE(outer.wait_for(0s));
    inner.spawn([] { throw std::runtime_error("inside"); });
    EXPECT_THROW(inner.wait(), std::runtime_error);
    EXPECT_FALSE(outer.get_context().is_done()) << "it is not over yet";
  }
  EXPECT_THROW(outer.wait(), std::runtime_error);
  EXPECT_EQ(outer.cause().message(), "inside");
  try {
    static_cast<void>(outer.nested());
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(e.cause(), outer.cause());
  }
}

TEST(Groups, MoveAndThenAreEmpty) {
  ctx::group group;
  const ctx::group moved(std::move(group));
  EXPECT_NE(moved.get(), nullptr);
  EXPECT_EQ(group.get(), nullptr);  // NOLINT: what it is then
  ExpectThrows(std::errc::invalid_argument, [&] { group.spawn([] {}); });
  ExpectThrows(std::errc::invalid_argument, [&] { group.wait(); });
  ExpectThrows(std::errc::invalid_argument, [&] { static_cast<void>(group.fd()); });
  EXPECT_FALSE(group.cause());
}

#if defined(CTX_HAS_STOP_TOKEN)
TEST(Groups, WorkMayTakeAStopToken) {
  const ctx::group group;
  std::promise<void> begun;
  group.spawn([&](std::stop_token token) {
    begun.set_value();
    std::mutex mutex;
    std::condition_variable_any wakes;
    std::unique_lock<std::mutex> lock(mutex);
    EXPECT_FALSE(wakes.wait(lock, token, [] { return false; }));
    EXPECT_TRUE(token.stop_requested());
  });
  begun.get_future().wait();
  group.cancel();
  group.wait();
}
#endif

}  // namespace
}  // namespace ctxtest
