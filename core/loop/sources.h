// SPDX-License-Identifier: MIT
// Descriptors that end a node when they are ready: those of ctx_with_fd, and those of ctx_cancel_fd.
//
// The poller takes a descriptor once; so all sources of one descriptor share a place in a table that is
// indexed by its number, and the poller watches for what any of them wants. There may be any number of them:
// adding, removing and finding who waits for an event take no longer for that. The descriptor is somebody
// else's: it may be closed, and its number used again, at any time. So it is watched for one event at a
// time, which keeps a stale registration from being told twice, and by an id that counts registrations,
// which tells a stale one.
//
// Invariants (all under lock_)
//  1. A source is in a group of its descriptor's place from add() until it is taken to fire or removed. Once
//     it is taken its Link is the loop's.
//  2. A place with sources is registered with the poller by its serial number, unless its descriptor was
//     closed behind our back.
//  3. A source that is taken pins its node; who finds it in its place may do so, for the last reference
//     of a node is given up only after remove_last().
//  4. A node that was ended has left its place before the call that ended it returns.
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
  Cause* const reason;  // a blank one, filled in when the source fires; nullptr for the plain one
};

// What ctx_with_fd makes.
struct FdNode : Node, Source {
  FdNode(Context* above, Value* nearest, Loop* runner, int64_t when, int descriptor,
         uint32_t wanted, Cause* why)
      : Node(above, nearest, runner, when, Kind::fd), Source(this, descriptor, wanted, why) {
    armed.store(kByDescriptor, std::memory_order_relaxed);
  }
};

class Sources {
 public:
  constexpr explicit Sources(Poller& poller) : poller_(poller) {}

  // Watches, unless the node is done already. 0; -EPERM, -EBADF, -ENOMEM, or what the system answers.
  int add(Source* source);

  void remove(Source* source);       // does nothing if it is not watched
  bool remove_last(Source* source);  // the same if its node has one reference; else returns false

  // Appends the sources that an event is for to `due`, their nodes pinned.
  void take(const Poller::Ready& ready, Link*& due);

  // A descriptor of the library's own has got this number: who waited for an older one of it waits in vain.
  void forget(int fd);

  void free_all();  // with nobody left to share it

 private:
  struct Place {
    Groups<Source> sources;
    uint32_t serial;  // of the registration; 0: there was none yet
  };

  bool make_room(int fd) CTX_REQUIRES(lock_);
  int watch_anew(Place& place, int fd, uint32_t events) CTX_REQUIRES(lock_);
  void empty(Place& place) CTX_REQUIRES(lock_);
  void take_out(Source* source) CTX_REQUIRES(lock_);

  Poller& poller_;
  Lock lock_;
  Place* places_ CTX_GUARDED_BY(lock_) = nullptr;
  size_t room_ CTX_GUARDED_BY(lock_) = 0;
};

}  // namespace ctxcore

#endif
