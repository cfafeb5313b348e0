// SPDX-License-Identifier: MIT
//
// ctx/grpc.hpp - contexts over calls of gRPC: one that ends with a call that is served, and calls that end with a
// context. No other header includes it: it needs gRPC.
//
//   const auto call = ctx::grpc::of(server_context);  // in a handler: work(call.get_context())
//   const auto tied = ctx::grpc::tie(ctx, client_context);  // in a client, before the call
#ifndef CTX_GRPC_HPP
#define CTX_GRPC_HPP

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <chrono>
#include <ctx/callback.hpp>
#include <ctx/context.hpp>
#include <ctx/derive.hpp>
#include <ctx/propagate.hpp>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace ctx {

namespace detail {
// gRPC ends the process of a client that sends anything else.
inline bool is_ascii_metadata(std::string_view text) noexcept {
  for (const char each : text) {
    if (each < ' ' || each > '~') return false;
  }
  return true;
}
}  // namespace detail

/// What gRPC has names of its own for: ctx/grpc.hpp.
namespace grpc {

/// The context of a call that a handler serves. Its scope is that of the handler: its end cancels the context.
///
/// gRPC tells a handler nothing of a cancel, so this asks the server context every 10 ms, on a thread of the loop.
template <class Server>
class [[nodiscard]] call {
 public:
  /// For of().
  call(Server& server, const context& parent, std::initializer_list<const char*> names)
      : server_(server), made_(derive(server, parent, names)) {
    arm();
  }
  call(const call&) = delete;
  ~call() {
    watch last;
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      over_ = true;
      last = std::move(watch_);
    }
    ctx_watch_stop_wait(last.get());
    ctx_cancel_with(made_.second.get(), CTX_CANCELED, why_.get());
  }

  /// Ends when the handler does, when its client cancels or is gone, and at the deadline of the call.
  const context& get_context() const noexcept { return made_.first; }

 private:
  static derived derive(Server& server, const context& parent,
                        std::initializer_list<const char*> names) {
    const auto& metadata = server.client_metadata();
    context ctx = parent;
    for (const char* const name : names) {
      const auto found = metadata.find(name);
      const std::string text =
          found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
      const bool there = found != metadata.end() && detail::is_ascii_metadata(text);
      ctx = there ? with_string(ctx, name, text) : without_string(ctx, name);
    }
    derived made = extract(ctx, metadata);
    const auto deadline = server.deadline();
    if (deadline == std::chrono::system_clock::time_point::max()) return made;
    return with_timeout(made.first, deadline - std::chrono::system_clock::now());
  }

  void arm() {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (over_ || made_.first.is_done()) return;
    const context soon = with_timeout(made_.first, std::chrono::milliseconds(10)).first;
    watch_ = after_func(soon, deferred, [this] { ask(); });
  }
  void ask() {
    if (server_.IsCancelled()) {
      made_.second.cancel(ctx::cause(origin::peer, CTX_CANCELED, "the call was canceled"));
    }
    arm();
  }

  Server& server_;
  const derived made_;
  const cause why_{"the call is over"};
  std::mutex mutex_;
  watch watch_;
  bool over_ = false;
};

/// The context of the call that a handler serves, below a parent such as that of the server: with the deadline, trace
/// and baggage of the client, and the metadata of these names, if it is printable ASCII, as strings. For a handler of
/// the synchronous API or the callback API; the server context outlives the result.
template <class Server>
call<Server> of(Server& server, const context& parent = background(),
                std::initializer_list<const char*> names = {}) {
  return call<Server>(server, parent, names);
}

/// Ties a call to a context, before it begins: gives it the deadline, trace and baggage, and the strings of these
/// names, which are in lower case, as metadata, if they are printable ASCII. Cancels it when the context ends, but not
/// at the deadline, which gRPC itself watches: so the call says DEADLINE_EXCEEDED. The client context outlives the
/// result. Throws context_error if the context is done.
inline watch_guard tie(const context& ctx, ::grpc::ClientContext& client,
                       std::initializer_list<const char*> names = {}) {
  inject(ctx, [&](const char* name, const char* text) { client.AddMetadata(name, text); });
  for (const char* const name : names) {
    const auto text = ctx.string(name);
    if (text && detail::is_ascii_metadata(*text)) client.AddMetadata(name, std::string(*text));
  }
  if (ctx.deadline()) client.set_deadline(std::chrono::system_clock::now() + ctx.remaining());
  return watch_guard(after_func(ctx, [&client](const context& ended) {
    const bool late = ended.err() == std::errc::timed_out && ended.remaining().count() <= 0;
    if (!late) client.TryCancel();
  }));
}

}  // namespace grpc
}  // namespace ctx

#endif  // CTX_GRPC_HPP
