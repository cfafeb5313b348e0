// SPDX-License-Identifier: MIT
// The object behind a context's handle. It has one of two shapes:
//
//   Node     is part of the cancel tree: it has an error word, a parent, children, observers. The roots, and
//            every context that can be canceled.
//   Carrier  is no part of it: it carries a value, or cuts the tie to the ancestors' ends, and has the error,
//            deadline and observers of the node that it hangs on.
//
// Invariants
//  1. parent, values, kind and a carrier's node never change.
//  2. refs counts handles, armed watches, pins, and carriers and nodes that hang on a carrier. A node's children
//     keep it in memory without being counted (node.h). An anchor counts for the root that it hangs on, too: its parent
//     may be of another loop, and then is no descendant of that root.
//  3. `values` is the nearest context at or above this one that carries a value.
#ifndef CTX_CORE_TREE_CONTEXT_H
#define CTX_CORE_TREE_CONTEXT_H

#include <cstdint>

#include "core/base/count.h"
#include "core/base/handle.h"
#include "core/system/atomic.h"

namespace ctxcore {

struct Node;
struct Value;

enum class Kind : uint8_t {
  background,
  todo,
  cancel,
  deadline,  // a TimerNode (node.h)
  grace,     // a GraceNode (grace.h)
  idle,      // an IdleNode (idle_node.h)
  fd,        // an FdNode (sources.h)
  signal,    // a SignalNode (signals.h)
  imported,  // an ImportNode (import_node.h)
  mirror,    // a MirrorNode (mirror_node.h), which is nobody's context
  merged,    // a MergedNode (merge.h)
  proxy,     // a Proxy (merge.h), which is nobody's context
  value,     // from here on carriers
  string,
  name,  // its text, for descriptions, follows the carrier
  detached,
  anchor,  // lets its parent's child hang on the loop's root; nobody's context either
};

// Where the loop may hold a node that it may end: the number of a wheel, or one of these.
constexpr uint8_t kUnarmed = 255;
constexpr uint8_t kByDescriptor = 254;
constexpr uint8_t kBySignal = 253;

struct Context {
  constexpr Context(Kind which, Context* above, Value* nearest, uint8_t initial_flags = 0)
      : parent(above), values(nearest), kind(which), flags(initial_flags) {}

  uint32_t stamp = 0;
  Atomic<uint32_t> refs{1};
  Context* const parent;  // nullptr for a root
  Value* values;
  const Kind kind;

  // The next four belong to nodes. They stand here so that everything that pollers and a cancel's walk read lies
  // within one cache line.
  Atomic<uint8_t> flags;            // guarded for writing by the lock of the home shard
  uint8_t home_shard = 0;           // which of the parent's shards lists this node
  Atomic<uint8_t> armed{kUnarmed};  // where the loop may hold it
  Atomic<int32_t> error{0};         // written once, under the lock of the home shard
};

struct Carrier : Context {
  Carrier(Kind which, Context* above, Value* nearest, Node* where);

  Node* const node;
  const uint32_t rank;  // how many carriers there are from the node to here
};

// The text of a carrier of the kind `name`.
inline char* name_text(Carrier* carrier) { return reinterpret_cast<char*>(carrier + 1); }
inline const char* name_text(const Carrier* carrier) {
  return reinterpret_cast<const char*>(carrier + 1);
}

struct Value : Carrier {
  Value(Kind which, Context* above, Node* where, const void* k, void* v, void (*d)(void*))
      : Carrier(which, above, this, where), key(k), value(v), drop(d) {}

  const void* key;  // a Key, or the name of a string
  void* value;
  void (*drop)(void*);
};

// A public ctx_key_t.
struct Key {
  const char* name;
};

inline bool is_carrier(const Context* context) { return context->kind >= Kind::value; }

inline uint32_t rank_of(const Context* context) {
  return is_carrier(context) ? static_cast<const Carrier*>(context)->rank : 0;
}

inline Carrier::Carrier(Kind which, Context* above, Value* nearest, Node* where)
    : Context(which, above, nearest), node(where), rank(rank_of(above) + 1) {}

// The node whose end is this context's end.
inline Node* node_of(const Context* context);

inline int check(const Context* context) {
  return context == nullptr ? -EINVAL : stamp::check(context->stamp, stamp::kContext);
}

// As check(), for calls that are allowed on a context from before a fork, too.
inline int check_readable(const Context* context) {
  const int result = check(context);
  return result == -ECHILD ? 0 : result;
}

inline void add_ref(Context* context) { count_up(context->refs); }

// Whether one reference is left. Who asks holds a lock without which nobody takes another.
inline bool is_last(const Context* context) {
  return context->refs.load(std::memory_order_acquire) == 1;
}

// Gives a reference back unless it is the last one; true if it did. acq_rel: all uses of the context come before
// its destruction.
inline bool release_shared(Context* context) {
  uint32_t refs = context->refs.load(std::memory_order_acquire);
  while (refs > 1) {
    if (context->refs.compare_exchange_weak(refs, refs - 1, std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
      return true;
    }
  }
  return false;
}

// Frees the context and, upwards and without recursion, every ancestor that only descendants still kept. Runs
// users' drop functions: hold no lock. Does nothing to the roots of the default loop.
void release_last(Context* context);

inline void release(Context* context) {
  if (!release_shared(context)) release_last(context);
}

// The same after a callback, which may have forked: in the child, contexts from before the fork stay as they
// are.
inline void release_after_callback(Context* context) {
  if (check(context) == 0) release(context);
}

}  // namespace ctxcore

#include "core/tree/node.h"

#endif
