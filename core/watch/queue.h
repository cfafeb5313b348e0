// SPDX-License-Identifier: MIT
// Very many nodes, one descriptor: entries that observe nodes, and post themselves to their queue.
//
// Entries lie in slabs that the queue owns: so they take little memory, and a queue that goes finds them all.
//
// Invariants
//  1. An entry's state goes idle or armed -> (posted ->) over. Every change is made under the queue's lock; one from
//     armed while the entry is linked among the node's observers also under their lock.
//  2. Armed: linked among the node's observers, or not handed out yet; or, on a node that is done, leaving with the
//     walk that ended it. Once that walk has woken all, such an entry is among the posted ones, though its state still
//     says armed: nobody touches a million entries to say so. Posted: linked among the posted ones.
//  3. Armed or posted, it holds a reference to its context; the thread that makes it `over` gives that back, with
//     no lock held. An entry for a context that can never be done is idle and holds nothing.
//  4. An entry that is over, with no handle left, is unused.
//  5. The descriptor is set exactly while the list of posted entries is not empty; both change under the
//     queue's lock.
//  6. The queue's memory lasts until its handles are gone, no entry is armed or posted, and no handle to an entry
//     is left.
//
// Lock order: a leaf; taken with the lock of a node's observers held.
#ifndef CTX_CORE_WATCH_QUEUE_H
#define CTX_CORE_WATCH_QUEUE_H

#include <cstddef>
#include <cstdint>

#include "core/base/count.h"
#include "core/base/list.h"
#include "core/base/lock.h"
#include "core/system/atomic.h"
#include "core/system/event.h"
#include "core/tree/context.h"
#include "core/tree/entry.h"

namespace ctxcore {

// A ctx_event_t.
struct Posted {
  uint64_t token;
  int32_t error;
  uint32_t reserved;
};

class Queue {
 public:
  static Queue* create();  // with one handle; nullptr without memory
  void ref() { count_up(handles_); }
  void unref();

  int descriptor();  // or a negative errno
  int add(Context* context, uint64_t token, Watch** ret);
  size_t drain(Posted* events, size_t room);

  // As drain(), but the contexts, one for each event, are the caller's.
  size_t take_posted(Posted* events, size_t room, Context** contexts);

  // As drain(), but waits until `until_ns` on CLOCK_MONOTONIC for the first event. -EINTR if a signal came.
  int64_t wait(Posted* events, size_t room, int64_t until_ns);

  bool stop(Entry* entry);  // true if this call prevented its event
  void drop_handle(Entry* entry);

  uint32_t stamp = 0;

 private:
  static constexpr size_t kBatch = 64;  // entries taken under the lock at a time
  static constexpr size_t kAhead = 6;   // entries that the prefetch runs ahead

  friend struct Entry;
  friend class Leaving;
  struct Slab;

  Entry* take_entry() CTX_REQUIRES(lock_);  // nullptr without memory
  void give_entry(Entry* entry) CTX_REQUIRES(lock_);
  void push(Entry* entry) CTX_REQUIRES(lock_);
  void push_all(Ring<Entry>& entries);
  void announce_first() CTX_REQUIRES(lock_);
  void take_back(Entry* entry) CTX_REQUIRES(lock_);
  void end_entry(Entry* entry) CTX_REQUIRES(lock_);
  Entry* fetch(Entry* entry) CTX_REQUIRES(lock_);
  bool disarm(Entry* entry, Node* node);
  size_t take_some(Posted* events, size_t room, Context** contexts);
  int sleep(int64_t until_ns);
  void stop_all();
  void destroy();

  Lock lock_;
  Ring<Entry> posted_ CTX_GUARDED_BY(lock_);
  Ring<Slab> slabs_ CTX_GUARDED_BY(lock_);  // those with room come first
  size_t used_ CTX_GUARDED_BY(lock_) = 0;   // entries that are not unused
  uint32_t sleepers_ CTX_GUARDED_BY(lock_) = 0;
  bool sweeping_ CTX_GUARDED_BY(lock_) = false;  // the last handle is gone: slabs stay as they are
  bool swept_ CTX_GUARDED_BY(lock_) = false;     // and no entry is armed or posted any more
  Event event_ CTX_GUARDED_BY(lock_);
  Atomic<uint32_t> handles_{1};
  Atomic<uint32_t> bell_{0};  // counts how often a first event was posted
};

}  // namespace ctxcore

#endif
