// SPDX-License-Identifier: MIT
#include "core/loop/loop.h"

#include <ctx/loop.h>
#include <poll.h>

#include <cstring>

#include "capi/handles.h"
#include "core/life/cancel.h"
#include "core/life/derive_source.h"
#include "core/loop/roots.h"
#include "core/loop/signals.h"
#include "core/loop/sources.h"
#include "core/watch/cancel_fd.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else
using ctxcore::Drive;
using ctxcore::LoopOptions;

namespace {

constexpr uint32_t kPollEvents = POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLRDNORM |
                                 POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLRDHUP;

int check_drive(const ctx_loop_t* loop, Drive drive, const char* call = __builtin_FUNCTION()) {
  if (const int result = check(loop, call); result < 0) return result;
  return from(loop)->drive() == drive ? 0 : -ENOTSUP;
}

int translate(const ctx_loop_options_t& given, Drive drive, LoopOptions* chosen) {
  if ((given.flags & ~CTX_LOOP_START) != 0 || given.clock > CTX_CLOCK_BOOTTIME) return -EINVAL;
  if (given.clock == CTX_CLOCK_BOOTTIME) {
    if (drive == Drive::virtual_time) return -ENOTSUP;
    chosen->clock = CLOCK_BOOTTIME;
  }
  if (given.name != nullptr) {
    const size_t length = strnlen(given.name, LoopOptions::kLongestName + 1);
    if (length == 0 || length > LoopOptions::kLongestName) return -EINVAL;
    std::memcpy(chosen->name, given.name, length + 1);
  }
  if (given.post == nullptr) {
    return given.executor == nullptr && given.drop == nullptr ? 0 : -EINVAL;
  }
  if (drive != Drive::thread) return -ENOTSUP;
  chosen->executor = {given.post, given.executor, given.drop};
  return 0;
}

}  // namespace

int ctx_loop_new(int kind, const ctx_loop_options_t* options, ctx_loop_t** ret) {
  if (kind < CTX_LOOP_THREAD || kind > CTX_LOOP_VIRTUAL || ret == nullptr) return -EINVAL;
  constexpr Drive kDrives[] = {Drive::thread, Drive::manual, Drive::virtual_time};
  const Drive drive = kDrives[kind - CTX_LOOP_THREAD];
  ctx_loop_options_t given{};
  if (options != nullptr) {
    if (const int result = read_sized(options, &given); result < 0) return result;
  }
  LoopOptions chosen;
  if (const int result = translate(given, drive, &chosen); result < 0) return result;
  Loop* const loop = Loop::create(drive, chosen);
  if (loop == nullptr) return -ENOMEM;
  if ((given.flags & CTX_LOOP_START) != 0) {
    if (const int result = loop->start(); result < 0) {
      loop->leave_executor();
      loop->unref();
      return result;
    }
  }
  *ret = reinterpret_cast<ctx_loop_t*>(loop);
  return 0;
}

ctx_loop_t* ctx_loop_ref(ctx_loop_t* loop) {
  const int result = check_held(loop);
  if (result == -ECHILD) return loop;  // never freed in this process
  if (result < 0) return nullptr;
  from(loop)->ref();
  return loop;
}

ctx_loop_t* ctx_loop_unref(ctx_loop_t* loop) {
  if (check_held(loop) == 0) from(loop)->unref();
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
