// SPDX-License-Identifier: MIT
#include "core/watch/wait.h"

#include <algorithm>

#include "core/base/alloc.h"
#include "core/life/derive.h"
#include "core/loop/loop.h"
#include "core/tree/node.h"

namespace ctxcore {

namespace {

constexpr size_t kFewEntries = 4;  // entries that need no memory

// The index of the first context that is done, or `count`.
size_t first_done(Context* const* contexts, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const Node* node = node_of(contexts[i]);
    if (error_of(node) == 0) continue;
    await(node, Phase::kMarked);  // the caller must see everything below done, too
    return i;
  }
  return count;
}

// False if the node is done already.
bool enter(Node* node, WaitEntry* entry) {
  if (is_root(node)) return true;
  set_family(node);
  Guard guard(observers_lock(node));
  if (error_of(node) != 0) return false;
  node->observers.push_back(entry);
  return true;
}

void leave(Node* node, WaitEntry* entry) {
  if (is_root(node)) return;
  Guard guard(observers_lock(node));
  if (entry->linked()) node->observers.remove(entry);
}

// Fires everything due on manual loops, since perhaps nobody else does; returns when to come again.
int64_t help_loops(Context* const* contexts, size_t count, int64_t until_ns) {
  int64_t when = kForever;
  Loop* last = nullptr;
  for (size_t i = 0; i < count; ++i) {
    Loop* const loop = loop_of(node_of(contexts[i]));
    if (loop == last || loop->drive() != Drive::manual) continue;
    when = std::min(when, loop->fire_for_waiter(until_ns));
    last = loop;
  }
  return when;
}

void end_all_overdue(Context* const* contexts, size_t count) {
  for (size_t i = 0; i < count; ++i) end_overdue(node_of(contexts[i]));
}

int sleep(Waiter& waiter, Context* const* contexts, size_t count, int64_t until_ns) {
  for (;;) {
    const int64_t help_at = help_loops(contexts, count, until_ns);
    if (waiter.woken.load(std::memory_order_acquire) != 0) return 1;
    if (until_ns <= monotonic_now()) return 0;
    const int result = futex_wait(waiter.woken, 0, std::min(until_ns, help_at));
    if (result == -EINTR) return -EINTR;
  }
}

int wait_with(WaitEntry* entries, Context* const* contexts, size_t count, int64_t until_ns) {
  Waiter waiter;
  size_t entered = 0;
  while (entered < count) {
    entries[entered].waiter = &waiter;
    if (!enter(node_of(contexts[entered]), &entries[entered])) break;
    ++entered;
  }
  const int result = entered == count ? sleep(waiter, contexts, count, until_ns) : 1;
  const bool alone = count == 1 && waiter.woken.load(std::memory_order_acquire) != 0;
  if (!alone) {
    for (size_t i = 0; i < entered; ++i) leave(node_of(contexts[i]), &entries[i]);
  }
  return result;
}

}  // namespace

void end_overdue(Node* node) {
  if (node->deadline == kForever || node->loop->drive() != Drive::manual) return;
  if (node->deadline <= node->loop->now()) end_passed(node, monotonic_now());
}

int wait_any(Context* const* contexts, size_t count, int64_t until_ns, size_t* index) {
  const bool only_looks = until_ns <= monotonic_now();
  help_loops(contexts, count, until_ns);
  if (only_looks) end_all_overdue(contexts, count);
  *index = first_done(contexts, count);
  if (*index < count) return 1;
  if (only_looks) return 0;

  WaitEntry few[kFewEntries];
  WaitEntry* entries = few;
  if (count > kFewEntries) {
    entries = static_cast<WaitEntry*>(allocate(count * sizeof(WaitEntry)));
    if (entries == nullptr) return -ENOMEM;
    for (size_t i = 0; i < count; ++i) ::new (&entries[i]) WaitEntry;
  }
  const int result = wait_with(entries, contexts, count, until_ns);
  if (entries != few) deallocate(entries);
  if (result == 0) end_all_overdue(contexts, count);
  // A context may have ended at the very moment that the time ran out or a signal came.
  *index = first_done(contexts, count);
  return *index < count ? 1 : result;
}

}  // namespace ctxcore
