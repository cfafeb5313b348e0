// SPDX-License-Identifier: MIT
//
// P21: calls of gRPC on loopback, with contexts on both sides and bare. What a unary call takes more; how long it takes
// from a cancel at the client until the handler of the callback API hears of it, in OnCancel() if it is bare; and how
// many reasons of 10,000 cancels arrive, in percent. Ours and bare take turns. Prints `name value` lines, in
// microseconds of real time.
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/support/method_handler.h>

#include <algorithm>
#include <chrono>
#include <ctx/ctx.hpp>
#include <ctx/grpc.hpp>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "plain.h"

namespace ctxbench {
namespace {

using grpc::internal::RpcMethod;
using grpc::internal::RpcServiceMethod;
using Bytes = grpc::ByteBuffer;
using Clock = std::chrono::steady_clock;

Bytes Nothing() {
  const grpc::Slice nothing;
  return {&nothing, 1};
}

double Median(std::vector<double> of) {
  std::nth_element(of.begin(), of.begin() + static_cast<std::ptrdiff_t>(of.size() / 2), of.end());
  return of[of.size() / 2];
}

double Since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

// A handler of the synchronous API, or one that makes a reactor.
using Handles = std::function<grpc::Status(grpc::ServerContext&)>;
using Reacts = std::function<grpc::ServerUnaryReactor*(grpc::CallbackServerContext*)>;

class Server : public grpc::Service {
 public:
  void Add(const char* name, RpcServiceMethod::ApiType api,
           grpc::internal::MethodHandler* handler) {
    auto method = std::make_unique<RpcServiceMethod>(name, RpcMethod::NORMAL_RPC, nullptr);
    method->SetServerApiType(api);
    method->SetHandler(handler);
    AddMethod(method.release());
  }
  void Add(const char* name, Handles handles) {
    auto serve = [handles](Server*, grpc::ServerContext* server, const Bytes*, Bytes* answer) {
      *answer = Nothing();
      return handles(*server);
    };
    Add(name, RpcServiceMethod::ApiType::SYNC,
        new grpc::internal::RpcMethodHandler<Server, Bytes, Bytes>(serve, this));
  }
  void Add(const char* name, Reacts reacts) {
    auto serve = [reacts](grpc::CallbackServerContext* server, const Bytes*, Bytes* answer) {
      *answer = Nothing();
      return reacts(server);
    };
    Add(name, RpcServiceMethod::ApiType::RAW_CALL_BACK,
        new grpc::internal::CallbackUnaryHandler<Bytes, Bytes>(serve));
  }
  void Start(ctx::grpc::server& contexts) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    builder.RegisterService(&contexts);
    server_ = builder.BuildAndStart();
    channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                  grpc::InsecureChannelCredentials());
  }
  ~Server() override { server_->Shutdown(); }
  grpc::Status Call(const char* name, grpc::ClientContext& client) const {
    Bytes answer;
    return grpc::internal::BlockingUnaryCall(channel.get(), RpcMethod(name, RpcMethod::NORMAL_RPC),
                                             &client, Nothing(), &answer);
  }

  std::shared_ptr<grpc::Channel> channel;

 private:
  std::unique_ptr<grpc::Server> server_;
};

void Calls() {
  constexpr int kPairs = 1'000;
  constexpr int kCalls = 20;
  ctx::grpc::server contexts;
  Server server;
  server.Add("/bare", Handles([](grpc::ServerContext&) { return grpc::Status::OK; }));
  server.Add("/ours", Handles([&](grpc::ServerContext& context) {
               const auto call = contexts.of(context);
               return call.finish(grpc::Status::OK);
             }));
  server.Start(contexts);
  ctx::grpc::client client(server.channel);
  const ctx::context ctx = ctx::with_timeout(ctx::background(), std::chrono::hours(1)).first;
  std::vector<double> bare, ours, extra;
  for (int i = 0; i < kPairs; ++i) {
    for (const bool with : {i % 2 == 0, i % 2 != 0}) {
      const auto begin = Clock::now();
      for (int k = 0; k < kCalls; ++k) {
        grpc::ClientContext call;
        bool ok = false;
        if (with) {
          const auto tied = client.tie(ctx, call);
          ok = !tied.ended(server.Call("/ours", call));
        } else {
          call.set_deadline(std::chrono::system_clock::now() + std::chrono::hours(1));
          ok = server.Call("/bare", call).ok();
        }
        if (!ok) std::abort();
      }
      (with ? ours : bare).push_back(Since(begin) / kCalls);
    }
    extra.push_back(ours.back() - bare.back());
  }
  std::printf("P21/call/ours %.2f\nP21/call/bare %.2f\nP21/call/extra %.2f\n", Median(ours),
              Median(bare), Median(extra));
}

// What the two threads of a cancel tell each other.
struct Turn {
  std::promise<void> inside;
  std::promise<Clock::time_point> woken;
  std::promise<void> over;
};

class Bare : public grpc::ServerUnaryReactor {
 public:
  explicit Bare(Turn* turn) : turn_(turn) {}
  void OnCancel() override {
    turn_->woken.set_value(Clock::now());
    Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    Turn* const turn = turn_;
    delete this;
    turn->over.set_value();
  }

 private:
  Turn* const turn_;
};

class Ours : public grpc::ServerUnaryReactor {
 public:
  Ours(Turn* turn, ctx::grpc::server& contexts, grpc::CallbackServerContext* server)
      : turn_(turn), call_(contexts.of(*server)) {
    watch_ = ctx::after_func(call_.get_context(), [this] {
      turn_->woken.set_value(Clock::now());
      Finish(call_.finish(grpc::Status::CANCELLED));
    });
  }
  void OnDone() override {
    Turn* const turn = turn_;
    delete this;
    turn->over.set_value();
  }

 private:
  Turn* const turn_;
  const ctx::grpc::call call_;
  ctx::watch watch_;
};

// Ours without a reason, with one that is told, and bare.
void Wakes() {
  constexpr int kRounds = 3'000;
  ctx::grpc::server contexts;
  Turn* turn = nullptr;
  Server server;
  server.Add("/bare", Reacts([&](grpc::CallbackServerContext*) {
               auto* const made = new Bare(turn);
               turn->inside.set_value();
               return made;
             }));
  server.Add("/ours", Reacts([&](grpc::CallbackServerContext* context) {
               auto* const made = new Ours(turn, contexts, context);
               turn->inside.set_value();
               return made;
             }));
  server.Start(contexts);
  ctx::grpc::client tells(server.channel);
  ctx::grpc::client silent(server.channel, {"", false, {}});
  enum Way { kOurs, kBare, kPlain, kTold, kWays };
  std::vector<double> took[kWays];
  for (int i = 0; i < kRounds * kWays; ++i) {
    const int way = i % kWays;
    Turn now;
    turn = &now;
    const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
    grpc::ClientContext client;
    std::unique_ptr<ctx::grpc::tied> tied;
    if (way != kBare)
      tied = std::make_unique<ctx::grpc::tied>((way == kOurs ? silent : tells).tie(ctx, client));
    std::thread calls(
        [&, way] { static_cast<void>(server.Call(way == kBare ? "/bare" : "/ours", client)); });
    now.inside.get_future().wait();
    const auto begin = Clock::now();
    if (way == kBare) {
      client.TryCancel();
    } else if (way == kTold) {
      cancel(ctx::cause("the page was left"));
    } else {
      cancel();
    }
    const auto end = now.woken.get_future().get();
    took[way].push_back(std::chrono::duration<double, std::micro>(end - begin).count());
    calls.join();
    now.over.get_future().wait();
  }
  std::printf("P21/wake/ours %.1f\nP21/wake/bare %.1f\nP21/wake/plain %.1f\nP21/wake/told %.1f\n",
              Median(took[kOurs]), Median(took[kBare]), Median(took[kPlain]), Median(took[kTold]));
}

void Reasons() {
  constexpr int kCancels = 10'000;
  ctx::grpc::server contexts;
  std::promise<void> inside;
  std::promise<bool> told;
  const auto tell = [&](const ctx::context& ctx) {
    told.set_value(ctx.cause().message() == "the page was left");
  };
  Server server;
  server.Add("/sync", Handles([&](grpc::ServerContext& context) {
               const auto call = contexts.of(context);
               inside.set_value();
               call.get_context().wait();
               tell(call.get_context());
               return call.finish(grpc::Status::CANCELLED);
             }));
  class Reactor : public grpc::ServerUnaryReactor {
   public:
    Reactor(ctx::grpc::server& made, grpc::CallbackServerContext* context,
            std::function<void(const ctx::context&)> ended)
        : call_(made.of(*context)) {
      watch_ = ctx::after_func(call_.get_context(), [this, ended](const ctx::context& ctx) {
        ended(ctx);
        Finish(call_.finish(grpc::Status::CANCELLED));
      });
    }
    void OnDone() override { delete this; }

   private:
    const ctx::grpc::call call_;
    ctx::watch watch_;
  };
  server.Add("/callback", Reacts([&](grpc::CallbackServerContext* context) {
               auto* const made = new Reactor(contexts, context, tell);
               inside.set_value();
               return made;
             }));
  server.Start(contexts);
  ctx::grpc::client client(server.channel, {"shop", true, {}});
  for (const char* const method : {"/sync", "/callback"}) {
    int arrived = 0;
    for (int i = 0; i < kCancels; ++i) {
      inside = {}, told = {};
      const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
      grpc::ClientContext call;
      const auto tied = client.tie(ctx, call);
      std::thread calls([&] { static_cast<void>(server.Call(method, call)); });
      inside.get_future().wait();
      cancel(ctx::cause("the page was left"));
      arrived += told.get_future().get() ? 1 : 0;
      calls.join();
    }
    std::printf("P21/told%s %.2f\n", method, 100.0 * arrived / kCancels);
  }
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  return RunPlain(argc, argv, {{"P21/call", Calls}, {"P21/wake", Wakes}, {"P21/told", Reasons}});
}
