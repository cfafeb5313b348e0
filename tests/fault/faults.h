// SPDX-License-Identifier: MIT
//
// A system that refuses. This program has its own malloc, pthread_create and so on, which libctx.so
// then calls as well; they count, and refuse where a test says so. faults.cc has the functions.
#ifndef CTX_TESTS_FAULT_FAULTS_H_
#define CTX_TESTS_FAULT_FAULTS_H_

#include <atomic>
#include <climits>

namespace ctxtest {

enum class Resource { kMemory, kThread, kDescriptor, kEventfd, kWatch };
inline constexpr int kResources = 5;

// While it lives, counts what the calling thread asks of the system and, if told to, refuses: from
// the call number `first` on (the first one is 0), `times` times. Calls of other threads are left
// alone. kDescriptor is each call that makes a descriptor, kEventfd those to eventfd() alone, kWatch
// those that add a descriptor to an epoll set. Keep GoogleTest's macros out of its life: they use
// memory, too.
class Faults {
 public:
  Faults() { current_ = this; }
  Faults(Resource resource, int error, int first = 0, int times = INT_MAX)
      : resource_(resource), error_(error), first_(first), times_(times) {
    current_ = this;
  }
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;
  ~Faults() { current_ = nullptr; }

  int count(Resource resource) const { return counts_[static_cast<int>(resource)]; }
  int refused() const { return refused_; }

  // For the functions of faults.cc: counts, and says with which errno to refuse, or 0.
  static int Ask(Resource resource) { return current_ == nullptr ? 0 : current_->Next(resource); }

 private:
  int Next(Resource resource);

  static inline thread_local constinit Faults* current_ = nullptr;

  int counts_[kResources] = {};
  int refused_ = 0;
  Resource resource_ = Resource::kMemory;
  int error_ = 0;
  int first_ = 0;
  int times_ = 0;
};

// While it lives, no thread of the process gets a new thread.
class NoThreads {
 public:
  NoThreads() { ++living_; }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;
  ~NoThreads() { --living_; }

  static bool Refuse() {
    if (living_ == 0) return false;
    ++refused_;
    return true;
  }
  static int refused() { return refused_; }

 private:
  static inline std::atomic<int> living_{0}, refused_{0};
};

// How many blocks of memory the whole process has now.
long LiveBlocks();

}  // namespace ctxtest

#endif  // CTX_TESTS_FAULT_FAULTS_H_
