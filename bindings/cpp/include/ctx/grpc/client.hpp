// SPDX-License-Identifier: MIT
//
// ctx/grpc/client.hpp - calls that end with a context, and why they failed.
//
//   ctx::grpc::client payments(channel, {"shop"});  // for as long as its calls
//
//   const auto tied = payments.tie(ctx, client_context);  // before the call
//   if (const auto end = tied.ended(stub->Pay(&client_context, request, &response))) throw *end;
#ifndef CTX_GRPC_CLIENT_HPP
#define CTX_GRPC_CLIENT_HPP

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <algorithm>
#include <chrono>
#include <ctx/callback.hpp>
#include <ctx/cause.hpp>
#include <ctx/context.hpp>
#include <ctx/grpc/metadata.hpp>
#include <ctx/grpc/tell.hpp>
#include <ctx/propagate.hpp>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ctx {
namespace grpc {

/// Why the server says that it ended a call that is over, as its claim; none if it says nothing.
inline cause claim(const ::grpc::ClientContext& client) {
  return detail::find_cause(client.GetServerTrailingMetadata());
}

/// A call that is tied to a context, until its scope ends: from then on nothing cancels it any more. The client context
/// outlives it.
class [[nodiscard]] tied {
 public:
  /// For tie().
  template <class Names>
  tied(const context& ctx, ::grpc::ClientContext& client, const Names& names,
       detail::teller* teller = nullptr)
      : ctx_(ctx), client_(&client), armed_(arm(ctx, client, names, teller, deadline_, held_)) {}
  /// Moves the duty; the other cancels nothing.
  tied(tied&&) noexcept = default;

  /// The end that a call failed with, when it is over; none if it did not fail, or for a reason of its own, such as
  /// NOT_FOUND. If the context is done, it is its end. Else it is the deadline, if that was about to pass; or what the
  /// server claims, in `cause().peer()` with its name.
  std::optional<context_error> ended(const ::grpc::Status& status) const {
    const ::grpc::StatusCode code = status.error_code();
    if (status.ok()) return std::nullopt;
    if (ctx_.is_done()) return context_error(ctx_.err(), ctx_.cause());
    const bool late = code == ::grpc::StatusCode::DEADLINE_EXCEEDED;
    const bool canceled = code == ::grpc::StatusCode::CANCELLED;
    if (!late && !canceled && code != ::grpc::StatusCode::UNAVAILABLE) return std::nullopt;
    cause why = claim(*client_);
    if (deadline_.is_near())
      return context_error(to_error_code(CTX_DEADLINE_EXCEEDED), detail::call_deadline::why());
    if (!why && !late && !canceled) return std::nullopt;
    const int error = late ? CTX_DEADLINE_EXCEEDED : CTX_CANCELED;
    if (!why) why = cause(origin::peer, error, status.error_message());
    return context_error(to_error_code(error), why);
  }

 private:
  template <class Names>
  static watch arm(const context& ctx, ::grpc::ClientContext& client, const Names& names,
                   detail::teller* teller, detail::call_deadline& deadline,
                   std::unique_ptr<detail::held_cancel>& held) {
    for (const auto& name : names) detail::check_name(name);
    inject(ctx, [&](const char* name, const char* text) { client.AddMetadata(name, text); });
    for (const auto& name : names) {
      const auto text = ctx.string(name);
      if (text && detail::is_ascii_metadata(*text)) client.AddMetadata(name, std::string(*text));
    }
    if (ctx.deadline()) {
      const auto left =
          std::min<std::chrono::nanoseconds>(ctx.remaining(), detail::longest_timeout);
      deadline = detail::call_deadline(left);
      using clock = std::chrono::system_clock;
      const clock::time_point then =
          clock::now() + std::chrono::duration_cast<clock::duration>(left);
      client.set_deadline(std::min(client.deadline(), then));
    }
    // gRPC itself watches the deadline that it was given, so that the call says DEADLINE_EXCEEDED.
    const auto is_late = [](const context& ended) {
      return ended.err() == std::errc::timed_out && ended.remaining().count() <= 0;
    };
    if (teller == nullptr) {
      return after_func(ctx, [&client, is_late](const context& ended) {
        if (!is_late(ended)) client.TryCancel();
      });
    }
    const auto number = detail::call_number::random();
    client.AddMetadata(detail::call_number::key, number.text());
    held = std::make_unique<detail::held_cancel>(client);
    return after_func(ctx, [cancel = held.get(), is_late, teller, number](const context& ended) {
      if (!is_late(ended)) teller->tell(number, ended.cause(), cancel->begin());
    });
  }

  context ctx_;
  ::grpc::ClientContext* client_;
  detail::call_deadline deadline_;
  std::unique_ptr<detail::held_cancel> held_;
  watch_guard armed_;  // the last: what it runs uses the others
};

/// Ties a call to a context, before it begins: gives it the deadline, unless its own is sooner, trace and baggage, and
/// the strings of these names, which are in lower case, as metadata, if they are printable ASCII. Cancels it when the
/// context ends, but not at the deadline, which gRPC itself watches: so the call says DEADLINE_EXCEEDED. The client
/// context outlives the result. Throws context_error if the context is done, and std::errc::invalid_argument for a name
/// that gRPC refuses.
inline tied tie(const context& ctx, ::grpc::ClientContext& client,
                std::initializer_list<const char*> names = {}) {
  return tied(ctx, client, names);
}

/// What the calls of a channel have in common.
struct client_options {
  std::string name{};                  ///< Who says why a call was canceled; nobody, if empty.
  bool tell = true;                    ///< Whether the server is told why a call is canceled.
  std::vector<std::string> strings{};  ///< Names of strings that go as metadata.
};

/// Ties calls of a channel to contexts, and tells the server why they are canceled, if somebody gave a reason: by a
/// small call beside the first. The cancel waits for its answer, 100 ms at most, so as not to overtake it; that answer
/// comes no later than a cancel would have come. It outlives what it ties. Its end takes back what is under way and
/// waits for that, so it is not for a thread of gRPC.
class client {
 public:
  /// In C++20 in place: `client(channel, {.name = "shop"})`.
  explicit client(std::shared_ptr<::grpc::Channel> channel, client_options options = {})
      : options_(std::move(options)), teller_(std::move(channel), options_.name) {}

  /// As the function tie() does, with these options. The call is one of this channel.
  tied tie(const context& ctx, ::grpc::ClientContext& call) {
    return tied(ctx, call, options_.strings, options_.tell ? &teller_ : nullptr);
  }

 private:
  const client_options options_;
  detail::teller teller_;
};

}  // namespace grpc
}  // namespace ctx

#endif  // CTX_GRPC_CLIENT_HPP
