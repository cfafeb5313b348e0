// SPDX-License-Identifier: MIT
#include "model/scenario.h"

#include "model/memory.h"

namespace model {

std::vector<Scenario>& scenarios() {
  static std::vector<Scenario> all;
  return all;
}

void Thread::join() {
  const int number = std::exchange(number_, -1);
  if (number < 0) return;
  if (!is_finished(number)) {
    block("join", nullptr,
          {[](const void* of) { return is_finished(*static_cast<const int*>(of)); }, &number},
          &kForever, MODEL_WHERE);
  }
  memory_join(number);
}

void together(std::initializer_list<std::pair<const char*, std::function<void()>>> bodies) {
  std::vector<Thread> threads;
  {
    const Calm calm;  // they begin at one moment
    for (const auto& [name, body] : bodies) threads.emplace_back(name, body);
  }
}

void Counted::run(ctx_t*, void* self) {
  EXPECT(locks_held() == 0);
  ++static_cast<Counted*>(self)->runs;
}

void Counted::drop(void* self) {
  EXPECT(locks_held() == 0);
  ++static_cast<Counted*>(self)->drops;
}

}  // namespace model
