// SPDX-License-Identifier: MIT
//
// What a context says of its end and of the time until then, after each way to cancel; what polls and waits say of it.
#include <poll.h>
#include <signal.h>

#include <cstdint>
#include <system_error>
#include <vector>

#include "calls.h"
#include "cases.h"
#include "support/descriptor.h"

namespace ctxtest {
namespace {

TEST(Ends, TheRemainingTimeGoesOnBelowZero) {
  const ctx::virtual_loop loop;
  const auto [ctx, cancel] = ctx::with_timeout(loop.background(), 10ms);
  EXPECT_EQ(ctx.remaining(), 10ms);
  EXPECT_EQ(ctx.remaining_ms(), 10);
  loop.advance(9ms + 1ns);
  EXPECT_EQ(ctx.remaining(), 1ms - 1ns);
  EXPECT_EQ(ctx.remaining_ms(), 1) << "rounded up";
  loop.advance(5ms);
  EXPECT_EQ(ctx.remaining(), -4ms - 1ns);
  EXPECT_EQ(ctx.remaining_ms(), 0);
  EXPECT_EQ(loop.background().remaining(), std::chrono::nanoseconds::max());
  EXPECT_EQ(loop.background().remaining_ms(), -1);
}

TEST(Ends, AGraceAndADeadlineAreToldExactly) {
  const ctx::virtual_loop loop;
  const ctx::time_point at(3s);
  const ctx::context parent = ctx::with_deadline(loop.background(), at).first;
  EXPECT_EQ(parent.deadline(), at);
  const ctx::context grace = ctx::with_grace(parent, std::chrono::duration<double>(0.5)).first;
  EXPECT_EQ(grace.deadline(), at + 500ms);
  const ctx::context idle = ctx::with_idle(loop.background(), 2s).first;
  EXPECT_EQ(loop.advance(1999ms), 0);
  EXPECT_FALSE(idle.is_done());
  loop.advance(1ms);
  EXPECT_EQ(idle.err(), std::errc::timed_out);
  EXPECT_FALSE(idle.cause().given());
}

TEST(Ends, ADeadlineHasItsCause) {
  const ctx::virtual_loop loop;
  const ctx::context late =
      ctx::with_deadline(loop.background(), ctx::time_point(1s), ctx::cause(4, "at")).first;
  const ctx::context slow = ctx::with_timeout(loop.background(), 2s, ctx::cause(5, "after")).first;
  const ctx::context idle = ctx::with_idle(loop.background(), 3s, ctx::cause(6, "idle")).first;
  loop.advance(3s);
  EXPECT_EQ(late.cause().code(), 4);
  EXPECT_EQ(slow.cause().code(), 5);
  EXPECT_EQ(idle.cause().code(), 6);
  EXPECT_EQ(idle.cause().message(), "idle");
}

// Each way to cancel, and what the context says then.
template <class Cancel>
ctx::context Canceled(Cancel cancel) {
  const ctx::derived made = ctx::with_cancel(ctx::background());
  EXPECT_TRUE(cancel(made.second));
  EXPECT_FALSE(cancel(made.second)) << "a second time";
  return made.first;
}
void ExpectEnd(const ctx::context& ctx, std::errc error, int code) {
  EXPECT_EQ(ctx.err(), error);
  EXPECT_EQ(ctx.cause().code(), code);
}

TEST(Ends, EveryCancelHasItsErrorAndItsCause) {
  const ctx::cause why(21, "why");
  constexpr std::errc kCanceled = std::errc::operation_canceled, kLate = std::errc::timed_out;
  using Right = const ctx::canceler&;
  ExpectEnd(Canceled([&](Right c) { return c.cancel(); }), kCanceled, CTX_CANCELED);
  ExpectEnd(Canceled([&](Right c) { return c(); }), kCanceled, CTX_CANCELED);
  ExpectEnd(Canceled([&](Right c) { return c.cancel(why); }), kCanceled, 21);
  ExpectEnd(Canceled([&](Right c) { return c(why); }), kCanceled, 21);
  ExpectEnd(Canceled([&](Right c) { return c.cancel(kLate); }), kLate, CTX_DEADLINE_EXCEEDED);
  ExpectEnd(Canceled([&](Right c) { return c.cancel(kLate, why); }), kLate, 21);
  ExpectEnd(Canceled([&](Right c) { return c(kLate, why); }), kLate, 21);
  ExpectEnd(Canceled([&](Right c) { return c.cancel(kCanceled, why); }), kCanceled, 21);
  ExpectEnd(Canceled([&](Right c) { return c.cancel_deferred(); }), kCanceled, CTX_CANCELED);
  ExpectEnd(Canceled([&](Right c) { return c.cancel_deferred(why); }), kCanceled, 21);
  ExpectEnd(Canceled([&](Right c) { return c.cancel_deferred(kLate); }), kLate,
            CTX_DEADLINE_EXCEEDED);
  ExpectEnd(Canceled([&](Right c) { return c.cancel_deferred(kLate, why); }), kLate, 21);
  const ctx::derived live = ctx::with_cancel(ctx::background());
  const auto refused = [&](auto&& call) { ExpectThrows(std::errc::invalid_argument, call); };
  refused([&] { live.second.cancel(std::errc::io_error, why); });
  refused([&] { live.second.cancel_deferred(std::errc::io_error); });
  refused([] { ctx::canceler().cancel_deferred(); });
  refused([&] { ctx::canceler().cancel(why); });
  EXPECT_FALSE(live.first.is_done());
}

// So a caller may hold a lock that the callbacks take.
TEST(Ends, ADeferredCancelRunsNobodysCode) {
  const ctx::manual_loop loop;
  const ctx::cause why(7, "why");
  using Right = const ctx::canceler&;
  const auto expect_later = [&](auto cancel) {
    const ctx::derived made = ctx::with_cancel(loop.background());
    int runs = 0;
    ctx::after_func(made.first, [&] { ++runs; });
    ctx::after_func(made.first, ctx::waker, [&] { ++runs; });
    EXPECT_TRUE(cancel(made.second));
    EXPECT_EQ(runs, 0);
    EXPECT_TRUE(made.first.is_done());
    loop.dispatch();
    EXPECT_EQ(runs, 2);
  };
  expect_later([](Right c) { return c.cancel_deferred(); });
  expect_later([&](Right c) { return c.cancel_deferred(why); });
  expect_later([&](Right c) { return c.cancel_deferred(std::errc::timed_out, why); });
}

TEST(Ends, TheErrorAndTheCauseOfALateContextAreThrown) {
  const ctx::context late = ctx::with_timeout(ctx::background(), 0s, ctx::cause("slow")).first;
  try {
    late.throw_if_done();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(e.code(), std::errc::timed_out);
    EXPECT_EQ(e.cause(), late.cause());
    EXPECT_STREQ(e.what(), "context deadline exceeded: slow");
    ctx::context_error copy(std::error_code{}, ctx::cause());
    copy = e;
    EXPECT_STREQ(copy.what(), e.what());
    EXPECT_EQ(copy.cause(), e.cause());
  }
}

TEST(Ends, APollTellsErrorsAndEndsApart) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Pipe one, other;
  one.Write();
  other.Write();
  pollfd both[2] = {{one.read_end, POLLIN, 0}, {other.read_end, POLLIN, 0}};
  std::error_code error = std::make_error_code(std::errc::io_error);
  EXPECT_EQ(ctx.poll(both, 2, 1h, error), 2u);
  EXPECT_FALSE(error) << "that of an earlier call is cleared";
  EXPECT_EQ(ctx.poll(both, 2, 1h), 2u);
  one.Read(), other.Read();
  error = std::make_error_code(std::errc::io_error);
  EXPECT_EQ(ctx.poll(both, 2, -1s, error), 0u);
  EXPECT_FALSE(error);
  {
    const Answer<ctx_poll> answers([](ctx_t*, pollfd*, nfds_t, std::int64_t) { return -ENOMEM; });
    EXPECT_EQ(ctx.poll(both, 2, 1h, error), 0u);
    EXPECT_EQ(error, std::errc::not_enough_memory);
    try {
      ctx.poll(both, 2, 1h);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const ctx::context_error&) {
      ADD_FAILURE() << "the context is live";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), std::errc::not_enough_memory);
    }
  }
  cancel(std::errc::timed_out, ctx::cause("enough"));
  one.Write();
  try {
    ctx.poll(both, 2, 1h);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(e.code(), std::errc::timed_out);
    EXPECT_EQ(e.cause().message(), "enough");
  }
}

TEST(Ends, WhoEndedAContextIsToldOfBothSides) {
  const auto [parent, cancel] = ctx::with_cancel(ctx::background());
  const ctx::context child = ctx::with_cancel(parent).first;
  const ctx::context other = ctx::with_cancel(ctx::background()).first;
  EXPECT_FALSE(child.ended_by(parent));
  cancel();
  EXPECT_TRUE(child.ended_by(parent));
  EXPECT_FALSE(parent.ended_by(child));
  EXPECT_FALSE(child.ended_by(other));
}

TEST(Ends, OfSeveralThatAreDoneAWaitTellsTheFirst) {
  const auto [live, unused] = ctx::with_cancel(ctx::background());
  const ctx::context done = ctx::with_timeout(ctx::background(), 0s).first;
  const std::vector<ctx::context> all{live, done, live, done};
  EXPECT_EQ(ctx::wait_any(all), 1u);
  EXPECT_EQ(ctx::wait_any({done, live, done}), 0u);
  EXPECT_EQ(ctx::wait_any_for({live, live, done}, 0s), 2u);
  EXPECT_EQ(ctx::wait_any_for(all, -1s), 1u);
  EXPECT_EQ(ctx::wait_any_until(all, ctx::time_point::min()), 1u);
}

TEST(Ends, AllSignalsOfAListAndAllEventsReachC) {
  std::vector<int> signals;
  std::uint32_t events = 0;
  int fd = -1;
  const Answer<ctx_with_signal> refuses(
      [&](ctx_t*, const int* all, std::size_t n, ctx_t**, ctx_canceler_t**) {
        signals.assign(all, all + n);
        return -EMFILE;
      });
  const Answer<ctx_with_fd> refuses_too(
      [&](ctx_t*, int of, std::uint32_t wanted, ctx_t**, ctx_canceler_t**) {
        fd = of;
        events = wanted;
        return -EMFILE;
      });
  constexpr std::errc kNone = std::errc::too_many_files_open;
  ExpectThrows(kNone, [] { (void)ctx::with_signal(ctx::background(), {SIGUSR1, SIGUSR2, 1}); });
  EXPECT_EQ(signals, (std::vector<int>{SIGUSR1, SIGUSR2, 1}));
  const std::vector<int> configured{SIGHUP, SIGTERM};
  ExpectThrows(kNone, [&] { (void)ctx::with_signal(ctx::background(), configured); });
  EXPECT_EQ(signals, configured);
  ExpectThrows(kNone, [] { (void)ctx::with_fd(ctx::background(), 77, POLLIN | POLLRDHUP); });
  EXPECT_EQ(fd, 77);
  EXPECT_EQ(events, static_cast<std::uint32_t>(POLLIN | POLLRDHUP));
}

}  // namespace
}  // namespace ctxtest
