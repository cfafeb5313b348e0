// SPDX-License-Identifier: MIT
#include "core/poll.h"

#include <cerrno>
#include <cstring>

#include "core/alloc.h"
#include "core/clock.h"
#include "core/descriptor.h"

namespace ctxcore {

namespace {

constexpr nfds_t kFew = 15;  // descriptors that need no memory

int poll_for(pollfd* fds, nfds_t count, int64_t timeout_ns) {
  const int saved = errno;
  const timespec limit = to_timespec(timeout_ns);
  int ready = ppoll(fds, count, timeout_ns == kForever ? nullptr : &limit, nullptr);
  if (ready < 0) ready = -errno;
  errno = saved;
  return ready;
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
  if (const int error = outcome(node, 0); error < 0) return error;
  if (is_root(node)) return poll_for(fds, count, timeout_ns);
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
  const int ready = poll_for(all, count + 1, timeout_ns);
  if (ready >= 0) {
    for (nfds_t i = 0; i < count; ++i) fds[i].revents = all[i].revents;
  }
  if (all != few) deallocate(all);
  return outcome(node, ready);
}

}  // namespace ctxcore
