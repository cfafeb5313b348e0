// SPDX-License-Identifier: MIT
//
// Calls of gRPC between a server and a client, both with contexts: what goes over, and how each side ends the other.
#include <ctx/grpc.hpp>
#include <future>
#include <memory>
#include <string>

#include "calls.h"
#include "cases.h"
#include "grpc_service.h"

namespace ctxtest {
namespace {

using grpc::Status;
using grpc::StatusCode;

// A server of one handler of the synchronous API.
class Server : public Loopback {
 public:
  explicit Server(Serves::Handler handler) : Server(Serves::Sync(std::move(handler))) {}
  explicit Server(std::unique_ptr<Serves> serves) : Loopback(*serves), serves_(std::move(serves)) {}
  ~Server() { Stop(); }

 private:
  const std::unique_ptr<Serves> serves_;
};

TEST(Grpc, DeadlineTraceBaggageAndStringsGoOver) {
  constexpr char kTrace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  Server server([&](grpc::ServerContext& context) {
    const auto parent = ctx::with_string(ctx::background(), "other", "the server's");
    const auto call = ctx::grpc::of(context, parent, {"trace-id", "other", "secret", "lines"});
    const ctx::context& ctx = call.get_context();
    EXPECT_EQ(ctx.string("traceparent"), kTrace);
    EXPECT_EQ(ctx.baggage("user"), "red");
    EXPECT_EQ(ctx.string("trace-id"), "8f2c");
    EXPECT_FALSE(ctx.string("other")) << "of the client only, which has none";
    EXPECT_FALSE(ctx.string("secret")) << "the client did not name it";
    EXPECT_FALSE(ctx.string("lines")) << "it would end the client's process";
    EXPECT_LE(ctx.remaining(), 61min) << "gRPC sends three digits, rounded up";
    EXPECT_GT(ctx.remaining(), 30min);
    return ctx.err() ? Status::CANCELLED : Status::OK;
  });
  ctx::context ctx = ctx::with_string(ctx::background(), "traceparent", kTrace);
  ctx = ctx::with_string(ctx::with_string(ctx, "trace-id", "8f2c"), "secret", "x");
  ctx = ctx::with_string(ctx, "lines", "one\ntwo");
  ctx = ctx::with_timeout(ctx::with_baggage(ctx, "user", "red"), 1h).first;
  grpc::ClientContext client;
  const auto tied = ctx::grpc::tie(ctx, client, {"trace-id", "absent", "lines"});
  EXPECT_TRUE(server.Call(client).ok());
}

TEST(Grpc, WithoutADeadlineThereIsNone) {
  Server server([](grpc::ServerContext& context) {
    const auto call = ctx::grpc::of(context);
    EXPECT_FALSE(call.get_context().deadline());
    EXPECT_FALSE(call.get_context().is_done());
    return Status::OK;
  });
  grpc::ClientContext client;
  const auto tied = ctx::grpc::tie(ctx::background(), client);
  EXPECT_TRUE(server.Call(client).ok());
}

// The end of a context on the client ends that of the handler.
TEST(Grpc, ACancelEndsTheCallOnBothSides) {
  std::promise<std::error_code> ended;
  std::promise<ctx::origin> why;
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  Server server([&, right = cancel](grpc::ServerContext& context) {
    const auto call = ctx::grpc::of(context);
    right.cancel();
    EXPECT_TRUE(call.get_context().wait_for(kWatchdog));
    ended.set_value(call.get_context().err());
    why.set_value(call.get_context().cause().origin());
    return Status::OK;
  });
  grpc::ClientContext client;
  const auto tied = ctx::grpc::tie(ctx, client);
  EXPECT_EQ(server.Call(client).error_code(), StatusCode::CANCELLED);
  EXPECT_EQ(ended.get_future().get(), std::errc::operation_canceled);
  EXPECT_EQ(why.get_future().get(), ctx::origin::peer);
}

// By tie(), and by a client that tells reasons.
TEST(Grpc, ADeadlineIsLeftToGrpc) {
  for (const bool tells : {false, true}) {
    std::promise<void> given_up;  // by the client: an answer at the deadline could be in time
    Server server([&](grpc::ServerContext& context) {
      const auto call = ctx::grpc::of(context);
      EXPECT_TRUE(call.get_context().wait_for(kWatchdog));
      given_up.get_future().wait();
      return Status::OK;
    });
    ctx::grpc::client calls(server.GetChannel());
    const ctx::context ctx = ctx::with_timeout(ctx::background(), 50ms).first;
    grpc::ClientContext client;
    const auto tied = tells ? calls.tie(ctx, client) : ctx::grpc::tie(ctx, client);
    EXPECT_EQ(server.Call(client).error_code(), StatusCode::DEADLINE_EXCEEDED);
    given_up.set_value();
  }
}

// An end by std::errc::timed_out that is no deadline of the call's own cancels it.
TEST(Grpc, AnEarlierDeadlineFromElsewhereCancels) {
  const auto [ctx, cancel] = ctx::with_timeout(ctx::background(), 1h);
  Server server([right = cancel](grpc::ServerContext& context) {
    const auto call = ctx::grpc::of(context);
    right.cancel(std::errc::timed_out);
    EXPECT_TRUE(call.get_context().wait_for(kWatchdog));
    return Status::OK;
  });
  grpc::ClientContext client;
  const auto tied = ctx::grpc::tie(ctx, client);
  EXPECT_EQ(server.Call(client).error_code(), StatusCode::CANCELLED);
}

TEST(Grpc, TheEndOfTheHandlerEndsTheContext) {
  ctx::context kept;
  Server server([&](grpc::ServerContext& context) {
    const auto call = ctx::grpc::of(context);
    kept = call.get_context();
    EXPECT_FALSE(kept.is_done());
    return Status::OK;
  });
  grpc::ClientContext client;
  EXPECT_TRUE(server.Call(client).ok());
  EXPECT_EQ(kept.cause().message(), "the call is over");
}

TEST(Grpc, ATieThatIsGoneCancelsNothingAndADoneContextBeginsNothing) {
  Server server([](grpc::ServerContext&) { return Status::OK; });
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  grpc::ClientContext client;
  { const auto tied = ctx::grpc::tie(ctx, client); }
  cancel();
  EXPECT_TRUE(server.Call(client).ok());
  grpc::ClientContext other;
  EXPECT_THROW((void)ctx::grpc::tie(ctx, other), ctx::context_error);
}

}  // namespace
}  // namespace ctxtest
