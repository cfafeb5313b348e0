// SPDX-License-Identifier: MIT
// Long random programs: the workers of tests/stress and what they know, on each kind of loop.
#include <ctime>
#include <deque>
#include <vector>

#include "model/scenario.h"
#include "model/scenarios/child.h"
#include "stress/random_graph.h"

using namespace model;  // NOLINT
using ctxtest::random_graph::Call;
using ctxtest::random_graph::Family;
using ctxtest::random_graph::Worker;

namespace {

constexpr size_t kThreads = 3;
constexpr int kSteps = 60;  // of each

// With `forks` a thread beside the workers forks now and then. The child leaves the program's handles alone.
void fork_now_and_then() {
  for (int i = 0; i < 3; ++i) {
    for (int steps = 0; steps < 40; ++steps) step("waits", nullptr, MODEL_WHERE);
    fork_child(use_all_in_child);
  }
}

void run_program(int kind, bool forks = false) {
  Family family(kind);
  std::vector<std::deque<Call>> calls(kThreads);
  std::vector<Thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back("worker", [&, i] {
      Worker worker(family, schedule_seed() * kThreads + i);
      for (int done = 0; done < kSteps; ++done) {
        if (i == 0 && done == kSteps * 9 / 10) EXPECT(ctx_loop_close(family.loop) == 0);
        worker.Step(&calls[i]);
        if (ctxtest::complaints.count() > 0) fail(ctxtest::complaints.first());
      }
    });
  }
  if (forks) threads.emplace_back("fork", fork_now_and_then);
  threads.clear();
  ctxtest::random_graph::End(family, calls);
  block("end", nullptr,
        {[](const void* of) { return static_cast<const Family*>(of)->dropped.count.load() == 1; },
         &family},
        &kForever, MODEL_WHERE);
  if (ctxtest::complaints.count() > 0) fail(ctxtest::complaints.first());
}

}  // namespace

SCENARIO(program_on_a_threaded_loop, .timers = true, .program = true, .lasts = kForever) {
  run_program(CTX_LOOP_THREAD);
}

SCENARIO(program_on_a_manual_loop, .timers = true, .program = true, .lasts = kForever) {
  run_program(CTX_LOOP_MANUAL);
}

SCENARIO(program_on_a_virtual_loop, .program = true, .lasts = kForever) {
  run_program(CTX_LOOP_VIRTUAL);
}

SCENARIO(program_that_forks, .timers = true, .program = true, .lasts = kForever) {
  run_program(CTX_LOOP_THREAD, true);
}
