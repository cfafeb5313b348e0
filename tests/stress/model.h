// SPDX-License-Identifier: MIT
//
// What the random test knows about each context, callback and value that it makes, apart from the
// library: enough to say what must not be. Every check may run on any thread at any time.
#ifndef CTX_TESTS_STRESS_MODEL_H_
#define CTX_TESTS_STRESS_MODEL_H_

#include <ctx/ctx.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "support/handles.h"

namespace ctxtest {

// The first thing that went wrong, and how many. GoogleTest is told at the end: its own macros take
// a lock, and would put the threads of a race in order.
class Complaints {
 public:
  void Add(const char* what) {
    if (count_.fetch_add(1) != 0) return;
    std::lock_guard<std::mutex> lock(mutex_);
    first_ = what;
  }
  int count() const { return count_.load(); }
  std::string first() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return first_;
  }

 private:
  std::atomic<int> count_{0};
  mutable std::mutex mutex_;
  std::string first_;
};

inline Complaints complaints;

inline bool Require(bool condition, const char* what) {
  if (!condition) complaints.Add(what);
  return condition;
}

// A context as the test sees it. It outlives the library's, for the sake of what is below.
struct Record {
  Record(std::shared_ptr<Record> ends_with, bool is_cancelable)
      : parent(std::move(ends_with)), cancelable(is_cancelable) {}

  // The ancestor whose end is also this one's; null below a root and below ctx_without_cancel.
  const std::shared_ptr<Record> parent;
  const bool cancelable;

  // How far its end has come, as far as anybody has been told.
  enum End { kNone, kMarked, kWoken };  // with all that is below it
  std::atomic<int> end{kNone};
  std::atomic<int> error{0};  // once seen
  std::atomic<const ctx_cause_t*> cause{nullptr};
  std::atomic<int> wins{0};  // cancels that got 1
};

// A context with its handles, which go when nobody uses them any more.
struct Entry {
  std::shared_ptr<Record> record;
  Ctx ctx;
  Canceler canceler;
};

inline bool EndsWith(const Record& record, const Record* root) {
  const Record* up = &record;
  while (up != nullptr && up != root) up = up->parent.get();
  return up == root;
}

// Whether this context must have come so far in its end, on its own or with an ancestor.
inline bool MustBe(Record::End end, const Record& record) {
  for (const Record* up = &record; up != nullptr; up = up->parent.get()) {
    if (up->end.load() >= end) return true;
  }
  return false;
}

// Error and cause: set together, once, after every ancestor that was told; a deadline never early.
inline int CheckEnd(Record& record, ctx_t* ctx) {
  const bool must_be_done = MustBe(Record::kMarked, record);
  const bool had_cause = ctx_cause(ctx) != nullptr;
  const int error = ctx_err(ctx);
  const ctx_cause_t* const cause = ctx_cause(ctx);
  Require(!must_be_done || error != 0, "a descendant of a context that is done is live");
  Require(error == 0 || cause != nullptr, "done without a cause");
  Require(error != 0 || !had_cause, "a cause before the error");
  Require(error == 0 || record.cancelable, "a context that is never done is done");
  const int word = __atomic_load_n(ctx_err_word(ctx), __ATOMIC_ACQUIRE);
  Require(word == error || error == 0, "ctx_err_word differs from ctx_err");
  if (error == 0) {
    Require(record.error.load() == 0 || ctx_err(ctx) != 0, "a done context is live again");
    return 0;
  }
  int first_error = 0;
  Require(record.error.compare_exchange_strong(first_error, error) || first_error == error,
          "the error has changed");
  const ctx_cause_t* first_cause = nullptr;
  Require(record.cause.compare_exchange_strong(first_cause, cause) || first_cause == cause,
          "the cause has changed");
  Require(error == CTX_CANCELED || error == CTX_DEADLINE_EXCEEDED, "an unknown error");
  Require(error != CTX_DEADLINE_EXCEEDED || ctx_remaining(ctx) <= 0, "a deadline fired early");
  return error;
}

// Somebody was woken by this context (kMarked); or its cancel has returned
// (kWoken).
inline void NoteEnd(Record::End end, Record& record, ctx_t* ctx) {
  Require(CheckEnd(record, ctx) != 0, "woken by a context that is live");
  int before = record.end.load();
  while (before < end && !record.end.compare_exchange_weak(before, end)) {
  }
}

inline void CheckedCancel(Entry& entry) {
  const int result = ctx_cancel(entry.canceler);
  Require(result == 0 || result == 1, "ctx_cancel failed");
  if (result == 1) {
    Require(entry.record->wins.fetch_add(1) == 0, "two cancels got 1");
    Require(ctx_err(entry.ctx) == CTX_CANCELED, "a cancel that got 1 has not set the error");
  }
  NoteEnd(Record::kWoken, *entry.record, entry.ctx);
}

// A value of ctx_with_value, or the end of a tree.
struct Dropped {
  static void Run(void* self) { static_cast<Dropped*>(self)->count.fetch_add(1); }
  std::atomic<int> count{0};
};

// A callback of ctx_after_func. It either runs or is stopped, and its drop follows.
struct Armed {
  static void Drop(void* self) {
    auto* armed = static_cast<Armed*>(self);
    Require(armed->runs.load() + armed->stopping.load() > 0, "dropped while armed");
    armed->drops.fetch_add(1);
  }

  // From several threads at once, and from inside the callback itself.
  void Stop(bool wait) {
    stopping.fetch_add(1);
    const int result = wait ? ctx_watch_stop_wait(watch) : ctx_watch_stop(watch);
    Require(result == 0 || result == 1, "ctx_watch_stop failed");
    stops.fetch_add(result);
    Require(!wait || inside == this || drops.load() == 1, "stop_wait came back before the drop");
    if (result == 0) stopping.fetch_sub(1);
  }

  bool Over() const { return runs.load() + stops.load() == 1 && drops.load() == 1; }

  static inline thread_local const Armed* inside = nullptr;  // which one this thread runs

  std::shared_ptr<Record> record;
  ctx_watch_t* watch = nullptr;
  class Tree* tree = nullptr;  // where its function looks for something to do,
  unsigned behavior = 0;       // and what
  size_t slot = 0;
  std::atomic<int> runs{0}, stops{0}, stopping{0}, drops{0};
};

}  // namespace ctxtest

#endif  // CTX_TESTS_STRESS_MODEL_H_
