// SPDX-License-Identifier: MIT
//
// What the tests in other people's loops share: the loop with a limit to its patience, a manual loop of
// the library inside it, and another thread that acts once the loop sleeps.
#ifndef CTX_TESTS_INTEROP_INTEROP_H_
#define CTX_TESTS_INTEROP_INTEROP_H_

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "interop/host_loop.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {

// A descriptor's place in a loop, for as long as it lives or until it is stopped.
class Watcher {
 public:
  Watcher(HostLoop& host, int fd, std::function<void()> on_readable) : host_(host), fd_(fd) {
    host_.Watch(fd, [this, call = std::move(on_readable)] {
      ++reports_;
      call();
    });
  }
  Watcher(const Watcher&) = delete;
  ~Watcher() { Stop(); }
  void Stop() { host_.Unwatch(std::exchange(fd_, -1)); }

  int reports() const { return reports_; }

 private:
  HostLoop& host_;
  int fd_;
  int reports_ = 0;
};

// One test in one kind of loop.
class Interop : public testing::TestWithParam<HostKind> {
 protected:
  void SetUp() override {
    const HostKind& kind = GetParam();
    const std::string refused = kind.refused == nullptr ? "" : kind.refused();
    if (!refused.empty()) GTEST_SKIP() << refused;
    host_ = kind.make();
    patience_watcher_ = std::make_unique<Watcher>(*host_, patience_, [this] { expired_ = true; });
  }
  void TearDown() override { patience_watcher_.reset(); }

  HostLoop& host() { return *host_; }

  // Runs the loop until something has come true; false if that takes a minute, or the test has failed.
  [[nodiscard]] bool RunUntil(const std::function<bool()>& over) {
    itimerspec limit{};
    limit.it_value.tv_sec = kLimit / kSecond;
    EXPECT_EQ(timerfd_settime(patience_, 0, &limit, nullptr), 0);
    while (!over()) {
      if (expired_ || HasFailure()) return false;
      host_->Turn();
    }
    return true;
  }

  // Turns the loop for something else, so that whatever is readable meanwhile is reported as well.
  // Twice, since a loop may report one at a time, but it lets nobody wait for a second turn.
  [[nodiscard]] bool TurnForSomethingElse() {
    const Fd bell(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    const Watcher watcher(*host_, bell, [&] {
      eventfd_t rung = 0;
      EXPECT_EQ(eventfd_read(bell, &rung), 0);
    });
    for (const int n : {1, 2}) {
      EXPECT_EQ(eventfd_write(bell, 1), 0);
      if (!RunUntil([&] { return watcher.reports() >= n; })) return false;
    }
    return true;
  }

 private:
  const Fd patience_{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
  bool expired_ = false;
  std::unique_ptr<HostLoop> host_;
  std::unique_ptr<Watcher> patience_watcher_;
};

// The library's manual loop inside a host's: dispatched until 0 whenever its descriptor is readable, as
// an edge-triggered host must, and any host may.
class Manual {
 public:
  explicit Manual(HostLoop& host) : watcher_(host, ctx_loop_fd(loop_), [this] { Dispatch(); }) {}

  ctx_loop_t* loop() const { return loop_; }
  ctx_t* root() const { return root_; }
  int fired() const { return fired_; }
  int reports() const { return watcher_.reports(); }

 private:
  void Dispatch() {
    int fired = 0;
    while ((fired = ctx_loop_dispatch(loop_)) > 0) fired_ += fired;
    EXPECT_EQ(fired, 0);
  }

  const Loop loop_ = NewLoop(CTX_LOOP_MANUAL);
  const Ctx root_ = LoopBackground(loop_);
  int fired_ = 0;
  Watcher watcher_;
};

// Does something on a thread of its own once the thread that made this sleeps: in its loop, since there
// is nothing else that it sleeps in.
class OnceAsleep {
 public:
  explicit OnceAsleep(std::function<void()> action)
      : stat_("/proc/self/task/" + std::to_string(gettid()) + "/stat"),
        thread_([this, act = std::move(action)] {
          EXPECT_TRUE(WaitAsleep()) << "the loop never sleeps";
          act();
        }) {}
  OnceAsleep(const OnceAsleep&) = delete;
  ~OnceAsleep() { thread_.join(); }

 private:
  bool WaitAsleep() const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kLimit);
    while (std::chrono::steady_clock::now() < end) {
      std::string line;
      std::getline(std::ifstream(stat_), line);  // number (name) state ...
      const size_t name_end = line.rfind(')');
      if (name_end != std::string::npos && line.compare(name_end, 3, ") S") == 0) return true;
      sched_yield();
    }
    return false;
  }

  const std::string stat_;
  std::thread thread_;
};

inline std::string NameOfKind(const testing::TestParamInfo<HostKind>& test) {
  return test.param.name;
}

inline void ExpectNoThreadOfTheLibrary() {
  EXPECT_TRUE(Tasks("ctx-loop").empty());
  EXPECT_TRUE(Tasks("ctx-calls").empty());
}

}  // namespace ctxtest

// Runs all cases of a suite in these kinds of loops, each known by the name of its kind.
#define CTX_IN_LOOPS(Suite, kinds) \
  INSTANTIATE_TEST_SUITE_P(, Suite, testing::ValuesIn(kinds), ctxtest::NameOfKind)

#endif  // CTX_TESTS_INTEROP_INTEROP_H_
