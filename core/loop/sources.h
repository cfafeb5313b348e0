// SPDX-License-Identifier: MIT
// Descriptors that end a node when they are ready: those of ctx_with_fd, and those of ctx_cancel_fd.
//
// The poller takes a descriptor once. So all sources of one descriptor share a place in a table that its number
// indexes, and the poller watches for the events that any of them wants. However many there are, adding, removing
// and finding those that wait for an event take the same time. The descriptor is somebody else's: at any time it may
// be closed, and its number used again. So it is watched for one event at a time, so that a stale registration
// reports at most once, and by an id that counts registrations, which reveals a stale one.
//
// Invariants (all under lock_)
//  1. A source is in a group of its descriptor's place from add() until it is taken to fire or removed. Once
//     it is taken its Link is the loop's.
//  2. A place with sources is registered with the poller by its serial number, for the events that they want and no
//     others, unless its owner has closed the descriptor. So what nobody asks for any more wakes nobody.
//  3. A source that is taken pins its node. A thread that finds it in its place may do so, since the last reference
//     of a node is given up only after remove_last().
//  4. An ended node has left its place before the call that ended it returns.
//
// Lock order: a leaf; taken with tree locks held (node.h).
#ifndef CTX_CORE_LOOP_SOURCES_H
#define CTX_CORE_LOOP_SOURCES_H

#include <cstddef>
#include <cstdint>

#include "core/base/groups.h"
#include "core/base/list.h"
#include "core/system/poller.h"
#include "core/tree/cause.h"
#include "core/tree/node.h"

namespace ctxcore {

struct Source : Link {
  Source(Node* ends, int descriptor, uint32_t wanted, Cause* why)
      : node(ends), fd(descriptor), events(wanted), reason(why) {}

  Node* const node;
  const int fd;
  const uint32_t events;
  uint32_t came = 0;
  Group<Source>* group = nullptr;
  // A blank one, filled in when the source fires; nullptr for the plain one, and for a mirror (mirror_node.h).
  Cause* const reason;
};

// The node of ctx_with_fd.
struct FdNode : Node, Source {
  FdNode(Context* above, Value* nearest, Loop* runner, int64_t when, int descriptor,
         uint32_t wanted, Cause* why, Kind which = Kind::fd)
      : Node(above, nearest, runner, when, which), Source(this, descriptor, wanted, why) {
    armed.store(kByDescriptor, std::memory_order_relaxed);
  }
};

class Sources {
 public:
  constexpr explicit Sources(Poller& poller) : poller_(poller) {}

  // Watches, unless the node is done already. 0; -EPERM, -EBADF, -ENOMEM, or another answer of the system.
  int add(Source* source);

  void remove(Source* source);       // does nothing if it is not watched
  bool remove_last(Source* source);  // the same if its node has one reference; else returns false

  // Appends the sources that an event is for to `due`, their nodes pinned.
  void take(const Poller::Ready& ready, Link*& due);

  // The library has got a new descriptor with this number: sources of an older one with it never fire.
  void forget(int fd);

  void free_all();  // once no other thread can reach it

 private:
  struct Place {
    Groups<Source> sources;
    uint32_t serial;  // of the registration; 0: there was none yet
  };

  bool make_room(int fd) CTX_REQUIRES(lock_);
  int watch_anew(Place& place, int fd, uint32_t events) CTX_REQUIRES(lock_);
  void watch_rest(const Place& place, int fd) CTX_REQUIRES(lock_);
  void empty(Place& place) CTX_REQUIRES(lock_);
  void take_out(Source* source) CTX_REQUIRES(lock_);

  Poller& poller_;
  Lock lock_;
  Place* places_ CTX_GUARDED_BY(lock_) = nullptr;
  size_t room_ CTX_GUARDED_BY(lock_) = 0;
};

}  // namespace ctxcore

#endif
