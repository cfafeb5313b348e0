// SPDX-License-Identifier: MIT
#include "core/watch/queue.h"

#include <ctx/queue.h>

#include "capi/handles.h"
#include "core/system/clock.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else
using ctxcore::Posted;

static_assert(sizeof(ctx_event_t) == sizeof(Posted) &&
              offsetof(ctx_event_t, token) == offsetof(Posted, token) &&
              offsetof(ctx_event_t, err) == offsetof(Posted, error) &&
              offsetof(ctx_event_t, reserved) == offsetof(Posted, reserved));

namespace {

Posted* posted_of(ctx_event_t* events) { return reinterpret_cast<Posted*>(events); }

}  // namespace

int ctx_queue_new(ctx_queue_t** ret) {
  if (ret == nullptr) return -EINVAL;
  Queue* const queue = Queue::create();
  if (queue == nullptr) return -ENOMEM;
  *ret = reinterpret_cast<ctx_queue_t*>(queue);
  return 0;
}

ctx_queue_t* ctx_queue_ref(ctx_queue_t* queue) {
  const int result = check_held(queue);
  if (result == -ECHILD) return queue;  // never freed in this process
  if (result < 0) return nullptr;
  from(queue)->ref();
  return queue;
}

ctx_queue_t* ctx_queue_unref(ctx_queue_t* queue) {
  if (check_held(queue) == 0) from(queue)->unref();
  return nullptr;
}

void ctx_queue_unrefp(ctx_queue_t** queue) { unref_variable(queue, ctx_queue_unref); }

int ctx_queue_fd(ctx_queue_t* queue) {
  const int result = check(queue);
  return result < 0 ? result : from(queue)->descriptor();
}

int ctx_queue_add(ctx_queue_t* queue, ctx_t* ctx, uint64_t token, ctx_watch_t** ret) {
  if (const int result = check(queue); result < 0) return result;
  if (const int result = check(ctx); result < 0) return result;
  return from(queue)->add(from(ctx), token, reinterpret_cast<ctxcore::Watch**>(ret));
}

int64_t ctx_queue_drain(ctx_queue_t* queue, ctx_event_t* events, size_t n) {
  if (events == nullptr && n != 0) return -EINVAL;
  if (const int result = check(queue); result < 0) return result;
  return static_cast<int64_t>(from(queue)->drain(posted_of(events), n));
}

int64_t ctx_queue_drain_ctxs(ctx_queue_t* queue, ctx_event_t* events, ctx_t** ctxs, size_t n) {
  if ((events == nullptr || ctxs == nullptr) && n != 0) return -EINVAL;
  if (const int result = check(queue); result < 0) return result;
  auto** const contexts = reinterpret_cast<ctxcore::Context**>(ctxs);
  return static_cast<int64_t>(from(queue)->take_posted(posted_of(events), n, contexts));
}

int64_t ctx_queue_wait(ctx_queue_t* queue, ctx_event_t* events, size_t n, int64_t timeout_ns) {
  if (events == nullptr || n == 0 || timeout_ns < 0) return -EINVAL;
  if (const int result = check(queue); result < 0) return result;
  return from(queue)->wait(posted_of(events), n, ctxcapi::until(timeout_ns));
}
