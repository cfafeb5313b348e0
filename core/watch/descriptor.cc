// SPDX-License-Identifier: MIT
#include "core/watch/descriptor.h"

#include <cerrno>

#include "core/base/alloc.h"

namespace ctxcore {

namespace {

Descriptor* find(Node* node) CTX_REQUIRES(observers_lock(node)) {
  return static_cast<Descriptor*>(find_standing(node, Observer::Type::descriptor));
}

// The node's descriptor, made if there is none yet; nullptr and a negative errno in *error on failure.
Descriptor* find_or_make(Node* node, int* error) {
  {
    Guard guard(observers_lock(node));
    if (Descriptor* existing = find(node)) {
      existing->done.expect_open();
      return existing;
    }
  }
  auto* made = make<Descriptor>(0);
  *error = made == nullptr ? -ENOMEM : made->done.open(Event::Use::lasting);
  if (*error < 0) {
    deallocate(made);
    return nullptr;
  }
  set_family(node);
  Descriptor* existing = nullptr;
  {
    Guard guard(observers_lock(node));
    existing = find(node);
    if (existing == nullptr) node->observers.push_front(made);
  }
  if (existing == nullptr) return made;
  discard(made);
  return existing;
}

}  // namespace

void discard(Descriptor* descriptor) {
  descriptor->done.close();
  deallocate(descriptor);
}

int descriptor_of(Node* node) {
  if (is_root(node)) return -ENOTSUP;
  int error = 0;
  Descriptor* const descriptor = find_or_make(node, &error);
  if (descriptor == nullptr) return error;
  if (error_of(node) != 0) {
    // The walk that ended the node may have been here before the descriptor was made.
    await(node, Phase::kMarked);
    Guard guard(observers_lock(node));
    descriptor->signal();
  }
  return descriptor->done.read_end;
}

}  // namespace ctxcore
