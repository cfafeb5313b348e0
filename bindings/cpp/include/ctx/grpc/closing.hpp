// SPDX-License-Identifier: MIT
//
// ctx/grpc/closing.hpp - how a server learns at once that a call was canceled, or its connection lost.
//
// gRPC tells a handler of the synchronous API only if it asks, and its interceptors only when the handler has
// returned. But a call that a handler makes to another server is canceled with its own, at once. So this makes such a
// call below each one that is served. It sends nothing, on a channel that never connects, and its end is the news.
// Invariants:
//
//  1. The state of a call has two shares: the owner's, until end(), and gRPC's, until the call below has ended. The
//     last to go deletes it.
//  2. gRPC calls closed() on a thread of its own, as it does OnCancel(), until end() has begun. Then nothing is
//     canceled any more, and closed() may run inside end(): that spares a wake-up for each call.
#ifndef CTX_GRPC_CLOSING_HPP
#define CTX_GRPC_CLOSING_HPP

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include <atomic>
#include <ctx/cause.hpp>
#include <ctx/derive.hpp>
#include <ctx/grpc/metadata.hpp>
#include <string>

namespace ctx {
namespace detail {

// What these calls are made with. It goes with the process.
class calls_below {
 public:
  static const calls_below& get() {
    static const calls_below* const made = new calls_below;
    return *made;
  }
  grpc_call* make(grpc_call* above) const {
    return grpc_channel_create_registered_call(channel_, above, GRPC_PROPAGATE_CANCELLATION, queue_,
                                               method_, gpr_inf_future(GPR_CLOCK_REALTIME),
                                               nullptr);
  }

 private:
  calls_below() {
    grpc_init();
    never_.functor_run = [](grpc_completion_queue_functor*, int) {};
    queue_ = grpc_completion_queue_create_for_callback(&never_, nullptr);
    std::string name = GRPC_ARG_MINIMAL_STACK;  // most filters do nothing here, and take time
    grpc_arg minimal{};
    minimal.type = GRPC_ARG_INTEGER, minimal.key = name.data(), minimal.value.integer = 1;
    const grpc_channel_args options{1, &minimal};
    grpc_channel_credentials* const none = grpc_insecure_credentials_create();
    channel_ = grpc_channel_create("unix:/", none, &options);
    grpc_channel_credentials_release(none);
    method_ = grpc_channel_register_call(channel_, "/", nullptr, nullptr);
  }

  grpc_completion_queue_functor never_{};
  grpc_completion_queue* queue_;
  grpc_channel* channel_;
  void* method_;
};

// Cancels the context of a call when that is closed, unless its handler is over.
class closing : private grpc_completion_queue_functor {
 public:
  static closing* watch(grpc_call* served, const derived& made, const call_deadline& deadline) {
    auto* const watching = new closing(served, made, deadline);
    watching->start();
    return watching;
  }
  closing(const closing&) = delete;

  // The owner's last call.
  void end() {
    over_ = true;
    __atomic_store_n(&inlineable, 1, __ATOMIC_RELAXED);  // gRPC may read it now
    grpc_call_cancel(below_, nullptr);
    give_back();
  }

 private:
  closing(grpc_call* served, const derived& made, const call_deadline& deadline)
      : grpc_completion_queue_functor{},
        made_(made),
        deadline_(deadline),
        below_(calls_below::get().make(served)) {}
  ~closing() {
    grpc_call_unref(below_);
    grpc_metadata_array_destroy(&trailers_);
    grpc_slice_unref(details_);
  }

  void start() {
    functor_run = closed;
    grpc_metadata_array_init(&trailers_);
    grpc_op last{};
    last.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    last.data.recv_status_on_client.trailing_metadata = &trailers_;
    last.data.recv_status_on_client.status = &status_;
    last.data.recv_status_on_client.status_details = &details_;
    grpc_completion_queue_functor* const tag = this;
    grpc_call_start_batch(below_, &last, 1, tag, nullptr);
  }
  static void closed(grpc_completion_queue_functor* functor, int) noexcept {
    auto* const self = static_cast<closing*>(functor);
    if (!self->over_) self->cancel();
    self->give_back();
  }
  void cancel() const {
    const cause why = deadline_.is_near()
                          ? call_deadline::why()
                          : cause(origin::peer, CTX_CANCELED, "the call was canceled");
    ctx_cancel_with(made_.second.get(), why.code(), why.get());
  }
  void give_back() {
    if (shares_.fetch_sub(1) == 1) delete this;
  }

  const derived made_;
  const call_deadline deadline_;
  std::atomic<bool> over_{false};
  std::atomic<int> shares_{2};
  grpc_call* const below_;
  grpc_status_code status_{};
  grpc_slice details_ = grpc_empty_slice();
  grpc_metadata_array trailers_{};
};

}  // namespace detail
}  // namespace ctx

#endif  // CTX_GRPC_CLOSING_HPP
