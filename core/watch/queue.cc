// SPDX-License-Identifier: MIT
#include "core/watch/queue.h"

#include <algorithm>
#include <cerrno>
#include <climits>

#include "core/base/alloc.h"
#include "core/base/released.h"
#include "core/system/clock.h"
#include "core/system/futex.h"
#include "core/tree/node.h"

namespace ctxcore {

// A page of entries, less malloc's own part: a million entries take 57 bytes each.
struct Queue::Slab : Link {
  static constexpr uint16_t kEntries = 72;

  explicit Slab(Queue* owner) {
    for (uint16_t i = kEntries; i-- > 0;) {
      entries[i].index = i;
      entries[i].queue = owner;
      entries[i].next = free;
      free = &entries[i];
    }
  }

  static Slab* of(Entry* entry) {
    auto* const first = reinterpret_cast<char*>(entry - entry->index);
    return reinterpret_cast<Slab*>(first - sizeof(Slab) + sizeof(Slab::entries));
  }

  Link* free = nullptr;  // a chain
  uint32_t used = 0;
  Entry entries[kEntries];  // last
};

void Entry::post() {
  Guard guard(queue->lock_);
  queue->push(this);
}

// A queue lasts as long as it has entries that are not over. Once it is posted, an entry may be gone at any moment.
void Leaving::post() {
  if (queue_ != nullptr) queue_->push_all(of_queue_);
  while (Entry* const entry = others_.pop_front()) entry->post();
}

Queue* Queue::create() {
  auto* queue = make<Queue>(0);
  if (queue != nullptr) queue->stamp = stamp::make(stamp::kQueue);
  return queue;
}

Entry* Queue::take_entry() {
  static_assert(sizeof(void*) != 8 || (sizeof(Entry) == 56 && sizeof(Slab) <= 4096 - 16));
  if (slabs_.empty() || slabs_.front()->free == nullptr) {
    auto* made = make<Slab>(0, this);
    if (made == nullptr) return nullptr;
    slabs_.push_front(made);
  }
  Slab* const slab = slabs_.front();
  auto* const entry = static_cast<Entry*>(slab->free);
  slab->free = entry->next;
  entry->next = nullptr;
  entry->ahead = 0;
  ++slab->used;
  ++used_;
  if (slab->free == nullptr) slabs_.turn();  // the full one is last now
  entry->stamp = stamp::make(stamp::kWatch);
  return entry;
}

void Queue::give_entry(Entry* entry) {
  Slab* const slab = Slab::of(entry);
  const bool was_full = slab->free == nullptr;
  if (kKeepSpares) {
    entry->stamp = 0;
  } else {
    mark_released(entry->stamp);
  }
  entry->state = Entry::unused;
  entry->next = slab->free;
  slab->free = entry;
  --slab->used;
  --used_;
  if (sweeping_) return;
  if (slab->used == 0 && slab->next != slab) {  // not the only one
    slabs_.remove(slab);
    keep_released_whole(slab);
  } else if (was_full) {
    slabs_.remove(slab);
    slabs_.push_front(slab);
  }
}

// The first event after none.
void Queue::announce_first() {
  if (event_.read_end >= 0) event_.set();
  bell_.fetch_add(1, std::memory_order_relaxed);  // the lock orders this
  if (sleepers_ > 0) futex_wake(&bell_, INT_MAX);
}

void Queue::push(Entry* entry) {
  const bool first = posted_.empty();
  entry->state = Entry::posted;
  posted_.push_back(entry);
  if (first) announce_first();
}

// Their states stay as they are: see invariant 2.
void Queue::push_all(Ring<Entry>& entries) {
  Guard guard(lock_);
  const bool first = posted_.empty();
  posted_.take_all(entries);
  if (first) announce_first();
}

// Ends an entry that is among the posted ones.
void Queue::take_back(Entry* entry) {
  posted_.remove(entry);
  if (posted_.empty() && event_.read_end >= 0) event_.clear();
  end_entry(entry);
}

// The entry no longer fires. The caller gives its context back afterwards, if it held one.
void Queue::end_entry(Entry* entry) {
  entry->state = Entry::over;
  if (!entry->has_handle) give_entry(entry);
}

int Queue::descriptor() {
  Guard guard(lock_);
  if (event_.read_end < 0) {
    if (const int result = event_.open(Event::Use::resettable); result < 0) return result;
    if (!posted_.empty()) event_.set();
  }
  return event_.read_end;
}

int Queue::add(Context* context, uint64_t token, Watch** ret) {
  Node* const node = node_of(context);
  if (is_root(node) && ret == nullptr) return 0;
  Entry* entry = nullptr;
  {
    Guard guard(lock_);
    entry = take_entry();
    if (entry == nullptr) return -ENOMEM;
    entry->token = token;
    entry->context = context;
    entry->has_handle = ret != nullptr;
    entry->state = is_root(node) ? Entry::idle : Entry::armed;
  }
  if (is_root(node)) {
    *ret = entry;
    return 0;
  }
  add_ref(context);
  set_family(node);
  {
    Guard guard(observers_lock(node));
    if (error_of(node) == 0) {
      node->observers.push_back(entry);
      if (ret != nullptr) *ret = entry;  // before the event may be posted
      return 0;
    }
  }
  await(node, Phase::kMarked);
  Guard guard(lock_);
  push(entry);
  if (ret != nullptr) *ret = entry;  // only now: before, a stop would have found it in no list
  return 0;
}

// Prefetches what an entry's drain and that of a later one will need; the next entry, or nullptr.
Entry* Queue::fetch(Entry* entry) {
  if (entry == nullptr) return nullptr;
  entry->prefetch_ahead();
  __builtin_prefetch(entry->context, 1);
  return posted_.after(entry);
}

// At most kBatch of them.
size_t Queue::take_some(Posted* events, size_t room, Context** contexts) {
  room = std::min(room, kBatch);
  Guard guard(lock_);
  size_t count = 0;
  Entry* ahead = posted_.front();  // runs kAhead before the others, and fetches what they will need
  for (size_t i = 0; i < kAhead; ++i) ahead = fetch(ahead);
  for (; count < room && !posted_.empty(); ++count) {
    ahead = fetch(ahead);
    Entry* const entry = posted_.pop_front();
    contexts[count] = entry->context;
    events[count] = {entry->token, error_of(node_of(entry->context)), 0};
    end_entry(entry);
  }
  if (posted_.empty() && event_.read_end >= 0) event_.clear();
  return count;
}

size_t Queue::take_posted(Posted* events, size_t room, Context** contexts) {
  size_t total = 0;
  while (total < room) {
    const size_t count = take_some(events + total, room - total, contexts + total);
    total += count;
    if (count < kBatch) break;
  }
  return total;
}

size_t Queue::drain(Posted* events, size_t room) {
  Context* contexts[kBatch];
  size_t total = 0;
  ref();                  // a drop function may give back the last handle
  const Process process;  // or fork, and return in the child: then the rest is the parent's
  while (total < room && process.is_ours()) {
    const size_t count = take_some(events + total, room - total, contexts);
    for (size_t i = 0; i < count && process.is_ours(); ++i) release(contexts[i]);
    total += count;
    if (count < kBatch) break;
  }
  if (process.is_ours()) unref();
  return total;
}

// Unless an event waits already.
int Queue::sleep(int64_t until_ns) {
  uint32_t rung = 0;
  {
    Guard guard(lock_);
    if (!posted_.empty()) return 0;
    ++sleepers_;
    rung = bell_.load(std::memory_order_relaxed);
  }
  const int result = futex_wait(bell_, rung, until_ns);
  Guard guard(lock_);
  --sleepers_;
  return result;
}

int64_t Queue::wait(Posted* events, size_t room, int64_t until_ns) {
  for (;;) {
    const bool late = until_ns <= monotonic_now();
    const int result = late ? 0 : sleep(until_ns);
    const size_t count = drain(events, room);
    if (count > 0) return static_cast<int64_t>(count);
    if (late || result == -ETIMEDOUT) return 0;
    if (result == -EINTR) return -EINTR;
  }
}

// For an entry whose state said armed, and whose context the caller has pinned; false if it is over by now.
bool Queue::disarm(Entry* entry, Node* node) {
  {
    Guard observers(observers_lock(node));
    if (error_of(node) == 0) {
      Guard guard(lock_);
      if (entry->state != Entry::armed) return false;
      node->observers.remove(entry);
      end_entry(entry);
      return true;
    }
  }
  // The entry may be leaving with the walk that ended the node; then it is posted.
  await(node, Phase::kWoken);
  Guard guard(lock_);
  if (entry->state != Entry::armed && entry->state != Entry::posted) return false;
  take_back(entry);
  return true;
}

bool Queue::stop(Entry* entry) {
  Context* context = nullptr;
  bool posted = false;
  {
    Guard guard(lock_);
    if (entry->state == Entry::idle) {
      end_entry(entry);
      return true;
    }
    posted = entry->state == Entry::posted;
    if (!posted && entry->state != Entry::armed) return false;
    context = entry->context;
    if (posted) {
      take_back(entry);
    } else {
      add_ref(context);  // to lock its node's observers, whose lock comes before this one
    }
  }
  const bool stopped = posted || disarm(entry, node_of(context));
  if (stopped) release(context);  // the entry's
  if (!posted) release(context);  // the one above
  return stopped;
}

void Queue::drop_handle(Entry* entry) {
  bool gone = false;
  {
    Guard guard(lock_);
    entry->has_handle = false;
    if (entry->state == Entry::over || entry->state == Entry::idle) give_entry(entry);
    gone = swept_ && used_ == 0;
  }
  if (gone) destroy();
}

// With no lock held: slabs are no longer added or removed.
void Queue::stop_all() CTX_UNCHECKED_LOCKING {
  const Process process;
  slabs_.each([this, &process](Slab& slab) {
    for (Entry& entry : slab.entries) {
      if (process.is_ours()) stop(&entry);
    }
  });
}

void Queue::unref() {
  if (handles_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  mark_released(stamp);
  {
    Guard guard(lock_);
    sweeping_ = true;
  }
  const Process process;
  stop_all();
  if (!process.is_ours()) return;
  bool gone = false;
  {
    Guard guard(lock_);
    swept_ = true;
    gone = used_ == 0;
  }
  if (gone) destroy();
}

void Queue::destroy() CTX_UNCHECKED_LOCKING {
  while (Slab* slab = slabs_.pop_front()) keep_released_whole(slab);
  if (event_.read_end >= 0) event_.close();
  free_object(this);
}

}  // namespace ctxcore
