// SPDX-License-Identifier: MIT
//
// gRPC: a server and a client on loopback; the service takes bytes, so it needs no generated code.
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/support/method_handler.h>

#include <ctx/grpc.hpp>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "calls.h"
#include "cases.h"

namespace ctxtest {
namespace {

using grpc::ByteBuffer;
using grpc::Status;
using grpc::StatusCode;

constexpr char kMethod[] = "/ctx.Test/Call";

class Server : public grpc::Service {
 public:
  using Handler = std::function<Status(grpc::ServerContext&)>;
  explicit Server(Handler handler) : handler_(std::move(handler)) {
    AddMethod(new grpc::internal::RpcServiceMethod(
        kMethod, grpc::internal::RpcMethod::NORMAL_RPC,
        new grpc::internal::RpcMethodHandler<Server, ByteBuffer, ByteBuffer>(
            [](Server* self, grpc::ServerContext* server, const ByteBuffer* request,
               ByteBuffer* response) {
              *response = *request;
              return self->handler_(*server);
            },
            this)));
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                   grpc::InsecureChannelCredentials());
  }
  ~Server() override { server_->Shutdown(); }

  Status Call(grpc::ClientContext& client) {
    const grpc::Slice nothing;
    const ByteBuffer request(&nothing, 1);
    ByteBuffer response;
    const grpc::internal::RpcMethod method(kMethod, grpc::internal::RpcMethod::NORMAL_RPC);
    return grpc::internal::BlockingUnaryCall(channel_.get(), method, &client, request, &response);
  }

 private:
  Handler handler_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::Server> server_;
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
    EXPECT_LE(ctx.remaining(), 1h);
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

TEST(Grpc, ADeadlineIsLeftToGrpc) {
  std::promise<void> given_up;  // by the client: an answer at the deadline could still come in time
  Server server([&](grpc::ServerContext& context) {
    const auto call = ctx::grpc::of(context);
    EXPECT_TRUE(call.get_context().wait_for(kWatchdog));
    given_up.get_future().wait();
    return Status::OK;
  });
  const ctx::context ctx = ctx::with_timeout(ctx::background(), 50ms).first;
  grpc::ClientContext client;
  const auto tied = ctx::grpc::tie(ctx, client);
  EXPECT_EQ(server.Call(client).error_code(), StatusCode::DEADLINE_EXCEEDED);
  given_up.set_value();
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
