// SPDX-License-Identifier: MIT
//
// The servers of the soak: one on each of four loops.
#ifndef CTX_TESTS_SCALE_SOAK_SERVERS_H_
#define CTX_TESTS_SCALE_SOAK_SERVERS_H_

#include <ctx/ctx.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "scale/soak/await.h"
#include "scale/soak/turnstile.h"
#include "support/handles.h"

namespace ctxtest {

inline int64_t UpTo3Milliseconds(std::mt19937& random) {
  return static_cast<int64_t>(random() % (3 * kMillisecond));
}

// A pool of two threads that runs the callbacks of one loop.
class Executor {
 public:
  Executor() {
    for (std::thread& thread : threads_) thread = std::thread([this] { Work(); });
  }
  ~Executor() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      over_ = true;
      changed_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
  }
  static int Post(void* executor, void (*run)(void*), void* work) {
    auto* self = static_cast<Executor*>(executor);
    std::lock_guard<std::mutex> lock(self->mutex_);
    if (++self->posted_ % 1000 == 0) return -EAGAIN;  // then the loop runs it
    self->work_.push_back({run, work});
    self->changed_.notify_one();
    return 0;
  }

 private:
  struct Item {
    void (*run)(void*);
    void* work;
  };
  void Work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return over_ || !work_.empty(); });
      if (work_.empty()) return;
      const Item item = work_.front();
      work_.pop_front();
      lock.unlock();
      item.run(item.work);
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> work_;
  uint64_t posted_ = 0;
  bool over_ = false;
  std::thread threads_[2];
};

// A loop and the server on it, which is shut down and replaced now and then.
class Place {
 public:
  Place(int kind, const ctx_loop_options_t* options) {
    if (kind != 0) REQUIRE(ctx_loop_new(kind, options, loop_.out()) == 0);
    if (kind != 0) {
      REQUIRE(ctx_loop_background(loop_, root_.out()) == 0);
    } else {
      root_ = Ctx(ctx_ref(ctx_background()));
    }
    Replace(nullptr);
  }

  // The server that runs now.
  Ctx Server() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return Ctx(ctx_ref(server_));
  }
  void Replace(const ctx_cause_t* cause) {
    ctx_t* next = nullptr;
    ctx_canceler_t* canceler = nullptr;
    REQUIRE(ctx_with_timeout(root_, 10 * kHour, &next, &canceler) == 0);
    Canceler before;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      before = std::move(canceler_);
      server_.reset(next);
      canceler_.reset(canceler);
    }
    if (before) REQUIRE(ctx_cancel_with(before, CTX_CANCELED, cause) == 1);
  }
  ctx_loop_t* loop() const { return loop_; }

 private:
  Loop loop_;
  Ctx root_;
  mutable std::mutex mutex_;
  Ctx server_;
  Canceler canceler_;
};

// The servers on all loops, and what goes on around their requests: drivers of the loops that need them, and a reader
// of the queue that all requests share.
class Servers {
 public:
  Servers();

  // The one that runs now on any loop.
  Ctx Any(std::mt19937& random) const { return AnyPlace(random).Server(); }
  // A thread's life: servers end and are replaced, and a signal comes.
  void ShutDown(Turnstile& turnstile);
  void ReplaceAll(const ctx_cause_t* cause) {
    for (Place& place : places_) place.Replace(cause);
  }
  // An entry of the shared queue, which must come out of it once.
  void Enter(ctx_t* ctx);
  bool AllCameOut() const { return entered_.load() == reaped_.load(); }
  // How late a deadline came that ended this context.
  void NoteLate(ctx_t* ctx);
  int64_t TakeWorstLate() { return worst_late_.exchange(0); }
  // Ends the drivers and the reader.
  void End();

  std::atomic<uint64_t> shutdowns{0}, dispatches{0}, advances{0};

 private:
  Place& AnyPlace(std::mt19937& random) { return places_[random() % places_.size()]; }
  const Place& AnyPlace(std::mt19937& random) const { return places_[random() % places_.size()]; }
  ctx_loop_options_t ExecutorOptions();
  void DriveManual(ctx_loop_t* loop);
  void DriveVirtual(ctx_loop_t* loop);
  void Reap();

  Executor executor_;
  std::deque<Place> places_;
  Queue shared_;
  std::atomic<int64_t> entered_{0}, reaped_{0}, worst_late_{0};
  std::atomic<bool> over_{false};
  std::vector<std::thread> helpers_;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SCALE_SOAK_SERVERS_H_
