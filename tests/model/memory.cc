// SPDX-License-Identifier: MIT
#include "model/memory.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "model/scheduler.h"

namespace model {

namespace {

constexpr size_t kKept = 8;  // stores of a place: a load does not see older ones

struct Store {
  uint64_t value;
  int by;
  uint32_t when;         // the writer's own clock
  VectorClock released;  // what an acquire load that sees it learns
};

struct Seen {
  uint32_t when = 0;  // the reader's own clock
  uint64_t store = 0;
};

struct Place {
  uint64_t first = 0;  // the number of stores[0]
  std::vector<Store> stores;
  std::array<Seen, kMostThreads> seen{};
};

bool weak = false;
std::array<VectorClock, kMostThreads> clocks;
std::unordered_map<const void*, Place> places;

VectorClock& mine() {
  if (self() >= static_cast<int>(kMostThreads)) fail("too many threads for a weak schedule");
  return clocks[self()];
}

void join(VectorClock& into, const VectorClock& other) {
  for (size_t i = 0; i < kMostThreads; ++i) into[i] = std::max(into[i], other[i]);
}

bool acquires(std::memory_order order) {
  return order != std::memory_order_relaxed && order != std::memory_order_release;
}
bool releases(std::memory_order order) {
  return order == std::memory_order_release || order == std::memory_order_acq_rel ||
         order == std::memory_order_seq_cst;
}

Place& place_of(const void* at, uint64_t value) {
  const auto [found, is_new] = places.try_emplace(at);
  // Its value is from before the schedule, or of a thread that does not matter: everybody knows it.
  if (is_new) found->second.stores.push_back({value, 0, 0, {}});
  return found->second;
}

// The oldest store that this thread may still see.
uint64_t oldest_for(const Place& place) {
  const VectorClock& known = mine();
  uint64_t oldest = place.first;
  for (size_t i = 0; i < place.stores.size(); ++i) {
    const Store& store = place.stores[i];
    if (store.when <= known[store.by]) oldest = place.first + i;
  }
  for (size_t thread = 0; thread < kMostThreads; ++thread) {
    const Seen& seen = place.seen[thread];
    if (seen.when != 0 && seen.when <= known[thread]) oldest = std::max(oldest, seen.store);
  }
  return oldest;
}

void see(Place& place, uint64_t store, std::memory_order order) {
  VectorClock& known = mine();
  if (acquires(order)) join(known, place.stores[store - place.first].released);
  place.seen[self()] = {++known[self()], store};
}

void add(Place& place, uint64_t value, std::memory_order order, const VectorClock& continued) {
  VectorClock& known = mine();
  Store store{value, self(), ++known[self()], continued};
  if (releases(order)) join(store.released, known);
  place.stores.push_back(store);
  if (place.stores.size() > kKept) {
    place.stores.erase(place.stores.begin());
    ++place.first;
  }
}

}  // namespace

void memory_reset(bool is_weak) {
  weak = is_weak;
  if (!weak) return;
  places.clear();
  for (VectorClock& clock : clocks) clock.fill(0);
}

bool is_weak() { return weak && in_schedule(); }

void memory_thread_started(int parent, int child) {
  if (!is_weak()) return;
  if (child >= static_cast<int>(kMostThreads)) fail("too many threads for a weak schedule");
  ++clocks[parent][parent];
  join(clocks[child], clocks[parent]);
}

void memory_made(const void* at, uint64_t value) {
  if (!is_weak()) return;
  Place place;
  VectorClock& known = mine();
  place.stores.push_back({value, self(), ++known[self()], {}});
  places[at] = place;
}

uint64_t memory_load(const void* at, uint64_t newest, std::memory_order order) {
  Place& place = place_of(at, newest);
  const uint64_t last = place.first + place.stores.size() - 1;
  const uint64_t oldest = oldest_for(place);
  Choice::Option options[kKept];
  size_t count = 0;
  for (uint64_t store = last;; --store) {
    options[count] = {static_cast<int>(count), count == 0 ? 0 : 1};
    ++count;
    if (store == oldest) break;
  }
  const uint64_t seen = last - (count > 1 ? choose_store(options, count) : 0);
  see(place, seen, order);
  return place.stores[seen - place.first].value;
}

void memory_store(const void* at, uint64_t before, uint64_t value, std::memory_order order) {
  add(place_of(at, before), value, order, {});
}

void memory_modify(const void* at, uint64_t before, uint64_t value, std::memory_order order) {
  Place& place = place_of(at, before);
  const uint64_t last = place.first + place.stores.size() - 1;
  see(place, last, order);
  add(place, value, order, place.stores.back().released);
}

void memory_release(VectorClock* clock) {
  if (!is_weak()) return;
  ++mine()[self()];
  join(*clock, mine());
}

void memory_acquire(const VectorClock& clock) {
  if (is_weak()) join(mine(), clock);
}

void memory_join(int thread) {
  if (is_weak()) join(mine(), clocks[thread]);
}

}  // namespace model
