// SPDX-License-Identifier: MIT
//
// What a loop is made with reaches C; and the work that it hands to an executor runs once, whatever that does with it.
#include <cerrno>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "calls.h"
#include "cases.h"
#include "counted.h"
#include "support/descriptor.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

static_assert(!std::is_convertible_v<ctx::virtual_loop, ctx::manual_loop>);
static_assert(!std::is_constructible_v<ctx::thread_loop, ctx::virtual_loop&>);
static_assert(std::is_convertible_v<ctx::manual_loop&, const ctx::loop&>);

// Made first in a case whose loops have executors: these go with the loops, on threads of the library. It waits for
// that, as later cases count what is allocated.
class ExecutorsGo {
 public:
  ExecutorsGo() = default;
  ExecutorsGo(const ExecutorsGo&) = delete;
  ~ExecutorsGo() {
    EXPECT_TRUE(Soon([&] { return LiveNews() <= before_; }));
  }

 private:
  const long before_ = LiveNews();
};

struct Made {
  int kind = -1;
  ctx_loop_options_t raw = {};
  std::string name = "none";
};

// What the C function gets for the loop that body makes.
template <class Body>
Made MadeBy(Body body) {
  Made made;
  const Answer<ctx_loop_new> looks_on(
      [&](int kind, const ctx_loop_options_t* options, ctx_loop_t** ret) {
        made.kind = kind;
        if (options != nullptr) made.raw = *options;
        if (made.raw.name != nullptr) made.name = made.raw.name;
        return Library<ctx_loop_new>()(kind, options, ret);
      });
  body();
  return made;
}

ctx::loop_options Options(std::string name, ctx::loop_clock clock = ctx::loop_clock::monotonic,
                          bool start = false) {
  ctx::loop_options options;
  options.name = std::move(name);
  options.clock = clock;
  options.start = start;
  return options;
}

TEST(LoopOptions, AreNoneIfNoneAreGiven) {
  const auto expect_none = [](const Made& made, int kind) {
    EXPECT_EQ(made.kind, kind);
    EXPECT_EQ(made.raw.size, sizeof(ctx_loop_options_t));
    EXPECT_EQ(made.raw.flags, 0u);
    EXPECT_EQ(made.raw.clock, static_cast<unsigned>(CTX_CLOCK_MONOTONIC));
    EXPECT_EQ(made.name, "none");
    EXPECT_TRUE(made.raw.post == nullptr && made.raw.executor == nullptr &&
                made.raw.drop == nullptr);
  };
  expect_none(MadeBy([] { ctx::thread_loop(); }), CTX_LOOP_THREAD);
  expect_none(MadeBy([] { ctx::manual_loop(); }), CTX_LOOP_MANUAL);
  expect_none(MadeBy([] { ctx::virtual_loop(); }), CTX_LOOP_VIRTUAL);
}

TEST(LoopOptions, ReachC) {
  const ExecutorsGo executors;
  const ctx::loop_options options = Options("123456789", ctx::loop_clock::boottime, true);
  const auto expect_all = [](const Made& made, int kind) {
    EXPECT_EQ(made.kind, kind);
    EXPECT_EQ(made.raw.size, sizeof(ctx_loop_options_t));
    EXPECT_EQ(made.raw.flags, static_cast<unsigned>(CTX_LOOP_START));
    EXPECT_EQ(made.raw.clock, static_cast<unsigned>(CTX_CLOCK_BOOTTIME));
    EXPECT_EQ(made.name, "123456789");
  };
  expect_all(MadeBy([&] { ctx::thread_loop{options}; }), CTX_LOOP_THREAD);
  expect_all(MadeBy([&] { ctx::manual_loop{options}; }), CTX_LOOP_MANUAL);
  const auto executor = [](const std::function<void()>& work) { work(); };
  const Made made = MadeBy([&] { ctx::thread_loop(executor, options); });
  expect_all(made, CTX_LOOP_THREAD);
  EXPECT_TRUE(made.raw.post != nullptr && made.raw.executor != nullptr && made.raw.drop != nullptr);
}

TEST(LoopOptions, ALoopThatStartsHasItsThreadsAtOnce) {
  const ctx::thread_loop loop(Options("early", ctx::loop_clock::monotonic, true));
  EXPECT_FALSE(Tasks("early-").empty());
  const ctx::thread_loop other(Options("late"));
  EXPECT_TRUE(Tasks("late-").empty());
}

TEST(LoopOptions, ANameIsShortAndOneText) {
  EXPECT_NO_THROW(ctx::manual_loop{Options("123456789")});
  ExpectThrows(std::errc::invalid_argument, [] { ctx::manual_loop{Options("1234567890")}; });
  ExpectThrows(std::errc::invalid_argument,
               [] { ctx::manual_loop{Options(std::string("a\0b", 3))}; });
}

TEST(LoopOptions, ACopyIsTheSameLoop) {
  ctx::thread_loop threads;
  ctx::manual_loop manual;
  ctx::virtual_loop moved;
  EXPECT_EQ(ctx::thread_loop(threads).get(), threads.get());
  EXPECT_EQ(ctx::manual_loop(manual).get(), manual.get());
  EXPECT_EQ(ctx::virtual_loop(moved).get(), moved.get());
  ctx_loop_t* const raw = threads.get();
  const ctx::thread_loop taken(std::move(threads));
  EXPECT_EQ(taken.get(), raw);
  EXPECT_EQ(threads.get(), nullptr);
}

TEST(LoopOptions, ALoopThatWasMovedFromThrows) {
  ctx::manual_loop manual;
  const ctx::manual_loop taken(std::move(manual));
  ctx::virtual_loop clock;
  const ctx::virtual_loop taken_too(std::move(clock));
  ExpectThrows(std::errc::invalid_argument, [&] { static_cast<void>(manual.next()); });
  ExpectThrows(std::errc::invalid_argument, [&] { static_cast<void>(manual.fd()); });
  ExpectThrows(std::errc::invalid_argument, [&] { manual.dispatch(); });
  ExpectThrows(std::errc::invalid_argument, [&] { manual.close(); });
  ExpectThrows(std::errc::invalid_argument, [&] { manual.set_default(); });
  ExpectThrows(std::errc::invalid_argument, [&] { static_cast<void>(manual.background()); });
  ExpectThrows(std::errc::invalid_argument, [&] { static_cast<void>(clock.next()); });
  ExpectThrows(std::errc::invalid_argument, [&] { clock.advance(1s); });
}

TEST(LoopOptions, AVirtualLoopTellsItsNextWorkToTheNanosecond) {
  const ctx::virtual_loop loop;
  EXPECT_FALSE(loop.next());
  const auto [ctx, cancel] = ctx::with_timeout(loop.background(), 1ns);
  EXPECT_EQ(loop.next(), ctx::time_point(1ns));
  EXPECT_EQ(loop.advance(1ns), 1);
  EXPECT_FALSE(loop.next());
  EXPECT_EQ(loop.now(), ctx::time_point(1ns));
  EXPECT_EQ(loop.background().now(), loop.now());
}

TEST(LoopOptions, ADispatchTellsHowManyFired) {
  const ctx::manual_loop loop;
  const ctx::time_point before = ctx::clock::now();
  const auto [ctx, cancel] = ctx::with_timeout(loop.background(), 1ms);
  ASSERT_TRUE(loop.next());
  EXPECT_GT(*loop.next(), before);
  EXPECT_LE(*loop.next(), ctx.deadline());
  ASSERT_TRUE(Readable(loop.fd(), kLimitMs));
  int fired = 0;
  EXPECT_TRUE(Soon([&] { return (fired = loop.dispatch()) != 0; }));
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(loop.next());
}

using Works = std::vector<std::function<void()>>;

// A loop whose executor does with each work what take says, and a deferred callback that was set off on it.
template <class Take>
void SetOff(Take take, Counter* ran, std::string* thread) {
  const ctx::thread_loop loop([take](const std::function<void()>& work) { take(work); });
  const auto [ctx, cancel] = ctx::with_cancel(loop.background());
  ctx::after_func(ctx, ctx::deferred, [=] {
    *thread = CurrentThreadName();
    ran->Add();
  });
  cancel();
  ASSERT_TRUE(ran->WaitFor(1));
}

TEST(LoopExecutors, WorkThatIsDestroyedRunsThere) {
  const ExecutorsGo executors;
  Counter ran;
  std::string thread;
  SetOff([](const std::function<void()>&) {}, &ran, &thread);
  EXPECT_EQ(ran.Get(), 1);
}

TEST(LoopExecutors, WorkThatIsCalledTwiceRunsOnce) {
  const ExecutorsGo executors;
  Counter ran;
  std::string thread;
  SetOff(
      [](const std::function<void()>& work) {
        work();
        work();
      },
      &ran, &thread);
  EXPECT_EQ(ran.Get(), 1);
}

// The executor throws, and yet has kept the work: the loop runs it, and what was kept is nothing any more.
TEST(LoopExecutors, WorkThatIsRefusedIsTheLoops) {
  const ExecutorsGo executors;
  Counter ran;
  std::string thread;
  auto kept = std::make_shared<Works>();
  SetOff(
      [kept](const std::function<void()>& work) {
        kept->push_back(work);
        throw std::runtime_error("no room");
      },
      &ran, &thread);
  EXPECT_EQ(thread, "ctx-calls");
  for (const auto& work : *kept) work();
  kept->clear();
  EXPECT_EQ(ran.Get(), 1);
}

TEST(LoopExecutors, AnExecutorIsMovedInAndGoesWithTheLoop) {
  const ExecutorsGo executors;
  struct Executor {
    std::unique_ptr<int> only;
    Tracked tracked;
    void operator()(const std::function<void()>& work) const { work(); }
  };
  Tracked::Log log;
  { const ctx::thread_loop loop(Executor{std::make_unique<int>(1), Tracked(&log)}); }
  EXPECT_TRUE(Soon([&] { return log.live == 0; }));
  EXPECT_THROW(ctx::thread_loop(Executor{nullptr, Tracked(&log)}, Options("far too long a name")),
               std::system_error);
  EXPECT_EQ(log.live, 0);
}

// The work itself: it runs once, called or destroyed, and not at all if the executor has refused it.
TEST(LoopExecutors, WorkIsDoneOnceByWhoeverHasIt) {
  const auto count = [](void* runs) { ++*static_cast<int*>(runs); };
  Works kept;
  const auto keeps = [&](const std::function<void()>& work) { kept.push_back(work); };
  int called = 0, dropped = 0, refused = 0;
  EXPECT_EQ(ctx::detail::work::hand(keeps, count, &called), 0);
  kept.at(0)();
  EXPECT_EQ(called, 1);
  kept.at(0)();
  kept.clear();
  EXPECT_EQ(called, 1);
  EXPECT_EQ(ctx::detail::work::hand(keeps, count, &dropped), 0);
  EXPECT_EQ(dropped, 0);
  kept.clear();
  EXPECT_EQ(dropped, 1);
  const auto refuses = [&](const std::function<void()>& work) {
    kept.push_back(work);
    throw std::runtime_error("no room");
  };
  EXPECT_EQ(ctx::detail::work::hand(refuses, count, &refused), -EAGAIN);
  kept.at(0)();
  kept.clear();
  EXPECT_EQ(refused, 0);
}

TEST(LoopExecutors, AnExecutorOfALoopThatIsRefusedIsDestroyedOnce) {
  Tracked::Log log;
  const Answer<ctx_loop_new> refuses(
      [](int, const ctx_loop_options_t*, ctx_loop_t**) { return -ENOMEM; });
  ExpectThrows(std::errc::not_enough_memory, [&] {
    ctx::thread_loop([tracked = Tracked(&log)](const std::function<void()>& work) { work(); });
  });
  EXPECT_EQ(log.live, 0);
}

// Found by its name alone, as those of Boost.Asio are.
namespace posts {
struct Executor {
  Works* works;
};
void post(const Executor& executor, std::function<void()> work) {
  executor.works->push_back(std::move(work));
}
}  // namespace posts

TEST(LoopExecutors, AnExecutorMayHaveAPostOfItsOwn) {
  Works works;
  const ctx::group group;
  int runs = 0;
  EXPECT_TRUE(group.spawn(posts::Executor{&works}, [&] { ++runs; }));
  EXPECT_EQ(runs, 0);
  works.at(0)();
  EXPECT_EQ(runs, 1);
  group.wait();
}

}  // namespace
}  // namespace ctxtest
