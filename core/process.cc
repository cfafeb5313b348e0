// SPDX-License-Identifier: MIT
#include "core/process.h"

#include <pthread.h>

#include "core/loop.h"

namespace ctxcore {

std::atomic<uint32_t> stamp::current{0};

namespace {

struct alignas(64) Root : Node {
  constexpr Root(Kind which, Loop* runner)
      : Node(nullptr, nullptr, runner, kForever, which, kFamily) {}
};

extern Root background_root;
constinit Wheel default_wheels[Loop::kWheels];
constinit Loop default_loop{&background_root, default_wheels};
constinit Root background_root{Kind::background, &default_loop};
constinit Root todo_root{Kind::todo, &default_loop};

void stamp_statics() {
  background_root.stamp = todo_root.stamp = stamp::make(stamp::kContext);
  stamp_plain_causes();
}

void start_afresh() {
  const uint32_t before = stamp::current.load(std::memory_order_relaxed);
  const uint32_t forks = (before + 1) & stamp::kForkBits;
  stamp::current.store((before & stamp::kCopyBits) | forks, std::memory_order_relaxed);
  if (default_loop.started()) {
    for (Wheel& wheel : default_wheels) ::new (&wheel) Wheel;
  }
  default_loop.abandon();
  ::new (&default_loop) Loop(&background_root, default_wheels);
  ::new (&background_root) Root(Kind::background, &default_loop);
  ::new (&todo_root) Root(Kind::todo, &default_loop);
  stamp_statics();
}

__attribute__((constructor)) void load() {
  const auto address = reinterpret_cast<uintptr_t>(&default_loop);
  stamp::current.store(static_cast<uint32_t>(address) & stamp::kCopyBits,
                       std::memory_order_relaxed);
  stamp_statics();
  pthread_atfork(nullptr, nullptr, start_afresh);
}

}  // namespace

Node* background() { return &background_root; }

Node* todo() { return &todo_root; }

}  // namespace ctxcore
