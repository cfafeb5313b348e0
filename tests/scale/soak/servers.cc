// SPDX-License-Identifier: MIT
#include "scale/soak/servers.h"

#include <signal.h>
#include <unistd.h>

#include "support/descriptor.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

// What waits in the queue that all share: its event says which.
struct Entry {
  std::atomic<int> events{0};
};

}  // namespace

Servers::Servers() {
  const ctx_loop_options_t with_executor = ExecutorOptions();
  places_.emplace_back(0, nullptr);
  places_.emplace_back(CTX_LOOP_THREAD, &with_executor);
  ctx_loop_t* const manual = places_.emplace_back(CTX_LOOP_MANUAL, nullptr).loop();
  ctx_loop_t* const virtual_loop = places_.emplace_back(CTX_LOOP_VIRTUAL, nullptr).loop();
  REQUIRE(ctx_queue_new(shared_.out()) == 0);
  helpers_.emplace_back([=, this] { DriveManual(manual); });
  helpers_.emplace_back([=, this] { DriveVirtual(virtual_loop); });
  helpers_.emplace_back([this] { Reap(); });
}

ctx_loop_options_t Servers::ExecutorOptions() {
  ctx_loop_options_t options = LoopOptions();
  options.name = "soak";
  options.post = Executor::Post;
  options.executor = &executor_;
  return options;
}

void Servers::ShutDown(Turnstile& turnstile) {
  std::mt19937 random(99);
  while (turnstile.Pass()) {
    ctx_cause_t* made = nullptr;
    REQUIRE(ctx_cause_here(int(random() % 100), "the server was replaced", &made) == 0);
    const Cause cause(made);
    AnyPlace(random).Replace(cause);
    if (random() % 4 == 0) REQUIRE(kill(getpid(), SIGUSR1) == 0);
    shutdowns.fetch_add(1);
    SleepFor(5 * kMillisecond + UpTo3Milliseconds(random));
  }
}

void Servers::Enter(ctx_t* ctx) {
  auto* entry = new Entry;
  entered_.fetch_add(1);
  REQUIRE(ctx_queue_add(shared_, ctx, reinterpret_cast<uint64_t>(entry), nullptr) == 0);
}

void Servers::NoteLate(ctx_t* ctx) {
  int64_t deadline = 0;
  if (ctx_err(ctx) != CTX_DEADLINE_EXCEEDED || ctx_deadline(ctx, &deadline) == 0) return;
  const int64_t late = ctx_now(ctx) - deadline;
  REQUIRE(late >= 0);  // never early
  for (int64_t before = worst_late_.load();
       before < late && !worst_late_.compare_exchange_weak(before, late);) {
  }
}

void Servers::End() {
  over_.store(true);
  for (std::thread& helper : helpers_) helper.join();
}

void Servers::DriveManual(ctx_loop_t* loop) {
  while (!over_.load()) {
    if (!Readable(ctx_loop_fd(loop), 100)) continue;
    REQUIRE(ctx_loop_dispatch(loop) >= 0);
    dispatches.fetch_add(1);
  }
}

void Servers::DriveVirtual(ctx_loop_t* loop) {
  std::mt19937 random(98);
  while (!over_.load()) {
    REQUIRE(ctx_loop_advance(loop, UpTo3Milliseconds(random)) >= 0);
    advances.fetch_add(1);
    SleepFor(kMillisecond);
  }
}

void Servers::Reap() {
  ctx_event_t events[32];
  while (!over_.load()) {
    const int64_t n = ctx_queue_wait(shared_, events, 32, 100 * kMillisecond);
    REQUIRE(n >= 0 || n == -EINTR);
    for (int64_t i = 0; i < n; ++i) {
      auto* entry = reinterpret_cast<Entry*>(events[i].token);
      REQUIRE(events[i].err != 0 && entry->events.fetch_add(1) == 0);
      delete entry;
      reaped_.fetch_add(1);
    }
  }
}

}  // namespace ctxtest
