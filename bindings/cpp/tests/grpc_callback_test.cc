// SPDX-License-Identifier: MIT
//
// Contexts of calls that reactors of the callback API serve. No reactor here does anything in OnCancel().
#include <ctx/grpc.hpp>
#include <future>
#include <memory>
#include <thread>

#include "cases.h"
#include "grpc_service.h"

namespace ctxtest {
namespace {

using grpc::Status;
using grpc::StatusCode;

struct Seen {
  std::promise<void> inside;
  std::promise<ctx::cause> ended;
  std::promise<Status> answered;
  std::promise<void> deleted;
};

// Answers when its context has ended.
template <class Base>
class UntilTheEnd : public Base {
 public:
  UntilTheEnd(grpc::CallbackServerContext* server, ctx::grpc::server& contexts, Seen& seen)
      : seen_(seen), call_(contexts.of(*server)) {
    seen_.inside.set_value();
    watch_ = ctx::after_func(call_.get_context(), ctx::deferred, [this](const ctx::context& ctx) {
      seen_.ended.set_value(ctx.cause());
      const Status answer = call_.finish(Status(StatusCode::ABORTED, "given up"));
      seen_.answered.set_value(answer);
      this->Finish(answer);  // the last: OnDone() may delete this
    });
  }
  void OnDone() override {
    Seen& seen = seen_;
    delete this;
    seen.deleted.set_value();
  }

 private:
  Seen& seen_;
  const ctx::grpc::call call_;
  ctx::watch watch_;
};

// Serves by such a reactor, and cancels at the client.
template <class Base, class Serve, class Call>
void ExpectCanceled(Serve serve, Call call) {
  ctx::virtual_loop still;
  ctx::grpc::server contexts;
  Seen seen;
  const auto serves = serve([&](grpc::CallbackServerContext* server) -> Base* {
    return new UntilTheEnd<Base>(server, contexts, seen);
  });
  const Loopback loopback({serves.get(), &contexts});
  grpc::ClientContext client;
  std::thread calls([&] { EXPECT_EQ(call(loopback, client).error_code(), StatusCode::CANCELLED); });
  seen.inside.get_future().wait();
  client.TryCancel();
  EXPECT_EQ(seen.ended.get_future().get().origin(), ctx::origin::peer);
  EXPECT_EQ(seen.answered.get_future().get().error_code(), StatusCode::CANCELLED);
  seen.deleted.get_future().wait();
  calls.join();
}

Status CallOnce(const Loopback& loopback, grpc::ClientContext& client) {
  return loopback.Call(client);
}
Status CallStream(const Loopback& loopback, grpc::ClientContext& client) {
  return loopback.Stream(client);
}

TEST(GrpcCallback, ACancelEndsTheContextOfAUnaryCall) {
  ExpectCanceled<UnaryReactor>([](auto reacts) { return Serves::Unary(reacts); }, CallOnce);
}
TEST(GrpcCallback, ACancelEndsTheContextOfAStreamThatReads) {
  ExpectCanceled<ReadReactor>([](auto reacts) { return Serves::Reads(reacts); }, CallOnce);
}
TEST(GrpcCallback, ACancelEndsTheContextOfAStreamThatWrites) {
  ExpectCanceled<WriteReactor>([](auto reacts) { return Serves::Writes(reacts); }, CallOnce);
}
TEST(GrpcCallback, ACancelEndsTheContextOfAStreamThatDoesBoth) {
  ExpectCanceled<BidiReactor>([](auto reacts) { return Serves::Both(reacts); }, CallStream);
}

TEST(GrpcCallback, TheEndOfTheServersContextIsUnavailable) {
  const auto [above, cancel] = ctx::with_cancel(ctx::background());
  ctx::grpc::server contexts({"payments", above, {}});
  Seen seen;
  const auto serves = Serves::Unary([&](grpc::CallbackServerContext* server) {
    return new UntilTheEnd<UnaryReactor>(server, contexts, seen);
  });
  const Loopback loopback(*serves);
  grpc::ClientContext client;
  std::thread calls(
      [&] { EXPECT_EQ(loopback.Call(client).error_code(), StatusCode::UNAVAILABLE); });
  seen.inside.get_future().wait();
  cancel(ctx::cause("closing"));
  calls.join();
  seen.deleted.get_future().wait();
  EXPECT_EQ(ctx::grpc::claim(client).message(), "closing");
  EXPECT_EQ(ctx::grpc::claim(client).peer(), "payments");
}

TEST(GrpcCallback, ShutdownEndsTheContextsOfLiveCalls) {
  ctx::grpc::server contexts;
  Seen seen;
  const auto serves = Serves::Unary([&](grpc::CallbackServerContext* server) {
    return new UntilTheEnd<UnaryReactor>(server, contexts, seen);
  });
  Loopback loopback({serves.get(), &contexts});
  grpc::ClientContext client;
  std::thread calls([&] { EXPECT_FALSE(loopback.Call(client).ok()); });
  seen.inside.get_future().wait();
  loopback.Stop();
  seen.deleted.get_future().wait();
  calls.join();
}

// gRPC's own reactor tells nobody of a cancel. What goes on after the handler keeps the context itself.
TEST(GrpcCallback, TheDefaultReactorHasAContextToo) {
  std::unique_ptr<ctx::grpc::call> call;
  std::promise<void> inside;
  std::promise<void> answered;
  std::thread works;
  const auto serves = Serves::Unary([&](grpc::CallbackServerContext* server) {
    UnaryReactor* const reactor = server->DefaultReactor();
    call.reset(new ctx::grpc::call(ctx::grpc::of(*server)));
    works = std::thread([&, reactor] {
      EXPECT_TRUE(call->get_context().wait_for(kWatchdog));
      const Status answer = call->finish(Status::CANCELLED);
      reactor->Finish(answer);
      call.reset();  // the server context may be gone by now
      answered.set_value();
    });
    inside.set_value();
    return reactor;
  });
  const Loopback loopback(*serves);
  grpc::ClientContext client;
  std::thread calls([&] { EXPECT_FALSE(loopback.Call(client).ok()); });
  inside.get_future().wait();
  client.TryCancel();
  answered.get_future().wait();
  works.join();
  calls.join();
}

}  // namespace
}  // namespace ctxtest
