// SPDX-License-Identifier: MIT
//
// Random operations on a virtual loop, from outside and from inside callbacks, against the model of
// virtual_model.h: after each one every context has the error, cause and deadline that the model says,
// every callback has run that had to, after those of its parents and with the clock where it belongs, and
// ctx_loop_next() is exact. One thread, so a seed gives the same run again.
//
//   CTX_STRESS_SEED  what to start from; every run prints its own
#include "stress/virtual_model.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"

namespace ctxtest {
namespace {

const int kEpisodes = Rounds(kSanitized ? 60 : 400);
constexpr int kSteps = 150;

class Episode {
 public:
  explicit Episode(uint64_t seed) : random_(seed) {
    handles_.push_back({Watched(time_.root, &drop_), {}});
  }

  ~Episode() {
    for (Armed& armed : armed_) ctx_watch_stop(armed.watch);
  }

  void Run() {
    for (int i = 0; i < kSteps && !testing::Test::HasFailure(); ++i) {
      Step();
      Check();
    }
    if (!testing::Test::HasFailure()) End();
  }

 private:
  struct Armed {
    Episode* episode;
    size_t node;
    bool deferred;
    bool in_time;  // armed while the context was live
    enum { kArmed, kRan, kStopped } state = kArmed;
    int drops = 0;
    Watch watch;
  };

  size_t Pick(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  size_t Any() {
    for (;;) {
      const size_t i = Pick(4) == 0 ? Pick(model_.size()) : Pick(model_.size()) / 2;
      if (model_[i].held) return i;
    }
  }
  // So far apart that no two timers are of the same time.
  int64_t Span() { return static_cast<int64_t>(random_() >> 24 >> Pick(8)) + 1; }
  const ctx_cause_t* NextCause() {
    causes_.push_back(NewCause(static_cast<int>(causes_.size()), "one of many"));
    return causes_.back();
  }

  void Step() {
    const size_t step = Pick(100);
    if (step < 50) return Derive();
    if (step < 58) return Cancel(Any());
    if (step < 72) return Arm();
    if (step < 78) return Stop();
    if (step < 86) return Release(Any());
    Advance();
  }

  void Derive() {
    const size_t parent = Any();
    ctx_t* const above = handles_[parent].ctx;
    switch (Pick(8)) {
      case 0:
        return Made(model_.Detached(parent), {WithoutCancel(above), {}});
      case 1:
        return Made(model_.Value(parent), {WithValue(above, &kKey, nullptr), {}});
      case 2:
        return Made(model_.Child({parent}), WithCancel(above));
      case 3:
      case 4:
        return DeriveTimed(parent);
      case 5: {
        const int64_t grace = Pick(8) == 0 ? CTX_FOREVER : Pick(8) == 0 ? 0 : Span();
        return Made(model_.Grace(parent, grace), WithGrace(above, grace));
      }
      default:
        return DeriveMerged(parent);
    }
  }

  void DeriveTimed(size_t parent) {
    int64_t deadline = model_.now() + Span();
    if (Pick(8) == 0) deadline = model_[parent].deadline;  // equal: the parent's
    if (Pick(8) == 0) deadline = model_.now() - static_cast<int64_t>(Pick(2));
    const ctx_cause_t* const reason = NextCause();
    const size_t made = model_.Timed(parent, deadline, reason);
    Made(made, WithDeadline(handles_[parent].ctx, deadline, reason));
  }

  void DeriveMerged(size_t parent) {
    std::vector<size_t> parents = {parent};
    while (Pick(3) != 0) parents.push_back(Any());
    std::vector<ctx_t*> contexts;
    for (size_t i : parents) contexts.push_back(handles_[i].ctx);
    const size_t made = model_.Child(parents);
    Scope merged = Merge(contexts);
    for (size_t i : parents) {
      if (model_[i].err != 0 && model_[i].cause == ctx_cause(merged)) model_.TakeAfter(made, i);
    }
    Made(made, std::move(merged));
  }

  void Made(size_t i, Scope scope) {
    ASSERT_EQ(i, handles_.size());
    handles_.push_back(std::move(scope));
    CheckNode(i);
  }

  void Cancel(size_t i) {
    if (handles_[i].canceler == nullptr) return;
    const ctx_cause_t* const cause = NextCause();
    const bool live = model_.Cancel(i, cause);
    EXPECT_EQ(ctx_cancel_with(handles_[i].canceler, CTX_CANCELED, cause), live ? 1 : 0);
  }

  void Arm() {
    const size_t node = Any();
    if (!model_[node].can_end) return;
    const bool live = model_[node].err == 0;
    armed_.push_back({this, node, Pick(3) == 0, live, Armed::kArmed, 0, {}});
    Armed& armed = armed_.back();
    EXPECT_EQ(ctx_after_func(handles_[node].ctx, Called, &armed, Dropped,
                             armed.deferred ? CTX_DEFER : 0, armed.watch.out()),
              live ? 0 : 1);
  }

  void Stop() {
    if (armed_.empty()) return;
    Armed& armed = armed_[Pick(armed_.size())];
    const bool can_be = armed.state == Armed::kArmed;
    if (can_be) armed.state = Armed::kStopped;
    EXPECT_EQ(ctx_watch_stop(armed.watch), can_be ? 1 : 0);
    EXPECT_TRUE(!can_be || armed.drops == 1);
  }

  void Release(size_t i) {
    if (!model_[i].held || !model_.IsLeaf(i)) return;
    for (const Armed& armed : armed_) {
      if (armed.node == i && armed.state == Armed::kArmed) return;
    }
    model_.Release(i);
    handles_[i].reset();
  }

  void Advance() {
    if (advancing_) {
      EXPECT_EQ(time_.Advance(1), -EBUSY);
      return;
    }
    const int64_t next = model_.Next(), now = model_.now();
    int64_t target = now + static_cast<int64_t>(Pick(3)) * Span();
    if (next != CTX_FOREVER && Pick(2) == 0) target = next - static_cast<int64_t>(Pick(2));
    target = std::max(target, now);
    advancing_ = true;
    fired_ = 0;
    const int fired = time_.Advance(target - now);
    fired_ += model_.AdvanceTo(target);
    advancing_ = false;
    EXPECT_EQ(fired, fired_);
    EXPECT_EQ(time_.Now(), target);
  }

  static void Called(ctx_t* ctx, void* arg) {
    auto& armed = *static_cast<Armed*>(arg);
    armed.episode->Call(armed, ctx);
  }
  static void Dropped(void* arg) { ++static_cast<Armed*>(arg)->drops; }

  void Call(Armed& armed, ctx_t* ctx) {
    fired_ += model_.AdvanceTo(time_.Now());  // all that is due by now is marked by now
    ASSERT_EQ(armed.state, Armed::kArmed);
    armed.state = Armed::kRan;
    const VirtualModel::Node& node = model_[armed.node];
    EXPECT_NE(node.err, 0);
    EXPECT_EQ(ctx_err(ctx), node.err);
    EXPECT_EQ(ctx_cause(ctx), node.cause);
    if (!armed.deferred && armed.in_time) ExpectInOrder(armed);
    if (++depth_ <= 3 && Pick(2) == 0) Step();
    --depth_;
  }

  // Rule 28: after those of each parent that the same end took, and after earlier ones of its own.
  void ExpectInOrder(const Armed& called) {
    const VirtualModel::Node& node = model_[called.node];
    bool earlier = true;
    for (const Armed& other : armed_) {
      earlier = earlier && &other != &called;
      if (other.state != Armed::kArmed || other.deferred || !other.in_time) continue;
      EXPECT_FALSE(other.node == called.node && earlier) << "called before an earlier one";
      for (size_t parent : node.parents) {
        EXPECT_FALSE(other.node == parent && model_[parent].ended_by == node.ended_by)
            << "called before its parent's";
      }
    }
  }

  void CheckNode(size_t i) {
    const VirtualModel::Node& node = model_[i];
    if (!node.held || handles_[i].ctx == nullptr) return;
    ctx_t* const ctx = handles_[i].ctx;
    EXPECT_EQ(ctx_err(ctx), node.err) << i;
    EXPECT_EQ(ctx_cause(ctx), node.cause) << i;
    EXPECT_EQ(ctx_now(ctx), model_.now());
    int64_t deadline = CTX_FOREVER;
    EXPECT_EQ(ctx_deadline(ctx, &deadline), node.deadline == CTX_FOREVER ? 0 : 1);
    EXPECT_EQ(deadline, node.deadline) << i;
    EXPECT_EQ(ctx_wait(ctx, 0), node.err != 0 ? 1 : 0);
  }

  void Check() {
    bool work_waits = false;
    for (const Armed& armed : armed_) {
      const bool waits = armed.state == Armed::kArmed && model_[armed.node].err != 0;
      EXPECT_TRUE(!waits || armed.deferred) << "lost";
      EXPECT_EQ(armed.drops, armed.state == Armed::kArmed ? 0 : 1);
      work_waits = work_waits || waits;
    }
    for (size_t i = 1; i < model_.size(); ++i) CheckNode(i);
    EXPECT_EQ(time_.Next(), work_waits ? model_.now() : model_.Next());
  }

  // What is left is closed, and nothing stays in memory.
  void End() {
    for (Armed& armed : armed_) {
      EXPECT_EQ(ctx_watch_stop(armed.watch), armed.state == Armed::kArmed ? 1 : 0);
      EXPECT_EQ(armed.drops, 1);
    }
    EXPECT_EQ(ctx_loop_close(time_.loop), 0);
    for (size_t i = 1; i < model_.size(); ++i) {
      const VirtualModel::Node& node = model_[i];
      if (!node.held) continue;
      const int expected = node.err != 0 ? node.err : node.can_end ? CTX_CANCELED : 0;
      EXPECT_EQ(ctx_err(handles_[i].ctx), expected);
    }
    EXPECT_EQ(time_.Next(), INT64_MAX);
    EXPECT_EQ(drop_.count(), 0);
    handles_.clear();
    EXPECT_EQ(drop_.count(), 1);
  }

  std::mt19937_64 random_;
  std::vector<Cause> causes_;
  std::deque<Armed> armed_;
  Drop drop_;
  VirtualLoop time_;
  VirtualModel model_;
  std::vector<Scope> handles_;  // by the model's numbers
  int depth_ = 0;
  bool advancing_ = false;
  int fired_ = 0;  // in this advance
};

TEST(VirtualModel, RandomOperationsAgainstTheModel) {
  const char* const given = std::getenv("CTX_STRESS_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::printf("CTX_STRESS_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  for (int i = 0; i < kEpisodes && !HasFailure(); ++i) {
    SCOPED_TRACE(testing::Message() << "episode " << i);
    Episode(seed + static_cast<uint64_t>(i)).Run();
  }
}

}  // namespace
}  // namespace ctxtest
