// SPDX-License-Identifier: MIT
// The context of another process, in this one: what that process has exported (watch/export.h).
//
// Between the parent and the context that is handed out there are
//
//   a carrier for each string
//   a deadline, if the other context has one: it ends this one in time also if the other process is late
//   the imported node, which the other process's pipe ends (loop/import_node.h)
//
// Invariants
//  1. A context of an exporter that has ended is born done, with its error and cause; and so is that of an exporter that
//     is gone, or that exports no more.
//  2. An exporter whose pipe has hung up and whose state tells no end is gone.
//  3. To end the node takes no memory: the cause was made with it, and has room for any that may come.
#ifndef CTX_CORE_LIFE_IMPORT_H
#define CTX_CORE_LIFE_IMPORT_H

#include <cstdint>

#include "core/tree/node.h"

namespace ctxcore {

struct ImportNode;

// 0 and a node with the given number of references, or a negative errno with nothing changed.
[[gnu::cold]] int derive_import(Context* parent, const char* text, uint32_t refs, Node** ret);

// The pipe has hung up: the error of the end, and its cause, which the node keeps; nullptr for the plain one.
int take_end(ImportNode* node, const Cause** cause);

}  // namespace ctxcore

#endif
