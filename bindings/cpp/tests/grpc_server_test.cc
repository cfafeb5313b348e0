// SPDX-License-Identifier: MIT
//
// How the context of a call that is served ends, and what the handler answers then: docs/calls.md.
#include <unistd.h>

#include <ctx/grpc.hpp>
#include <future>
#include <string>
#include <thread>

#include "cases.h"
#include "grpc_service.h"
#include "support/time.h"

namespace ctxtest {
namespace {

using grpc::Status;
using grpc::StatusCode;

// A call by a client that knows nothing of contexts, to a handler that does. The client cancels when it is told to.
class Served {
 public:
  explicit Served(Serves::Handler handler)
      : serves_(Serves::Sync(std::move(handler))), loopback_(*serves_) {}
  ~Served() {
    if (calls_.joinable()) calls_.join();
  }
  void Begin() {
    calls_ = std::thread([this] { status_.set_value(loopback_.Call(client)); });
  }
  Status Await() { return status_.get_future().get(); }

  grpc::ClientContext client;

 private:
  const std::unique_ptr<Serves> serves_;
  Loopback loopback_;
  std::promise<Status> status_;
  std::thread calls_;
};

std::string Trailer(const grpc::ClientContext& client) {
  const auto& trailers = client.GetServerTrailingMetadata();
  const auto found = trailers.find("ctx-cause");
  return found == trailers.end() ? "" : std::string(found->second.data(), found->second.size());
}

// Time stands still on a virtual loop: what ends its contexts does not ask from time to time.
TEST(GrpcServer, ACancelIsHeardAtOnceByAClientThatIsNotOurs) {
  const ctx::virtual_loop still;
  std::promise<void> inside;
  std::promise<Status> answered;
  ctx::cause why;
  Served made([&](grpc::ServerContext& server) {
    const auto call = ctx::grpc::of(server, still.background());
    inside.set_value();
    std::promise<void> ended;
    const auto watch = ctx::after_func(call.get_context(), [&] { ended.set_value(); });
    ended.get_future().wait();
    why = call.get_context().cause();
    answered.set_value(call.finish(Status(StatusCode::ABORTED, "given up")));
    return Status::OK;
  });
  made.Begin();
  inside.get_future().wait();
  made.client.TryCancel();
  const Status answer = answered.get_future().get();
  EXPECT_EQ(answer.error_code(), StatusCode::CANCELLED);
  EXPECT_EQ(answer.error_message(), "context canceled: the call was canceled");
  EXPECT_EQ(made.Await().error_code(), StatusCode::CANCELLED);
  EXPECT_EQ(why.origin(), ctx::origin::peer);
  EXPECT_EQ(why.peer(), std::nullopt) << "nobody has claimed it";
}

TEST(GrpcServer, AClientThatWasCanceledBeforeOfIsHeard) {
  std::promise<void> inside;
  std::promise<void> canceled;
  std::promise<bool> ended;
  Served made([&](grpc::ServerContext& server) {
    inside.set_value();
    canceled.get_future().wait();
    EXPECT_TRUE(Soon([&] { return server.IsCancelled(); }));
    const auto call = ctx::grpc::of(server);
    ended.set_value(call.get_context().wait_for(kWatchdog));
    return Status::OK;
  });
  made.Begin();
  inside.get_future().wait();
  made.client.TryCancel();
  canceled.set_value();
  EXPECT_TRUE(ended.get_future().get());
  static_cast<void>(made.Await());
}

TEST(GrpcServer, TheEndOfTheServersContextIsUnavailableAndSaysWhy) {
  const auto [above, cancel] = ctx::with_cancel(ctx::background());
  ctx::grpc::server contexts({"payments", above, {}});
  Served made([&, cancel = cancel](grpc::ServerContext& server) {
    const auto call = contexts.of(server);
    cancel(ctx::cause("the disk is full: \xc3\xa4\n"));
    return call.finish(Status(StatusCode::INTERNAL, "no"));
  });
  made.Begin();
  const Status status = made.Await();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "context canceled: the disk is full: \xc3\xa4\n");
  const ctx::cause why = ctx::decode_cause(Trailer(made.client));
  EXPECT_EQ(why.message(), "the disk is full: \xc3\xa4\n");
  EXPECT_EQ(why.peer(), "payments");
  EXPECT_EQ(ctx::grpc::claim(made.client).message(), why.message());
}

TEST(GrpcServer, ADeadlineAboveTheCallIsTheServersToo) {
  ctx::virtual_loop clock;
  const ctx::context above = ctx::with_timeout(clock.background(), 1s).first;
  ctx::grpc::server contexts({"", above, {}});
  Served made([&](grpc::ServerContext& server) {
    const auto call = contexts.of(server);
    clock.advance(1s);
    return call.finish(Status::CANCELLED);
  });
  made.Begin();
  EXPECT_EQ(made.Await().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ctx::decode_cause(Trailer(made.client)).origin(), ctx::origin::deadline);
}

TEST(GrpcServer, TheEndOfItsLoopIsTheServersToo) {
  ctx::virtual_loop loop;
  Served made([&](grpc::ServerContext& server) {
    const auto call = ctx::grpc::of(server, loop.background());
    loop.close();
    return call.finish(Status::CANCELLED);
  });
  made.Begin();
  EXPECT_EQ(made.Await().error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ctx::decode_cause(Trailer(made.client)).origin(), ctx::origin::shutdown);
}

// The loop's own clock stands still, and the client does nothing: it is gRPC that closes the call at the deadline.
TEST(GrpcServer, ACloseNearTheDeadlineIsTheDeadline) {
  const ctx::virtual_loop still;
  std::promise<Status> answered;
  std::promise<ctx::origin> origin;
  const auto serves = Serves::Sync([&](grpc::ServerContext& server) {
    const auto call = ctx::grpc::of(server, still.background());
    EXPECT_TRUE(call.get_context().deadline());
    std::promise<void> ended;
    const auto watch = ctx::after_func(call.get_context(), [&] { ended.set_value(); });
    ended.get_future().wait();
    origin.set_value(call.get_context().cause().origin());
    answered.set_value(call.finish(Status::CANCELLED));
    return Status::OK;
  });
  const Loopback loopback(*serves);
  const int connection = loopback.CallByHand("grpc-timeout", "50m");
  EXPECT_EQ(answered.get_future().get().error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(origin.get_future().get(), ctx::origin::deadline);
  close(connection);
}

TEST(GrpcServer, WhatHasNothingToDoWithTheContextIsAnsweredAsItIs) {
  Served made([](grpc::ServerContext& server) {
    const auto call = ctx::grpc::of(server);
    return call.finish(Status(StatusCode::NOT_FOUND, "nobody"));
  });
  made.Begin();
  EXPECT_EQ(made.Await().error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(Trailer(made.client), "");
}

TEST(GrpcServer, AnAnswerThatIsReadyStays) {
  const auto [above, cancel] = ctx::with_cancel(ctx::background());
  Served made([above = above, cancel = cancel](grpc::ServerContext& server) {
    const auto call = ctx::grpc::of(server, above);
    cancel();
    return call.finish(Status::OK);
  });
  made.Begin();
  EXPECT_TRUE(made.Await().ok());
  EXPECT_EQ(Trailer(made.client), "");
}

// A reason of any length leaves room in the trailers.
TEST(GrpcServer, ALongReasonIsCutOff) {
  const auto [above, cancel] = ctx::with_cancel(ctx::background());
  Served made([above = above, cancel = cancel](grpc::ServerContext& server) {
    const auto call = ctx::grpc::of(server, above);
    cancel(ctx::cause(std::string(1 << 20, 'x')));
    return call.finish(Status::CANCELLED);
  });
  made.Begin();
  const Status status = made.Await();
  EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_LT(status.error_message().size(), std::size_t{CTX_CAUSE_TEXT});
  EXPECT_LT(Trailer(made.client).size(), std::size_t{CTX_CAUSE_TEXT});
}

TEST(GrpcServer, AMegabyteOfBaggageIsCutToWhatMayGoOn) {
  Served made([](grpc::ServerContext& server) {
    const auto call = ctx::grpc::of(server);
    const auto baggage = call.get_context().string("baggage");
    EXPECT_TRUE(baggage);
    EXPECT_LE(baggage->size(), 8192u);
    EXPECT_EQ(call.get_context().baggage("user"), "red");
    return Status::OK;
  });
  std::string baggage = "user=red";
  while (baggage.size() < 1 << 20) baggage += ",a=0123456789";
  made.client.AddMetadata("baggage", baggage);
  made.Begin();
  EXPECT_TRUE(made.Await().ok());
}

TEST(GrpcServer, MalformedMetadataIsNone) {
  ctx::grpc::server contexts;
  Served made([&](grpc::ServerContext& server) {
    const auto call = contexts.of(server);
    EXPECT_FALSE(call.get_context().string("traceparent"));
    EXPECT_FALSE(call.get_context().is_done());
    return Status::OK;
  });
  made.client.AddMetadata("traceparent", "00-nothing-01");
  made.client.AddMetadata("ctx-call", "0x");
  made.client.AddMetadata("ctx-call", std::string(32, '-'));
  made.client.AddMetadata("ctx-cause", "v=1&code=-110");
  made.Begin();
  EXPECT_TRUE(made.Await().ok());
}

// What gRPC's own clients do not send.
TEST(GrpcServer, APeerByHandSendsWhatItLikesAndIsHeardWhenItIsGone) {
  const ctx::virtual_loop still;
  struct Seen {
    bool deadline;
    bool text;
  };
  std::promise<Seen> inside;
  std::promise<ctx::origin> ended;
  const auto serves = Serves::Sync([&](grpc::ServerContext& server) {
    const auto call = ctx::grpc::of(server, still.background(), {"text"});
    const ctx::context& ctx = call.get_context();
    inside.set_value({ctx.deadline().has_value(), ctx.string("text").has_value()});
    std::promise<void> over;
    const auto watch = ctx::after_func(ctx, [&] { over.set_value(); });
    over.get_future().wait();
    ended.set_value(ctx.cause().origin());
    return Status::OK;
  });
  const Loopback loopback(*serves);
  for (const auto& [name, text] :
       {std::pair("grpc-timeout", "99999999H"), std::pair("text", "gr\xc3\xbcn")}) {
    inside = {}, ended = {};
    const int connection = loopback.CallByHand(name, text);
    const Seen seen = inside.get_future().get();
    EXPECT_FALSE(seen.deadline) << "it is centuries away";
    EXPECT_FALSE(seen.text) << "it is no ASCII";
    close(connection);
    EXPECT_EQ(ended.get_future().get(), ctx::origin::peer);
  }
}

TEST(GrpcServer, AStreamEndsWithItsContext) {
  const ctx::virtual_loop still;
  const auto [above, cancel] = ctx::with_cancel(still.background());
  ctx::grpc::server contexts({"payments", above, {}});
  const auto serves =
      Serves::Stream([&, cancel = cancel](grpc::ServerContext& server, SyncStream& stream) {
        const auto call = contexts.of(server);
        EXPECT_TRUE(stream.Write(Nothing()));
        cancel(ctx::cause("closing"));
        return call.finish(Status::CANCELLED);
      });
  const Loopback loopback(*serves);
  grpc::ClientContext client;
  EXPECT_EQ(loopback.Stream(client).error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(ctx::grpc::claim(client).message(), "closing");
}

TEST(GrpcServer, ACancelEndsTheContextOfAStreamThatReads) {
  grpc::ClientContext client;
  std::promise<std::error_code> ended;
  const auto serves = Serves::Stream([&](grpc::ServerContext& server, SyncStream& stream) {
    const auto call = ctx::grpc::of(server);
    client.TryCancel();
    Bytes read;
    EXPECT_FALSE(stream.Read(&read));
    EXPECT_TRUE(call.get_context().wait_for(kWatchdog));
    ended.set_value(call.get_context().err());
    return Status::OK;
  });
  const Loopback loopback(*serves);
  EXPECT_EQ(loopback.Stream(client).error_code(), StatusCode::CANCELLED);
  EXPECT_EQ(ended.get_future().get(), std::errc::operation_canceled);
}

TEST(GrpcServer, ShutdownEndsTheContextsOfLiveCalls) {
  std::promise<void> inside;
  const auto serves = Serves::Sync([&](grpc::ServerContext& server) {
    const auto call = ctx::grpc::of(server);
    inside.set_value();
    EXPECT_TRUE(call.get_context().wait_for(kWatchdog));
    return Status::OK;
  });
  Loopback loopback(*serves);
  grpc::ClientContext client;
  std::thread calls([&] { EXPECT_FALSE(loopback.Call(client).ok()); });
  inside.get_future().wait();
  loopback.Stop();
  calls.join();
}

// The end of the scope and the close of the call may come together.
TEST(GrpcServer, TheEndOfTheScopeRacesWithTheCancel) {
  std::promise<void>* inside = nullptr;
  const auto serves = Serves::Sync([&](grpc::ServerContext& server) {
    const auto call = ctx::grpc::of(server);
    inside->set_value();
    return Status::OK;
  });
  const Loopback loopback(*serves);
  for (int i = 0; i < 300; ++i) {
    std::promise<void> here;
    inside = &here;
    grpc::ClientContext client;
    std::thread calls([&] { static_cast<void>(loopback.Call(client)); });
    here.get_future().wait();
    client.TryCancel();
    calls.join();
  }
}

}  // namespace
}  // namespace ctxtest
