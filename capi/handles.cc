// SPDX-License-Identifier: MIT
#include "capi/handles.h"

namespace ctxcapi {

namespace {

// Node is no standard-layout type, so the place of its phase is taken from a node rather than by
// offsetof.
ptrdiff_t phase_offset() {
  alignas(Node) static constexpr unsigned char kPlace[sizeof(Node)] = {};
  const auto* node = reinterpret_cast<const Node*>(kPlace);
  return reinterpret_cast<const unsigned char*>(&node->phase) - kPlace;
}

}  // namespace

ctx_canceler_t* to_canceler(Node* node) { return reinterpret_cast<ctx_canceler_t*>(&node->phase); }

Node* from(ctx_canceler_t* handle) {
  return reinterpret_cast<Node*>(reinterpret_cast<unsigned char*>(handle) - phase_offset());
}

int check(ctx_canceler_t* handle) {
  if (handle == nullptr || !reinterpret_cast<ctxcore::Phase*>(handle)->is_canceler()) {
    return -EINVAL;
  }
  return ctxcore::check(from(handle));
}

}  // namespace ctxcapi
