// SPDX-License-Identifier: MIT
//
// ctx/grpc/server.hpp - contexts of calls that are served, in the synchronous API and the callback API.
//
//   ctx::grpc::server contexts({"payments"});
//   builder.RegisterService(&contexts);  // hears why clients cancel
//
//   const auto call = contexts.of(*server_context);  // in a handler
//   return call.finish(work(call.get_context()));
#ifndef CTX_GRPC_SERVER_HPP
#define CTX_GRPC_SERVER_HPP

#include <grpc/support/time.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <chrono>
#include <ctx/cause.hpp>
#include <ctx/context.hpp>
#include <ctx/derive.hpp>
#include <ctx/grpc/closing.hpp>
#include <ctx/grpc/metadata.hpp>
#include <ctx/grpc/told.hpp>
#include <ctx/propagate.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ctx {
namespace grpc {

/// The context of a call that is served. Its scope is that of the handler: its end cancels the context. In the callback
/// API it is a member of the reactor, which OnDone() deletes; OnCancel() need not do anything.
///
/// What the end of the context calls runs on a thread of gRPC or the library, and may still run when the scope has ended:
/// keep it in a watch_guard that is declared after this. The server context may go before this, after finish().
class [[nodiscard]] call {
 public:
  /// For of().
  template <class Names>
  call(::grpc::ServerContextBase& served, const context& parent, const Names& names,
       std::string_view who = {}, detail::live_calls* live = nullptr)
      : served_(served),
        parent_(parent),
        who_(who),
        made_(derive(served, parent, names, deadline_)) {
    const auto number =
        live == nullptr ? std::nullopt : detail::call_number::find(served.client_metadata());
    if (number) live_.emplace(*live, *number, made_.second);
    closing_ = detail::closing::watch(served.c_call(), made_, deadline_);
  }
  call(const call&) = delete;
  ~call() {
    live_.reset();
    closing_->end();
    ctx_cancel_with(made_.second.get(), CTX_CANCELED, over_.get());
  }

  /// Ends when the handler does, at once when its client cancels or is gone, and at the deadline of the call.
  const context& get_context() const noexcept { return made_.first; }

  /// What the handler answers, once, right before it does. An error is that of the context, if that is done:
  /// DEADLINE_EXCEEDED for its deadline, UNAVAILABLE if the parent ended, CANCELLED for its client; and the trailer
  /// `ctx-cause` says why. An answer that is OK stays so.
  [[nodiscard]] ::grpc::Status finish(const ::grpc::Status& answer) const {
    const context& ctx = get_context();
    if (answer.ok() || !ctx.is_done()) return answer;
    const cause why = ctx.cause();
    const std::string text = encode_cause(why, who_);
    served_.AddTrailingMetadata(detail::cause_key, text);
    const bool ours = ctx.ended_by(parent_) || why.origin() == origin::shutdown;
    const bool late = ctx.err() == std::errc::timed_out;
    return {ours   ? ::grpc::StatusCode::UNAVAILABLE
            : late ? ::grpc::StatusCode::DEADLINE_EXCEEDED
                   : ::grpc::StatusCode::CANCELLED,
            context_error(ctx.err(), decode_cause(text)).what()};  // short enough for a trailer
  }

 private:
  template <class Names>
  static derived derive(::grpc::ServerContextBase& served, const context& parent,
                        const Names& names, detail::call_deadline& deadline) {
    const auto& metadata = served.client_metadata();
    context ctx = parent;
    for (const auto& each : names) {
      const std::string name(each);
      const auto text = detail::find(metadata, name.c_str());
      const bool there = text && detail::is_ascii_metadata(*text);
      ctx = there ? with_string(ctx, name, *text) : without_string(ctx, name);
    }
    derived made = extract(ctx, metadata);
    const gpr_timespec end = served.raw_deadline();
    const gpr_timespec left = gpr_time_sub(end, gpr_now(end.clock_type));
    if (left.tv_sec >= std::chrono::seconds(detail::longest_timeout).count()) return made;
    const auto timeout = std::chrono::seconds(left.tv_sec) + std::chrono::nanoseconds(left.tv_nsec);
    deadline = detail::call_deadline(timeout);
    return with_timeout(made.first, timeout);
  }

  ::grpc::ServerContextBase& served_;
  const context parent_;
  const std::string_view who_;
  detail::call_deadline deadline_;
  const derived made_;
  const cause over_{"the call is over"};
  std::optional<detail::live_calls::one> live_;
  detail::closing* closing_;
};

/// The context of the call that a handler serves, below a parent such as that of the server: with the deadline, trace
/// and baggage of the client, and the metadata of these names, if it is printable ASCII, as strings. For handlers of
/// the synchronous API and the callback API. A server with a name, or one that
/// hears why its clients cancel, has a ctx::grpc::server.
inline call of(::grpc::ServerContextBase& served, const context& parent = background(),
               std::initializer_list<const char*> names = {}) {
  return call(served, parent, names);
}

/// What the calls of a server have in common.
struct server_options {
  std::string name{};                  ///< Who says why a call ended; nobody, if empty.
  context parent = background();       ///< Above all calls, such as the context of the server.
  std::vector<std::string> strings{};  ///< Names of metadata that become strings.
};

/// Makes the contexts of a server's calls. As a service that is registered with it, it hears from clients why they
/// cancel. It outlives the server, as every service does.
class server : public detail::told {
 public:
  /// In C++20 in place: `{.name = "payments"}`.
  explicit server(server_options options = {}) : options_(std::move(options)) {}

  /// As the function of() does, with these options.
  call of(::grpc::ServerContextBase& served) {
    return call(served, options_.parent, options_.strings, options_.name, &live());
  }

 private:
  const server_options options_;
};

}  // namespace grpc
}  // namespace ctx

#endif  // CTX_GRPC_SERVER_HPP
