// SPDX-License-Identifier: MIT
// poll(2) that a node ends.
#ifndef CTX_CORE_WATCH_POLL_H
#define CTX_CORE_WATCH_POLL_H

#include <poll.h>

#include <cstdint>

#include "core/tree/node.h"

namespace ctxcore {

// How many of the descriptors are ready; 0 if the time passed; the node's error; or a negative errno.
int poll_with(Node* node, pollfd* fds, nfds_t count, int64_t timeout_ns);

}  // namespace ctxcore

#endif
