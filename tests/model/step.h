// SPDX-License-Identifier: MIT
// What stands in place of the core's own files calls: steps, waits, and the model's time.
#ifndef CTX_TESTS_MODEL_STEP_H_
#define CTX_TESTS_MODEL_STEP_H_

#include <cstdint>
#include <source_location>

namespace model {

constexpr int64_t kForever = INT64_MAX;
constexpr int64_t kStart = 1'000'000'000'000;  // the time at which each schedule begins

using Where = std::source_location;  // where in the sources a step was taken
#define MODEL_WHERE ::std::source_location::current()

// A point at which another thread may go on, before the thread does what it says.
void step(const char* what, const void* object, Where where);
void note_value(uint64_t value);  // what the step has read or written, for the list of steps
// Accesses to it are no steps: no two threads can disagree about it.
void ignore(const void* object);

// A spin loop looks again: others go on first.
void yield(Where where);

struct Condition {
  bool (*holds)(const void* of);
  const void* of;
};

// Lets others go on until the condition holds: true; or until *until has come: false. Another thread may change *until.
bool block(const char* what, const void* object, Condition condition, const int64_t* until,
           Where where);

int64_t now();  // in a schedule, the model's time; else kStart

// Locks that the thread holds: no user code may run while there are any.
void lock_taken();
void lock_given();
int locks_held();
void forget_locks();  // in a forked child, which has made new ones in their places

// Fails the schedule: says so, prints how to see it again, and ends the process.
[[noreturn]] void fail(const char* why);

}  // namespace model

#endif
