// SPDX-License-Identifier: MIT
//
// ctx/grpc/told.hpp - the companions of cancels, as a server hears them: see docs/calls.md.
#ifndef CTX_GRPC_TOLD_HPP
#define CTX_GRPC_TOLD_HPP

#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/rpc_service_method.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <ctx/cause.hpp>
#include <ctx/derive.hpp>
#include <ctx/grpc/metadata.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ctx {
namespace detail {

// Which calls are live, by their numbers. Nothing is canceled or given back under its lock.
class live_calls {
  using calls = std::multimap<call_number, canceler>;

 public:
  // One of them, until it goes.
  class one {
   public:
    one(live_calls& of, const call_number& number, const canceler& right) : of_(of) {
      const std::lock_guard<std::mutex> hold(of.mutex_);
      at_ = of.calls_.emplace(number, right);
    }
    one(const one&) = delete;
    ~one() {
      canceler last;
      const std::lock_guard<std::mutex> hold(of_.mutex_);
      last = at_->second;
      of_.calls_.erase(at_);
    }

   private:
    live_calls& of_;
    calls::iterator at_;
  };

  // Several only if gRPC has tried a call again.
  std::vector<canceler> find(const call_number& number) {
    std::vector<canceler> found;
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto [first, last] = calls_.equal_range(number);
    for (auto each = first; each != last; ++each) found.push_back(each->second);
    return found;
  }

 private:
  std::mutex mutex_;
  calls calls_;
};

// The service that companions call. It knows their metadata alone.
class told : public ::grpc::Service {
 public:
  told() {
    using bytes = ::grpc::ByteBuffer;
    using method = ::grpc::internal::RpcServiceMethod;
    auto made =
        std::make_unique<method>(companion, ::grpc::internal::RpcMethod::NORMAL_RPC, nullptr);
    made->SetServerApiType(method::ApiType::RAW_CALL_BACK);
    made->SetHandler(new ::grpc::internal::CallbackUnaryHandler<bytes, bytes>(
        [this](::grpc::CallbackServerContext* context, const bytes*, bytes* answer) {
          hear(context->client_metadata());
          const ::grpc::Slice nothing;
          *answer = bytes(&nothing, 1);
          auto* const reactor = context->DefaultReactor();
          reactor->Finish(::grpc::Status::OK);
          return reactor;
        }));
    AddMethod(made.release());
  }

 protected:
  live_calls& live() noexcept { return live_; }

 private:
  void hear(const received& metadata) {
    const auto number = call_number::find(metadata);
    const cause why = find_cause(metadata);
    if (!number || !why) return;
    // Users' code must not keep the thread that hears the next one.
    for (const canceler& each : live_.find(*number)) {
      ctx_cancel_deferred(each.get(), CTX_CANCELED, why.get());
    }
  }

  live_calls live_;
};

}  // namespace detail
}  // namespace ctx

#endif  // CTX_GRPC_TOLD_HPP
