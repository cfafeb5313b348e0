// SPDX-License-Identifier: MIT
//
// ctx/grpc/tell.hpp - the companions of cancels, as a client sends them: see docs/calls.md.
#ifndef CTX_GRPC_TELL_HPP
#define CTX_GRPC_TELL_HPP

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <ctx/callback.hpp>
#include <ctx/cause.hpp>
#include <ctx/context.hpp>
#include <ctx/derive.hpp>
#include <ctx/grpc/metadata.hpp>
#include <ctx/propagate.hpp>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace ctx {
namespace detail {

// Cancels a call once its server has been told why. A cancel that has begun happens before this object ends, and by then
// all that it runs has returned.
class held_cancel {
 public:
  explicit held_cancel(::grpc::ClientContext& client)
      : client_(client),
        made_(with_cancel(background())),
        cancels_(after_func(made_.first, [&client] { client.TryCancel(); })) {}
  held_cancel(const held_cancel&) = delete;
  ~held_cancel() {
    if (begun_) made_.second.cancel();
    // In a callback of the library the one above waits for its end: then it is done here.
    const bool stopped = ctx_watch_stop_wait(cancels_.get()) == 1;
    if (stopped && begun_) client_.TryCancel();
  }

  // Whoever has this cancels.
  const canceler& begin() {
    begun_ = true;
    return made_.second;
  }

 private:
  ::grpc::ClientContext& client_;
  const derived made_;
  const watch cancels_;
  std::atomic<bool> begun_{false};
};

// Tells the server of a channel why calls are canceled. Nothing here waits for an answer, but for the end: so the last
// thread to let go of the channel is never one of gRPC's own, which would wait for itself.
class teller {
 public:
  teller(std::shared_ptr<::grpc::Channel> channel, std::string who)
      : channel_(std::move(channel)), stub_(channel_), who_(std::move(who)) {}
  teller(const teller&) = delete;
  ~teller() {
    std::unique_lock<std::mutex> hold(mutex_);
    for (companion_call& each : under_way_) each.context.TryCancel();
    all_over_.wait(hold, [this] { return under_way_.empty(); });
  }

  // Cancels by `held` when the server has been told, or cannot be, and after 100 ms at the latest.
  void tell(const call_number& number, const cause& why, const canceler& held) {
    const bool tells = why.given() && channel_->GetState(false) == GRPC_CHANNEL_READY;
    const auto call = tells ? begin(held) : under_way_.end();
    if (call == under_way_.end()) {
      held.cancel();
      return;
    }
    call->context.AddMetadata(call_number::key, number.text());
    call->context.AddMetadata(cause_key, encode_cause(why, who_));
    call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
    stub_.UnaryCall(&call->context, companion, {}, &call->request, &call->answer,
                    [this, call](const ::grpc::Status& status) { end(call, status); });
  }

 private:
  struct companion_call {
    explicit companion_call(const canceler& of) : held(of) {}
    const canceler held;
    ::grpc::ClientContext context;
    ::grpc::Slice nothing;
    ::grpc::ByteBuffer request{&nothing, 1};
    ::grpc::ByteBuffer answer;
  };
  using calls = std::list<companion_call>;
  static constexpr std::size_t most = 64;

  calls::iterator begin(const canceler& held) {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (off_ || under_way_.size() == most) return under_way_.end();
    return under_way_.emplace(under_way_.end(), held);
  }
  void end(calls::iterator call, const ::grpc::Status& status) {
    call->held.cancel();
    const std::lock_guard<std::mutex> hold(mutex_);
    if (status.error_code() == ::grpc::StatusCode::UNIMPLEMENTED) off_ = true;
    under_way_.erase(call);
    if (under_way_.empty()) all_over_.notify_all();
  }

  const std::shared_ptr<::grpc::Channel> channel_;
  ::grpc::GenericStub stub_;
  const std::string who_;
  std::mutex mutex_;
  std::condition_variable all_over_;
  calls under_way_;
  bool off_ = false;
};

}  // namespace detail
}  // namespace ctx

#endif  // CTX_GRPC_TELL_HPP
