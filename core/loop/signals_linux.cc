// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <atomic>
#include <cerrno>

#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/loop/loop.h"
#include "core/loop/signals.h"
#include "core/system/raw_call.h"

namespace ctxcore {

namespace {

constexpr int kSignals = 64;

struct Registry {
  Lock lock;
  int fd CTX_GUARDED_BY(lock) = -1;
  Link* nodes CTX_GUARDED_BY(lock) = nullptr;
  uint32_t waiting[kSignals] CTX_GUARDED_BY(lock) = {};  // how many nodes wait for each signal
};
constinit Registry registry;

uint64_t bit(int signal) { return uint64_t{1} << (signal - 1); }

// Counts a node in or out; true if the signalfd has to take other signals than before.
bool count(uint64_t signals, int by) CTX_REQUIRES(registry.lock) {
  bool changed = false;
  for (int i = 0; i < kSignals; ++i) {
    if ((signals >> i & 1) == 0) continue;
    const uint32_t before = registry.waiting[i];
    registry.waiting[i] += static_cast<uint32_t>(by);
    changed = changed || before == 0 || registry.waiting[i] == 0;
  }
  return changed;
}

// The signals that the signalfd takes, to be read without the lock. What they say was written under it.
std::atomic<uint64_t> waited_for{0};

// Makes the signalfd take what nodes wait for. 0 or a negative errno; only the first one can fail.
int take_waited_for() CTX_REQUIRES(registry.lock) {
  sigset_t set;
  sigemptyset(&set);
  uint64_t wanted = 0;
  for (int i = 0; i < kSignals; ++i) {
    if (registry.waiting[i] == 0) continue;
    sigaddset(&set, i + 1);
    wanted |= bit(i + 1);
  }
  waited_for.store(wanted, std::memory_order_relaxed);
  const int saved = errno;
  int result = 0;
  if (wanted != 0) {
    const int fd = signalfd(registry.fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) result = -errno;
    if (fd >= 0) registry.fd = fd;
  } else if (registry.fd >= 0) {
    // Where a child has a copy of it, the pollers keep it, too: it shall tell of nothing.
    signalfd(registry.fd, &set, 0);
    raw::close(registry.fd);
    registry.fd = -1;
  }
  errno = saved;
  return result;
}

void unlist(SignalNode* node) CTX_REQUIRES(registry.lock) {
  unlink(registry.nodes, node);
  node->listed = false;
  if (count(node->signals, -1)) take_waited_for();
}

// Takes the nodes that wait for a signal off the list, pinned.
void take(int signal, uint32_t sender, uint32_t user, bool sent, Link*& taken)
    CTX_REQUIRES(registry.lock) {
  if (registry.nodes == nullptr) return;
  Link* const last = registry.nodes->prev;
  Link* link = registry.nodes;
  for (bool more = true; more;) {
    more = link != last;
    Link* const following = link->next;
    auto* node = static_cast<SignalNode*>(link);
    if ((node->signals & bit(signal)) != 0) {
      unlist(node);
      node->reason->code = signal;
      write_signal(blank_text(node->reason), signal, sent, sender, user);
      add_ref(node);
      push_back(taken, node);
    }
    link = following;
  }
}

}  // namespace

uint64_t signals_of(const int* numbers, size_t count) {
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  uint64_t signals = 0;
  for (size_t i = 0; i < count; ++i) {
    if (numbers[i] < 1 || numbers[i] > kSignals || sigismember(&blocked, numbers[i]) != 1) return 0;
    signals |= bit(numbers[i]);
  }
  return signals;
}

int list_signals(SignalNode* node) {
  Guard guard(registry.lock);
  if (error_of(node) != 0) return 0;
  push_back(registry.nodes, node);
  node->listed = true;
  int result = count(node->signals, 1) ? take_waited_for() : 0;
  if (result == 0) result = node->loop->watch_signals(registry.fd);
  if (result < 0) unlist(node);
  return result;
}

void remove_signals(SignalNode* node) {
  Guard guard(registry.lock);
  if (node->listed) unlist(node);
}

bool remove_signals_last(SignalNode* node) {
  Guard guard(registry.lock);
  if (node->refs.load(std::memory_order_acquire) != 1) return false;
  if (node->listed) unlist(node);
  return true;
}

uint64_t signals_waited_for() { return waited_for.load(std::memory_order_relaxed); }

void receive_signals(Loop& reader) {
  Link* taken = nullptr;
  {
    Guard guard(registry.lock);
    signalfd_siginfo info;
    while (registry.fd >= 0 && raw::read(registry.fd, &info, sizeof info) == sizeof info) {
      // A positive code is the system's: its sender is nobody.
      take(static_cast<int>(info.ssi_signo), info.ssi_pid, info.ssi_uid,
           info.ssi_code <= 0 && info.ssi_pid != 0, taken);
    }
  }
  while (Link* link = pop_front(taken)) {
    auto* node = static_cast<SignalNode*>(link);
    node->loop->post(node, reader);
  }
}

void forget_signals() CTX_UNCHECKED_LOCKING {
  if (registry.fd >= 0) raw::close(registry.fd);
  ::new (&registry) Registry;
  waited_for.store(0, std::memory_order_relaxed);
}

}  // namespace ctxcore
