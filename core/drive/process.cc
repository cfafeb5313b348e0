// SPDX-License-Identifier: MIT
#ifdef CTX_STATIC
#include <dlfcn.h>
#include <link.h>
#pragma weak dladdr1  // a program that is linked statically as a whole has no loader
#pragma weak dlsym
#endif
#include <pthread.h>

#include "core/base/released.h"
#include "core/loop/lane.h"
#include "core/loop/loop.h"
#include "core/loop/roots.h"
#include "core/loop/signals.h"
#include "core/loop/turn.h"
#include "core/system/thread.h"
#include "core/watch/export.h"
#include "core/watch/wait_circle.h"

namespace ctxcore {

Atomic<uint32_t> stamp::current{0};
Atomic<Loop*> chosen_loop{nullptr};

namespace {

struct alignas(64) StaticRoot : Node {
  constexpr explicit StaticRoot(Kind which)
      : Node(nullptr, nullptr, nullptr, kForever, which, kFamily) {}
};

constinit StaticRoot background_root{Kind::background};
constinit StaticRoot todo_root{Kind::todo};
// The first one's lock must not lie in a cache line with what every call reads, such as the current stamp.
alignas(64) constinit Wheel built_in_wheels[Loop::kWheels];
constinit Loop built_in_loop{Drive::thread, &background_root, built_in_wheels, Loop::kWheels};

void stamp_statics() {
  background_root.stamp = todo_root.stamp = stamp::make(stamp::kContext);
  built_in_loop.stamp = stamp::make(stamp::kLoop);
  stamp_plain_causes();
}

void start_afresh() {
  const uint32_t before = stamp::current.load(std::memory_order_relaxed);
  stamp::current.store(stamp::after_fork(before), std::memory_order_relaxed);
  // They need not be written to where nobody had begun to start the loop.
  if (!built_in_loop.untouched()) {
    for (Wheel& wheel : built_in_wheels) ::new (&wheel) Wheel;
  }
  built_in_loop.abandon();
  forget_exports();
  forget_signals();
  forget_lane();
  forget_turns();
  forget_ended();
  forget_waits();
  forget_released();
  chosen_loop.store(nullptr, std::memory_order_relaxed);
  ::new (&built_in_loop) Loop(Drive::thread, &background_root, built_in_wheels, Loop::kWheels);
  ::new (&background_root) StaticRoot(Kind::background);
  ::new (&todo_root) StaticRoot(Kind::todo);
  stamp_statics();
}

// Threads and fork handlers of a copy need its code for ever. The shared library is linked with -z nodelete; a plugin
// that has a static copy in it is kept from here, however it was linked.
void stay_loaded() {
#ifdef CTX_STATIC
  if (dladdr1 == nullptr || dlsym == nullptr) return;
  Dl_info info;
  link_map* map = nullptr;
  void** const ret = reinterpret_cast<void**>(&map);
  if (dladdr1(&built_in_loop, &info, ret, RTLD_DL_LINKMAP) == 0 || map->l_name[0] == '\0') return;
  // Of a program without a loader, a linker would warn if dlopen were named here.
  const auto open = reinterpret_cast<decltype(&dlopen)>(dlsym(RTLD_DEFAULT, "dlopen"));
  if (open != nullptr) open(map->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
#endif
}

// Before all constructors without a priority: those of a program that has linked the library statically would
// otherwise come first, and find roots without a stamp. 101 is the first that is free for programs.
__attribute__((constructor(101))) void load() {
  stay_loaded();
  const auto address = reinterpret_cast<uintptr_t>(&built_in_loop);
  stamp::current.store(stamp::copy_bits(address), std::memory_order_relaxed);
  stamp_statics();
  pthread_atfork(hold_exports, release_exports, start_afresh);
}

}  // namespace

Node* background() { return &background_root; }

Node* todo() { return &todo_root; }

Loop* default_loop() {
  Loop* const chosen = chosen_loop.load(std::memory_order_acquire);
  return chosen != nullptr ? chosen : &built_in_loop;
}

Loop* choose_default_loop() {
  Loop* chosen = nullptr;
  return chosen_loop.compare_exchange_strong(chosen, &built_in_loop, std::memory_order_acq_rel)
             ? &built_in_loop
             : chosen;
}

bool set_default_loop(Loop* loop) {
  Guard guard(loop->merge_lock());
  Loop* none = nullptr;
  if (!chosen_loop.compare_exchange_strong(none, loop, std::memory_order_acq_rel)) return false;
  add_ref(loop->root());  // for good: its families may always grow
  return true;
}

}  // namespace ctxcore
