// SPDX-License-Identifier: MIT
#include "core/life/derive_source.h"

#include <cerrno>

#include "core/base/text.h"
#include "core/life/make_node.h"
#include "core/loop/loop.h"
#include "core/loop/signals.h"
#include "core/loop/sources.h"
#include "core/system/io.h"

namespace ctxcore {

int derive_fd(Context* parent, int fd, uint32_t events, uint32_t refs, Node** ret) {
  if (!io::is_open(fd)) return -EBADF;
  Node* const above = node_of(parent);
  Loop* const loop = family_loop(above);
  if (const int result = loop->start_watching(); result < 0) return result;
  Cause* const reason = make_blank_cause(kEventsText, kOriginDescriptor);
  if (reason == nullptr) return -ENOMEM;
  FdNode* node = nullptr;
  int result = make_node(parent, Kind::fd, refs, &node, above->deadline, fd, events, reason);
  if (result < 0) {
    unref(reason);
    return result;
  }
  result = loop->watch(node);
  if (result < 0) {
    give_up(node, refs);
    return result;
  }
  *ret = node;
  return 0;
}

int derive_signal(Context* parent, uint64_t signals, uint32_t refs, Node** ret) {
  Node* const above = node_of(parent);
  Loop* const loop = family_loop(above);
  if (const int result = loop->start_watching(); result < 0) return result;
  Cause* const reason = make_blank_cause(kSignalText, kOriginSignal);
  if (reason == nullptr) return -ENOMEM;
  SignalNode* node = nullptr;
  int result = make_node(parent, Kind::signal, refs, &node, above->deadline, signals, reason);
  if (result < 0) {
    unref(reason);
    return result;
  }
  result = list_signals(node);
  if (result < 0) {
    give_up(node, refs);
    return result;
  }
  *ret = node;
  return 0;
}

}  // namespace ctxcore
