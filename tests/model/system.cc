// SPDX-License-Identifier: MIT
// Futexes, threads, processes and memory. The descriptors are in descriptors.cc.
#include "model/system.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/base/alloc.h"
#include "core/base/handle.h"
#include "core/base/released.h"
#include "core/system/futex.h"
#include "core/system/thread.h"
#include "model/descriptors.h"
#include "model/memory.h"
#include "model/scheduler.h"

namespace model {

namespace {

struct System {
  int64_t blocks = 0;
  bool refuses_threads = false;
  int processor = -1;
};
System sys;
void (*in_child)() = nullptr;

struct Sleeper {
  const void* word;
  bool woken = false;
};
std::vector<Sleeper*> sleepers;

bool is_woken(const void* sleeper) { return static_cast<const Sleeper*>(sleeper)->woken; }

bool ended_to_join[64];

bool all_ended(const void*) {
  for (int i = 0; i < threads_started(); ++i) {
    if (ended_to_join[i] && !is_finished(i)) return false;
  }
  return true;
}

}  // namespace

void system_reset() {
  ignore(&ctxcore::stamp::current);  // only a forked child writes it, before it has threads
  descriptors_reset();
  sys = {};
  sleepers.clear();
  std::fill(std::begin(ended_to_join), std::end(ended_to_join), false);
}

int64_t blocks_in_use() { return sys.blocks; }

void sleep_for(int64_t ns) {
  const int64_t until = now() + ns;
  block("sleep", nullptr, {[](const void*) { return false; }, nullptr}, &until, MODEL_WHERE);
}

void refuse_threads(bool refused) { sys.refuses_threads = refused; }

void set_processor(int number) { sys.processor = number; }

void fork_child(const std::function<void()>& child) {
  step("fork", nullptr, MODEL_WHERE);
  std::fflush(stdout);
  const pid_t process = fork();
  if (process == 0) {
    forget_others();
    sleepers.clear();
    forget_signals();
    start_afresh();
    forget_locks();
    child();
    check_waits();
    std::fflush(stdout);
    _exit(0);
  }
  if (process < 0) fail("no process could be forked");
  int status = 0;
  waitpid(process, &status, 0);
  if (status != 0) fail("the forked child failed");
}

void start_afresh() {
  const Calm calm;
  in_child();
}

}  // namespace model

// The library gives what it does in a child to this, when it is loaded.
extern "C" int pthread_atfork(void (*)(), void (*)(), void (*child)()) {
  model::in_child = child;
  return 0;
}

namespace ctxcore {

int futex_wait(const Atomic<uint32_t>& word, uint32_t expected, int64_t until_ns) {
  model::step("futex wait", &word, MODEL_WHERE);
  if (word.latest() != expected) return -EAGAIN;
  model::Sleeper sleeper{&word};
  model::sleepers.push_back(&sleeper);
  const bool woken =
      model::block("futex wait", &word, {model::is_woken, &sleeper}, &until_ns, MODEL_WHERE);
  const auto at = std::find(model::sleepers.begin(), model::sleepers.end(), &sleeper);
  if (at != model::sleepers.end()) model::sleepers.erase(at);
  return woken ? 0 : -ETIMEDOUT;
}

void futex_wake(const Atomic<uint32_t>* word, int count) {
  model::step("futex wake", word, MODEL_WHERE);
  for (auto at = model::sleepers.begin(); at != model::sleepers.end() && count > 0;) {
    if ((*at)->word != word) {
      ++at;
      continue;
    }
    (*at)->woken = true;
    at = model::sleepers.erase(at);
    --count;
  }
}

int start_thread(const char* name, void* (*run)(void*), void* argument) {
  model::step("start thread", nullptr, MODEL_WHERE);
  if (model::sys.refuses_threads) return -EAGAIN;
  model::start(name == nullptr ? "thread" : name, [=] { run(argument); });
  return 0;
}

void name_thread(const char* name) { model::rename_self(name); }

void end_thread(bool join) { model::ended_to_join[model::self()] = join; }

void join_ended() {
  model::step("join", nullptr, MODEL_WHERE);
  if (!model::all_ended(nullptr)) {
    model::block("join", nullptr, {model::all_ended, nullptr}, &model::kForever, MODEL_WHERE);
  }
  for (int i = 0; i < model::threads_started(); ++i) {
    if (model::ended_to_join[i]) model::memory_join(i);
  }
}

void forget_ended() {
  std::fill(std::begin(model::ended_to_join), std::end(model::ended_to_join), false);
}

pthread_t this_thread() { return static_cast<pthread_t>(model::identity() + 1) << 12; }

int this_processor() { return model::sys.processor >= 0 ? model::sys.processor : model::self(); }

uint64_t signal_mask() { return kAllSignals; }

void set_signal_mask(uint64_t) {}

void exit_child() { _exit(0); }

void* allocate(size_t size) {
  ++model::sys.blocks;
  return std::malloc(size);
}

void* allocate_lines(size_t size) {
  ++model::sys.blocks;
  return std::aligned_alloc(64, size);
}

void* reallocate(void* memory, size_t size) {
  if (memory == nullptr) ++model::sys.blocks;
  return std::realloc(memory, size);
}

void deallocate(void* memory) {
  if (memory == nullptr) return;
  --model::sys.blocks;
  std::free(memory);
}

// Nothing is kept: AddressSanitizer sees who uses it.
void keep_released(void* memory, const void*, const void*) { deallocate(memory); }
void keep_released_whole(void* memory) { deallocate(memory); }
void forget_released() {}

}  // namespace ctxcore
