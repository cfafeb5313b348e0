// SPDX-License-Identifier: MIT
//
// Threads that do anything to one tree that they share, in random order, against the model of
// model.h: every callback ran or was stopped, every drop ran once, no error or cause ever changed,
// nothing below a context that is done was live, no deadline was early, and nothing is left.
// episodes.h says how to run them longer.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "stress/episodes.h"
#include "stress/tree.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr size_t kThreads = 4;
constexpr int kSteps = 3'000;  // of each thread in one episode
constexpr int kEpisodes = kSanitized ? 12 : 60;

// What a thread has made, to be looked at when all is over. References to it stay valid.
struct Kept {
  std::deque<Dropped> values;
  std::deque<Armed> callbacks;
};

class Worker {
 public:
  Worker(Tree& tree, Kept& kept, uint64_t seed) : tree_(tree), kept_(kept), random_(seed) {}
  ~Worker() {
    for (const auto& [fd, entry] : descriptors_) close(fd);
  }

  void Step() {
    const size_t step = Pick(100);
    if (step < 22) return Derive();
    if (step < 30) return DeriveTimeout();
    if (step < 36) return DeriveValue();
    if (step < 38) return Detach();
    if (step < 44) return Cancel();
    if (step < 50) return tree_.Put(Pick(Tree::kSlots), nullptr);
    if (step < 62) return Arm();
    if (step < 72) return Disarm();
    if (step < 79) return TakeDescriptor();
    if (step < 85) return Wait();
    Look();
  }

 private:
  size_t Pick(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  EntryPtr Any() { return Pick(10) == 0 ? tree_.root : tree_.Get(Pick(Tree::kSlots)); }

  template <class Function>
  void Add(const EntryPtr& ends_with, bool cancelable, const Function& derive) {
    tree_.Put(Pick(Tree::kSlots),
              Make(ends_with == nullptr ? nullptr : ends_with->record, cancelable, derive));
  }

  void Derive() {
    const EntryPtr parent = Any();
    Add(parent, true, [&](Entry& entry) {
      return ctx_with_cancel(parent->ctx, entry.ctx.out(), entry.canceler.out());
    });
  }

  void DeriveTimeout() {
    const EntryPtr parent = Any();
    const int64_t near_ns = static_cast<int64_t>(Pick(2'000)) * kMicrosecond - 100 * kMicrosecond;
    const int64_t timeout_ns = Pick(3) == 0 ? kHour : near_ns;
    Add(parent, true, [&](Entry& entry) {
      return ctx_with_timeout(parent->ctx, timeout_ns, entry.ctx.out(), entry.canceler.out());
    });
  }

  void DeriveValue() {
    const EntryPtr parent = Any();
    Dropped& value = kept_.values.emplace_back();
    Add(parent, parent->record->cancelable, [&](Entry& entry) {
      return ctx_with_value(parent->ctx, &kKey, &value, Dropped::Run, entry.ctx.out());
    });
  }

  void Detach() {
    const EntryPtr parent = Any();
    Add(nullptr, false,
        [&](Entry& entry) { return ctx_without_cancel(parent->ctx, entry.ctx.out()); });
  }

  void Cancel() {
    const EntryPtr entry = Any();
    if (entry != tree_.root && entry->canceler != nullptr) CheckedCancel(*entry);
  }

  void Arm() {
    const EntryPtr entry = Any();
    Armed& armed = kept_.callbacks.emplace_back();
    armed.record = entry->record;
    armed.tree = &tree_;
    armed.behavior = static_cast<unsigned>(Pick(kBehaviors + 2));
    armed.slot = Pick(Tree::kSlots);
    const uint32_t flags = Pick(3) == 0 ? CTX_DEFER : 0;
    const int result =
        ctx_after_func(entry->ctx, CallBack, &armed, Armed::Drop, flags, &armed.watch);
    Require(result == 0 || result == 1, "cannot arm");
    Require(result == 0 || ctx_err(entry->ctx) != 0, "ran on a live context");
    Require(result == 0 || flags == CTX_DEFER || armed.Over(), "1, but it has not run");
  }

  void Disarm() {
    if (kept_.callbacks.empty()) return;
    const size_t back = Pick(std::min<size_t>(kept_.callbacks.size(), 30));
    Armed& armed = kept_.callbacks[kept_.callbacks.size() - 1 - back];
    if (armed.watch == nullptr) return;
    if (Pick(4) != 0) {
      armed.Stop(Pick(2) == 0);
    } else if (armed.behavior != kStopsItself &&
               EndsWith(*armed.record, tree_.root->record.get())) {
      armed.watch =
          ctx_watch_unref(armed.watch);  // stays armed, until the root's end at the latest
    }
  }

  // It must be readable if somebody was told before it was looked at.
  void CheckDescriptor(int fd, const EntryPtr& entry) {
    const bool must_be_readable = MustBe(Record::kWoken, *entry->record);
    if (Readable(fd)) {
      NoteEnd(Record::kMarked, *entry->record, entry->ctx);
    } else {
      Require(!must_be_readable, "the descriptor of a done context is not readable");
    }
  }

  void TakeDescriptor() {
    const EntryPtr entry = Any();
    const bool own = Pick(2) == 0;
    const int fd = own ? ctx_done_fd_dup(entry->ctx) : ctx_done_fd(entry->ctx);
    if (!entry->record->cancelable) {
      Require(fd == -ENOTSUP, "a descriptor that can never be readable");
      return;
    }
    if (!Require(fd >= 0, "no descriptor")) return;
    CheckDescriptor(fd, entry);
    if (!own) return;
    descriptors_.emplace_back(fd, entry);
    if (descriptors_.size() <= 8) return;
    close(descriptors_.front().first);
    descriptors_.pop_front();
  }

  void Wait() {
    const std::array<EntryPtr, 3> entries = {Any(), Any(), Any()};
    ctx_t* const several[] = {entries[0]->ctx, entries[1]->ctx, entries[2]->ctx};
    const auto limit_ns = static_cast<int64_t>(Pick(200'000));
    size_t index = 0;
    int result;
    switch (Pick(3)) {
      case 0:
        result = ctx_wait(several[0], limit_ns);
        break;
      case 1:
        result = ctx_wait_any(several, entries.size(), limit_ns, &index);
        break;
      default:
        result = ctx_poll(several[0], nullptr, 0, limit_ns);
        if (result == CTX_CANCELED || result == CTX_DEADLINE_EXCEEDED) result = 1;
    }
    Require(result == 0 || result == 1, "a wait failed");
    if (result == 1) NoteEnd(Record::kMarked, *entries[index]->record, several[index]);
  }

  void Look() {
    const EntryPtr entry = Any();
    CheckEnd(*entry->record, entry->ctx);
    Require(ctx_describe(entry->ctx, nullptr, 0) > 0, "no description");
    Require(ctx_value(entry->ctx, &kKey) != nullptr, "a value is lost");
    for (const auto& [fd, held] : descriptors_) CheckDescriptor(fd, held);
  }

  Tree& tree_;
  Kept& kept_;
  std::mt19937_64 random_;
  std::deque<std::pair<int, EntryPtr>> descriptors_;
};

template <class Condition>
void RequireSoon(const Condition& condition, const char* what) {
  // Once something has gone wrong, there is no point in more waiting.
  Require(Soon([&] { return condition() || complaints.count() > 0; }) && condition(), what);
}

// Ends everything that is left, and looks whether it has all gone as it should.
void End(Tree& tree, std::vector<Kept>& kept) {
  CheckedCancel(*tree.root);
  for (Kept& one : kept) {
    for (Armed& armed : one.callbacks) {
      if (armed.watch == nullptr) continue;
      armed.Stop(true);
      armed.watch = ctx_watch_unref(armed.watch);
    }
  }
  for (Kept& one : kept) {
    for (const Armed& armed : one.callbacks) {
      RequireSoon([&] { return armed.Over(); }, "a callback neither ran nor was stopped");
    }
  }
  for (size_t slot = 0; slot < Tree::kSlots; ++slot) {
    const EntryPtr entry = tree.Get(slot);
    CheckEnd(*entry->record, entry->ctx);
    tree.Put(slot, nullptr);
  }
  tree.root.reset();
  RequireSoon([&] { return tree.root_dropped.count.load() == 1; }, "the tree was not freed");
  for (Kept& one : kept) {
    for (const Armed& armed : one.callbacks) Require(armed.Over(), "ran or dropped once more");
    for (const Dropped& value : one.values) {
      RequireSoon([&] { return value.count.load() >= 1; }, "a value was not dropped");
      Require(value.count.load() == 1, "a value was dropped once more");
    }
  }
}

void RunEpisode(uint64_t seed) {
  Tree tree;
  std::vector<Kept> kept(kThreads);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      Worker worker(tree, kept[i], seed * kThreads + i);
      for (int step = 0; step < kSteps; ++step) {
        if (i == 0 && step == kSteps * 9 / 10) CheckedCancel(*tree.root);
        worker.Step();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  End(tree, kept);
}

TEST(Random, EverythingAtOnceAgainstTheModel) {
  EXPECT_TRUE(
      Done(WithTimeout(ctx_background(), 1)));  // the loop has begun, and keeps its descriptors
  const size_t descriptors = OpenDescriptors();
  RunEpisodes(kEpisodes, RunEpisode);
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

}  // namespace
}  // namespace ctxtest
