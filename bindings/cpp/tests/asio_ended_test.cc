// SPDX-License-Identifier: MIT
//
// co_await (op || ctx::asio::ended(ctx)): the operation is canceled when the context ends, and the result tells which
// came first; nothing is left behind, and nothing outlives what it refers to.
#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

// clang-format off: Boost 1.74 needs <utility> before it as C++20.
#include <boost/asio.hpp>
// clang-format on

#include <ctx/asio.hpp>

#include "calls.h"
#include "cases.h"
#include "support/descriptor.h"
#include "support/few_descriptors.h"
#include "support/process.h"

#if defined(BOOST_ASIO_HAS_CO_AWAIT)

namespace ctxtest {
namespace {

namespace asio = boost::asio;
using asio::use_awaitable;
using ctx::asio::ended;
using ctx::asio::op;

struct Pipe {
  explicit Pipe(asio::io_context& io) : input(io), output(io) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    input.assign(ends[0]), output.assign(ends[1]);
  }
  asio::posix::stream_descriptor input, output;
};

// Runs a coroutine to its end; what it throws comes out.
template <class Body>
void RunAll(asio::io_context& io, Body body) {
  std::exception_ptr thrown;
  asio::co_spawn(io, body, [&](std::exception_ptr error) { thrown = error; });
  io.run();
  if (thrown) std::rethrow_exception(thrown);
}

TEST(AsioEnded, WhatTheOperationGivesIsIndexZero) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const int borrowed = ctx.done_fd();
  asio::io_context io;
  Pipe pipe(io);
  asio::write(pipe.output, asio::buffer("abc", 3));
  const std::size_t before = OpenDescriptors();
  bool over = false;
  RunAll(io, [&, c = ctx]() -> asio::awaitable<void> {
    std::array<char, 8> bytes{};
    const auto result = co_await (
        op(pipe.input, pipe.input.async_read_some(asio::buffer(bytes), use_awaitable)) || ended(c));
    EXPECT_EQ(result.index(), 0u);
    EXPECT_EQ(std::get<0>(result), 3u);
    EXPECT_EQ(OpenDescriptors(), before) << "that of the wait is given back";
    EXPECT_TRUE(io.get_executor().running_in_this_thread());
    over = true;
  });
  EXPECT_TRUE(over) << "and the io_context had nothing left to do";
  EXPECT_FALSE(ctx.is_done());
  EXPECT_FALSE(Readable(borrowed));
}

// The read is over when the result is there: the next one gets the bytes.
TEST(AsioEnded, TheEndCancelsTheOperationAndIsIndexOne) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  asio::io_context io;
  Pipe pipe(io);
  std::string read;
  asio::post(io, [right = cancel] { right.cancel(); });
  RunAll(io, [&, c = ctx]() -> asio::awaitable<void> {
    char lost = 0, byte = 0;
    const auto result = co_await (
        op(pipe.input, asio::async_read(pipe.input, asio::buffer(&lost, 1), use_awaitable)) ||
        ended(c));
    EXPECT_EQ(result.index(), 1u);
    EXPECT_EQ(std::get<1>(result), std::errc::operation_canceled);
    asio::write(pipe.output, asio::buffer("x", 1));
    co_await asio::async_read(pipe.input, asio::buffer(&byte, 1), use_awaitable);
    read = {lost, byte};
  });
  EXPECT_EQ(read, std::string("\0x", 2));
}

TEST(AsioEnded, ADeadlineIsToldAndAnOperationOfNoValueIs) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  asio::io_context io;
  asio::steady_timer timer(io, kWatchdog);
  RunAll(io, [&, c = ctx]() -> asio::awaitable<void> {
    const auto late = co_await (op(timer, timer.async_wait(use_awaitable)) || ended(c));
    EXPECT_EQ(late.index(), 1u);
    EXPECT_EQ(std::get<1>(late), std::errc::timed_out);
    timer.expires_after(0s);
    const auto in_time =
        co_await (op(timer, timer.async_wait(use_awaitable)) || ended(ctx::background()));
    EXPECT_EQ(in_time.index(), 0u) << "beside a context that is never done";
  });
}

TEST(AsioEnded, WhatFailsByItselfThrows) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  asio::io_context io;
  Pipe pipe(io);
  pipe.output.close();
  boost::system::error_code error;
  RunAll(io, [&, c = ctx]() -> asio::awaitable<void> {
    char byte = 0;
    try {
      co_await (
          op(pipe.input, asio::async_read(pipe.input, asio::buffer(&byte, 1), use_awaitable)) ||
          ended(c));
    } catch (const boost::system::system_error& e) {
      error = e.code();
    }
  });
  EXPECT_EQ(error, asio::error::eof);
}

asio::awaitable<int> Begins(bool* begun) {
  *begun = true;
  co_return 1;
}

TEST(AsioEnded, NothingBeginsIfTheContextIsDoneOrCannotBeWatched) {
  const auto [live, cancel] = ctx::with_cancel(ctx::background());
  const ctx::context late = ctx::with_timeout(ctx::background(), 0s).first;
  asio::io_context io;
  bool begun = false, whole = false;
  const auto nothing = [] {};
  RunAll(io, [&, c = live]() -> asio::awaitable<void> {
    const auto done = co_await (op(nothing, Begins(&begun)) || ended(late));
    EXPECT_EQ(std::get<1>(done), std::errc::timed_out);
    asio::steady_timer(io).expires_after(1h);  // what a first use makes
    {
      const NoDescriptors none;
      const auto refused = co_await (op(nothing, Begins(&begun)) || ended(c));
      EXPECT_EQ(std::get<1>(refused), std::errc::too_many_files_open);
    }
    EXPECT_FALSE(begun);
    const auto result = co_await (op(nothing, Begins(&begun)) || ended(c));
    EXPECT_EQ(std::get<0>(result), 1);
    whole = true;
  });
  EXPECT_TRUE(begun && whole);
}

// An operation of several steps may begin the next one just when the last one is canceled. This one always does, and
// ends well: then its result counts.
asio::awaitable<int> Persists(asio::steady_timer& timer) {
  int canceled = 0;
  while (canceled < 3) {
    timer.expires_after(kWatchdog);
    boost::system::error_code error;
    co_await timer.async_wait(asio::redirect_error(use_awaitable, error));
    if (!error) co_return -1;
    ++canceled;
  }
  co_return canceled;
}
TEST(AsioEnded, WhatGoesOnIsCanceledAgain) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  asio::io_context io;
  asio::steady_timer timer(io);
  int canceled = 0;
  RunAll(io, [&, c = ctx]() -> asio::awaitable<void> {
    const auto result = co_await (op([&] { timer.cancel(); }, Persists(timer)) || ended(c));
    EXPECT_EQ(result.index(), 0u);
    if (result.index() == 0) canceled = std::get<0>(result);
  });
  EXPECT_EQ(canceled, 3);
}

// What a coroutine refers to of the one that awaits it is there as long as it is, also when both are destroyed.
struct Goes {
  explicit Goes(bool* in, const bool* before = nullptr) : gone(in), other(before) {}
  Goes(const Goes&) = delete;
  ~Goes() {
    EXPECT_FALSE(other != nullptr && *other) << "it is gone already";
    *gone = true;
  }
  bool* gone;
  const bool* other;
};
asio::awaitable<void> Refers(asio::steady_timer& timer, bool* gone, const bool* caller_gone) {
  const Goes goes(gone, caller_gone);
  co_await timer.async_wait(use_awaitable);
}
TEST(AsioEnded, AnIoContextThatIsDestroyedTakesBothCoroutinesAlong) {
  const auto [live, cancel] = ctx::with_cancel(ctx::background());
  for (const ctx::context& ctx : {live, ctx::background()}) {
    bool inner = false, outer = false;
    {
      asio::io_context io;
      const auto coroutine = [&](ctx::context c) -> asio::awaitable<void> {
        const Goes goes(&outer);
        asio::steady_timer timer(io, kWatchdog);
        co_await (op(timer, Refers(timer, &inner, &outer)) || ended(c));
        ADD_FAILURE() << "it went on";
      };
      asio::co_spawn(io, coroutine(ctx), asio::detached);
      io.poll();
      EXPECT_FALSE(inner || outer);
    }
    EXPECT_TRUE(inner && outer);
  }
}

// Ends and results race on several threads; each read that gives its byte has it, and no coroutine hangs.
TEST(AsioEnded, OnManyThreadsOneOfBothIsTold) {
  asio::io_context io;
  std::atomic<int> told{0};
  const auto race = [&](int i) -> asio::awaitable<void> {
    const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
    Pipe pipe(io);
    asio::post(io, [right = cancel] { right.cancel(); });
    asio::post(io, [to = dup(pipe.output.native_handle()), open = dup(pipe.input.native_handle()),
                    writes = i % 2 == 0] {
      EXPECT_TRUE(!writes || write(to, "ab", 2) == 2);
      close(to), close(open);  // until then no write breaks
    });
    std::array<char, 2> bytes{};
    const auto result = co_await (
        op(pipe.input, asio::async_read(pipe.input, asio::buffer(bytes), use_awaitable)) ||
        ended(ctx));
    if (result.index() == 0) {
      EXPECT_EQ(bytes[1], 'b');
    } else {
      EXPECT_EQ(std::get<1>(result), std::errc::operation_canceled);
    }
    ++told;
  };
  for (int i = 0; i < 200; ++i) asio::co_spawn(asio::make_strand(io), race(i), asio::detached);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { io.run(); });
  for (std::thread& each : threads) each.join();
  EXPECT_EQ(told, 200);
}

#if defined(CTX_ASIO_HAS_SLOTS)
// Boost 1.77 and later: a coroutine that waits for whatever it likes.
asio::awaitable<int> Sleeps() {
  asio::steady_timer timer(co_await asio::this_coro::executor, kWatchdog);
  co_await timer.async_wait(use_awaitable);
  co_return 1;
}
TEST(AsioEnded, AnyAwaitableIsCanceledByItsSlot) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1ms);
  asio::io_context io;
  bool begun = false;
  RunAll(io, [&, c = ctx]() -> asio::awaitable<void> {
    const auto early = co_await (Begins(&begun) || ended(ctx::background()));
    EXPECT_EQ(std::get<0>(early), 1);
    const auto late = co_await (Sleeps() || ended(c));
    EXPECT_EQ(late.index(), 1u);
    EXPECT_EQ(std::get<1>(late), std::errc::timed_out);
  });
  EXPECT_TRUE(begun);
}
#endif

}  // namespace
}  // namespace ctxtest

#endif
