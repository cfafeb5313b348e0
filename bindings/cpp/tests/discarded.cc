// SPDX-License-Identifier: MIT
//
// What a compiler warns of if it is dropped: each line that says so, and no other. run_discarded.sh compares.
#include <cstdlib>
#include <ctx/ctx.hpp>

void Drops(const ctx::context& ctx, const ctx::key<int>& key, const ctx::queue& queue) {
  using namespace std::chrono_literals;
  ctx::with_cancel(ctx);                       // warns
  ctx::with_timeout(ctx, 1s);                  // warns
  ctx::with_deadline(ctx, ctx::time_point());  // warns
  ctx::with_grace(ctx, 1s);                    // warns
  ctx::with_idle(ctx, 1s);                     // warns
  ctx::with_fd(ctx, 0, 1);                     // warns
  ctx::with_signal(ctx, {1});                  // warns
  ctx::merge({ctx});                           // warns
  ctx::merge(std::vector<ctx::context>{ctx});  // warns
  ctx::without_cancel(ctx);                    // warns
  ctx::with_value(ctx, key, 1);                // warns
  ctx::without_value(ctx, key);                // warns
  ctx::with_name(ctx, "name");                 // warns
  ctx::with_string(ctx, "name", "text");       // warns
  ctx::without_string(ctx, "name");            // warns
  ctx::with_baggage(ctx, "name", "text");      // warns
  ctx::without_baggage(ctx, "name");           // warns
  ctx::extract(ctx, std::getenv);              // warns
  ctx::encode_cause(ctx.cause());              // warns
  ctx::decode_cause("v=1&code=-1");            // warns
  ctx::export_context(ctx);                    // warns
  ctx::import_context();                       // warns
  ctx.done_fd_dup();                           // warns
  ctx::canceler().cancel_fd();                 // warns
  queue.add_watch(ctx, 1);                     // warns
  ctx::context().release();                    // warns
  ctx::canceler().release();                   // warns
  ctx::unique_fd().release();                  // warns
#if defined(CTX_HAS_STOP_TOKEN)
  ctx::with_stop_token(ctx, std::stop_token());  // warns
#endif
#if defined(CTX_HAS_COROUTINES)
  ctx.done();                    // warns
  ctx.done(ctx::deferred);       // warns
  ctx.done([](const auto&) {});  // warns
#endif
  ctx::after_func(ctx, [] {});
  ctx::canceler().cancel();
  queue.add(ctx, 1);
}

ctx::cancel_guard Guard(const ctx::canceler&);
ctx::watch_guard Guard(ctx::watch&&);
void DropsGuards(const ctx::canceler& cancel) {
  Guard(cancel);        // warns
  Guard(ctx::watch());  // warns
}
