// SPDX-License-Identifier: MIT
//
// A queue's descriptor in loops that others wrote, drained until 0 whenever it is readable.
#include <array>
#include <atomic>
#include <vector>

#include "interop/interop.h"

namespace ctxtest {
namespace {

class QueueDescriptor : public Interop {
 protected:
  // A queue in the host's loop; the tokens it has told.
  class Inbox {
   public:
    explicit Inbox(HostLoop& host) {
      EXPECT_EQ(ctx_queue_new(queue_.out()), 0);
      watcher_ = std::make_unique<Watcher>(host, ctx_queue_fd(queue_), [this] { Drain(); });
    }
    // Receives a watch if `ret` is given.
    void Add(ctx_t* ctx, uint64_t token, ctx_watch_t** ret = nullptr) {
      EXPECT_EQ(ctx_queue_add(queue_, ctx, token, ret), 0);
    }
    int fd() const { return ctx_queue_fd(queue_); }
    int reports() const { return watcher_->reports(); }
    const std::vector<uint64_t>& tokens() const { return tokens_; }
    const std::vector<int>& errors() const { return errors_; }

   private:
    void Drain() {
      std::array<ctx_event_t, 7> events{};
      int64_t n = 0;
      while ((n = ctx_queue_drain(queue_, events.data(), events.size())) > 0) {
        for (int64_t i = 0; i < n; ++i) {
          tokens_.push_back(events[static_cast<size_t>(i)].token);
          errors_.push_back(events[static_cast<size_t>(i)].err);
        }
      }
      EXPECT_EQ(n, 0);
    }

    Queue queue_;
    std::vector<uint64_t> tokens_;
    std::vector<int> errors_;
    std::unique_ptr<Watcher> watcher_;
  };
};

TEST_P(QueueDescriptor, WakesOnCancelAndIsNotReadableOnceDrained) {
  const Scope scope = WithCancel(ctx_background());
  Inbox inbox(host());
  inbox.Add(scope, 42);
  ASSERT_TRUE(TurnForSomethingElse());
  EXPECT_EQ(inbox.reports(), 0);
  {
    const OnceAsleep canceler([&] { scope.Cancel(); });
    ASSERT_TRUE(RunUntil([&] { return !inbox.tokens().empty(); }));
  }
  EXPECT_EQ(inbox.tokens(), std::vector<uint64_t>{42});
  EXPECT_EQ(inbox.errors(), std::vector<int>{CTX_CANCELED});

  EXPECT_FALSE(Readable(inbox.fd()));
  const int reports = inbox.reports();
  ASSERT_TRUE(TurnForSomethingElse());
  EXPECT_EQ(inbox.reports(), reports);
}

TEST_P(QueueDescriptor, WakesOnADeadlineOfAManualLoop) {
  Manual manual(host());
  const Scope timed = WithTimeout(manual.root(), 20 * kMillisecond);
  Inbox inbox(host());
  inbox.Add(timed, 7);
  ASSERT_TRUE(RunUntil([&] { return !inbox.tokens().empty(); }));
  EXPECT_EQ(inbox.tokens(), std::vector<uint64_t>{7});
  EXPECT_EQ(inbox.errors(), std::vector<int>{CTX_DEADLINE_EXCEEDED});
  ExpectNoThreadOfTheLibrary();
}

// Round after round: an edge-triggered loop must see the first event after each drain.
TEST_P(QueueDescriptor, SeveralContextsAreOneWakeUp) {
  Inbox inbox(host());
  for (int round = 1; round <= 3; ++round) {
    const Scope parent = WithCancel(ctx_background());
    std::vector<Scope> children;
    const size_t before = inbox.tokens().size();
    for (uint64_t token = 0; token < 100; ++token) {
      children.push_back(WithCancel(parent));
      inbox.Add(children.back(), token);
    }
    parent.Cancel();
    ASSERT_TRUE(RunUntil([&] { return inbox.tokens().size() == before + children.size(); }));
    ASSERT_TRUE(TurnForSomethingElse());
    EXPECT_EQ(inbox.reports(), round);
    EXPECT_EQ(inbox.tokens().size(), before + children.size());
  }
}

TEST_P(QueueDescriptor, WakesForAContextThatWasDoneWhenItWasAdded) {
  const Scope scope = WithCancel(ctx_background());
  scope.Cancel();
  Inbox inbox(host());
  for (uint64_t token : {1, 2}) {
    ASSERT_TRUE(TurnForSomethingElse());
    inbox.Add(scope, token);
    ASSERT_TRUE(RunUntil([&] { return inbox.tokens().size() == token; }));
  }
}

TEST_P(QueueDescriptor, WakesForTheNextEventAfterOneThatWasWithdrawn) {
  const Scope first = WithCancel(ctx_background()), second = WithCancel(ctx_background());
  Inbox inbox(host());
  Watch watch;
  inbox.Add(first, 1, watch.out());
  inbox.Add(second, 2);
  ASSERT_TRUE(TurnForSomethingElse());
  first.Cancel();
  EXPECT_TRUE(Readable(inbox.fd()));
  EXPECT_EQ(ctx_watch_stop(watch), 1);
  EXPECT_FALSE(Readable(inbox.fd()));
  ASSERT_TRUE(TurnForSomethingElse());
  EXPECT_TRUE(inbox.tokens().empty());

  const OnceAsleep canceler([&] { second.Cancel(); });
  ASSERT_TRUE(RunUntil([&] { return !inbox.tokens().empty(); }));
  EXPECT_EQ(inbox.tokens(), std::vector<uint64_t>{2});
}

// Events that come between the last drain and the next sleep are the ones that an edge loses.
TEST_P(QueueDescriptor, LosesNoEventThatComesDuringADrain) {
  constexpr uint64_t kContexts = 500;
  std::vector<Scope> scopes;
  Inbox inbox(host());
  for (uint64_t token = 0; token < kContexts; ++token) {
    scopes.push_back(WithCancel(ctx_background()));
    inbox.Add(scopes.back(), token);
  }
  const OnceAsleep canceler([&] {
    Stagger stagger(1);
    for (const Scope& scope : scopes) {
      stagger.Pass(1 << 14);
      scope.Cancel();
    }
  });
  ASSERT_TRUE(RunUntil([&] { return inbox.tokens().size() == kContexts; }));
  for (uint64_t token = 0; token < kContexts; ++token) {
    ASSERT_EQ(inbox.tokens()[token], token) << "in the order they were posted";
  }
}

CTX_IN_LOOPS(QueueDescriptor, HostKinds());

}  // namespace
}  // namespace ctxtest
