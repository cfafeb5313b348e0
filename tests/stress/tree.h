// SPDX-License-Identifier: MIT
//
// The tree that the threads of the random test share: a root, and slots that each hold a context or
// none. Who takes one out shares it with whoever else has it, and the last one gives its handles back.
#ifndef CTX_TESTS_STRESS_TREE_H_
#define CTX_TESTS_STRESS_TREE_H_

#include <array>
#include <memory>
#include <mutex>
#include <utility>

#include "stress/model.h"

namespace ctxtest {

using EntryPtr = std::shared_ptr<Entry>;

// Makes a context by derive(entry), which answers as the library does.
template <class Derive>
EntryPtr Make(std::shared_ptr<Record> ends_with, bool cancelable, const Derive& derive) {
  auto entry = std::make_shared<Entry>();
  entry->record = std::make_shared<Record>(std::move(ends_with), cancelable);
  if (!Require(derive(*entry) == 0, "cannot derive")) return nullptr;
  CheckEnd(*entry->record, entry->ctx);  // below what is done already, it is born done
  return entry;
}

class Tree {
 public:
  static constexpr size_t kSlots = 48;

  Tree() {
    Ctx watched;
    Require(
        ctx_with_value(ctx_background(), &kKey, &root_dropped, Dropped::Run, watched.out()) == 0,
        "cannot derive");
    root = Make(nullptr, true, [&](Entry& entry) {
      return ctx_with_cancel(watched, entry.ctx.out(), entry.canceler.out());
    });
  }

  // The root, if the slot is empty.
  EntryPtr Get(size_t slot) {
    std::lock_guard<std::mutex> lock(slots_[slot].mutex);
    return slots_[slot].entry != nullptr ? slots_[slot].entry : root;
  }

  void Put(size_t slot, EntryPtr entry) {
    {
      std::lock_guard<std::mutex> lock(slots_[slot].mutex);
      slots_[slot].entry.swap(entry);
    }
    entry.reset();  // with no lock held: drops run here
  }

  EntryPtr root;
  Dropped root_dropped;

 private:
  struct Slot {
    std::mutex mutex;
    EntryPtr entry;
  };
  std::array<Slot, kSlots> slots_;
};

// What callbacks do, but for counting.
enum Behavior : unsigned { kDerives, kArms, kCancels, kReleases, kStopsItself, kBehaviors };

inline void Behave(Armed& armed, ctx_t* ctx) {
  switch (armed.behavior) {
    case kDerives: {
      Ctx child;
      Canceler canceler;
      Require(ctx_with_cancel(ctx, child.out(), canceler.out()) == 0, "cannot derive");
      Require(ctx_err(child) == ctx_err(ctx), "born live below a context that is done");
      break;
    }
    case kArms: {
      int runs = 0;
      const auto count = [](ctx_t*, void* counted) { ++*static_cast<int*>(counted); };
      Require(ctx_after_func(ctx, count, &runs, nullptr, 0, nullptr) == 1,
              "armed on a done context");
      Require(runs == 1, "not run inline on a done context");
      break;
    }
    case kCancels: {
      const EntryPtr other = armed.tree->Get(armed.slot);
      if (other != armed.tree->root && other->canceler != nullptr) CheckedCancel(*other);
      break;
    }
    case kReleases:
      armed.tree->Put(armed.slot, nullptr);
      break;
    case kStopsItself:
      armed.Stop(true);
      break;
    default:
      break;
  }
}

inline void CallBack(ctx_t* ctx, void* arg) {
  auto& armed = *static_cast<Armed*>(arg);
  const Armed* const outer = std::exchange(Armed::inside, &armed);
  Require(armed.runs.fetch_add(1) == 0, "ran twice");
  NoteEnd(Record::kMarked, *armed.record, ctx);  // on a done context that is all it waits for
  Behave(armed, ctx);
  Armed::inside = outer;
}

}  // namespace ctxtest

#endif  // CTX_TESTS_STRESS_TREE_H_
