// SPDX-License-Identifier: MIT
// Which context ended another: the way that its end has come, back up the tree.
//
// Nothing is written down for it but what a graph with several ways needs. Each node has one parent, except that
// a merged node notes the proxy through which it was marked, and a grace whether it ended with its own time.
#ifndef CTX_CORE_LIFE_ENDED_BY_H
#define CTX_CORE_LIFE_ENDED_BY_H

#include "core/tree/node.h"

namespace ctxcore {

// Whether the candidate ended the node: as the one that ended by itself, or as one between. False while it is live.
bool ended_by(const Node* node, const Node* candidate);

}  // namespace ctxcore

#endif
