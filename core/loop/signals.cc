// SPDX-License-Identifier: MIT
#include "core/loop/signals.h"

#include <cerrno>

#include "core/base/text.h"
#include "core/loop/loop.h"
#include "core/system/atomic.h"
#include "core/system/signal_fd.h"
#include "core/system/thread.h"

namespace ctxcore {

namespace {

struct Registry {
  Lock lock;
  SignalFd descriptor CTX_GUARDED_BY(lock);
  Groups<SignalNode> nodes CTX_GUARDED_BY(lock);
};
constinit Registry registry;

uint64_t bit(int signal) { return uint64_t{1} << (signal - 1); }

// The signals that nodes wait for. Written under the lock, read without it: it orders nothing else.
Atomic<uint64_t> waited_for{0};

// Makes the descriptor take the signals that nodes wait for. 0 or a negative errno; only the first call can fail.
int take_waited_for() CTX_REQUIRES(registry.lock) {
  const uint64_t wanted = registry.nodes.wanted();
  if (wanted == waited_for.load(std::memory_order_relaxed)) return 0;
  waited_for.store(wanted, std::memory_order_relaxed);
  return registry.descriptor.take(wanted);
}

void unlist(SignalNode* node) CTX_REQUIRES(registry.lock) {
  if (node->group == nullptr) return;
  registry.nodes.remove(node);
  take_waited_for();
}

// Takes the nodes that wait for a signal, pinned.
void take(const SignalFd::Signal& signal, Ring<SignalNode>& taken) CTX_REQUIRES(registry.lock) {
  while (SignalNode* const node = registry.nodes.take(bit(signal.number))) {
    node->reason->code = signal.number;
    write_signal(blank_text(node->reason), signal.number, signal.sent, signal.process, signal.user);
    add_ref(node);
    taken.push_back(node);
  }
  take_waited_for();
}

}  // namespace

uint64_t signals_of(const int* numbers, size_t count) {
  const uint64_t blocked = signal_mask();
  uint64_t signals = 0;
  for (size_t i = 0; i < count; ++i) {
    if (numbers[i] < 1 || numbers[i] > kSignals || (blocked & bit(numbers[i])) == 0) return 0;
    signals |= bit(numbers[i]);
  }
  return signals;
}

int list_signals(SignalNode* node) {
  Guard guard(registry.lock);
  if (error_of(node) != 0) return 0;
  if (!registry.nodes.add(node, node->signals)) return -ENOMEM;
  int result = take_waited_for();
  if (result == 0) result = node->loop->watch_signals(registry.descriptor.fd());
  if (result < 0) unlist(node);
  return result;
}

void remove_signals(SignalNode* node) {
  Guard guard(registry.lock);
  unlist(node);
}

bool remove_signals_last(SignalNode* node) {
  Guard guard(registry.lock);
  if (!is_last(node)) return false;
  unlist(node);
  return true;
}

uint64_t signals_waited_for() { return waited_for.load(std::memory_order_relaxed); }

void receive_signals(Loop& reader) {
  Ring<SignalNode> taken;
  {
    Guard guard(registry.lock);
    SignalFd::Signal signal{};
    while (registry.descriptor.read(&signal)) take(signal, taken);
  }
  while (SignalNode* const node = taken.pop_front()) node->loop->post(node, reader);
}

void forget_signals() CTX_UNCHECKED_LOCKING {
  registry.descriptor.close();
  ::new (&registry) Registry;
  waited_for.store(0, std::memory_order_relaxed);
}

}  // namespace ctxcore
