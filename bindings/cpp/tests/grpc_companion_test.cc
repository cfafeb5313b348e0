// SPDX-License-Identifier: MIT
//
// The companion of a cancel, by which a client tells why: docs/calls.md.
#include <algorithm>
#include <cctype>
#include <ctx/grpc.hpp>
#include <future>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cases.h"
#include "grpc_service.h"
#include "support/time.h"

namespace ctxtest {
namespace {

using grpc::Status;
using grpc::StatusCode;

const std::string kNumber = "0123456789abcdeffedcba9876543210";

std::string Find(const grpc::ServerContextBase& server, const char* name) {
  const auto found = server.client_metadata().find(name);
  return found == server.client_metadata().end()
             ? ""
             : std::string(found->second.data(), found->second.size());
}

// A server of ours, whose handler waits for the end of its context.
class Waits {
 public:
  Waits()
      : serves_(Serves::Sync([this](grpc::ServerContext& server) {
          const auto call = contexts_.of(server);
          ++inside_;
          EXPECT_TRUE(call.get_context().wait_for(kWatchdog));
          const std::lock_guard<std::mutex> hold(mutex_);
          ended_.push_back(call.get_context().cause());
          return call.finish(Status::CANCELLED);
        })),
        loopback({serves_.get(), &contexts_}) {}
  void AwaitInside(int many) {
    EXPECT_TRUE(Soon([&] { return inside_ == many; }));
  }
  std::vector<ctx::cause> Ended() {
    const std::lock_guard<std::mutex> hold(mutex_);
    return ended_;
  }

 private:
  ctx::grpc::server contexts_{{"payments", ctx::background(), {}}};
  std::atomic<int> inside_{0};
  std::mutex mutex_;
  std::vector<ctx::cause> ended_;
  const std::unique_ptr<Serves> serves_;

 public:
  const Loopback loopback;
};

const std::string kClaim = ctx::encode_cause(ctx::cause(-EPIPE, "the page was left"), "shop");

TEST(GrpcCompanion, ItEndsTheCallOfItsNumberWithTheClientsClaim) {
  Waits server;
  grpc::ClientContext client;
  client.AddMetadata("ctx-call", kNumber);
  std::thread calls(
      [&] { EXPECT_EQ(server.loopback.Call(client).error_code(), StatusCode::CANCELLED); });
  server.AwaitInside(1);
  EXPECT_TRUE(server.loopback.Tell("nothing", kClaim).ok());
  EXPECT_TRUE(server.loopback.Tell(std::string(32, '0'), kClaim).ok()) << "no such call";
  EXPECT_TRUE(server.loopback.Tell(kNumber, "v=9").ok());
  EXPECT_TRUE(server.loopback.Tell(kNumber, "").ok());
  EXPECT_TRUE(server.Ended().empty());
  std::string large = kNumber;
  std::transform(large.begin(), large.end(), large.begin(), [](char c) { return std::toupper(c); });
  EXPECT_TRUE(server.loopback.Tell(large, kClaim).ok());
  calls.join();
  ASSERT_EQ(server.Ended().size(), 1u);
  const ctx::cause why = server.Ended()[0];
  EXPECT_EQ(why.message(), "the page was left");
  EXPECT_EQ(why.code(), -EPIPE);
  EXPECT_EQ(why.peer(), "shop");
  EXPECT_EQ(ctx::grpc::claim(client).peer(), "shop") << "a claim stays who made it";
  EXPECT_TRUE(server.loopback.Tell(kNumber, kClaim).ok()) << "it is over";
}

TEST(GrpcCompanion, ItEndsAllCallsOfItsNumber) {
  Waits server;
  std::list<grpc::ClientContext> clients(3);
  std::list<std::thread> calls;
  for (grpc::ClientContext& client : clients) {
    client.AddMetadata("ctx-call", kNumber);
    calls.emplace_back([&] { EXPECT_FALSE(server.loopback.Call(client).ok()); });
  }
  server.AwaitInside(3);
  EXPECT_TRUE(server.loopback.Tell(kNumber, kClaim).ok());
  for (std::thread& each : calls) each.join();
  for (const ctx::cause& why : server.Ended()) EXPECT_EQ(why.peer(), "shop");
}

// Which of the two comes first is not for us to say: but it cannot always be the cancel.
TEST(GrpcCompanion, AReasonArrives) {
  Waits server;
  ctx::grpc::client shop(server.loopback.GetChannel(), {"shop", true, {}});
  bool arrived = false;
  for (int i = 1; i < 1000 && !arrived; ++i) {
    const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
    grpc::ClientContext client;
    const auto tied = shop.tie(ctx, client);
    std::thread calls([&] { EXPECT_FALSE(server.loopback.Call(client).ok()); });
    server.AwaitInside(i);
    cancel(ctx::cause("the page was left"));
    calls.join();
    ASSERT_TRUE(Soon([&] { return server.Ended().size() == static_cast<std::size_t>(i); }));
    const ctx::cause why = server.Ended().back();
    EXPECT_EQ(why.origin(), why.peer() ? ctx::origin::canceled : ctx::origin::peer);
    arrived = why.message() == "the page was left" && why.peer() == "shop";
  }
  EXPECT_TRUE(arrived);
}

// A server of another kind, which notes what it is told. Its calls end by a cancel alone.
class Notes {
 public:
  explicit Notes(Status answer = Status::OK)
      : calls_(Serves::Sync([this](grpc::ServerContext& server) {
          const std::lock_guard<std::mutex> hold(mutex_);
          called_.push_back(Find(server, "ctx-call"));
          return Status::OK;
        })),
        tells_(Serves::Unary(
            [this, answer](grpc::CallbackServerContext* server) {
              UnaryReactor* const reactor = server->DefaultReactor();
              const std::lock_guard<std::mutex> hold(mutex_);
              told_.push_back(Find(*server, "ctx-call") + " " + Find(*server, "ctx-cause"));
              if (answers_) {
                reactor->Finish(answer);
              } else {
                unanswered_.push_back(reactor);
              }
              return reactor;
            },
            kTell)),
        loopback({calls_.get(), tells_.get()}) {
    grpc::ClientContext client;  // so that the channel is ready
    EXPECT_TRUE(loopback.Call(client).ok());
    called_.clear();
  }
  ~Notes() { Answer(); }

  // Ties a call, makes it, and cancels; the tie lasts until then.
  Status CallAndCancel(ctx::grpc::client& client, const ctx::cause& why) {
    const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
    grpc::ClientContext context;
    const auto tied = client.tie(ctx, context);
    const Status status = loopback.Call(context);
    cancel(std::errc::operation_canceled, why);
    return status;
  }
  std::vector<std::string> Called() {
    const std::lock_guard<std::mutex> hold(mutex_);
    return called_;
  }
  std::vector<std::string> Told() {
    const std::lock_guard<std::mutex> hold(mutex_);
    return told_;
  }
  void AwaitTold(std::size_t many) {
    EXPECT_TRUE(Soon([&] { return Told().size() >= many; }));
  }
  void DoNotAnswer() { answers_ = false; }
  void Answer() {
    const std::lock_guard<std::mutex> hold(mutex_);
    answers_ = true;
    for (UnaryReactor* const each : unanswered_) each->Finish(Status::OK);
    unanswered_.clear();
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> called_;
  std::vector<std::string> told_;
  std::vector<UnaryReactor*> unanswered_;
  std::atomic<bool> answers_{true};
  const std::unique_ptr<Serves> calls_;
  const std::unique_ptr<Serves> tells_;

 public:
  const Loopback loopback;
};

// The callback of the cancel waits for the end of the one that runs.
TEST(GrpcCompanion, ACancelThatIsHeldInACallbackHappensAllTheSame) {
  const auto answers = Serves::Sync([](grpc::ServerContext&) { return Status::OK; });
  Loopback loopback(*answers);
  const ctx::derived made = ctx::with_cancel(ctx::background());
  StatusCode code = StatusCode::UNKNOWN;
  ctx::after_func(made.first, [&] {
    grpc::ClientContext client;
    {
      ctx::detail::held_cancel held(client);
      held.begin();
    }
    code = loopback.Call(client).error_code();
  });
  made.second.cancel();
  EXPECT_EQ(code, StatusCode::CANCELLED);
}

TEST(GrpcCompanion, ItHasTheNumberOfTheCallAndTheReason) {
  Notes server;
  ctx::grpc::client shop(server.loopback.GetChannel(), {"shop", true, {}});
  const ctx::cause why("the page was left");
  EXPECT_TRUE(server.CallAndCancel(shop, why).ok());
  EXPECT_TRUE(server.CallAndCancel(shop, why).ok());
  server.AwaitTold(2);
  const auto called = server.Called();
  auto told = server.Told();
  if (told[0].substr(0, 32) != called[0]) std::swap(told[0], told[1]);
  for (int i : {0, 1}) EXPECT_EQ(told[i], called[i] + " " + ctx::encode_cause(why, "shop"));
  EXPECT_EQ(called[0].size(), 32u);
  EXPECT_EQ(called[0].find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(called[0], called[1]);
}

// A last one that is told comes after all that were not.
TEST(GrpcCompanion, ItIsSentOnlyForAReasonThatSomebodyGave) {
  Notes server;
  ctx::grpc::client shop(server.loopback.GetChannel());
  EXPECT_TRUE(server.CallAndCancel(shop, {}).ok());
  EXPECT_TRUE(server.CallAndCancel(shop, ctx::cause(CTX_CANCELED)).ok());
  EXPECT_TRUE(server.CallAndCancel(shop, ctx::cause("given")).ok());
  server.AwaitTold(1);
  EXPECT_EQ(server.Told().size(), 1u);
  EXPECT_EQ(server.Called()[2], server.Told()[0].substr(0, 32));
}

TEST(GrpcCompanion, AnOptionTurnsItOff) {
  Notes server;
  {
    ctx::grpc::client silent(server.loopback.GetChannel(), {"shop", false, {}});
    EXPECT_TRUE(server.CallAndCancel(silent, ctx::cause("given")).ok());
  }
  EXPECT_EQ(server.Called(), std::vector<std::string>{""}) << "no number";
  EXPECT_TRUE(server.Told().empty());
}

// Not from the moment at which its first answer comes, which is long before the last of so many calls.
TEST(GrpcCompanion, AServerThatDoesNotKnowItIsToldNoMore) {
  constexpr std::size_t kCalls = 1'000;
  Notes server(Status(StatusCode::UNIMPLEMENTED, ""));
  {
    ctx::grpc::client shop(server.loopback.GetChannel());
    for (std::size_t i = 0; i < kCalls; ++i) {
      EXPECT_TRUE(server.CallAndCancel(shop, ctx::cause("given")).ok());
    }
  }  // waits for those under way
  EXPECT_GE(server.Told().size(), 1u);
  EXPECT_LT(server.Told().size(), kCalls / 2);
}

// Answers do not come; the cancels do, and return.
TEST(GrpcCompanion, AtMost64AreUnderWay) {
  Notes server;
  server.DoNotAnswer();
  {
    ctx::grpc::client shop(server.loopback.GetChannel());
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(server.CallAndCancel(shop, ctx::cause("given")).ok());
    }
    server.AwaitTold(64);
  }  // takes back those under way, and waits for them
  EXPECT_EQ(server.Told().size(), 64u);
}

TEST(GrpcCompanion, WithoutAConnectionNothingWaits) {
  const auto nobody =
      grpc::CreateChannel("unix:/dev/null/nobody", grpc::InsecureChannelCredentials());
  ctx::grpc::client shop(nobody);
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  grpc::ClientContext client;
  const auto tied = shop.tie(ctx, client);
  cancel(ctx::cause("given"));
  EXPECT_EQ(nobody->GetState(false), GRPC_CHANNEL_IDLE) << "it has not even tried";
}

// The client may be the last to have the channel, while its companions are under way.
TEST(GrpcCompanion, TheChannelGoesWithTheClient) {
  const auto server = std::make_unique<Notes>();
  for (int i = 0; i < 50; ++i) {
    ctx::grpc::client shop(server->loopback.GetChannel());
    EXPECT_TRUE(server->CallAndCancel(shop, ctx::cause("given")).ok());
  }
}

}  // namespace
}  // namespace ctxtest
