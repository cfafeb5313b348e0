// SPDX-License-Identifier: MIT
#include "bare.h"

#include <time.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

struct Lock {
  std::atomic<uint32_t> word{0};
  void lock() {
    uint32_t free = 0;
    while (!word.compare_exchange_strong(free, 1, std::memory_order_acquire)) free = 0;
  }
  void unlock() { word.store(0, std::memory_order_release); }
};

}  // namespace

struct bare_event {
  bare_event* next;
  bare_queue* queue;
  uint64_t token;
};

struct bare_queue {
  Lock lock;
  bare_event* first = nullptr;
  bare_event** last = &first;
};

struct bare_watch {
  bare_watch *before, *after;
  bare_node* node;
  void (*call)(void*);
  void* arg;
};

struct bare_node {
  std::atomic<uint32_t> refs{2};
  std::atomic<int> error{0};
  bare_node* parent = nullptr;
  uint32_t slot = 0;
  uint32_t count = 0;
  Lock lock;  // of the children and the watches
  uint32_t room = 1;
  bare_node* next = nullptr;  // of the walk that cancels
  bare_node* only = nullptr;  // a chain needs no array
  bare_node** children = &only;
  bare_node* spare = nullptr;  // the memory of the child that went last
  bare_watch* watches = nullptr;
  bare_event* event = nullptr;
  // Of a timer.
  bool timed = false;
  int64_t deadline = 0;
  bare_node *before = nullptr, *after = nullptr;
};

namespace {

Lock timers_lock;
bare_node* timers = nullptr;  // the newest first
bare_node* oldest_timer = nullptr;

void list_below(bare_node* parent, bare_node* node) {
  if (parent->count == parent->room) {
    const bool first = parent->room == 1;
    parent->room = first ? 4 : 2 * parent->room;
    void* const old = first ? nullptr : parent->children;
    parent->children =
        static_cast<bare_node**>(std::realloc(old, parent->room * sizeof *parent->children));
    if (first) parent->children[0] = parent->only;
  }
  node->parent = parent;
  node->slot = parent->count;
  parent->children[parent->count++] = node;
}

void arm(bare_node* node, int64_t after_ns) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  node->deadline = now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec + after_ns;
  node->timed = true;
  timers_lock.lock();
  node->after = timers;
  (timers == nullptr ? oldest_timer : timers->before) = node;
  timers = node;
  timers_lock.unlock();
}

void unlink_timer(bare_node* node) {
  (node->before == nullptr ? timers : node->before->after) = node->after;
  (node->after == nullptr ? oldest_timer : node->after->before) = node->before;
  node->timed = false;
}

void disarm(bare_node* node) {
  timers_lock.lock();
  unlink_timer(node);
  timers_lock.unlock();
}

bool end(bare_node* node) {
  Lock& lock = node->parent->lock;
  lock.lock();
  const bool first = node->error.load(std::memory_order_relaxed) == 0;
  if (first) node->error.store(-1, std::memory_order_release);
  lock.unlock();
  return first;
}

void free_lists(bare_node* node) {
  if (node->children != &node->only) std::free(node->children);
  std::free(node->spare);
}

bare_node* make(bare_node* parent) {
  parent->lock.lock();
  void* memory = parent->spare;
  parent->spare = nullptr;
  if (memory == nullptr) memory = std::malloc(sizeof(bare_node));
  auto* const node = new (memory) bare_node;
  list_below(parent, node);
  node->error.store(parent->error.load(std::memory_order_relaxed), std::memory_order_relaxed);
  parent->lock.unlock();
  return node;
}

}  // namespace

bare_node* bare_root() { return new (std::malloc(sizeof(bare_node))) bare_node; }

void bare_free_root(bare_node* root) {
  free_lists(root);
  std::free(root);
}

bare_node* bare_derive(bare_node* parent) { return make(parent); }

bare_node* bare_derive_timed(bare_node* parent, int64_t after_ns) {
  bare_node* const node = make(parent);
  arm(node, after_ns);
  return node;
}

int bare_cancel(bare_node* node) {
  const bool first = end(node);
  if (first && node->timed) disarm(node);
  return first;
}

// In the order in which they came: pins each while the list is locked, and then ends it.
void bare_expire(int64_t now) {
  constexpr int kBatch = 128;
  bare_node* due[kBatch];
  int n = kBatch;
  while (n == kBatch) {
    n = 0;
    timers_lock.lock();
    for (bare_node *node = oldest_timer, *later; n < kBatch && node != nullptr; node = later) {
      later = node->before;
      if (node->deadline > now) continue;
      unlink_timer(node);
      node->refs.fetch_add(1, std::memory_order_relaxed);
      due[n++] = node;
    }
    timers_lock.unlock();
    for (int i = 0; i < n; ++i) {
      end(due[i]);
      due[i]->refs.fetch_sub(1, std::memory_order_acq_rel);
    }
  }
}

// A level after the other, without recursion; events go to their queue as they are met.
void bare_cancel_all(bare_node* root) {
  root->error.store(-1, std::memory_order_release);
  bare_node* first = root;
  bare_node** last = &root->next;
  for (; first != nullptr; first = first->next) {
    if (first->count == 0) continue;
    first->lock.lock();
    for (uint32_t i = first->count; i-- > 0;) {
      if (i >= 12) __builtin_prefetch(first->children[i - 12], 1);
      bare_node* const child = first->children[i];
      child->error.store(-1, std::memory_order_release);
      if (child->count > 0) {
        child->next = nullptr;
        *last = child;
        last = &child->next;
      }
      if (child->event != nullptr) {
        bare_queue* const queue = child->event->queue;
        queue->lock.lock();
        *queue->last = child->event;
        queue->last = &child->event->next;
        queue->lock.unlock();
      }
    }
    first->lock.unlock();
  }
}

int bare_error(const bare_node* node) { return node->error.load(std::memory_order_acquire); }

void bare_release(bare_node* node) {
  if (node->refs.load(std::memory_order_acquire) > 1 &&
      node->refs.fetch_sub(1, std::memory_order_acq_rel) > 1) {
    return;
  }
  for (;;) {
    if (node->count > 0 || node->spare != nullptr) {
      node->lock.lock();
      const bool kept = node->count > 0;
      if (kept) node->refs.store(0, std::memory_order_relaxed);  // its last child frees it
      node->lock.unlock();
      if (kept) return;
      free_lists(node);
    }
    bare_node* const parent = node->parent;
    parent->lock.lock();
    bare_node* const last = parent->children[--parent->count];
    parent->children[node->slot] = last;
    last->slot = node->slot;
    bare_node* const older = parent->spare;
    parent->spare = node;
    const bool goes = parent->count == 0 && parent->refs.load(std::memory_order_relaxed) == 0;
    parent->lock.unlock();
    if (older != nullptr) std::free(older);
    if (!goes) return;
    node = parent;
  }
}

bare_queue* bare_queue_new() { return new (std::malloc(sizeof(bare_queue))) bare_queue; }

void bare_queue_free(bare_queue* queue) { std::free(queue); }

void bare_queue_add(bare_queue* queue, bare_node* node, uint64_t token) {
  auto* const event = static_cast<bare_event*>(std::malloc(sizeof(bare_event)));
  *event = {nullptr, queue, token};
  node->event = event;
}

uint64_t bare_queue_drain(bare_queue* queue, uint64_t* tokens, uint64_t room) {
  uint64_t n = 0;
  queue->lock.lock();
  while (n < room && queue->first != nullptr) {
    bare_event* const event = queue->first;
    tokens[n++] = event->token;
    queue->first = event->next;
    std::free(event);
  }
  if (queue->first == nullptr) queue->last = &queue->first;
  queue->lock.unlock();
  return n;
}

bare_watch* bare_register(bare_node* node, void (*call)(void*), void* arg) {
  auto* const watch = static_cast<bare_watch*>(std::malloc(sizeof(bare_watch)));
  node->lock.lock();
  *watch = {nullptr, node->watches, node, call, arg};
  if (watch->after != nullptr) watch->after->before = watch;
  node->watches = watch;
  node->lock.unlock();
  return watch;
}

void bare_stop(bare_watch* watch) {
  bare_node* const node = watch->node;
  node->lock.lock();
  (watch->before == nullptr ? node->watches : watch->before->after) = watch->after;
  if (watch->after != nullptr) watch->after->before = watch->before;
  node->lock.unlock();
  std::free(watch);
}
