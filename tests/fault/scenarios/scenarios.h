// SPDX-License-Identifier: MIT
//
// The scenarios: short ways to use the library, which together call all of it. Each ends all that it has made.
#ifndef CTX_TESTS_FAULT_SCENARIOS_SCENARIOS_H_
#define CTX_TESTS_FAULT_SCENARIOS_SCENARIOS_H_

#include <array>

#include "fault/run.h"
#include "support/handles.h"
#include "support/sources.h"

namespace ctxtest::scenarios {

// Uses up what the library has kept for later, so that it must ask.
struct Spent {
  explicit Spent(Run& run) {
    for (Scope& one : scopes) one = run.WithCancel(run.root());
    for (Scope& one : scopes) one = run.WithCancel(run.root());
  }
  std::array<Scope, 5> scopes;
};

inline Cause NewCause(Run& run, int code, const char* message) {
  ctx_cause_t* made = nullptr;
  run.Try(0, CTX_FN(ctx_cause_new), code, message, &made);
  return Cause(made);
}

// tree.cc
void Derivations(Run& run);
void Values(Run& run);
void Causes(Run& run);
void Merges(Run& run);
void Mirrors(Run& run);

// text.cc
void Propagation(Run& run);

// told.cc
void Descriptors(Run& run);
void Waits(Run& run);
void Callbacks(Run& run);
void FiredCallbacks(Run& run);
void Queues(Run& run);
void Groups(Run& run);
void Exports(Run& run);

// loops.cc
void Sources(Run& run);
void Deadlines(Run& run);
void Loops(Run& run);
void FirstUses(Run& run);
void Executors(Run& run);
void Roots(Run& run);
void SetDefault(Run& run);
void Shutdown(Run& run);

}  // namespace ctxtest::scenarios

#endif  // CTX_TESTS_FAULT_SCENARIOS_SCENARIOS_H_
