// SPDX-License-Identifier: MIT
#include "model/scheduler.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "model/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define MODEL_ASAN 1
#else
#define MODEL_ASAN 0
#endif

namespace model {

namespace {

constexpr size_t kStack = size_t{256} << 10;
constexpr uint64_t kMostSteps =
    200'000;  // more than any scenario takes unless it goes round in circles

struct Fiber {
  enum class State { ready, blocked, finished };

  ucontext_t context{};
  char* stack = nullptr;
  void* fake_stack = nullptr;
  std::function<void()> body;
  std::string name;
  State state = State::ready;
  bool yields = false;
  Condition condition{};
  const int64_t* until = nullptr;
  bool timed_out = false;
  int locks = 0;
  const char* what = "";
  Where where{};
};

struct Scheduler {
  bool running = false;
  int calm = 0;
  const void* ignored = nullptr;
  bool was_ignored = false;  // the last step
  int current = 0;
  int first = 0;    // the thread that runs the scenario; in a child, the one that forked
  int parents = 0;  // in a child: how many threads the parent had at the fork
  int64_t time = kStart;
  uint64_t steps = 0;
  Rules rules;
  Strategy* strategy = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<char*> stacks;
  std::string taken;
  ucontext_t outside{};
  const void* outside_stack = nullptr;
  size_t outside_size = 0;
  void* outside_fake = nullptr;
  int64_t idle = 0;  // how long the scenario has waited for the clock
};
Scheduler the;

bool can_go(const Fiber& fiber) {
  if (fiber.state == Fiber::State::ready) return true;
  return fiber.state == Fiber::State::blocked &&
         (fiber.condition.holds(fiber.condition.of) || *fiber.until <= the.time);
}

int64_t next_time() {
  int64_t next = kForever;
  for (const auto& fiber : the.fibers) {
    if (fiber->state == Fiber::State::blocked && *fiber->until > the.time) {
      next = std::min(next, *fiber->until);
    }
  }
  return next;
}

// File, line and the function's name alone.
std::string place_of(const Where& where) {
  const std::string file = where.file_name();
  std::string function = where.function_name();
  function = function.substr(0, function.find('('));
  return fmt::format("{}:{} {}", file.substr(file.rfind('/') + 1), where.line(),
                     function.substr(function.find_last_of(" *&") + 1));
}

void print_step(const char* name, const char* what, const void* object, const Where& where) {
  fmt::print("{:6}  {:<14} {:<12} {:<16} {}", the.steps, name, what,
             object == nullptr ? "" : fmt::format("{}", object), place_of(where));
}

std::string what_all_do() {
  std::string all;
  for (const auto& fiber : the.fibers) {
    if (fiber->state == Fiber::State::finished) continue;
    all += fmt::format("\n    {} {}: {} {}", fiber->name,
                       fiber->state == Fiber::State::blocked ? "waits" : "goes on", fiber->what,
                       place_of(fiber->where));
  }
  return all;
}

void switch_stacks(ucontext_t* from, void** fake, ucontext_t* to, const void* bottom, size_t size) {
#if MODEL_ASAN
  __sanitizer_start_switch_fiber(fake, bottom, size);
#else
  static_cast<void>(bottom), static_cast<void>(size);
#endif
  swapcontext(from, to);
#if MODEL_ASAN
  __sanitizer_finish_switch_fiber(fake == nullptr ? nullptr : *fake, nullptr, nullptr);
#else
  static_cast<void>(fake);
#endif
}

void leave_for_outside(Fiber& fiber) {
  switch_stacks(&fiber.context, &fiber.fake_stack, &the.outside, the.outside_stack,
                the.outside_size);
}

// `idle`: since nobody can go on.
void move_clock(bool idle) {
  const int64_t before = std::exchange(the.time, next_time());
  if (idle && !is_finished(the.first)) the.idle += the.time - before;
  if (the.rules.prints) fmt::print("{:6}  {:<14} + {} ns\n", the.steps, "clock", the.time - kStart);
}

void note_choice(int id) {
  the.taken += fmt::format("{}{}:{}", the.taken.empty() ? "" : ",", the.steps, id);
}

// Who goes on: a number of a thread, or -1 if nobody can and no time is waited for.
int pick(bool may_stay) {
  for (;;) {
    Choice::Option options[64];
    size_t count = 0;
    const int threads = static_cast<int>(the.fibers.size());
    if (may_stay) options[count++] = {the.current, 0};
    if (may_stay && the.calm > 0) return the.current;
    const int cost = may_stay ? 1 : 0;
    for (int i = 1; i < threads; ++i) {
      const int thread = (the.current + i) % threads;
      if (can_go(*the.fibers[thread])) options[count++] = {thread, cost};
    }
    Fiber& self = *the.fibers[the.current];
    if (!may_stay && self.yields) {
      if (count > 0) return options[0].id;  // in turns: no choice
      return the.current;
    }
    if ((count == 0 || the.rules.timers) && next_time() != kForever) {
      options[count] = {kClock, count == 0 ? 0 : 1};
      ++count;
    }
    if (count == 0) return -1;
    size_t option = 0;
    if (count > 1 && the.calm == 0) {
      option = the.strategy->choose({Choice::Of::thread, the.steps, options, count});
      if (option != 0) note_choice(options[option].id);
    }
    if (options[option].id != kClock) return options[option].id;
    move_clock(options[option].cost == 0);
    may_stay = may_stay || can_go(self);
  }
}

void switch_to(int thread) {
  if (thread == the.current) return;
  Fiber& from = *the.fibers[the.current];
  Fiber& to = *the.fibers[thread];
  the.current = thread;
  switch_stacks(&from.context, from.state == Fiber::State::finished ? nullptr : &from.fake_stack,
                &to.context, to.stack, kStack);
}

// The current thread goes on, or waits until it is picked.
void let_go_on(bool may_stay) {
  const int next = pick(may_stay);
  if (next < 0) {
    leave_for_outside(*the.fibers[the.current]);
  } else {
    switch_to(next);
  }
}

void run_fiber() {
#if MODEL_ASAN
  const void* bottom = nullptr;
  size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  if (the.outside_stack == nullptr) {
    the.outside_stack = bottom;
    the.outside_size = size;
  }
#endif
  Fiber& fiber = *the.fibers[the.current];
  fiber.body();
  if (fiber.locks != 0) fail("a thread ended with a lock held");
  fiber.state = Fiber::State::finished;
  const int next = pick(false);
  if (next < 0) {
    switch_stacks(&fiber.context, nullptr, &the.outside, the.outside_stack, the.outside_size);
  } else {
    switch_to(next);
  }
}

char* take_stack() {
  if (!the.stacks.empty()) {
    char* const stack = the.stacks.back();
    the.stacks.pop_back();
    return stack;
  }
  return static_cast<char*>(
      mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

void give_back_stacks() {
  for (const auto& fiber : the.fibers) {
#if MODEL_ASAN
    __asan_unpoison_memory_region(fiber->stack, kStack);
#endif
    the.stacks.push_back(fiber->stack);
  }
  the.fibers.clear();
}

}  // namespace

void step(const char* what, const void* object, Where where) {
  if (!the.running) return;
  the.was_ignored = object != nullptr && object == the.ignored;
  if (the.was_ignored) return;
  Fiber& fiber = *the.fibers[the.current];
  fiber.what = what;
  fiber.where = where;
  if (++the.steps > kMostSteps) fail("it goes round in circles:" + what_all_do());
  let_go_on(true);
  if (the.rules.prints) {
    the.was_ignored = false;  // others may have taken steps in between
    print_step(fiber.name.c_str(), what, object, where);
    fmt::print("\n");
  }
}

void note_value(uint64_t value) {
  if (the.running && the.rules.prints && !the.was_ignored) fmt::print("{:>36} {:#x}\n", "=", value);
}

void ignore(const void* object) { the.ignored = object; }

void yield(Where where) {
  if (!the.running) return;
  Fiber& fiber = *the.fibers[the.current];
  fiber.what = "spins";
  fiber.where = where;
  if (++the.steps > kMostSteps) fail("it goes round in circles:" + what_all_do());
  the.strategy->yielded(the.current);
  fiber.yields = true;
  let_go_on(false);
  fiber.yields = false;
}

bool block(const char* what, const void* object, Condition condition, const int64_t* until,
           Where where) {
  if (!the.running) fail("a wait outside of a schedule");
  Fiber& fiber = *the.fibers[the.current];
  fiber.what = what;
  fiber.where = where;
  fiber.condition = condition;
  fiber.until = until;
  fiber.state = Fiber::State::blocked;
  if (the.rules.prints) {
    print_step(fiber.name.c_str(), what, object, where);
    fmt::print(" ... waits\n");
  }
  let_go_on(can_go(fiber));
  fiber.state = Fiber::State::ready;
  return condition.holds(condition.of);
}

int64_t now() { return the.time; }

int start(const char* name, std::function<void()> body) {
  auto made = std::make_unique<Fiber>();
  Fiber& fiber = *made;
  const int number = static_cast<int>(the.fibers.size());
  if (number >= 60) fail("too many threads");
  fiber.name = name;
  fiber.body = std::move(body);
  fiber.stack = take_stack();
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack;
  fiber.context.uc_stack.ss_size = kStack;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, run_fiber, 0);
  the.fibers.push_back(std::move(made));
  if (number > 0) memory_thread_started(the.current, number);
  return number;
}

int self() { return the.running ? the.current : 0; }
int identity() {
  if (the.parents == 0 || self() < the.parents) return self();
  const int number = self() - the.parents + 1;
  return number < the.first ? number : number + 1;
}

const char* name_of(int thread) { return the.fibers[thread]->name.c_str(); }
void rename_self(const char* name) {
  if (the.running) the.fibers[the.current]->name = name;
}
bool is_finished(int thread) { return the.fibers[thread]->state == Fiber::State::finished; }
bool in_schedule() { return the.running; }

void lock_taken() {
  if (the.running) ++the.fibers[the.current]->locks;
}
void lock_given() {
  if (the.running) --the.fibers[the.current]->locks;
}
void forget_locks() { the.fibers[the.current]->locks = 0; }
int locks_held() { return the.running ? the.fibers[the.current]->locks : 0; }

void fail(const char* why) {
  fmt::print("\nFAILED: {}\n  in {} at step {}; --seed {} --replay {}\n", why,
             the.running ? the.fibers[the.current]->name : "no thread", the.steps, schedule_seed(),
             the.taken.empty() ? "0:0" : the.taken);
  std::fflush(stdout);
  _exit(1);
}

void fail(const std::string& why) { fail(why.c_str()); }

Calm::Calm() { ++the.calm; }
Calm::~Calm() { --the.calm; }

void check_waits() {
  if (the.idle > the.rules.lasts)
    fail(fmt::format("it waited for {} ns: somebody was not woken", the.idle));
}

uint64_t run(const Rules& rules, Strategy& strategy, const std::function<void()>& body) {
  the.rules = rules;
  the.strategy = &strategy;
  the.time = kStart;
  the.steps = 0;
  the.calm = 0;
  the.current = 0;
  the.first = the.parents = 0;
  the.taken.clear();
  the.idle = 0;
  memory_reset(rules.weak);
  start("main", body);
  the.running = true;
  switch_stacks(&the.outside, &the.outside_fake, &the.fibers[0]->context, the.fibers[0]->stack,
                kStack);
  if (!is_finished(the.first)) fail("nobody can go on:" + what_all_do());
  check_waits();
  the.running = false;
  const uint64_t steps = the.steps;
  return steps;
}

void end_schedule() { give_back_stacks(); }

const Rules& rules() { return the.rules; }
uint64_t schedule_seed() { return the.rules.seed; }
uint64_t steps_taken() { return the.steps; }
int threads_started() { return static_cast<int>(the.fibers.size()); }
std::string choices_taken() { return the.taken; }

size_t choose_store(const Choice::Option* options, size_t count) {
  if (the.calm > 0) return 0;
  const size_t option = the.strategy->choose({Choice::Of::store, the.steps, options, count});
  if (option != 0) note_choice(1000 + options[option].id);
  return option;
}

void forget_others() {
  static Replay as_usual("");
  if (!the.strategy->goes_on_in_child(the.steps)) the.strategy = &as_usual;
  note_choice(kInChild);
  the.first = the.current;
  the.parents = static_cast<int>(the.fibers.size());
  the.idle = 0;
  for (size_t i = 0; i < the.fibers.size(); ++i) {
    if (static_cast<int>(i) != the.current) the.fibers[i]->state = Fiber::State::finished;
  }
}

}  // namespace model

// The core, the scenarios and what they use read the model's clock while a schedule runs.
extern "C" int clock_gettime(clockid_t clock, timespec* time) {
  if (!model::in_schedule()) return static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  if (model::rules().timers) model::step("clock", nullptr, MODEL_WHERE);
  time->tv_sec = static_cast<time_t>(model::now() / 1'000'000'000);
  time->tv_nsec = static_cast<long>(model::now() % 1'000'000'000);
  return 0;
}
