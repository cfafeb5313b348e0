// SPDX-License-Identifier: MIT
#include "core/loop/sources.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/loop/loop.h"

namespace ctxcore {

namespace {

constexpr uint32_t kAlways = POLLERR | POLLHUP;  // reported unasked

uint64_t id_of(int fd, uint32_t serial) {
  return uint64_t{serial} << 32 | static_cast<uint32_t>(fd);
}

uint32_t wanted_by(const Groups<Source>& sources) {
  return static_cast<uint32_t>(sources.wanted());
}

}  // namespace

// The table grows to the largest number in use; the system gives out the smallest free one.
bool Sources::make_room(int fd) {
  const auto index = static_cast<size_t>(fd);
  if (index < room_) return true;
  const size_t room = std::max<size_t>(index + 1, std::max<size_t>(64, room_ * 2));
  auto* const larger = static_cast<Place*>(reallocate(places_, room * sizeof(Place)));
  if (larger == nullptr) return false;
  std::fill(larger + room_, larger + room, Place{});
  places_ = larger;
  room_ = room;
  return true;
}

int Sources::watch_anew(Place& place, int fd, uint32_t events) {
  if (++place.serial == 0) ++place.serial;
  const uint64_t id = id_of(fd, place.serial);
  const int result = poller_.watch(fd, events, id, true);
  return result == -EEXIST ? poller_.rewatch(fd, events, id) : result;
}

// After some have left: for what the others want.
void Sources::watch_rest(const Place& place, int fd) {
  if (place.sources.empty()) {
    poller_.unwatch(fd);
  } else {
    poller_.rewatch(fd, wanted_by(place.sources), id_of(fd, place.serial));
  }
}

void Sources::empty(Place& place) {
  while (place.sources.take(UINT64_MAX) != nullptr) {
  }
}

void Sources::forget(int fd) {
  Guard guard(lock_);
  if (static_cast<size_t>(fd) < room_) empty(places_[fd]);
}

int Sources::add(Source* source) {
  Guard guard(lock_);
  // The walk that ended it was here already, or will find it unlinked.
  if (error_of(source->node) != 0) return 0;
  if (!make_room(source->fd)) return -ENOMEM;
  Place& place = places_[source->fd];
  int result = -ENOENT;
  if (!place.sources.empty()) {
    const uint32_t events = wanted_by(place.sources) | source->events;
    result = poller_.rewatch(source->fd, events, id_of(source->fd, place.serial));
    if (result == -ENOENT) empty(place);  // it was closed, and its number used again
  }
  if (result == -ENOENT) result = watch_anew(place, source->fd, source->events);
  if (result < 0) return result;
  if (place.sources.add(source, source->events)) return 0;
  watch_rest(place, source->fd);
  return -ENOMEM;
}

void Sources::take_out(Source* source) {
  if (source->group == nullptr) return;
  Place& place = places_[source->fd];
  const uint32_t wanted = wanted_by(place.sources);
  place.sources.remove(source);
  if (wanted_by(place.sources) != wanted) watch_rest(place, source->fd);
}

void Sources::remove(Source* source) {
  Guard guard(lock_);
  take_out(source);
}

bool Sources::remove_last(Source* source) {
  Guard guard(lock_);
  if (!is_last(source->node)) return false;
  take_out(source);
  return true;
}

void Sources::take(const Poller::Ready& ready, Link*& due) {
  const int fd = static_cast<int>(ready.id & UINT32_MAX);
  Guard guard(lock_);
  if (static_cast<size_t>(fd) >= room_) return;
  Place& place = places_[fd];
  if (place.serial != ready.id >> 32 || place.sources.empty()) return;
  const bool all = (ready.events & kAlways) != 0;
  Ring<Source> taken;
  while (Source* const source = place.sources.take(all ? UINT64_MAX : ready.events)) {
    source->came = ready.events & (source->events | kAlways);
    taken.push_back(source);
  }
  watch_rest(place, fd);
  // Pins only now, in release order. A thread that gives back its last reference, and then closes the descriptor,
  // either sees no pin, and waits for the lock, or sees that this thread has finished with the descriptor.
  while (Source* const pinned = taken.pop_front()) {
    pinned->node->refs.fetch_add(1, std::memory_order_release);
    push_back(due, pinned);
  }
}

void Sources::free_all() CTX_UNCHECKED_LOCKING { deallocate(places_); }

}  // namespace ctxcore
