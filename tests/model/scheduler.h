// SPDX-License-Identifier: MIT
// A scheduler that decides: it runs the threads of a scenario one at a time, as fibers of one thread, and asks a
// Strategy at every step which of them goes on. Time stands still until somebody moves the clock.
//
// A step is an access to an atomic, a lock, a futex, a descriptor or the clock: all that threads of the library share
// comes through the files of core/system/ and base/lock.h, and those in replaced/ and system.cc, which stand in their
// place, call step() first. What lies between two steps is seen by no other thread, or a lock guards it.
//
// Invariants
//  1. The same scenario with the same choices takes the same steps. Nothing here depends on an address, on the real
//     clock or on the system.
//  2. A thread is ready, blocked on a Condition until a time, or finished. Only the thread that runs changes what
//     conditions depend on, so they are looked at when it takes its next step.
#ifndef CTX_TESTS_MODEL_SCHEDULER_H_
#define CTX_TESTS_MODEL_SCHEDULER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "model/step.h"
#include "model/strategy.h"

namespace model {

// Threads. The first of a schedule, which runs the scenario, is 0.
int start(const char* name, std::function<void()> body);  // its number
int self();
int identity();  // as self(); but a new thread of a child has that of one which is gone, as in any system
const char* name_of(int thread);
void rename_self(const char* name);
bool is_finished(int thread);
bool in_schedule();

[[noreturn]] void fail(const std::string& why);

// No step of these is a choice: others do not go on unless this thread blocks.
class Calm {
 public:
  Calm();
  ~Calm();
};

// Runs one schedule of the body. `timers`: the clock may move although somebody could go on.
struct Rules {
  bool timers = false;
  bool weak = false;  // atomics as C++ promises them, not as the steps come
  int64_t lasts =
      50'000'000;       // ns that all may wait for the clock: a wait that ends later was not woken
  bool prints = false;  // each step
  uint64_t seed = 1;    // of a random schedule
};
uint64_t run(const Rules& rules, Strategy& strategy,
             const std::function<void()>& body);  // how many steps
void check_waits();   // fails if all have waited for the clock for too long
void end_schedule();  // when all has been looked at
const Rules& rules();
uint64_t schedule_seed();
uint64_t steps_taken();
int threads_started();
std::string choices_taken();  // what was not the first choice, as --replay takes it

size_t choose_store(const Choice::Option* options, size_t count);  // which of these a load sees

// In a forked child, whose only thread is the one that runs. It goes on as the strategy says.
void forget_others();

}  // namespace model

#endif
