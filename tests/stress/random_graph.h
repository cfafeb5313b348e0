// SPDX-License-Identifier: MIT
//
// A family with merges and graces on a loop, and workers that do anything to it in random order. Whatever a cancel
// that came back should have ended is done, no error or cause ever changes, every callback runs or is stopped, every
// drop runs once.
#ifndef CTX_TESTS_STRESS_RANDOM_GRAPH_H_
#define CTX_TESTS_STRESS_RANDOM_GRAPH_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "stress/model.h"
#include "support/handles.h"
#include "support/loops.h"

namespace ctxtest::random_graph {

inline constexpr size_t kSlots = 40;
inline constexpr ctx_key_t kValue = {"value"};

// What is known of a context, for as long as there is one below it.
struct Known {
  // Whether a cancel that has come back ended it: its own, or one above, as far up as is looked.
  bool MustBeDone() const {
    std::vector<const Known*> up = {this};
    for (size_t i = 0; i < up.size() && up.size() < 40; ++i) {
      if (up[i]->ended.load()) return true;
      for (const auto& parent : up[i]->parents) up.push_back(parent.get());
    }
    return false;
  }

  bool cancelable = true;
  std::vector<std::shared_ptr<Known>> parents;  // whose end is its own, too
  std::atomic<bool> ended{false};
  std::atomic<int> error{0};
  std::atomic<const ctx_cause_t*> cause{nullptr};
};

struct Member {
  // Error and cause: set together, once, and after every end above that was told.
  void Check() const {
    const bool must_be_done = known->MustBeDone();
    const int error = ctx_err(ctx);
    Require(error != 0 || !must_be_done, "live below a cancel that has come back");
    if (error == 0) return;
    const ctx_cause_t* const cause = ctx_cause(ctx);
    Require(cause != nullptr, "done without a cause");
    Require(known->cancelable, "a context that is never done is done");
    int first_error = 0;
    Require(known->error.compare_exchange_strong(first_error, error) || first_error == error,
            "the error has changed");
    const ctx_cause_t* first_cause = nullptr;
    Require(known->cause.compare_exchange_strong(first_cause, cause) || first_cause == cause,
            "the cause has changed");
  }

  void Cancel() const {
    const int result = ctx_cancel(canceler);
    Require(result == 0 || result == 1, "ctx_cancel failed");
    known->ended = true;
    Check();
  }

  std::shared_ptr<Known> known = std::make_shared<Known>();
  Ctx ctx;
  Canceler canceler;
};
using MemberPtr = std::shared_ptr<Member>;

// A loop, its root, and slots that the threads share. Who takes one out shares it with the others.
struct Family {
  explicit Family(int loop_kind) : kind(loop_kind), loop(NewLoop(loop_kind)) {
    root->known->cancelable = false;
    const Ctx background = LoopBackground(loop);
    Require(ctx_with_value(background, &kValue, &dropped, Dropped::Run, root->ctx.out()) == 0,
            "cannot derive");
  }

  MemberPtr Get(size_t slot) {
    std::lock_guard<std::mutex> lock(mutexes[slot]);
    return slots[slot] != nullptr ? slots[slot] : root;
  }
  void Put(size_t slot, MemberPtr member) {
    {
      std::lock_guard<std::mutex> lock(mutexes[slot]);
      slots[slot].swap(member);
    }
    member.reset();  // with no lock held: drops run here
  }

  const int kind;
  Loop loop;
  MemberPtr root = std::make_shared<Member>();
  Dropped dropped;
  std::array<std::mutex, kSlots> mutexes;
  std::array<MemberPtr, kSlots> slots;
};

// A callback that does something to its family as well.
struct Call {
  static void Run(ctx_t* ctx, void* self);
  static void Drop(void* self) { ++static_cast<Call*>(self)->drops; }
  bool Over() const { return runs + stops == 1 && drops == 1; }

  Family* family = nullptr;
  uint64_t seed = 0;
  ctx_watch_t* watch = nullptr;
  std::atomic<int> runs{0}, stops{0}, drops{0};
};

class Worker {
 public:
  Worker(Family& family, uint64_t seed) : family_(family), random_(seed) {}

  void Step(std::deque<Call>* calls) {
    const size_t step = Pick(100);
    if (step < 52) return Derive();
    if (step < 60) return Cancel();
    if (step < 68) return family_.Put(Pick(kSlots), nullptr);
    if (step < 78) return calls == nullptr ? Look() : Arm(calls);
    if (step < 84) return calls == nullptr ? Look() : Disarm(calls);
    if (step < 92) return Drive();
    Look();
  }

 private:
  size_t Pick(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  MemberPtr Any() { return Pick(12) == 0 ? family_.root : family_.Get(Pick(kSlots)); }
  int64_t Soon() { return static_cast<int64_t>(Pick(300)) * kMicrosecond; }

  void Derive() {
    const MemberPtr parent = Any();
    auto made = std::make_shared<Member>();
    ctx_t** const ret = made->ctx.out();
    ctx_canceler_t** const canceler = made->canceler.out();
    made->known->parents = {parent->known};
    int result = 0;
    switch (Pick(8)) {
      case 0:
        result = ctx_with_timeout(parent->ctx, Pick(3) == 0 ? kHour : Soon(), ret, canceler);
        break;
      case 1:
        result = ctx_with_grace(parent->ctx, Soon() + 1, ret, canceler);
        made->known->parents.clear();
        break;
      case 2:
        result = ctx_with_value(parent->ctx, &kValue, &family_, nullptr, ret);
        made->known->cancelable = parent->known->cancelable;
        break;
      case 3:
        if (Pick(3) != 0) return;
        result = ctx_without_cancel(parent->ctx, ret);
        made->known->parents.clear();
        made->known->cancelable = false;
        break;
      case 4:
        result = ctx_with_cancel(parent->ctx, ret, canceler);
        break;
      default:
        result = DeriveMerged(parent, *made);
    }
    Require(result == 0, "cannot derive");
    made->Check();
    family_.Put(Pick(kSlots), std::move(made));
  }

  int DeriveMerged(const MemberPtr& first, Member& made) {
    std::vector<MemberPtr> parents = {first};
    for (size_t n = 1 + Pick(3); n > 0; --n) parents.push_back(Any());
    std::vector<ctx_t*> contexts;
    for (const MemberPtr& parent : parents) contexts.push_back(parent->ctx);
    for (size_t i = 1; i < parents.size(); ++i) made.known->parents.push_back(parents[i]->known);
    return ctx_merge(contexts.data(), contexts.size(), made.ctx.out(), made.canceler.out());
  }

  void Cancel() {
    const MemberPtr member = Any();
    if (member->canceler != nullptr) member->Cancel();
  }

  void Arm(std::deque<Call>* calls) {
    const MemberPtr member = Any();
    if (!member->known->cancelable) return;
    Call& call = calls->emplace_back();
    call.family = &family_;
    call.seed = random_();
    const uint32_t flags = Pick(3) == 0 ? CTX_DEFER : 0;
    const int result =
        ctx_after_func(member->ctx, Call::Run, &call, Call::Drop, flags, &call.watch);
    Require(result == 0 || (result == 1 && ctx_err(member->ctx) != 0), "cannot arm");
  }

  void Disarm(std::deque<Call>* calls) {
    if (calls->empty()) return;
    Call& call = (*calls)[calls->size() - 1 - Pick(std::min<size_t>(calls->size(), 30))];
    const int result = Pick(2) == 0 ? ctx_watch_stop(call.watch) : ctx_watch_stop_wait(call.watch);
    Require(result == 0 || result == 1, "cannot stop");
    call.stops += result;
  }

  void Drive() {
    int result = 0;
    if (family_.kind == CTX_LOOP_MANUAL) result = ctx_loop_dispatch(family_.loop);
    if (family_.kind == CTX_LOOP_VIRTUAL) result = ctx_loop_advance(family_.loop, Soon());
    Require(result >= 0 || result == -EBUSY, "cannot drive the loop");
    if (family_.kind != CTX_LOOP_VIRTUAL) Wait();
  }

  void Wait() {
    const MemberPtr one = Any(), two = Any();
    ctx_t* const any[] = {one->ctx, two->ctx};
    const int64_t limit = Soon() / 4;
    const int result =
        Pick(2) == 0 ? ctx_wait_any(any, 2, limit, nullptr) : ctx_wait(any[0], limit);
    Require(result == 0 || result == 1, "a wait failed");
  }

  void Look() {
    const MemberPtr member = Any();
    member->Check();
    Require(ctx_describe(member->ctx, nullptr, 0) > 0, "no description");
    Require(ctx_value(member->ctx, &kValue) != nullptr, "a value is lost");
    Require(!member->known->cancelable || ctx_done_fd(member->ctx) >= 0, "no descriptor");
  }

  Family& family_;
  std::mt19937_64 random_;
};

inline void Call::Run(ctx_t* ctx, void* self) {
  auto& call = *static_cast<Call*>(self);
  Require(++call.runs == 1, "ran twice");
  Require(ctx_err(ctx) != 0, "called on a live context");
  Worker(*call.family, call.seed).Step(nullptr);
}

// Ends what is left, and looks whether it has all gone as it should. The last thing to go is family.dropped, on a
// thread of the loop if it has some.
inline void End(Family& family, std::vector<std::deque<Call>>& calls) {
  Require(ctx_loop_close(family.loop) == 0, "cannot close");
  if (family.kind == CTX_LOOP_MANUAL) ctx_loop_dispatch(family.loop);
  if (family.kind == CTX_LOOP_VIRTUAL) ctx_loop_advance(family.loop, 0);
  for (auto& some : calls) {
    for (Call& call : some) {
      call.stops += ctx_watch_stop_wait(call.watch);
      call.watch = ctx_watch_unref(call.watch);
      Require(call.Over(), "a callback neither ran nor was stopped");
    }
  }
  for (size_t slot = 0; slot < kSlots; ++slot) {
    const MemberPtr member = family.Get(slot);
    Require(!member->known->cancelable || ctx_err(member->ctx) != 0, "live after the close");
    member->Check();
    family.Put(slot, nullptr);
  }
  family.root.reset();
  family.loop.reset();
}

}  // namespace ctxtest::random_graph

#endif
