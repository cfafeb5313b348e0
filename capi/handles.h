// SPDX-License-Identifier: MIT
// Between the handles of the C API and the objects of the core. capi checks arguments; the core trusts them.
#ifndef CTX_CAPI_HANDLES_H
#define CTX_CAPI_HANDLES_H

#include <ctx/types.h>

#include <cerrno>
#include <cstddef>

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

// 0 if the object can be used for anything, else a negative errno.
inline int check(const ctx_t* handle) { return ctxcore::check(from(handle)); }

template <typename Object>
int check_object(const Object* object, uint32_t type) {
  return object == nullptr ? -EINVAL : ctxcore::stamp::check(object->stamp, type);
}
inline int check(const ctx_cause_t* handle) {
  return check_object(from(handle), ctxcore::stamp::kCause);
}
inline int check(ctx_watch_t* handle) { return check_object(from(handle), ctxcore::stamp::kWatch); }
inline int check(ctx_queue_t* handle) { return check_object(from(handle), ctxcore::stamp::kQueue); }
inline int check(ctx_group_t* handle) { return check_object(from(handle), ctxcore::stamp::kGroup); }
inline int check(const ctx_loop_t* handle) {
  return check_object(from(handle), ctxcore::stamp::kLoop);
}

// 0 if the object can be read, also if it was made before a fork.
template <typename Handle>
int check_readable(Handle* handle) {
  const int result = check(handle);
  return result == -ECHILD ? 0 : result;
}

// A cause that may be left out.
inline int check_cause(const ctx_cause_t* cause) {
  return cause == nullptr ? 0 : check_readable(cause);
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
#pragma GCC diagnostic pop

inline ctx_canceler_t* to_canceler(Node* node) {
  return reinterpret_cast<ctx_canceler_t*>(&node->phase);
}

inline Node* from(ctx_canceler_t* handle) {
  return reinterpret_cast<Node*>(reinterpret_cast<unsigned char*>(handle) - kCancelerOffset);
}

inline int check(ctx_canceler_t* handle) {
  if (handle == nullptr || !reinterpret_cast<ctxcore::Phase*>(handle)->is_canceler()) {
    return -EINVAL;
  }
  return ctxcore::check(from(handle));
}

// The end of a time limit that counts from now.
inline int64_t until(int64_t timeout_ns) {
  return ctxcore::saturating_add(ctxcore::monotonic_now(), timeout_ns);
}

// Common to all derivations: their checks, how many handles they hand out, and handing them out.
inline int check_derive(const ctx_t* parent, ctx_t** ret) {
  return ret == nullptr ? -EINVAL : check(parent);
}

inline uint32_t handles(ctx_canceler_t** ret_canceler) { return ret_canceler != nullptr ? 2 : 1; }

inline int hand_out(Node* node, ctx_t** ret, ctx_canceler_t** ret_canceler) {
  *ret = to_handle(node);
  if (ret_canceler != nullptr) *ret_canceler = to_canceler(node);
  return 0;
}

}  // namespace ctxcapi

#endif
