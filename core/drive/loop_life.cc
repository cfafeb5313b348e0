// SPDX-License-Identifier: MIT
// The life of a loop of the caller's: it is made, closed, and freed when nothing is left on it.
#include <cerrno>

#include "core/base/alloc.h"
#include "core/base/released.h"
#include "core/life/cancel.h"
#include "core/loop/loop.h"
#include "core/tree/node.h"

namespace ctxcore {

namespace {

// One piece of memory, with the wheels behind it.
struct OwnLoop {
  OwnLoop(Drive drive, const LoopOptions& options, Wheel* wheels, uint8_t count)
      : loop(drive, &root, wheels, count, options),
        root(nullptr, nullptr, &loop, kForever, Kind::background, Node::kFamily) {}

  Loop loop;  // first: its address is that of the whole
  Node root;
};

}  // namespace

Loop* Loop::create(Drive drive, const LoopOptions& options) {
  const uint8_t count = drive == Drive::thread ? kWheels : 1;
  void* const memory = allocate(sizeof(OwnLoop) + count * sizeof(Wheel));
  if (memory == nullptr) return nullptr;
  auto* const wheels = reinterpret_cast<Wheel*>(static_cast<char*>(memory) + sizeof(OwnLoop));
  for (uint8_t i = 0; i < count; ++i) {
    ::new (&wheels[i])
        Wheel(drive == Drive::virtual_time ? Wheel::Tick::endless : Wheel::Tick::coarse);
  }
  auto* const own = ::new (memory) OwnLoop(drive, options, wheels, count);
  own->loop.stamp = stamp::make(stamp::kLoop);
  own->root.stamp = stamp::make(stamp::kContext);
  return &own->loop;
}

bool Loop::set_closed() {
  if (closed() != 0) return false;
  root_->phase.begin(Phase::kMarking);
  root_->cause.store(reinterpret_cast<uintptr_t>(closed_cause()), std::memory_order_relaxed);
  closed_.store(kCanceled, std::memory_order_release);
  return true;
}

// The last handle closes a loop that only its holder could drive, and runs here what nobody else would run.
void Loop::unref() {
  if (handles_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  mark_released(stamp);
  if (drive_ != Drive::thread) {
    const Process process;
    cancel_all(this, Callbacks::here);
    if (!process.is_ours()) return;
    orphaned_.store(true, std::memory_order_release);
    fire_posted(*this);
    run_rest();
    if (!process.is_ours()) return;
  }
  release(root_);
}

void Loop::root_released() {
  if (drive_ == Drive::thread && started()) {
    stop_.store(Stop::leave, std::memory_order_release);
    set_alarm_by(kAtOnce);
    ring_calls();
  }
  leave();
}

void Loop::leave() {
  // acq_rel: all uses of the loop come before its destruction.
  if (users_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const Process process;
  drop_executor();  // of a loop that was never started
  if (!process.is_ours()) return;
  poller_.close();
  sources_.free_all();
  root_->children.free_all();
  mark_released(root_->stamp);
  free_object(this, &root_->stamp);
}

}  // namespace ctxcore
