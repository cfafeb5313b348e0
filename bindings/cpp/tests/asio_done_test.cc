// SPDX-License-Identifier: MIT
//
// ctx::async_done at its edges: the descriptor that it takes and gives back, a context that is never done, and what is
// told later even if it is known at once.
#include <cerrno>
#include <utility>

// clang-format off: Boost 1.74 needs <utility> before it as C++20.
#include <boost/asio.hpp>
// clang-format on

#include <ctx/asio.hpp>
#include <memory>
#include <system_error>

#include "calls.h"
#include "cases.h"
#include "support/descriptor.h"
#include "support/few_descriptors.h"
#include "support/process.h"

namespace ctxtest {
namespace {

namespace asio = boost::asio;

TEST(AsioDone, TheDescriptorIsACopyAndIsGivenBackBeforeTheHandlerRuns) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const int borrowed = ctx.done_fd();
  asio::io_context io;
  const auto executor = io.get_executor();
  asio::steady_timer(io).expires_after(1h);  // what a first use makes
  const std::size_t before = OpenDescriptors();
  std::size_t inside = 0;
  ctx::async_done(
      ctx, asio::bind_executor(executor, [&](std::error_code) { inside = OpenDescriptors(); }));
  EXPECT_EQ(OpenDescriptors(), before + 1);
  cancel();
  io.run();
  EXPECT_EQ(inside, before);
  EXPECT_TRUE(Readable(borrowed)) << "that of the context is open";
}

TEST(AsioDone, AContextThatIsNeverDoneIsNeverTold) {
  asio::io_context io;
  const auto handler = [](std::error_code) { ADD_FAILURE() << "told"; };
  ctx::async_done(ctx::background(), asio::bind_executor(io.get_executor(), handler));
  ctx::async_done(ctx::without_cancel(ctx::background()),
                  asio::bind_executor(io.get_executor(), handler));
  EXPECT_EQ(io.poll(), 0u);
  EXPECT_FALSE(io.stopped()) << "it is still at work";
  EXPECT_EQ(io.run_for(1ms), 0u);
}

TEST(AsioDone, AnErrorIsNotToldInsideTheCall) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  asio::io_context io;
  std::error_code why;
  bool later = false;
  asio::post(io, [&, c = ctx] {
    {
      const NoDescriptors none;
      ctx::async_done(c, asio::bind_executor(io.get_executor(), [&](std::error_code error) {
                        why = error;
                        EXPECT_TRUE(later);
                      }));
    }
    later = true;
  });
  io.run();
  EXPECT_EQ(why, std::errc::too_many_files_open);
}

TEST(AsioDone, AnEndThatHasComeIsNotToldInsideTheCall) {
  const ctx::context done = ctx::with_timeout(ctx::background(), 0s).first;
  asio::io_context io;
  std::error_code why;
  bool later = false;
  asio::post(io, [&] {
    ctx::async_done(done, asio::bind_executor(io.get_executor(), [&](std::error_code error) {
                      why = error;
                      EXPECT_TRUE(later);
                    }));
    later = true;
  });
  io.run();
  EXPECT_EQ(why, std::errc::timed_out);
}

TEST(AsioDone, AnErrorOfAnEmptyContextIsTold) {
  ctx::context empty;
  static_cast<void>(empty.release());
  asio::io_context io;
  std::error_code why;
  ctx::async_done(
      empty, asio::bind_executor(io.get_executor(), [&](std::error_code error) { why = error; }));
  io.run();
  EXPECT_EQ(why, std::errc::invalid_argument);
}

TEST(AsioDone, AnOperationHoldsItsContext) {
  static const ctx::key<Tracked> key("tracked");
  Tracked::Log log;
  asio::io_context io;
  std::error_code why;
  ctx::canceler cancel;
  {
    ctx::derived made = ctx::with_cancel(ctx::with_value(ctx::background(), key, Tracked(&log)));
    ctx::async_done(made.first, asio::bind_executor(io.get_executor(),
                                                    [&](std::error_code error) { why = error; }));
    cancel = std::move(made.second);
  }
  EXPECT_TRUE(cancel.cancel());
  cancel = {};
  EXPECT_EQ(log.live, 1);
  io.run();
  EXPECT_EQ(why, std::errc::operation_canceled);
  EXPECT_EQ(log.live, 0);
}

TEST(AsioDone, TheHandlerRunsOnItsOwnExecutor) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  asio::io_context io;
  const auto strand = asio::make_strand(io);
  bool there = false;
  ctx::async_done(ctx, asio::bind_executor(strand, [&](std::error_code error) {
                    there = strand.running_in_this_thread();
                    EXPECT_EQ(error, std::errc::operation_canceled);
                  }));
  cancel();
  io.run();
  EXPECT_TRUE(there) << "the handler's own executor";
}

}  // namespace
}  // namespace ctxtest
