// SPDX-License-Identifier: MIT
#include "core/descriptor.h"

#include <cerrno>

#include "core/alloc.h"

namespace ctxcore {

namespace {

Descriptor* find(Node* node) CTX_REQUIRES(observers_lock(node)) {
  auto* first = static_cast<Observer*>(node->observers);
  return first != nullptr && first->type == Observer::Type::descriptor
             ? static_cast<Descriptor*>(first)
             : nullptr;
}

void discard(Descriptor* descriptor) {
  descriptor->done.close();
  deallocate(descriptor);
}

}  // namespace

int descriptor_of(Node* node) {
  if (is_root(node)) return -ENOTSUP;
  {
    Guard guard(observers_lock(node));
    if (const Descriptor* existing = find(node)) return existing->done.read_end;
  }
  auto* made = make<Descriptor>(0);
  if (made == nullptr) return -ENOMEM;
  if (const int result = made->done.open(); result < 0) {
    deallocate(made);
    return result;
  }
  set_family(node);
  Descriptor* existing = nullptr;
  bool done = false;
  {
    Guard guard(observers_lock(node));
    existing = find(node);
    if (existing == nullptr) push_front(node->observers, made);
    done = error_of(node) != 0;
  }
  if (existing != nullptr) {
    discard(made);
    return existing->done.read_end;
  }
  if (done) {
    // The walk that ended the node may have been here before the descriptor was.
    await(node, Phase::kMarked);
    Guard guard(observers_lock(node));
    made->signal();
  }
  return made->done.read_end;
}

void free_descriptor(Node* node) CTX_UNCHECKED_LOCKING {
  if (node->observers != nullptr) discard(static_cast<Descriptor*>(node->observers));
}

}  // namespace ctxcore
