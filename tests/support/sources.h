// SPDX-License-Identifier: MIT
//
// What makes events and contexts of queues, descriptors and signals; and a loop of each kind, driven as
// its host would.
#ifndef CTX_TESTS_SUPPORT_SOURCES_H_
#define CTX_TESTS_SUPPORT_SOURCES_H_

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "support/descriptor.h"
#include "support/handles.h"
#include "support/time.h"

namespace ctxtest {

inline Watch Add(ctx_queue_t* queue, ctx_t* ctx, uint64_t token) {
  Watch made;
  EXPECT_EQ(ctx_queue_add(queue, ctx, token, made.out()), 0);
  return made;
}

// What one drain with room for n takes.
inline std::vector<ctx_event_t> Drain(ctx_queue_t* queue, size_t n = 64) {
  std::vector<ctx_event_t> events(n, ctx_event_t{~uint64_t{0}, 42, 42});
  const int64_t taken = ctx_queue_drain(queue, events.data(), n);
  EXPECT_GE(taken, 0);
  EXPECT_LE(taken, static_cast<int64_t>(n));
  events.resize(taken < 0 ? 0 : static_cast<size_t>(taken));
  return events;
}

// The tokens of all the events that wait.
inline std::vector<uint64_t> Tokens(ctx_queue_t* queue) {
  std::vector<uint64_t> tokens;
  for (;;) {
    const std::vector<ctx_event_t> events = Drain(queue);
    if (events.empty()) return tokens;
    for (const ctx_event_t& event : events) tokens.push_back(event.token);
  }
}

inline Scope WithFd(ctx_t* parent, int fd, int events) {
  Scope made;
  EXPECT_EQ(
      ctx_with_fd(parent, fd, static_cast<uint32_t>(events), made.ctx.out(), made.canceler.out()),
      0);
  return made;
}

inline Scope WithSignal(ctx_t* parent, const std::vector<int>& signals) {
  Scope made;
  EXPECT_EQ(
      ctx_with_signal(parent, signals.data(), signals.size(), made.ctx.out(), made.canceler.out()),
      0);
  return made;
}

inline void Send(int signal) { ASSERT_EQ(kill(getpid(), signal), 0); }  // to this process

// Blocks signals in this thread, and so in those it starts. At the end it takes what is pending of
// them, so that no handler or default action comes with the old mask.
class BlockSignals {
 public:
  BlockSignals(std::initializer_list<int> signals) {
    sigemptyset(&signals_);
    for (const int signal : signals) sigaddset(&signals_, signal);
    EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &signals_, &before_), 0);
  }
  BlockSignals(const BlockSignals&) = delete;
  ~BlockSignals() {
    while (Take() > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

  // One that is pending, or -1; waits for none.
  int Take() const {
    const timespec at_once = {0, 0};
    return sigtimedwait(&signals_, nullptr, &at_once);
  }

 private:
  sigset_t signals_, before_;
};

// What a test of sources runs on: the default loop, and one of each kind.
enum class On { kDefault, kThread, kManual, kVirtual };

inline std::string NameOf(On on) {
  switch (on) {
    case On::kDefault:
      return "Default";
    case On::kThread:
      return "Thread";
    case On::kManual:
      return "Manual";
    case On::kVirtual:
      return "Virtual";
  }
  return "";
}

// A loop with its host.
class Host {
 public:
  explicit Host(On on) : on_(on) {
    if (on == On::kDefault) {
      root_ = Ctx(ctx_ref(ctx_background()));
      return;
    }
    const int kind = on == On::kThread   ? CTX_LOOP_THREAD
                     : on == On::kManual ? CTX_LOOP_MANUAL
                                         : CTX_LOOP_VIRTUAL;
    EXPECT_EQ(ctx_loop_new(kind, nullptr, loop_.out()), 0);
    EXPECT_EQ(ctx_loop_background(loop_, root_.out()), 0);
  }

  ctx_t* root() const { return root_; }
  ctx_loop_t* loop() const { return loop_; }

  // Drives the loop until a context is done; true if it is. Its descriptor alone says when to dispatch.
  bool Done(ctx_t* ctx) const {
    if (on_ == On::kDefault || on_ == On::kThread) return ctx_wait(ctx, kLimit) == 1;
    const int64_t limit = ctx_now(ctx_background()) + kLimit;
    while (ctx_err(ctx) == 0 && ctx_now(ctx_background()) < limit) {
      if (on_ == On::kManual) {
        // The context may be ended by another loop, to which a signal came as well.
        pollfd either[] = {{ctx_loop_fd(loop_), POLLIN, 0}, {ctx_done_fd(ctx), POLLIN, 0}};
        if (poll(either, 2, kLimitMs) <= 0) return false;
        EXPECT_GE(ctx_loop_dispatch(loop_), 0);
      } else {
        EXPECT_GE(ctx_loop_advance(loop_, 0), 0);
        poll(nullptr, 0, 1);  // what it waits for comes in real time
      }
    }
    return ctx_err(ctx) != 0;
  }

  // Comes back when the loop has looked, since this call, at all the descriptors that it watches: at
  // two that became ready after all the others.
  void Settle() const {
    for (int i = 0; i < 2; ++i) {
      const Pipe last;
      last.Write();
      EXPECT_TRUE(Done(WithFd(root_, last.read_end, POLLIN)));
    }
  }

  // Expects that the loop finds nothing to do any more. Callers have no other thread at work.
  void ExpectIdle() const {
    if (on_ == On::kManual) {
      int rounds = 0;
      while (Readable(ctx_loop_fd(loop_)) && ++rounds < 100) ctx_loop_dispatch(loop_);
      EXPECT_LT(rounds, 100) << "its descriptor is readable for ever";
    } else if (on_ != On::kVirtual) {
      const int64_t before = ProcessorTime();
      poll(nullptr, 0, 200);
      EXPECT_LT(ProcessorTime() - before, 100 * kMillisecond) << "its thread spins";
    }
  }

 private:
  static int64_t ProcessorTime() {
    timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * kSecond + used.tv_nsec;
  }

  On on_;
  Loop loop_;
  Ctx root_;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_SOURCES_H_
