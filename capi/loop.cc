// SPDX-License-Identifier: MIT
#include "core/loop/loop.h"

#include <ctx/loop.h>
#include <poll.h>

#include "capi/handles.h"
#include "core/life/cancel.h"
#include "core/life/derive_source.h"
#include "core/loop/roots.h"
#include "core/loop/signals.h"
#include "core/loop/sources.h"
#include "core/watch/cancel_fd.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else
using ctxcore::Drive;

namespace {

constexpr uint32_t kPollEvents = POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLRDNORM |
                                 POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLRDHUP;

int check_drive(const ctx_loop_t* loop, Drive drive) {
  if (const int result = check(loop); result < 0) return result;
  return from(loop)->drive() == drive ? 0 : -ENOTSUP;
}

}  // namespace

int ctx_loop_new(int kind, ctx_loop_t** ret) {
  if (kind < CTX_LOOP_THREAD || kind > CTX_LOOP_VIRTUAL || ret == nullptr) return -EINVAL;
  constexpr Drive kDrives[] = {Drive::thread, Drive::manual, Drive::virtual_time};
  Loop* const loop = Loop::create(kDrives[kind - CTX_LOOP_THREAD]);
  if (loop == nullptr) return -ENOMEM;
  *ret = reinterpret_cast<ctx_loop_t*>(loop);
  return 0;
}

ctx_loop_t* ctx_loop_ref(ctx_loop_t* loop) {
  const int result = check(loop);
  if (result == -ECHILD) return loop;  // never freed in this process
  if (result < 0) return nullptr;
  from(loop)->ref();
  return loop;
}

ctx_loop_t* ctx_loop_unref(ctx_loop_t* loop) {
  if (check(loop) == 0) from(loop)->unref();
  return nullptr;
}

void ctx_loop_unrefp(ctx_loop_t** loop) { unref_variable(loop, ctx_loop_unref); }

int ctx_loop_close(ctx_loop_t* loop) {
  if (const int result = check(loop); result < 0) return result;
  ctxcore::cancel_all(from(loop), ctxcore::Callbacks::here);
  return 0;
}

int ctx_loop_set_default(ctx_loop_t* loop) {
  if (const int result = check(loop); result < 0) return result;
  return ctxcore::set_default_loop(from(loop)) ? 0 : -EBUSY;
}

int ctx_loop_background(ctx_loop_t* loop, ctx_t** ret) {
  if (ret == nullptr) return -EINVAL;
  if (const int result = check(loop); result < 0) return result;
  Node* const root = from(loop)->root();
  add_ref(root);
  *ret = to_handle(root);
  return 0;
}

int ctx_loop_fd(ctx_loop_t* loop) {
  const int result = check_drive(loop, Drive::manual);
  return result < 0 ? result : from(loop)->host_fd();
}

int ctx_loop_dispatch(ctx_loop_t* loop) {
  const int result = check_drive(loop, Drive::manual);
  return result < 0 ? result : from(loop)->dispatch();
}

int ctx_loop_advance(ctx_loop_t* loop, int64_t ns) {
  if (const int result = check_drive(loop, Drive::virtual_time); result < 0) return result;
  return ns < 0 ? -EINVAL : from(loop)->advance(ns);
}

int64_t ctx_loop_now(const ctx_loop_t* loop) {
  return check_readable(loop) < 0 ? INT64_MIN : from(loop)->now();
}

int64_t ctx_loop_next(const ctx_loop_t* loop) {
  if (check(loop) < 0 || from(loop)->drive() == Drive::thread) return INT64_MIN;
  return const_cast<Loop*>(from(loop))->next_work();
}

int ctx_loop_set_executor(ctx_loop_t* loop, ctx_post_fn post, void* executor, ctx_drop_fn drop) {
  if (post == nullptr) return -EINVAL;
  const int result = check_drive(loop, Drive::thread);
  return result < 0 ? result : from(loop)->set_executor({post, executor, drop});
}

int ctx_shutdown(int64_t timeout_ns) {
  if (timeout_ns < 0) return -EINVAL;
  return ctxcore::family_loop(ctxcore::background())->shut_down(until(timeout_ns));
}

int ctx_with_fd(ctx_t* parent, int fd, uint32_t poll_events, ctx_t** ret,
                ctx_canceler_t** ret_canceler) {
  if (poll_events == 0 || (poll_events & ~kPollEvents) != 0) return -EINVAL;
  if (const int result = check_derive(parent, ret); result < 0) return result;
  Node* node = nullptr;
  const int result =
      ctxcore::derive_fd(from(parent), fd, poll_events, handles(ret_canceler), &node);
  return result < 0 ? result : hand_out(node, ret, ret_canceler);
}

int ctx_with_signal(ctx_t* parent, const int* signals, size_t n, ctx_t** ret,
                    ctx_canceler_t** ret_canceler) {
  if (signals == nullptr || n == 0) return -EINVAL;
  if (const int result = check_derive(parent, ret); result < 0) return result;
  const uint64_t wanted = ctxcore::signals_of(signals, n);
  if (wanted == 0) return -EINVAL;
  Node* node = nullptr;
  const int result = ctxcore::derive_signal(from(parent), wanted, handles(ret_canceler), &node);
  return result < 0 ? result : hand_out(node, ret, ret_canceler);
}

int ctx_cancel_fd(ctx_canceler_t* canceler) {
  const int result = check(canceler);
  return result < 0 ? result : ctxcore::open_cancel_fd(from(canceler));
}
