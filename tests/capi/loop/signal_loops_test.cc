// SPDX-License-Identifier: MIT
//
// Rules 35 and 39: one signal and contexts on several loops, of every kind.
#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(SignalOnSeveralLoops, Rule35_ItEndsEveryContextOnAllOfThem) {
  const BlockSignals blocked{SIGUSR1, SIGUSR2};
  const Host hosts[] = {Host(On::kDefault), Host(On::kThread), Host(On::kManual),
                        Host(On::kVirtual), Host(On::kManual), Host(On::kVirtual)};
  for (int round = 0; round < 20; ++round) {
    std::vector<Scope> scopes, others;
    for (const Host& host : hosts) {
      scopes.push_back(WithSignal(host.root(), {SIGUSR1}));
      others.push_back(WithSignal(host.root(), {SIGUSR2}));
    }
    Send(SIGUSR1);
    // In another order every time: whichever loop looks first must not take it from the others.
    for (size_t i = 0; i < std::size(hosts); ++i) {
      const size_t at = (i * 5 + static_cast<size_t>(round)) % std::size(hosts);
      ASSERT_TRUE(hosts[at].Done(scopes[at])) << at << " in round " << round;
      EXPECT_EQ(ctx_cause_code(ctx_cause(scopes[at])), SIGUSR1);
    }
    for (const Scope& other : others) EXPECT_EQ(ctx_err(other), 0);
    EXPECT_EQ(blocked.Take(), -1);
  }
  for (const Host& host : hosts) host.Settle();
  Send(SIGUSR1);
  for (const Host& host : hosts) host.Settle();
  EXPECT_EQ(blocked.Take(), SIGUSR1);
  for (const Host& host : hosts) host.ExpectIdle();
}

// A manual loop whose host does not look cannot keep the signal from the others, and nobody's thread
// runs in circles over what that host has left.
TEST(SignalOnSeveralLoops, Rule35_AHostThatDoesNotLookHoldsUpNoOther) {
  const BlockSignals blocked{SIGUSR1};
  const Host sleeps(On::kManual), works(On::kThread), moves(On::kVirtual);
  const Scope asleep = WithSignal(sleeps.root(), {SIGUSR1});
  const Scope scope = WithSignal(works.root(), {SIGUSR1});
  const Scope moved = WithSignal(moves.root(), {SIGUSR1});
  EXPECT_GE(ctx_loop_fd(sleeps.loop()), 0);
  Send(SIGUSR1);
  ASSERT_TRUE(works.Done(scope));
  works.ExpectIdle();
  EXPECT_EQ(blocked.Take(), -1);
  ASSERT_TRUE(moves.Done(moved));
  ASSERT_TRUE(sleeps.Done(asleep));
  EXPECT_EQ(ctx_cause_code(ctx_cause(asleep)), SIGUSR1);
}

// A loop that closes, or is given up, waits for its signals no more.
TEST(SignalOnSeveralLoops, Rule39_AClosedLoopLeavesItAlone) {
  const BlockSignals blocked{SIGUSR1};
  const Host other(On::kManual);
  for (const On on : {On::kThread, On::kManual, On::kVirtual}) {
    for (const bool close : {false, true}) {
      Scope scope;
      {
        const Host host(on);
        scope = WithSignal(host.root(), {SIGUSR1});
        if (close || on == On::kThread) {
          EXPECT_EQ(ctx_loop_close(host.loop()), 0);
        }
      }
      EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
      Send(SIGUSR1);
      other.Settle();
      EXPECT_EQ(blocked.Take(), SIGUSR1);
    }
  }
}

// The default loop's clock takes the signal for a loop whose last handle is just given back. Nobody will
// drive that one again; the clock does not either.
TEST(SignalOnSeveralLoops, Rule30_TheClockRunsNoCodeOfALoopThatIsGivenUp) {
  const BlockSignals blocked{SIGUSR1};
  Stagger stagger(30);
  for (int round = 0; round < (kSanitized ? 300 : 3'000); ++round) {
    const Scope here = WithSignal(ctx_background(), {SIGUSR1});
    Drop drop;
    std::array<Callback, 4> deferred;
    Loop loop = NewLoop(round % 2 == 0 ? CTX_LOOP_MANUAL : CTX_LOOP_VIRTUAL);
    Scope there = WithSignal(Watched(LoopBackground(loop), &drop), {SIGUSR1});
    for (Callback& callback : deferred) EXPECT_EQ(callback.Arm(there, CTX_DEFER), 0);
    Send(SIGUSR1);
    stagger.Pass(60'000);
    loop.reset();
    there = Scope();
    for (Callback& callback : deferred) {
      ASSERT_TRUE(callback.WaitDrop());
      ASSERT_NE(callback.thread_name(), "ctx-loop") << "in round " << round;
    }
    ASSERT_TRUE(drop.Wait());
    ASSERT_NE(drop.thread_name(), "ctx-loop") << "in round " << round;
    ASSERT_TRUE(Done(here));
  }
}

// Contexts come, end and go on two loops while the signal is sent all the time.
TEST(SignalOnSeveralLoops, Rule35_ManyThreadsWaitForOneSignal) {
  const BlockSignals blocked{SIGUSR1};
  const Host host(On::kThread);
  std::atomic<int> failed{0}, working{3};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < (kSanitized ? 50 : 200); ++i) {
        Ctx ctx;
        Canceler canceler;
        const int signal = SIGUSR1;
        failed += ctx_with_signal(t == 0 ? ctx_background() : host.root(), &signal, 1, ctx.out(),
                                  canceler.out()) != 0;
        if (i % 4 == 3) continue;  // released while live, perhaps
        if (i % 4 == 2) ctx_cancel(canceler);
        failed += ctx_wait(ctx, kLimit) != 1;
      }
      --working;
    });
  }
  while (working > 0) {
    Send(SIGUSR1);
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace ctxtest
