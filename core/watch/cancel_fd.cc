// SPDX-License-Identifier: MIT
#include "core/watch/cancel_fd.h"

#include <poll.h>

#include <cerrno>

#include "core/base/alloc.h"
#include "core/loop/loop.h"
#include "core/system/io.h"

namespace ctxcore {

namespace {

// The node's, made if there is none yet; nullptr and a negative errno in *error on failure.
CancelFd* cancel_fd_of(Node* node, int* error) CTX_REQUIRES(observers_lock(node)) {
  if (Observer* existing = find_standing(node, Observer::Type::cancel_fd)) {
    return static_cast<CancelFd*>(existing);
  }
  Event event;
  *error = event.open(Event::Use::resettable);
  if (*error < 0) return nullptr;
  auto* const made = make<CancelFd>(0, node, event);
  *error = made == nullptr ? -ENOMEM : node->loop->watch(made);
  if (*error < 0) {
    event.close();
    deallocate(made);
    return nullptr;
  }
  node->observers.push_front(made);
  return made;
}

}  // namespace

CancelFd::CancelFd(Node* ends, const Event& event)
    : Observer(Type::cancel_fd), Source(ends, event.read_end, POLLIN, nullptr), written(event) {}

void discard(CancelFd* descriptor) {
  descriptor->written.close();
  deallocate(descriptor);
}

int open_cancel_fd(Node* node) {
  if (const int result = node->loop->start_watching(); result < 0) return result;
  set_family(node);
  Guard guard(observers_lock(node));
  int error = 0;
  CancelFd* const found = cancel_fd_of(node, &error);
  return found == nullptr ? error : io::duplicate(found->written.write_end);
}

}  // namespace ctxcore
