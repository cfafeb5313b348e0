// SPDX-License-Identifier: MIT
//
// What a client's call gives and how it fails: docs/calls.md.
#include <ctx/grpc.hpp>
#include <future>
#include <memory>
#include <string>

#include "cases.h"
#include "grpc_service.h"

namespace ctxtest {
namespace {

using grpc::Status;
using grpc::StatusCode;

// Calls a server that answers so, from below a context, and tells how the call ended.
class Answers {
 public:
  explicit Answers(const Status& status, const std::string& trailer = "")
      : serves_(Serves::Sync([=](grpc::ServerContext& server) {
          if (!trailer.empty()) server.AddTrailingMetadata("ctx-cause", trailer);
          return status;
        })),
        loopback_(*serves_) {}
  std::optional<ctx::context_error> To(const ctx::context& ctx) {
    grpc::ClientContext client;
    const auto tied = ctx::grpc::tie(ctx, client);
    return tied.ended(loopback_.Call(client));
  }

 private:
  const std::unique_ptr<Serves> serves_;
  const Loopback loopback_;
};

TEST(GrpcClient, NoErrorAndOnesOfTheirOwnAreNoEnd) {
  EXPECT_FALSE(Answers(Status::OK).To(ctx::background()));
  EXPECT_FALSE(Answers(Status(StatusCode::NOT_FOUND, "")).To(ctx::background()));
  EXPECT_FALSE(Answers(Status(StatusCode::NOT_FOUND, ""), ctx::encode_cause(ctx::cause("gone")))
                   .To(ctx::background()));
  EXPECT_FALSE(Answers(Status(StatusCode::UNAVAILABLE, "")).To(ctx::background()));
}

TEST(GrpcClient, TheServersClaimSaysWhy) {
  const std::string text = ctx::encode_cause(ctx::cause(-EIO, "the disk"), "payments");
  const auto end = Answers(Status(StatusCode::UNAVAILABLE, ""), text).To(ctx::background());
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code(), std::errc::operation_canceled);
  EXPECT_EQ(end->cause().message(), "the disk");
  EXPECT_EQ(end->cause().peer(), "payments");
  const auto late = Answers(Status(StatusCode::DEADLINE_EXCEEDED, ""), text).To(ctx::background());
  ASSERT_TRUE(late);
  EXPECT_EQ(late->code(), std::errc::timed_out);
}

TEST(GrpcClient, AServerThatSaysNothingHasEndedTheCallAllTheSame) {
  for (const char* const trailer : {"", "v=9", "no text of a cause"}) {
    const auto end =
        Answers(Status(StatusCode::CANCELLED, "no more"), trailer).To(ctx::background());
    ASSERT_TRUE(end);
    EXPECT_EQ(end->code(), std::errc::operation_canceled);
    EXPECT_EQ(end->cause().origin(), ctx::origin::peer);
    EXPECT_EQ(end->cause().message(), "no more");
    EXPECT_FALSE(end->cause().peer());
  }
}

// Whatever the server says.
TEST(GrpcClient, TheOwnContextComesFirst) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const auto serves = Serves::Sync([cancel = cancel](grpc::ServerContext& server) {
    cancel(ctx::cause("ours"));
    server.AddTrailingMetadata("ctx-cause", ctx::encode_cause(ctx::cause("theirs")));
    return Status(StatusCode::INTERNAL, "");
  });
  const Loopback loopback(*serves);
  grpc::ClientContext client;
  const auto tied = ctx::grpc::tie(ctx, client);
  const auto end = tied.ended(loopback.Call(client));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->cause().message(), "ours");
}

// The context's own clock stands still, so that it is not done.
TEST(GrpcClient, ABreakNearTheDeadlineIsTheDeadline) {
  const ctx::virtual_loop still;
  const ctx::context ctx = ctx::with_timeout(still.background(), 4ms).first;
  for (const StatusCode code : {StatusCode::CANCELLED, StatusCode::UNAVAILABLE}) {
    const auto end = Answers(Status(code, ""), ctx::encode_cause(ctx::cause("x"))).To(ctx);
    ASSERT_TRUE(end);
    EXPECT_EQ(end->code(), std::errc::timed_out);
    EXPECT_FALSE(end->cause().given());
  }
  const auto own = Answers(Status(StatusCode::NOT_FOUND, "")).To(ctx);
  // Unless gRPC's deadline has passed before the answer came.
  EXPECT_TRUE(!own || own->code() == std::errc::timed_out);
}

TEST(GrpcClient, AnEndBeforeTheCallBeginsCancelsItThen) {
  bool served = false;
  const auto serves = Serves::Sync([&](grpc::ServerContext&) {
    served = true;
    return Status::OK;
  });
  const Loopback loopback(*serves);
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  ctx::grpc::client calls(loopback.GetChannel());
  grpc::ClientContext client;
  const auto tied = calls.tie(ctx, client);
  cancel(ctx::cause("too early"));
  const Status status = loopback.Call(client);
  EXPECT_EQ(status.error_code(), StatusCode::CANCELLED);
  EXPECT_EQ(tied.ended(status)->cause().message(), "too early");
  EXPECT_FALSE(served);
}

// The system's clock could not count it.
TEST(GrpcClient, ADeadlineInCenturiesIsOneInACentury) {
  constexpr std::chrono::hours kYear{24 * 365};
  const auto now = std::chrono::system_clock::now();
  grpc::ClientContext client;
  const auto tied = ctx::grpc::tie(ctx::with_timeout(ctx::background(), 270 * kYear).first, client);
  EXPECT_GT(client.deadline(), now + 99 * kYear);
  EXPECT_LT(client.deadline(), now + 101 * kYear);
}

TEST(GrpcClient, TheOwnDeadlineOfACallStaysIfItIsSooner) {
  const ctx::context later = ctx::with_timeout(ctx::background(), std::chrono::hours(1)).first;
  const auto own = std::chrono::system_clock::now() + std::chrono::minutes(1);
  grpc::ClientContext client;
  client.set_deadline(own);
  const auto tied = ctx::grpc::tie(later, client);
  EXPECT_LT(client.deadline() - own, std::chrono::seconds(1));
}

TEST(GrpcClient, NamesThatGrpcRefusesThrowBeforeIt) {
  grpc::ClientContext client;
  for (const char* const name : {"", "Trace", "a b", "a\n", "\xc3\xa4"}) {
    ExpectThrows(std::errc::invalid_argument,
                 [&] { (void)ctx::grpc::tie(ctx::background(), client, {name}); });
  }
}

TEST(GrpcClient, ATieMoves) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  const auto serves = Serves::Sync([](grpc::ServerContext&) { return Status::OK; });
  const Loopback loopback(*serves);
  grpc::ClientContext client;
  auto first = std::make_optional(ctx::grpc::tie(ctx, client));
  const ctx::grpc::tied second(std::move(*first));
  first.reset();
  cancel(ctx::cause("late"));
  const Status status = loopback.Call(client);
  EXPECT_EQ(status.error_code(), StatusCode::CANCELLED);
  EXPECT_EQ(second.ended(status)->cause().message(), "late");
}

// A client context that is gone after its tie is touched no more, whatever thread cancels.
TEST(GrpcClient, TheEndOfTheTieRacesWithTheCancel) {
  const auto serves = Serves::Sync([](grpc::ServerContext&) { return Status::OK; });
  const Loopback loopback(*serves);
  ctx::grpc::client calls(loopback.GetChannel());
  for (int i = 0; i < 300; ++i) {
    const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
    std::thread cancels([cancel = cancel] { cancel(ctx::cause("any")); });
    try {
      grpc::ClientContext client;
      const auto tied = calls.tie(ctx, client);
      static_cast<void>(loopback.Call(client));
    } catch (const ctx::context_error&) {
    }
    cancels.join();
  }
}

}  // namespace
}  // namespace ctxtest
