// SPDX-License-Identifier: MIT
//
// A system that refuses. This program has its own malloc, pthread_create and so on, which libctx.so
// then calls as well; they count, and refuse where a test says so. faults.cc has the functions.
#ifndef CTX_TESTS_FAULT_FAULTS_H_
#define CTX_TESTS_FAULT_FAULTS_H_

#include <atomic>
#include <climits>
#include <cstddef>

namespace ctxtest {

// What is asked of the system. kDescriptor is each call that makes a descriptor, kEventfd those to eventfd() alone,
// kWatch those that add a descriptor to an epoll set. The library can do without those from kName on: the name of a
// thread, the number of a processor, a sleep that lasts (on a futex; in poll and epoll_wait), a read, write or close
// that no signal interrupts.
enum class Resource {
  kMemory,
  kThread,
  kDescriptor,
  kEventfd,
  kWatch,
  kName,
  kProcessor,
  kFutex,
  kPoll,
  kRead,
  kWrite,
  kClose
};
inline constexpr int kResources = 12;

// In place of an errno: a sleep on a futex ends for no reason; a write to a pipe writes less.
inline constexpr int kForNothing = -1, kShort = -2;

// While it lives, counts what is asked of the system and, if told to, refuses: from the call number `first` on
// (the first one is 0), `times` times. It sees all calls of the calling thread. Keep GoogleTest's macros out of
// its life, then: they use memory, too. Or, with OfLibrary, all calls of the library, on any thread.
class Faults {
 public:
  enum OfLibrary { kOfLibrary };

  Faults() : Faults(Resource::kMemory, 0) {}
  Faults(Resource resource, int error, int first = 0, int times = INT_MAX);
  Faults(OfLibrary, Resource resource, int error, int first = 0, int times = INT_MAX);
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;
  ~Faults();

  int count(Resource resource) const { return state_->counts[static_cast<int>(resource)]; }
  int refused() const { return state_->refused; }
  int error() const { return state_->error; }
  void Pause(bool pause) { state_->paused = pause; }

  // For the functions of faults.cc: counts, and says with which errno to refuse, or 0. `caller` is where the call
  // returns to.
  static int Ask(Resource resource, const void* caller);

 private:
  // Other threads may look at it a moment longer than the object lives.
  struct State {
    State(Resource of, int with, int from, int often)
        : resource(of), error(with), first(from), times(often) {}
    int Next(Resource asked);

    const Resource resource;
    const int error, first, times;
    std::atomic<int> counts[kResources] = {};
    std::atomic<int> refused{0};
    std::atomic<bool> paused{false};
  };

  static inline thread_local constinit State* current_ = nullptr;
  static inline constinit std::atomic<State*> library_{nullptr};

  State* const state_;
  const bool of_library_;
};

// How many blocks of memory the whole process has now; how many of them the library asked for.
long LiveBlocks();
long LibraryBlocks();

// A library with its checks keeps the last thousand objects that were released. After this it keeps no more of them.
void FillReleased();

// The library, as it lies in memory.
bool IsInLibrary(const void* address);

}  // namespace ctxtest

#endif  // CTX_TESTS_FAULT_FAULTS_H_
