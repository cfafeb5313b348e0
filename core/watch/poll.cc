// SPDX-License-Identifier: MIT
#include "core/watch/poll.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/alloc.h"
#include "core/loop/loop.h"
#include "core/system/clock.h"
#include "core/system/io.h"
#include "core/watch/descriptor.h"

namespace ctxcore {

namespace {

constexpr nfds_t kFew = 15;  // descriptors that need no memory

// On a loop that its host drives, ends what is due meanwhile, since nobody else may.
int poll_for(Loop* loop, pollfd* fds, nfds_t count, int64_t timeout_ns) {
  if (loop->drive() != Drive::manual) return io::poll(fds, count, timeout_ns);
  const int64_t until = saturating_add(monotonic_now(), timeout_ns);
  for (;;) {
    const int64_t help_at = loop->fire_for_waiter(until);  // whose end the node's descriptor tells
    const int64_t left = saturating_sub(std::min(until, help_at), monotonic_now());
    const bool forever = std::min(until, help_at) == kForever;
    const int ready = io::poll(fds, count, forever ? kForever : std::max<int64_t>(left, 0));
    if (ready != 0 || until <= std::max(help_at, monotonic_now())) return ready;
  }
}

// The node's error if it is done, with all below it marked; else what poll said.
int outcome(Node* node, int ready) {
  const int error = error_of(node);
  if (error == 0) return ready;
  await(node, Phase::kMarked);
  return error;
}

}  // namespace

int poll_with(Node* node, pollfd* fds, nfds_t count, int64_t timeout_ns) {
  if (!is_root(node) && node->loop->drive() == Drive::manual) {
    node->loop->fire_for_waiter(saturating_add(monotonic_now(), timeout_ns));
  }
  if (const int error = outcome(node, 0); error < 0) return error;
  if (is_root(node)) return io::poll(fds, count, timeout_ns);
  const int descriptor = descriptor_of(node);
  if (descriptor < 0) return descriptor;

  // The node's descriptor goes behind the caller's, in a copy.
  pollfd few[kFew + 1];
  pollfd* all = few;
  if (count > kFew) {
    size_t size = 0;
    if (__builtin_mul_overflow(count, sizeof(pollfd), &size) ||
        __builtin_add_overflow(size, sizeof(pollfd), &size)) {
      return -EINVAL;
    }
    all = static_cast<pollfd*>(allocate(size));
    if (all == nullptr) return -ENOMEM;
  }
  if (count > 0) std::memcpy(all, fds, count * sizeof(pollfd));
  all[count] = {descriptor, POLLIN, 0};
  const int ready = poll_for(node->loop, all, count + 1, timeout_ns);
  if (ready >= 0) {
    for (nfds_t i = 0; i < count; ++i) fds[i].revents = all[i].revents;
  }
  if (all != few) deallocate(all);
  return outcome(node, ready);
}

}  // namespace ctxcore
