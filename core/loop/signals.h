// SPDX-License-Identifier: MIT
// Signals that end nodes. Reading a signal consumes it, and it must end every node that waits for it, on any loop.
// So the process has one signalfd, which every loop with such nodes watches. The loop that reads a signal posts all
// nodes that wait for it, each to its own loop, which ends it.
//
// Invariants (all under one lock)
//  1. A node is in a group from when it is made until it is taken to be posted, or removed. The signalfd takes
//     the signals that nodes in groups wait for and no others, and is closed while there are none.
//  2. A node that is taken is pinned. A thread that finds it in its group may pin it, since the last reference of a
//     node is given up only after remove_last().
//  3. The thread that reads a signal runs no user code, whichever loop a node is posted to: a deadline of its own
//     loop may be near.
//
// Lock order: after a node's shards', before a loop's table of descriptors.
#ifndef CTX_CORE_LOOP_SIGNALS_H
#define CTX_CORE_LOOP_SIGNALS_H

#include <cstddef>
#include <cstdint>

#include "core/base/groups.h"
#include "core/base/list.h"
#include "core/tree/cause.h"
#include "core/tree/node.h"

namespace ctxcore {

// The node of ctx_with_signal. Its Link is in its group, or among the nodes that its loop must end.
struct SignalNode : Node, Link {
  SignalNode(Context* above, Value* nearest, Loop* runner, int64_t when, uint64_t wanted,
             Cause* why)
      : Node(above, nearest, runner, when, Kind::signal), signals(wanted), reason(why) {
    armed.store(kBySignal, std::memory_order_relaxed);
  }

  const uint64_t signals;  // bit i - 1 for signal i
  Group<SignalNode>* group = nullptr;
  Cause* const reason;  // blank until it is posted
};

// The signals that an array names; 0 if one of them is no signal, or not blocked in this thread (as SIGKILL and
// SIGSTOP never are).
uint64_t signals_of(const int* numbers, size_t count);

// From now on the signals end the node, unless it is done already. 0 or a negative errno.
int list_signals(SignalNode* node);

void remove_signals(SignalNode* node);       // does nothing if it is in no group
bool remove_signals_last(SignalNode* node);  // the same if it has one reference; else returns false

uint64_t signals_waited_for();

// Posts nodes for the signals that the signalfd has; called by the reader's driver.
void receive_signals(Loop& reader);

void forget_signals();  // in a forked child

}  // namespace ctxcore

#endif
