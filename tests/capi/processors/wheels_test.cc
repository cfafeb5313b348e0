// SPDX-License-Identifier: MIT
//
// A loop with a thread keeps its deadlines by processor. On whatever processors they were set, each fires, and all in
// the order of their times.
#include <cstdint>
#include <numeric>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/processors.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

Scope WithDeadlineOn(int processor, ctx_t* parent, int64_t deadline_ns) {
  const OnProcessor here(processor);
  return WithDeadline(parent, deadline_ns);
}

// The sooner one ends the loop's sleep; it must then find the later one.
TEST(Wheels, Rule17_ALaterDeadlineOfAnotherProcessorFiresToo) {
  for (int sooner = 0; sooner < kProcessors; ++sooner) {
    std::vector<Scope> timed;
    const int64_t now = Now();
    for (int later = 0; later < kProcessors; ++later) {
      const Loop loop = NewLoop(CTX_LOOP_THREAD);  // each with these two alone
      const Ctx root = LoopBackground(loop);
      timed.push_back(WithDeadlineOn(sooner, root, now + 5 * kMillisecond));
      timed.push_back(WithDeadlineOn(later, root, now + 10 * kMillisecond));
    }
    for (size_t i = 0; i < timed.size(); ++i) {
      // No wait, which could end it itself.
      ASSERT_TRUE(Readable(ctx_done_fd(timed[i]), kLimitMs)) << sooner << ", " << i / 2;
    }
  }
}

// A loop whose thread stands still in a waker, until deadlines of all processors have passed.
struct Held {
  ctx_t* root() const { return root_; }
  void WaitUntilHeld() const { ASSERT_TRUE(held_.Wait()); }
  void GoOn() { go_on_.Open(); }

  Held() {
    EXPECT_EQ(holder_.Arm(first_, CTX_WAKER), 0);  // else it would run, and wait, on this thread
    pipe_.Write();
  }

 private:
  Gate held_, go_on_;
  Pipe pipe_;
  Loop loop_ = NewLoop(CTX_LOOP_THREAD);
  Ctx root_ = LoopBackground(loop_);
  Scope first_ = WithFd(root_, pipe_.read_end, POLLIN);
  Callback holder_{[this](ctx_t*) {
    held_.Open();
    EXPECT_TRUE(go_on_.Wait());
  }};
};

// Deadlines that come a microsecond after each other, on these processors, end in that order, though all of them are
// due at once. False if not all were set before the first was due, so that nothing can be said.
bool ExpectInOrder(const std::vector<int>& processors, int64_t lead) {
  Held held;
  const Queue queue = NewQueue();
  held.WaitUntilHeld();
  const size_t many = processors.size();
  const int64_t span = static_cast<int64_t>(many) * kMicrosecond;
  const int64_t first = Now() + lead + 3 * span;  // not due yet
  std::vector<Scope> timed(many);
  std::vector<Watch> watches;
  for (size_t step = 0; step < many; ++step) {
    const size_t i = (step * 7919 + 13) % many;  // set in no order; 7919 is prime
    timed[i] =
        WithDeadlineOn(processors[i], held.root(), first + static_cast<int64_t>(i) * kMicrosecond);
    watches.push_back(Add(queue, timed[i], i));
  }
  const bool in_time = Now() < first;
  SleepUntil(first + span);
  held.GoOn();
  if (!in_time) return false;
  std::vector<uint64_t> ended;
  while (ended.size() < many && Readable(ctx_queue_fd(queue), kLimitMs)) {
    for (const uint64_t token : Tokens(queue)) ended.push_back(token);
  }
  std::vector<uint64_t> expected(many);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(ended, expected);
  return true;
}

void ExpectInOrder(const std::vector<int>& processors) {
  for (int64_t lead = 20 * kMillisecond; !ExpectInOrder(processors, lead);) lead *= 4;
}

TEST(Wheels, Rule17_TheOrderHoldsAcrossProcessors) {
  for (const int each : {1, 3, 50, 255, 256, 257, 600}) {  // a loop ends so many at a time
    std::vector<int> processors;
    for (int i = 0; i < each * kProcessors; ++i) processors.push_back(i * 5 % kProcessors);
    ExpectInOrder(processors);
  }
}

// So those of the others come while that one still has some that are due.
TEST(Wheels, Rule17_TheOrderHoldsThoughOneProcessorHasMost) {
  for (const int most : {0, 3, 7}) {
    for (const int other : {0, 1, 7}) {
      std::vector<int> processors;
      for (int i = 0; i < 1'600; ++i) processors.push_back(i % 400 == 350 ? other : most);
      ExpectInOrder(processors);
    }
  }
}

// A loop takes 512 deadlines of a processor at a time, and keeps those of the others that come later than these. One
// that it keeps so, and that is canceled then, hides none of those that come after it.
bool ExpectNoneHidden(int64_t lead) {
  Held held;
  held.WaitUntilHeld();
  const int64_t first = Now() + lead;
  std::vector<Scope> many;
  for (int i = 0; i < 512; ++i) many.push_back(WithDeadlineOn(1, held.root(), first + i));
  const Scope kept = WithDeadlineOn(0, held.root(), first + kMillisecond),
              after = WithDeadlineOn(1, held.root(), first + 2 * kMillisecond),
              last = WithDeadlineOn(1, held.root(), first + 3 * kMillisecond);
  const bool in_time = Now() < first;
  SleepUntil(Deadline(last) + kPast);
  if (in_time) {
    EXPECT_EQ(ctx_err(WithTimeout(many[0], kHour)), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(kept.Cancel(), 1) << "only a part is ended for the first one";
    EXPECT_EQ(ctx_err(WithTimeout(last, kHour)), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(ctx_err(after), CTX_DEADLINE_EXCEEDED);
  }
  held.GoOn();
  return in_time;
}

TEST(Wheels, Rule17_ACanceledDeadlineHidesNoneAfterIt) {
  for (int64_t lead = 20 * kMillisecond; !ExpectNoneHidden(lead);) lead *= 4;
}

TEST(Wheels, Rule14_ADeadlineOfAnyProcessorIsGoneWithItsContext) {
  Drop drop;
  for (int processor = -1; processor < kProcessors; ++processor) {
    const Ctx watched = Watched(ctx_background(), &drop);
    { const Scope released = WithDeadlineOn(processor, watched, Now() + kHour); }
    const Scope canceled = WithDeadlineOn(processor, watched, Now() + kHour);
    EXPECT_EQ(canceled.Cancel(), 1);
    EXPECT_EQ(ctx_err(canceled), CTX_CANCELED);
  }
  EXPECT_EQ(drop.count(), kProcessors + 1);
}

}  // namespace
}  // namespace ctxtest
