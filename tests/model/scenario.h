// SPDX-License-Identifier: MIT
// What scenarios are written with. A scenario is a function that makes what it needs, starts two to four threads on it,
// and checks what the rules promise. It runs once for each schedule.
#ifndef CTX_TESTS_MODEL_SCENARIO_H_
#define CTX_TESTS_MODEL_SCENARIO_H_

#include <ctx/ctx.h>

#include <cerrno>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "model/scheduler.h"
#include "model/system.h"

namespace model {

struct Options {
  bool timers = false;         // the clock may move at any step
  bool own_loops = true;       // all is given back at the end: memory, descriptors and threads
  int preemptions = 2;         // of the short form
  bool program = false;        // a long random one: for random schedules alone
  int64_t lasts = 50'000'000;  // see Rules
};

struct Scenario {
  const char* name;
  const char* file;
  void (*run)();
  Options options;
};

std::vector<Scenario>& scenarios();

struct Registration {
  Registration(const char* name, const char* file, void (*run)(), const Options& options) {
    scenarios().push_back({name, file, run, options});
  }
};

#define SCENARIO(name, ...)                                                                     \
  static void name();                                                                           \
  static const ::model::Registration registration_##name{#name, __FILE__, name, {__VA_ARGS__}}; \
  static void name()

#define EXPECT(condition)             \
  ((condition) ? static_cast<void>(0) \
               : ::model::fail(__FILE__ ":" MODEL_TEXT(__LINE__) ": " #condition))
#define MODEL_TEXT(line) MODEL_TEXT_OF(line)
#define MODEL_TEXT_OF(line) #line

// A thread of the scenario, joined at the end of its scope.
class Thread {
 public:
  Thread(const char* name, std::function<void()> body) : number_(start(name, std::move(body))) {}
  Thread(Thread&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  ~Thread() { join(); }
  void join();

 private:
  int number_;
};

// Runs them all beside each other, and waits for their ends.
void together(std::initializer_list<std::pair<const char*, std::function<void()>>> bodies);

// A callback that counts, and sees that no lock is held.
struct Counted {
  static void run(ctx_t*, void* self);
  static void drop(void* self);
  int runs = 0;
  int drops = 0;
};

}  // namespace model

#endif
