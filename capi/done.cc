// SPDX-License-Identifier: MIT
#include <ctx/done.h>
#include <ctx/poll.h>

#include "capi/handles.h"
#include "core/system/clock.h"
#include "core/system/io.h"
#include "core/watch/descriptor.h"
#include "core/watch/export.h"
#include "core/watch/poll.h"
#include "core/watch/wait.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else
using ctxcore::node_of;

namespace {

// The object behind a watch: a queue's entry, what is exported, or else a callback.
template <typename T>
T* as(ctx_watch_t* watch, ctxcore::Observer::Type type) {
  return from(watch)->type == type ? static_cast<T*>(from(watch)) : nullptr;
}
ctxcore::Entry* as_entry(ctx_watch_t* watch) {
  return as<ctxcore::Entry>(watch, ctxcore::Observer::Type::entry);
}
ctxcore::Export* as_export(ctx_watch_t* watch) {
  return as<ctxcore::Export>(watch, ctxcore::Observer::Type::exported);
}
ctxcore::Callback* as_callback(ctx_watch_t* watch) {
  return static_cast<ctxcore::Callback*>(from(watch));
}

// Those that run nothing to wait for: 1 or 0; -1 for a callback.
int stop_silent(ctx_watch_t* watch) {
  if (ctxcore::Entry* const entry = as_entry(watch)) return entry->queue->stop(entry) ? 1 : 0;
  if (ctxcore::Export* const exported = as_export(watch)) return exported->stop() ? 1 : 0;
  return -1;
}

int done_fd_of(ctx_t* ctx, const char* call = __builtin_FUNCTION()) {
  const int result = check(ctx, call);
  return result < 0 ? result : ctxcore::descriptor_of(node_of(from(ctx)));
}

int wait_for(ctx_t* const* ctxs, size_t n, int64_t timeout_ns, size_t* ret_index,
             const char* call = __builtin_FUNCTION()) {
  if (ctxs == nullptr || n == 0 || timeout_ns < 0) return -EINVAL;
  if (n > ctxcore::kMostWaitedFor) return -ENOMEM;  // no array is that long: read none of it
  for (size_t i = 0; i < n; ++i) {
    if (const int result = check(ctxs[i], call); result < 0) return result;
  }
  size_t index = 0;
  const int result =
      ctxcore::wait_any(reinterpret_cast<Context* const*>(ctxs), n, until(timeout_ns), &index);
  if (result == 1 && ret_index != nullptr) *ret_index = index;
  return result;
}

}  // namespace

int ctx_done_fd(ctx_t* ctx) { return done_fd_of(ctx); }

int ctx_done_fd_dup(ctx_t* ctx) {
  const int fd = done_fd_of(ctx);
  return fd < 0 ? fd : ctxcore::io::duplicate(fd);
}

int ctx_wait(ctx_t* ctx, int64_t timeout_ns) { return wait_for(&ctx, 1, timeout_ns, nullptr); }

int ctx_wait_any(ctx_t* const* ctxs, size_t n, int64_t timeout_ns, size_t* ret_index) {
  return wait_for(ctxs, n, timeout_ns, ret_index);
}

int ctx_poll(ctx_t* ctx, struct pollfd* fds, nfds_t nfds, int64_t timeout_ns) {
  if (timeout_ns < 0 || (fds == nullptr && nfds != 0)) return -EINVAL;
  if (const int result = check(ctx); result < 0) return result;
  return ctxcore::poll_with(node_of(from(ctx)), fds, nfds, timeout_ns);
}

int ctx_after_func(ctx_t* ctx, ctx_fn fn, void* arg, ctx_drop_fn drop, uint32_t flags,
                   ctx_watch_t** ret) {
  static_assert(CTX_DEFER == ctxcore::Callback::kDefer &&
                CTX_BLOCKING == ctxcore::Callback::kBlocking &&
                CTX_WAKER == ctxcore::Callback::kWaker);
  if (fn == nullptr || ((flags & ~(CTX_DEFER | CTX_BLOCKING)) != 0 && flags != CTX_WAKER)) {
    return -EINVAL;
  }
  if (const int result = check(ctx); result < 0) return result;
  return ctxcore::after_func(from(ctx), fn, arg, drop, static_cast<uint8_t>(flags),
                             reinterpret_cast<ctxcore::Callback**>(ret));
}

int ctx_watch_stop(ctx_watch_t* watch) {
  if (const int result = check(watch); result < 0) return result;
  const int stopped = stop_silent(watch);
  return stopped >= 0 ? stopped : ctxcore::stop(as_callback(watch));
}

int ctx_watch_stop_wait(ctx_watch_t* watch) {
  if (const int result = check(watch); result < 0) return result;
  const int stopped = stop_silent(watch);
  return stopped >= 0 ? stopped : ctxcore::stop_wait(as_callback(watch));
}

ctx_watch_t* ctx_watch_unref(ctx_watch_t* watch) {
  if (check_held(watch) < 0) return nullptr;
  if (ctxcore::Entry* const entry = as_entry(watch); entry != nullptr) {
    entry->queue->drop_handle(entry);
  } else if (ctxcore::Export* const exported = as_export(watch); exported != nullptr) {
    exported->release();
  } else {
    ctxcore::release(as_callback(watch));
  }
  return nullptr;
}

void ctx_watch_unrefp(ctx_watch_t** watch) { unref_variable(watch, ctx_watch_unref); }
