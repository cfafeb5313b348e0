// SPDX-License-Identifier: MIT
#include <ctx/context.h>

#include <algorithm>
#include <climits>

#include "capi/handles.h"
#include "core/life/derive.h"
#include "core/life/describe.h"
#include "core/life/ended_by.h"
#include "core/life/grace.h"
#include "core/loop/idle.h"
#include "core/loop/loop.h"
#include "core/loop/roots.h"
#include "core/watch/mirror.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else
using ctxcore::kForever;
using ctxcore::node_of;

namespace {

enum class From { clock_start, now };

// The deadline is `ns` after `start`, a constant: a call pays for no choice.
template <From start>
int with_deadline(ctx_t* parent, int64_t ns, const ctx_cause_t* cause, ctx_t** ret,
                  ctx_canceler_t** ret_canceler, const char* call = __builtin_FUNCTION()) {
  if (const int result = check_derive(parent, ret, call); result < 0) return result;
  if (const int result = check_cause(cause, call); result < 0) return result;
  const int64_t now = family_loop(node_of(from(parent)))->now();
  const int64_t deadline = start == From::now ? ctxcore::saturating_add(now, ns) : ns;
  Node* node = nullptr;
  const int result = ctxcore::derive_deadline(from(parent), deadline, now, from(cause),
                                              handles(ret_canceler), &node);
  return result < 0 ? result : hand_out(node, ret, ret_canceler);
}

}  // namespace

ctx_t* ctx_background(void) { return to_handle(ctxcore::background()); }

ctx_t* ctx_todo(void) { return to_handle(ctxcore::todo()); }

ctx_t* ctx_ref(ctx_t* ctx) {
  const int result = check_held(ctx);
  if (result == -ECHILD) return ctx;  // never freed in this process
  if (result < 0) return nullptr;
  Context* const context = from(ctx);
  if (!is_static(context)) add_ref(context);
  return ctx;
}

ctx_t* ctx_unref(ctx_t* ctx) {
  if (check_held(ctx) == 0) release(from(ctx));
  return nullptr;
}

void ctx_unrefp(ctx_t** ctx) { unref_variable(ctx, ctx_unref); }

int ctx_with_cancel(ctx_t* parent, ctx_t** ret, ctx_canceler_t** ret_canceler) {
  if (ret_canceler == nullptr) return -EINVAL;
  if (const int result = check_derive(parent, ret); result < 0) return result;
  Node* node = nullptr;
  const int result = ctxcore::derive_cancel(from(parent), handles(ret_canceler), &node);
  return result < 0 ? result : hand_out(node, ret, ret_canceler);
}

int ctx_with_deadline(ctx_t* parent, int64_t deadline_ns, ctx_t** ret,
                      ctx_canceler_t** ret_canceler) {
  return with_deadline<From::clock_start>(parent, deadline_ns, nullptr, ret, ret_canceler);
}

int ctx_with_timeout(ctx_t* parent, int64_t timeout_ns, ctx_t** ret,
                     ctx_canceler_t** ret_canceler) {
  return with_deadline<From::now>(parent, timeout_ns, nullptr, ret, ret_canceler);
}

int ctx_with_deadline_cause(ctx_t* parent, int64_t deadline_ns, const ctx_cause_t* cause,
                            ctx_t** ret, ctx_canceler_t** ret_canceler) {
  return with_deadline<From::clock_start>(parent, deadline_ns, cause, ret, ret_canceler);
}

int ctx_with_timeout_cause(ctx_t* parent, int64_t timeout_ns, const ctx_cause_t* cause, ctx_t** ret,
                           ctx_canceler_t** ret_canceler) {
  return with_deadline<From::now>(parent, timeout_ns, cause, ret, ret_canceler);
}

int ctx_without_cancel(ctx_t* parent, ctx_t** ret) {
  if (const int result = check_derive(parent, ret); result < 0) return result;
  Context* context = nullptr;
  const int result = ctxcore::derive_detached(from(parent), &context);
  if (result == 0) *ret = to_handle(context);
  return result;
}

int ctx_with_name(ctx_t* parent, const char* name, ctx_t** ret) {
  if (name == nullptr) return -EINVAL;
  if (const int result = check_derive(parent, ret); result < 0) return result;
  Context* context = nullptr;
  const int result = ctxcore::derive_name(from(parent), name, &context);
  if (result == 0) *ret = to_handle(context);
  return result;
}

int ctx_merge(ctx_t* const* parents, size_t n, ctx_t** ret, ctx_canceler_t** ret_canceler) {
  if (parents == nullptr || n == 0 || ret == nullptr) return -EINVAL;
  if (n > PTRDIFF_MAX / sizeof(ctx_t*)) return -ENOMEM;  // no array is that long: read none of it
  for (size_t i = 0; i < n; ++i) {
    if (const int result = check(parents[i]); result < 0) return result;
  }
  Node* node = nullptr;
  const int result =
      ctxcore::merge(reinterpret_cast<Context* const*>(parents), n, handles(ret_canceler), &node);
  return result < 0 ? result : hand_out(node, ret, ret_canceler);
}

int ctx_with_grace(ctx_t* parent, int64_t grace_ns, ctx_t** ret, ctx_canceler_t** ret_canceler) {
  if (const int result = check_derive(parent, ret); result < 0) return result;
  Node* node = nullptr;
  const int result = ctxcore::derive_grace(from(parent), grace_ns, handles(ret_canceler), &node);
  return result < 0 ? result : hand_out(node, ret, ret_canceler);
}

int ctx_with_idle(ctx_t* parent, int64_t idle_ns, const ctx_cause_t* cause, ctx_t** ret,
                  ctx_canceler_t** ret_canceler) {
  if (const int result = check_derive(parent, ret); result < 0) return result;
  if (const int result = check_cause(cause); result < 0) return result;
  Node* node = nullptr;
  const int result =
      ctxcore::derive_idle(from(parent), idle_ns, from(cause), handles(ret_canceler), &node);
  return result < 0 ? result : hand_out(node, ret, ret_canceler);
}

int ctx_touch(ctx_t* ctx) {
  if (const int result = check(ctx); result < 0) [[unlikely]]
    return result;
  return ctxcore::touch(from(ctx));
}

int ctx_err(const ctx_t* ctx) {
  if (const int result = check_readable(ctx); result < 0) [[unlikely]]
    return result;
  return error_of(node_of(from(ctx)));
}

const volatile int32_t* ctx_err_word(const ctx_t* ctx) {
  if (check_readable(ctx) < 0) return nullptr;
  static_assert(sizeof(ctxcore::Atomic<int32_t>) == sizeof(int32_t));
  return reinterpret_cast<const volatile int32_t*>(&node_of(from(ctx))->error);
}

int ctx_cancelable(const ctx_t* ctx) {
  if (const int result = check_readable(ctx); result < 0) return result;
  return is_root(node_of(from(ctx))) ? 0 : 1;
}

int ctx_ended_by(const ctx_t* ctx, const ctx_t* candidate) {
  if (const int result = check_readable(ctx); result < 0) return result;
  if (const int result = check_readable(candidate); result < 0) return result;
  return ctxcore::ended_by(node_of(from(ctx)), node_of(from(candidate)));
}

int ctx_deadline(const ctx_t* ctx, int64_t* ret_ns) {
  if (ret_ns == nullptr) return -EINVAL;
  if (const int result = check_readable(ctx); result < 0) return result;
  const int64_t deadline = node_of(from(ctx))->deadline;
  if (deadline == kForever) return 0;
  *ret_ns = deadline;
  return 1;
}

int64_t ctx_remaining(const ctx_t* ctx) {
  if (check_readable(ctx) < 0) return INT64_MIN;
  const Node* node = node_of(from(ctx));
  if (node->deadline == kForever) return kForever;
  // INT64_MIN is the answer for a bad handle.
  return std::max(ctxcore::saturating_sub(node->deadline, loop_of(node)->now()), INT64_MIN + 1);
}

int ctx_remaining_ms(const ctx_t* ctx) {
  if (const int result = check_readable(ctx); result < 0) return result;
  const int64_t ns = ctx_remaining(ctx);
  if (ns == kForever) return -1;
  constexpr int64_t kMs = 1'000'000;
  const int64_t ms = ns <= 0 ? 0 : (ns - 1) / kMs + 1;
  return static_cast<int>(std::min<int64_t>(ms, INT_MAX));
}

int64_t ctx_now(const ctx_t* ctx) {
  if (check_readable(ctx) < 0) return INT64_MIN;
  return loop_of(node_of(from(ctx)))->now();
}

int ctx_describe(const ctx_t* ctx, char* buf, size_t size) {
  if (buf == nullptr && size != 0) return -EINVAL;
  if (const int result = check_readable(ctx); result < 0) return result;
  const size_t length = ctxcore::describe(from(ctx), buf, size);
  return length > INT_MAX ? -EOVERFLOW : static_cast<int>(length);
}
