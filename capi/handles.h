// SPDX-License-Identifier: MIT
// Between the handles of the C API and the objects of the core. Checks of arguments are made here, in
// capi; the core takes what it is given.
#ifndef CTX_CAPI_HANDLES_H
#define CTX_CAPI_HANDLES_H

#include <ctx/types.h>

#include <cerrno>
#include <cstddef>

#include "core/cause.h"
#include "core/node.h"
#include "core/watch.h"

namespace ctxcapi {

using ctxcore::Cause;
using ctxcore::Context;
using ctxcore::Node;
using ctxcore::Watch;

static_assert(sizeof(ctx_key_t) == sizeof(ctxcore::Key));

inline Context* from(ctx_t* handle) { return reinterpret_cast<Context*>(handle); }
inline const Context* from(const ctx_t* handle) { return reinterpret_cast<const Context*>(handle); }
inline const Cause* from(const ctx_cause_t* handle) {
  return reinterpret_cast<const Cause*>(handle);
}
inline Watch* from(ctx_watch_t* handle) { return reinterpret_cast<Watch*>(handle); }

inline ctx_t* to_handle(Context* context) { return reinterpret_cast<ctx_t*>(context); }
inline const ctx_cause_t* to_handle(const Cause* cause) {
  return reinterpret_cast<const ctx_cause_t*>(cause);
}

// 0 if the object can be used for anything, else a negative errno.
inline int check(const ctx_t* handle) { return ctxcore::check(from(handle)); }
inline int check(const ctx_cause_t* handle) {
  return handle == nullptr ? -EINVAL
                           : ctxcore::stamp::check(from(handle)->stamp, ctxcore::stamp::kCause);
}

// 0 if the object can be read: also one made before a fork.
template <typename Handle>
int check_readable(const Handle* handle) {
  const int result = check(handle);
  return result == -ECHILD ? 0 : result;
}

// A canceler's handle is the address of its node's phase, which is recognised by its upper bits.
// (Node is no standard-layout type, for which the standard leaves offsetof to the compiler. Both gcc and
// clang have it: Node has no virtual base.)
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

}  // namespace ctxcapi

#endif
