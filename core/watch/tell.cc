// SPDX-License-Identifier: MIT
// Each kind of observer does its part here when its node is done, and standing ones when the node is freed. A new
// kind of observer is a new case here.
#include "core/base/alloc.h"
#include "core/base/check.h"
#include "core/loop/loop.h"
#include "core/tree/grace_node.h"
#include "core/watch/cancel_fd.h"
#include "core/watch/descriptor.h"
#include "core/watch/export.h"
#include "core/watch/queue.h"
#include "core/watch/wait.h"

namespace ctxcore {

void tell(Node* node, Observer* observer) {
  switch (observer->type) {
    case Observer::Type::descriptor:
      return static_cast<Descriptor*>(observer)->signal();
    case Observer::Type::cancel_fd:
      return node->loop->unwatch(static_cast<CancelFd*>(observer));
    case Observer::Type::waiter:
      node->observers.remove(observer);
      return static_cast<WaitEntry*>(observer)->waiter->wake();
    case Observer::Type::entry:
      node->observers.remove(observer);
      return static_cast<Entry*>(observer)->post();
    case Observer::Type::grace:
      node->observers.remove(observer);
      return static_cast<GraceNode*>(observer)->begin();
    case Observer::Type::exported:
      node->observers.remove(observer);
      return static_cast<Export*>(observer)->end();
    case Observer::Type::callback:
      CTX_ASSERT(false);  // the cancel itself handles callbacks
  }
}

Observer* find_standing(Node* node, Observer::Type type) {
  Observer* observer = node->observers.front();
  while (observer != nullptr && observer->stands()) {
    if (observer->type == type) return observer;
    observer = node->observers.after(observer);
  }
  return nullptr;
}

bool leave_loop(Node* node) {
  Observer* const found = find_standing(node, Observer::Type::cancel_fd);
  return found == nullptr || node->loop->unwatch_last(static_cast<CancelFd*>(found));
}

void free_standing(Node* node) CTX_UNCHECKED_LOCKING {
  while (Observer* observer = node->observers.pop_front()) {
    if (observer->type == Observer::Type::descriptor) {
      discard(static_cast<Descriptor*>(observer));
    } else {
      discard(static_cast<CancelFd*>(observer));
    }
  }
}

}  // namespace ctxcore
