// SPDX-License-Identifier: MIT
//
// P9 and P20: a million contexts on one queue: what an entry takes, what it costs to cancel their parent and to
// drain every event, by how many descriptors and wake-ups. Bare is an array of children and a list of events.
// Prints `name value` lines: nanoseconds of processor time a context, bytes an entry.
#include <sys/epoll.h>

#include <cstdint>
#include <memory>

#include "plain.h"
#include "trees.h"
#include "usage.h"

namespace ctxbench {
namespace {

constexpr size_t kContexts = 1'000'000;
constexpr size_t kBatch = 1'000;  // what a host drains at a time

struct Queue {
  Queue() { Check(ctx_queue_new(&queue)); }
  Queue(const Queue&) = delete;
  ~Queue() { ctx_queue_unref(queue); }

  // Takes all that waits; how many events, each of which must be of its own context.
  size_t DrainAll(std::vector<bool>* seen) const {
    size_t drained = 0;
    ctx_event_t events[kBatch];
    for (int64_t n; (n = ctx_queue_drain(queue, events, kBatch)) > 0;) {
      for (int64_t i = 0; i < n; ++i) (*seen)[events[i].token] = true;
      drained += static_cast<size_t>(n);
    }
    return drained;
  }

  ctx_queue_t* queue = nullptr;
};

void ExpectAll(size_t drained, const std::vector<bool>& seen) {
  if (drained != kContexts || std::count(seen.begin(), seen.end(), true) != kContexts) std::abort();
}

// Held: the caller has the contexts in hand. Left: the queue's references are the only ones, so that
// each drained event also frees its context.
enum class Handles { kHeld, kLeft };

void CancelAndDrain(const char* name, bool shuffled, Handles handles) {
  const Queue queue;
  OursCancel::Parent parent;
  auto family = std::make_unique<Family<OursCancel>>(parent, kContexts, shuffled);
  for (size_t i = 0; i < kContexts; ++i) {
    Check(ctx_queue_add(queue.queue, (*family)[i]->ctx, i, nullptr));
  }
  if (handles == Handles::kLeft) family.reset();
  std::vector<bool> seen(kContexts);
  const double begin = ThreadSeconds();
  if (!parent.Cancel()) std::abort();
  const double canceled = ThreadSeconds();
  const size_t drained = queue.DrainAll(&seen);
  const double end = ThreadSeconds();
  ExpectAll(drained, seen);
  const double each = 1e9 / kContexts;
  std::printf("%s/cancel %.1f\n%s/drain %.1f\n%s/ours %.1f\n", name, (canceled - begin) * each,
              name, (end - canceled) * each, name, (end - begin) * each);
}

void CancelAndDrainBare(const char* name, bool shuffled) {
  Bare::Parent parent;
  Family<Bare> family(parent, kContexts, shuffled);
  bare_queue* const queue = bare_queue_new();
  for (size_t i = 0; i < kContexts; ++i) bare_queue_add(queue, family[i]->node, i);
  std::vector<bool> seen(kContexts);
  uint64_t tokens[kBatch];
  size_t drained = 0;
  const double begin = ThreadSeconds();
  parent.Cancel();
  for (uint64_t n; (n = bare_queue_drain(queue, tokens, kBatch)) > 0; drained += n) {
    for (uint64_t i = 0; i < n; ++i) seen[tokens[i]] = true;
  }
  const double end = ThreadSeconds();
  ExpectAll(drained, seen);
  bare_queue_free(queue);
  std::printf("%s/bare %.1f\n", name, (end - begin) * 1e9 / kContexts);
}

void Add() {
  const Queue queue;
  OursCancel::Parent parent;
  Family<OursCancel> family(parent, kContexts);
  const Usage before = MeasureMemory();
  const double begin = ThreadSeconds();
  for (size_t i = 0; i < kContexts; ++i) {
    Check(ctx_queue_add(queue.queue, family[i]->ctx, i, nullptr));
  }
  const double end = ThreadSeconds();
  const Usage each = PerObject(before, MeasureMemory(), kContexts);
  std::printf("P9/add %.1f\nP9/entry/allocated %.1f\nP9/entry/resident %.1f\nP9/entry %.1f\n",
              (end - begin) * 1e9 / kContexts, each.allocated, each.resident,
              std::max(each.allocated, each.resident));
}

// Ten parents end one after the other; the host looks after each, but drains only at the end. An edge-triggered
// epoll shows each wake-up that the queue caused.
void WakeUps() {
  constexpr size_t kParents = 10;
  const int before = OpenDescriptors();
  const Queue queue;
  OursCancel::Parent parents[kParents];
  std::vector<std::optional<OursCancel>> contexts(kContexts);
  for (size_t i = 0; i < kContexts; ++i) {
    contexts[i].emplace(parents[i % kParents]);
    Check(ctx_queue_add(queue.queue, contexts[i]->ctx, i, nullptr));
  }
  const int fd = Check(ctx_queue_fd(queue.queue));
  const int descriptors = OpenDescriptors() - before;

  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event edge = {};
  edge.events = EPOLLIN | EPOLLET;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &edge) != 0) std::abort();
  int wake_ups = 0;
  for (OursCancel::Parent& parent : parents) {
    if (!parent.Cancel()) std::abort();
    while (epoll_wait(epoll, &edge, 1, 0) == 1) ++wake_ups;
  }
  std::vector<bool> seen(kContexts);
  const size_t drained = queue.DrainAll(&seen);
  ExpectAll(drained, seen);
  if (epoll_wait(epoll, &edge, 1, 0) != 0) std::abort();
  close(epoll);
  std::printf("P9/descriptors %d\nP9/wakeups %d\n", descriptors, wake_ups);
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  return RunPlain(argc, argv,
                  {{"P9/add", Add},
                   {"P9/ordered/ours", [] { CancelAndDrain("P9/ordered", false, Handles::kHeld); }},
                   {"P9/ordered/bare", [] { CancelAndDrainBare("P9/ordered", false); }},
                   {"P20/ours", [] { CancelAndDrain("P20", true, Handles::kHeld); }},
                   {"P20/bare", [] { CancelAndDrainBare("P20", true); }},
                   {"P9/left/ours", [] { CancelAndDrain("P9/left", false, Handles::kLeft); }},
                   {"P9/wakeups", WakeUps}});
}
