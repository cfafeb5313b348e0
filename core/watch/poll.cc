// SPDX-License-Identifier: MIT
#include "core/watch/poll.h"

#include <algorithm>
#include <cerrno>

#include "core/base/alloc.h"
#include "core/loop/loop.h"
#include "core/system/clock.h"
#include "core/system/io.h"
#include "core/watch/descriptor.h"
#include "core/watch/wait.h"

namespace ctxcore {

namespace {

constexpr nfds_t kFewDescriptors = 15;  // descriptors that need no memory

constexpr int64_t kTurn = 10'000'000;  // ns: how late the last resort notices the node's end

// Leaves out the caller's negative descriptors: the system takes only so many (RLIMIT_NOFILE), and ignores these,
// too.
nfds_t copy(const pollfd* from, nfds_t count, pollfd* to) {
  nfds_t copied = 0;
  for (nfds_t i = 0; i < count; ++i) {
    if (from[i].fd >= 0) to[copied++] = from[i];
  }
  return copied;
}

void copy_back(pollfd* to, nfds_t count, const pollfd* from) {
  for (nfds_t i = 0; i < count; ++i) to[i].revents = to[i].fd >= 0 ? (from++)->revents : int16_t{0};
}

// Polls `count` descriptors and, if there is one `behind` them, the node's. If the system takes the caller's but not one
// more, the last resort is to look at both in turn.
int poll_all(pollfd* fds, nfds_t count, nfds_t behind, int64_t timeout_ns) {
  int ready = io::poll(fds, count + behind, timeout_ns);
  if (ready != -EINVAL || behind == 0) return ready;
  const int64_t until = saturating_add(monotonic_now(), timeout_ns);
  for (;;) {
    const int64_t left = std::max<int64_t>(saturating_sub(until, monotonic_now()), 0);
    ready = io::poll(fds, count, std::min(left, kTurn));
    if (ready == 0) ready = io::poll(&fds[count], 1, 0);
    if (ready != 0 || left == 0) return ready;
  }
}

// Meanwhile fires everything due on a manual loop, since perhaps nobody else does.
int poll_for(Loop* loop, pollfd* fds, nfds_t count, nfds_t behind, int64_t timeout_ns) {
  if (loop->drive() != Drive::manual) return poll_all(fds, count, behind, timeout_ns);
  const int64_t until = saturating_add(monotonic_now(), timeout_ns);
  for (;;) {
    const int64_t help_at = loop->fire_for_waiter(until);  // the node's descriptor shows its end
    const int64_t left = saturating_sub(std::min(until, help_at), monotonic_now());
    const bool forever = std::min(until, help_at) == kForever;
    const int ready = poll_all(fds, count, behind, forever ? kForever : std::max<int64_t>(left, 0));
    if (ready != 0 || until <= std::max(help_at, monotonic_now())) return ready;
  }
}

// The node's error if it is done, with all below it marked; else the result of poll.
int outcome(Node* node, int ready) {
  const int error = error_of(node);
  if (error == 0) return ready;
  await(node, Phase::kMarked);
  return error;
}

}  // namespace

int poll_with(Node* node, pollfd* fds, nfds_t count, int64_t timeout_ns) {
  Loop* const loop = loop_of(node);
  if (loop->drive() == Drive::manual) {
    loop->fire_for_waiter(saturating_add(monotonic_now(), timeout_ns));
  }
  if (const int error = outcome(node, 0); error < 0) return error;
  if (is_root(node)) return poll_for(loop, fds, count, 0, timeout_ns);  // it has no descriptor
  const int descriptor = descriptor_of(node);
  if (descriptor < 0) return descriptor;

  pollfd few[kFewDescriptors + 1];
  pollfd* all = few;
  if (count > kFewDescriptors) {
    if (count > io::most_polled()) return -EINVAL;  // as poll(2) does, before it reads them
    size_t size = 0;
    if (__builtin_mul_overflow(count + 1, sizeof(pollfd), &size)) return -EINVAL;
    all = static_cast<pollfd*>(allocate(size));
    if (all == nullptr) return -ENOMEM;
  }
  const nfds_t copied = copy(fds, count, all);
  all[copied] = {descriptor, POLLIN, 0};
  const int ready = poll_for(loop, all, copied, 1, timeout_ns);
  if (ready >= 0) copy_back(fds, count, all);
  if (all != few) deallocate(all);
  if (ready == 0) end_overdue(node);
  return outcome(node, ready);
}

}  // namespace ctxcore
