// SPDX-License-Identifier: MIT
// Between the handles of the C API and the objects of the core. capi checks arguments; the core trusts them.
#ifndef CTX_CAPI_HANDLES_H
#define CTX_CAPI_HANDLES_H

#include <ctx/types.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "capi/misuse.h"
#include "core/loop/loop.h"
#include "core/system/clock.h"
#include "core/tree/cause.h"
#include "core/tree/node.h"
#include "core/watch/callback.h"
#include "core/watch/queue.h"
#include "core/watch/work_group.h"

namespace ctxcapi {

using ctxcore::Cause;
using ctxcore::Context;
using ctxcore::Loop;
using ctxcore::Node;
using ctxcore::Queue;
using ctxcore::Watch;
using ctxcore::WorkGroup;

static_assert(sizeof(ctx_key_t) == sizeof(ctxcore::Key));

inline Context* from(ctx_t* handle) { return reinterpret_cast<Context*>(handle); }
inline const Context* from(const ctx_t* handle) { return reinterpret_cast<const Context*>(handle); }
inline const Cause* from(const ctx_cause_t* handle) {
  return reinterpret_cast<const Cause*>(handle);
}
inline Watch* from(ctx_watch_t* handle) { return reinterpret_cast<Watch*>(handle); }
inline Queue* from(ctx_queue_t* handle) { return reinterpret_cast<Queue*>(handle); }
inline WorkGroup* from(ctx_group_t* handle) { return reinterpret_cast<WorkGroup*>(handle); }
inline Loop* from(ctx_loop_t* handle) { return reinterpret_cast<Loop*>(handle); }
inline const Loop* from(const ctx_loop_t* handle) { return reinterpret_cast<const Loop*>(handle); }

inline ctx_t* to_handle(Context* context) { return reinterpret_cast<ctx_t*>(context); }
inline ctx_group_t* to_handle(WorkGroup* group) { return reinterpret_cast<ctx_group_t*>(group); }
inline const ctx_cause_t* to_handle(const Cause* cause) {
  return reinterpret_cast<const ctx_cause_t*>(cause);
}

// For the ..._unrefp() functions: gives back what a variable holds.
template <typename Handle>
void unref_variable(Handle** variable, Handle* (*unref)(Handle*)) {
  if (variable != nullptr) *variable = unref(*variable);
}

// A canceler's handle is the address of its node's phase, whose upper bits identify it. (Node is no
// standard-layout type, so the standard leaves offsetof to the compiler. gcc and clang support it, since Node
// has no virtual base.)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
constexpr size_t kCancelerOffset = offsetof(Node, phase);
constexpr size_t kWatchStampOffset = offsetof(Watch, stamp);
#pragma GCC diagnostic pop

inline ctx_canceler_t* to_canceler(Node* node) {
  return reinterpret_cast<ctx_canceler_t*>(&node->phase);
}

inline Node* from(ctx_canceler_t* handle) {
  return reinterpret_cast<Node*>(reinterpret_cast<unsigned char*>(handle) - kCancelerOffset);
}

inline uint32_t type_of(const ctx_t*) { return ctxcore::stamp::kContext; }
inline uint32_t type_of(const ctx_cause_t*) { return ctxcore::stamp::kCause; }
inline uint32_t type_of(const ctx_watch_t*) { return ctxcore::stamp::kWatch; }
inline uint32_t type_of(const ctx_queue_t*) { return ctxcore::stamp::kQueue; }
inline uint32_t type_of(const ctx_loop_t*) { return ctxcore::stamp::kLoop; }
inline uint32_t type_of(const ctx_group_t*) { return ctxcore::stamp::kGroup; }
inline uint32_t type_of(const ctx_canceler_t*) { return kCancelerType; }

// 0 if the object can be used for anything, else a negative errno.
template <typename Handle>
int examine(Handle* handle) {
  return handle == nullptr ? -EINVAL : ctxcore::stamp::check(from(handle)->stamp, type_of(handle));
}
inline int examine(ctx_canceler_t* handle) {
  if (handle == nullptr || !reinterpret_cast<ctxcore::Phase*>(handle)->is_canceler()) {
    return -EINVAL;
  }
  return ctxcore::check(from(handle));
}

// The same, for the function of the API that calls this. The checked build says what is wrong with the handle.
template <typename Handle>
int check(Handle* handle, const char* call = __builtin_FUNCTION()) {
  return look_closer(examine(handle), handle, type_of(handle), call);
}

// The same where an object from before a fork is no mistake: -ECHILD then.
template <typename Handle>
int check_held(Handle* handle, const char* call = __builtin_FUNCTION()) {
  const int result = examine(handle);
  return result == -ECHILD ? result : look_closer(result, handle, type_of(handle), call);
}

// 0 if the object can be read, also if it was made before a fork.
template <typename Handle>
int check_readable(Handle* handle, const char* call = __builtin_FUNCTION()) {
  const int result = check_held(handle, call);
  return result == -ECHILD ? 0 : result;
}

// A cause that may be left out.
inline int check_cause(const ctx_cause_t* cause, const char* call = __builtin_FUNCTION()) {
  return cause == nullptr ? 0 : check_readable(cause, call);
}

// The end of a time limit that counts from now.
inline int64_t until(int64_t timeout_ns) {
  return ctxcore::saturating_add(ctxcore::monotonic_now(), timeout_ns);
}

// Common to all derivations: their checks, how many handles they hand out, and handing them out.
inline int check_derive(const ctx_t* parent, ctx_t** ret, const char* call = __builtin_FUNCTION()) {
  return ret == nullptr ? -EINVAL : check(parent, call);
}

// Copies a caller's struct, which may be older or newer than this one and says so in its first member.
template <typename Sized>
int read_sized(const Sized* from, Sized* to) {
  if (from->size < sizeof from->size) return -EINVAL;
  std::memcpy(to, from, std::min(from->size, sizeof *to));
  const auto* const bytes = reinterpret_cast<const unsigned char*>(from);
  for (size_t i = sizeof *to; i < from->size; ++i) {
    if (bytes[i] != 0) return -E2BIG;
  }
  return 0;
}

inline int hand_out_cause(Cause* made, ctx_cause_t** ret) {
  if (made == nullptr) return -ENOMEM;
  *ret = reinterpret_cast<ctx_cause_t*>(made);
  return 0;
}

inline uint32_t handles(ctx_canceler_t** ret_canceler) { return ret_canceler != nullptr ? 2 : 1; }

inline int hand_out(Node* node, ctx_t** ret, ctx_canceler_t** ret_canceler) {
  *ret = to_handle(node);
  if (ret_canceler != nullptr) *ret_canceler = to_canceler(node);
  return 0;
}

}  // namespace ctxcapi

#endif
