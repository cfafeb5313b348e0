// SPDX-License-Identifier: MIT
//
// soak MINUTES [FIGURES.csv]: a server made of everything at once, for so long, with what the rules promise checked at
// each step.
//
// Requests of eight threads derive, merge, wait, call back, fork, and make loops of their own, below servers on four
// loops: the default one, one with an executor, a manual and a virtual one. Meanwhile the servers are shut down and
// replaced, a signal comes now and then, a queue that all share is drained. Every few seconds all of it stops for a
// moment, and what was taken must have been given back: descriptors and threads are as many as at the first such stop,
// and neither the heap nor the process grows. All of it keeps to about one processor.
#include <ctx/ctx.h>
#include <ctx/poll.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "scale/measure.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

[[noreturn]] void Broken(const char* what, int line) {
  fprintf(stdout, "soak: FAILED: %s (line %d)\n", what, line);
  fflush(stdout);
  abort();
}
#define REQUIRE(condition)                          \
  do {                                              \
    if (!(condition)) Broken(#condition, __LINE__); \
  } while (0)

constexpr int64_t kPatience = 60 * kSecond;  // only a lost end takes so long

int64_t Clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

void SleepFor(int64_t ns) {
  const timespec span = {ns / kSecond, ns % kSecond};
  nanosleep(&span, nullptr);
}

// All threads of the soak but the monitor pass here after each step.
class Turnstile {
 public:
  // False when the soak is over. Keeps the process to about one processor, and waits while all have to stand still.
  bool Pass() {
    steps_.fetch_add(1, std::memory_order_relaxed);
    while (Clock(CLOCK_PROCESS_CPUTIME_ID) - cpu_ > Clock(CLOCK_MONOTONIC) - begin_ && !stop_)
      SleepFor(kMillisecond);
    if (!closed_.load()) return !over_.load();
    std::unique_lock<std::mutex> lock(mutex_);
    ++standing_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !closed_.load() || over_.load(); });
    --standing_;
    return !over_.load();
  }
  // Waits until all of n stand still. Meanwhile nudge() ends what they may wait for.
  template <class Nudge>
  void Close(int n, const Nudge& nudge) {
    closed_.store(true);
    stop_.store(true);
    const int64_t limit = Clock(CLOCK_MONOTONIC) + 2 * kPatience;
    std::unique_lock<std::mutex> lock(mutex_);
    while (
        !changed_.wait_for(lock, std::chrono::milliseconds(50), [&] { return standing_ == n; })) {
      if (Clock(CLOCK_MONOTONIC) > limit)
        Broken("no progress: a thread does not come to its next step", __LINE__);
      lock.unlock();
      nudge();
      lock.lock();
    }
  }
  void Open() {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_.store(false);
    stop_.store(false);
    cpu_ = Clock(CLOCK_PROCESS_CPUTIME_ID);
    begin_ = Clock(CLOCK_MONOTONIC);
    changed_.notify_all();
  }
  void End() {
    std::lock_guard<std::mutex> lock(mutex_);
    over_.store(true);
    changed_.notify_all();
  }
  uint64_t steps() const { return steps_.load(); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> closed_{false}, over_{false}, stop_{false};
  std::atomic<int64_t> cpu_{Clock(CLOCK_PROCESS_CPUTIME_ID)}, begin_{Clock(CLOCK_MONOTONIC)};
  std::atomic<uint64_t> steps_{0};
  int standing_ = 0;
};

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

const ctx_key_t kSoak = {"soak"};

// A callback that must run once and be dropped once.
struct Once {
  std::atomic<int> runs{0}, drops{0};
  std::atomic<int> err{0};
  ctx_watch_t* watch = nullptr;

  void Arm(ctx_t* ctx, uint32_t flags) {
    const int result = ctx_after_func(ctx, Run, this, Drop, flags, &watch);
    REQUIRE(result == 0 || result == 1);
  }
  // The context has ended.
  void ExpectOnce() {
    const int stopped = ctx_watch_stop_wait(watch);
    REQUIRE(runs.load() == (stopped == 1 ? 0 : 1));
    REQUIRE(drops.load() == 1);
    REQUIRE(stopped == 1 || err.load() != 0);
    watch = ctx_watch_unref(watch);
  }
  static void Run(ctx_t* ctx, void* arg) {
    auto* self = static_cast<Once*>(arg);
    self->err.store(ctx_err(ctx));
    self->runs.fetch_add(1);
  }
  static void Drop(void* arg) { static_cast<Once*>(arg)->drops.fetch_add(1); }
};

// What waits in the queue that all share: its event says which.
struct Entry {
  std::atomic<int> events{0};
};

class Soak {
 public:
  Soak() : executor_loop_(ExecutorOptions()) {
    places_.emplace_back(0, nullptr);
    places_.emplace_back(CTX_LOOP_THREAD, &executor_loop_);
    places_.emplace_back(CTX_LOOP_MANUAL, nullptr);
    places_.emplace_back(CTX_LOOP_VIRTUAL, nullptr);
    REQUIRE(ctx_queue_new(shared_.out()) == 0);
    for (unsigned i = 0; i < kWorkers; ++i) Start([this, i] { Requests(i + 1); });
    Start([this] { Shutdowns(); });
    helpers_.emplace_back([this] { DriveManual(); });
    helpers_.emplace_back([this] { DriveVirtual(); });
    helpers_.emplace_back([this] { Reap(); });
  }

  int Run(double minutes, FILE* figures);

 private:
  static constexpr unsigned kWorkers = 8;
  struct Step {
    const char* name;
    int weight;
    void (Soak::*run)(std::mt19937&);
  };
  static const Step kSteps[];
  static constexpr size_t kKinds = 15;

  ctx_loop_options_t ExecutorOptions() {
    ctx_loop_options_t options = LoopOptions();
    options.name = "soak";
    options.post = Executor::Post;
    options.executor = &executor_;
    return options;
  }
  template <class Body>
  void Start(Body body) {
    members_.emplace_back(body);
  }

  Place& Any(std::mt19937& random) { return places_[random() % places_.size()]; }
  static int64_t Soon(std::mt19937& random) {
    return static_cast<int64_t>(random() % (3 * kMillisecond));
  }
  static void Await(ctx_t* ctx) {
    for (int result; (result = ctx_wait(ctx, kPatience)) != 1;) REQUIRE(result == -EINTR);
    REQUIRE(ctx_err(ctx) != 0 && ctx_cause(ctx) != nullptr);
  }
  void NoteLate(ctx_t* ctx) {
    int64_t deadline = 0;
    if (ctx_err(ctx) != CTX_DEADLINE_EXCEEDED || ctx_deadline(ctx, &deadline) == 0) return;
    const int64_t late = ctx_now(ctx) - deadline;
    REQUIRE(late >= 0);  // never early
    for (int64_t before = latest_.load();
         before < late && !latest_.compare_exchange_weak(before, late);) {
    }
  }

  void Requests(unsigned seed);
  void Shutdowns();
  void DriveManual();
  void DriveVirtual();
  void Reap();

  void Request(std::mt19937& random);
  void Merged(std::mt19937& random);
  void Graceful(std::mt19937& random);
  void Idling(std::mt19937& random);
  void Queued(std::mt19937& random);
  void SharedQueue(std::mt19937& random);
  void Grouped(std::mt19937& random);
  void Descriptors(std::mt19937& random);
  void Signals(std::mt19937& random);
  void Deferred(std::mt19937& random);
  void Text(std::mt19937& random);
  void Loops(std::mt19937& random);
  void Forks(std::mt19937& random);
  void Stops(std::mt19937& random);
  void WaitsForAny(std::mt19937& random);

  Executor executor_;
  const ctx_loop_options_t executor_loop_;
  std::deque<Place> places_;
  Queue shared_;
  std::atomic<int64_t> entered_{0}, reaped_{0}, latest_{0};
  std::atomic<uint64_t> count_[kKinds] = {};
  std::atomic<uint64_t> shutdowns_{0}, dispatches_{0}, advances_{0};
  std::atomic<bool> over_{false};
  Turnstile turnstile_;
  std::vector<std::thread> members_, helpers_;
};

const Soak::Step Soak::kSteps[] = {
    {"requests", 30, &Soak::Request},
    {"merges", 10, &Soak::Merged},
    {"graces", 6, &Soak::Graceful},
    {"idle", 6, &Soak::Idling},
    {"queues", 10, &Soak::Queued},
    {"shared queue", 10, &Soak::SharedQueue},
    {"groups", 10, &Soak::Grouped},
    {"descriptors", 8, &Soak::Descriptors},
    {"signals", 2, &Soak::Signals},
    {"deferred cancels", 6, &Soak::Deferred},
    {"texts", 6, &Soak::Text},
    {"loops", 3, &Soak::Loops},
    {"forks", 1, &Soak::Forks},
    {"stops", 8, &Soak::Stops},
    {"waits for any", 6, &Soak::WaitsForAny},
};

void Soak::Requests(unsigned seed) {
  std::mt19937 random(seed);
  std::vector<size_t> draw;
  for (size_t i = 0; i < kKinds; ++i)
    draw.insert(draw.end(), static_cast<size_t>(kSteps[i].weight), i);
  while (turnstile_.Pass()) {
    const size_t kind = draw[random() % draw.size()];
    if (kind == 12 && random() % 30 != 0)
      continue;  // a fork costs as much as a thousand other steps
    (this->*kSteps[kind].run)(random);
    count_[kind].fetch_add(1, std::memory_order_relaxed);
  }
}

// Servers end and are replaced, and a signal comes.
void Soak::Shutdowns() {
  std::mt19937 random(99);
  while (turnstile_.Pass()) {
    ctx_cause_t* made = nullptr;
    REQUIRE(ctx_cause_here(int(random() % 100), "the server was replaced", &made) == 0);
    const Cause cause(made);
    Any(random).Replace(cause);
    if (random() % 4 == 0) REQUIRE(kill(getpid(), SIGUSR1) == 0);
    shutdowns_.fetch_add(1);
    SleepFor(5 * kMillisecond + Soon(random));
  }
}

void Soak::DriveManual() {
  ctx_loop_t* const loop = places_[2].loop();
  while (!over_.load()) {
    if (!Readable(ctx_loop_fd(loop), 100)) continue;
    REQUIRE(ctx_loop_dispatch(loop) >= 0);
    dispatches_.fetch_add(1);
  }
}

void Soak::DriveVirtual() {
  std::mt19937 random(98);
  while (!over_.load()) {
    REQUIRE(ctx_loop_advance(places_[3].loop(), Soon(random)) >= 0);
    advances_.fetch_add(1);
    SleepFor(kMillisecond);
  }
}

void Soak::Reap() {
  ctx_event_t events[32];
  while (!over_.load()) {
    const int64_t n = ctx_queue_wait(shared_, events, 32, 100 * kMillisecond);
    REQUIRE(n >= 0 || n == -EINTR);
    for (int64_t i = 0; i < n; ++i) {
      auto* entry = reinterpret_cast<Entry*>(events[i].token);
      REQUIRE(events[i].err != 0 && entry->events.fetch_add(1) == 0);
      delete entry;
      reaped_.fetch_add(1);
    }
  }
}

// A request: a deadline, values, three parts with callbacks of any kind. It ends by itself, by its deadline or with its
// server.
void Soak::Request(std::mt19937& random) {
  static constexpr uint32_t kFlags[] = {0, CTX_DEFER, CTX_BLOCKING, CTX_DEFER | CTX_BLOCKING,
                                        CTX_WAKER};
  const Ctx server = Any(random).Server();
  std::atomic<int> dropped{0};
  {
    const Scope request = WithTimeout(server, Soon(random));
    const Ctx value = WithValue(request, &kSoak, &dropped, [](void* arg) {
      static_cast<std::atomic<int>*>(arg)->fetch_add(1);
    });
    REQUIRE(ctx_value(value, &kSoak) == &dropped);
    Scope parts[3];
    Once callbacks[3];
    for (int i = 0; i < 3; ++i) {
      parts[i] = i == 1 ? WithTimeout(value, kHour) : WithCancel(value);
      callbacks[i].Arm(parts[i], kFlags[random() % 5]);
    }
    if (random() % 2 == 0) parts[2].Cancel();
    if (random() % 3 == 0) {
      const Cause cause = NewCause(5, "enough");
      if (ctx_cancel_with(request.canceler, CTX_CANCELED, cause) == 1)
        REQUIRE(ctx_cause(request) == cause.get());
    }
    Await(request);
    NoteLate(request);
    for (int i = 0; i < 3; ++i) {
      REQUIRE(ctx_err(parts[i]) != 0);
      if (i < 2)
        REQUIRE(ctx_cause(parts[i]) == ctx_cause(request) && ctx_ended_by(parts[i], request) == 1);
      callbacks[i].ExpectOnce();
    }
    if (ctx_ended_by(request, server) == 1) REQUIRE(ctx_err(server) != 0);
  }
  // Callbacks on other threads may still hold it for a moment.
  for (const int64_t end = Clock(CLOCK_MONOTONIC) + kPatience; dropped.load() == 0;) {
    REQUIRE(Clock(CLOCK_MONOTONIC) < end);
    SleepFor(20 * kMicrosecond);
  }
  REQUIRE(dropped.load() == 1);
}

void Soak::Merged(std::mt19937& random) {
  const Ctx one = Any(random).Server(), other = Any(random).Server();
  const Scope a = WithCancel(one), b = WithTimeout(other, Soon(random));
  const Scope merged = Merge({a, b}), below = WithCancel(merged);
  Once callback;
  callback.Arm(below, random() % 2 == 0 ? 0 : CTX_DEFER);
  if (random() % 2 == 0) a.Cancel();
  Await(below);
  // The deadline of a parent on another loop counts: this loop may be earlier to see it pass.
  REQUIRE(ctx_err(a) != 0 || ctx_err(b) != 0 || ctx_remaining(b) <= 0);
  REQUIRE(ctx_ended_by(merged, a) + ctx_ended_by(merged, b) <= 1);
  callback.ExpectOnce();
}

void Soak::Graceful(std::mt19937& random) {
  const Place& place = Any(random);
  const Scope parent = WithCancel(place.Server());
  const int64_t length = Soon(random);
  const Scope grace = WithGrace(parent, length);
  parent.Cancel();
  Await(grace);
  REQUIRE(ctx_err(parent) != 0 && ctx_cause(grace) == ctx_cause(parent) &&
          ctx_ended_by(grace, parent) == 1);
}

void Soak::Idling(std::mt19937& random) {
  const Scope idle = WithIdle(Any(random).Server(), kMillisecond);
  const Scope below = WithCancel(idle);
  for (uint64_t i = random() % 20; i > 0; --i) {
    const int result = ctx_touch(below);
    REQUIRE(result == 0 || ctx_err(below) != 0);
  }
  Await(below);
}

void Soak::Queued(std::mt19937& random) {
  Queue queue = NewQueue();
  const Scope top = WithCancel(Any(random).Server());
  const size_t n = 1 + random() % 50;
  std::vector<int> seen(n);
  for (size_t i = 0; i < n; ++i) {
    const Scope scope = random() % 2 == 0 ? WithTimeout(top, Soon(random)) : WithCancel(top);
    REQUIRE(ctx_queue_add(queue, scope, i, nullptr) == 0);
  }
  if (random() % 4 == 0) return;  // it goes with entries that wait and entries that do not
  if (random() % 2 == 0) REQUIRE(ctx_queue_fd(queue) >= 0);
  top.Cancel();
  ctx_event_t events[16];
  for (size_t got = 0; got < n;) {
    const int64_t some = ctx_queue_wait(queue, events, 16, kPatience);
    if (some == -EINTR) continue;
    REQUIRE(some > 0);
    for (int64_t i = 0; i < some; ++i) REQUIRE(events[i].err != 0 && seen[events[i].token]++ == 0);
    got += static_cast<size_t>(some);
  }
  REQUIRE(ctx_queue_drain(queue, events, 1) == 0);
}

void Soak::SharedQueue(std::mt19937& random) {
  const Scope scope = WithTimeout(Any(random).Server(), Soon(random));
  auto* entry = new Entry;
  entered_.fetch_add(1);
  REQUIRE(ctx_queue_add(shared_, scope, reinterpret_cast<uint64_t>(entry), nullptr) == 0);
  if (random() % 2 == 0) scope.Cancel();
}

// Work on other threads: each piece ends in a callback on a thread of the library.
void Soak::Grouped(std::mt19937& random) {
  const Ctx server = Any(random).Server();
  const Group group = NewGroup(server);
  struct Piece {
    ctx_group_t* group;
    ctx_cause_t* cause;
  };
  const uint64_t n = 1 + random() % 8;
  std::vector<Piece> pieces(n);
  std::vector<Scope> scopes(n);
  ctx_cause_t* cause = nullptr;
  REQUIRE(ctx_cause_new(3, "a piece failed", &cause) == 0);
  const Cause owned(cause);
  const uint64_t fails = random() % (2 * n);
  Ctx over;
  uint64_t begun = 0;
  for (uint64_t i = 0; i < n; ++i) {
    if (ctx_group_begin(group) != 0) break;  // the server has ended
    ++begun;
    pieces[i] = {group, i == fails ? cause : nullptr};
    scopes[i] = WithTimeout(server, Soon(random));
    const auto end = [](ctx_t*, void* arg) {
      auto* piece = static_cast<Piece*>(arg);
      REQUIRE(ctx_group_end(piece->group, piece->cause) == 0);
    };
    const int result = ctx_after_func(scopes[i], end, &pieces[i], nullptr, CTX_DEFER, nullptr);
    REQUIRE(result >= 0);
  }
  REQUIRE(ctx_group_over(group, over.out()) == 0);
  for (int result; (result = ctx_group_wait(group, kPatience)) != 1;) REQUIRE(result == -EINTR);
  Await(over);
  REQUIRE(ctx_group_cause(group) == (fails < begun ? cause : nullptr));
  if (fails < begun) REQUIRE(ctx_err(ctx_group_context(group)) != 0);
}

void Soak::Descriptors(std::mt19937& random) {
  const Ctx server = Any(random).Server();
  const Pipe pipe;
  const Scope from_fd = WithFd(server, pipe.read_end, POLLIN), canceled = WithCancel(server);
  const Fd cancel(ctx_cancel_fd(canceled.canceler));
  const Fd done(ctx_done_fd_dup(from_fd));
  REQUIRE(ctx_err(from_fd) == 0 || ctx_err(server) != 0);
  pipe.Write();
  const uint64_t one = 1;
  REQUIRE(write(cancel, &one, sizeof one) == static_cast<ssize_t>(sizeof one));
  pollfd polled = {pipe.write_end, 0, 0};
  for (int result; (result = ctx_poll(from_fd, &polled, 1, kPatience)) >= 0 || result == -EINTR;) {
    REQUIRE(result == -EINTR);
  }
  Await(from_fd);
  Await(canceled);
  REQUIRE(Readable(done, kLimitMs));  // it may follow the error by a moment
}

// Waits for the next signal, or for the end of the server.
void Soak::Signals(std::mt19937& random) {
  const Scope scope = WithSignal(Any(random).Server(), {SIGUSR1});
  if (random() % 2 == 0) Await(scope);
}

void Soak::Deferred(std::mt19937& random) {
  const Scope scope = WithCancel(Any(random).Server()), below = WithCancel(scope);
  Once plain, blocking;
  plain.Arm(below, 0);
  blocking.Arm(below, CTX_BLOCKING);
  REQUIRE(ctx_cancel_deferred(scope.canceler, CTX_DEADLINE_EXCEEDED, nullptr) >= 0);
  REQUIRE(ctx_err(below) != 0);
  // Each runs, or is stopped before it does.
  for (const int64_t end = Clock(CLOCK_MONOTONIC) + kPatience;
       plain.runs == 0 && random() % 8 != 0;) {
    REQUIRE(Clock(CLOCK_MONOTONIC) < end);
    SleepFor(20 * kMicrosecond);
  }
  plain.ExpectOnce();
  blocking.ExpectOnce();
}

void Soak::Text(std::mt19937& random) {
  const Ctx server = Any(random).Server();
  const Ctx traced = WithString(WithName(server, "a request"), "trace", "0123456789abcdef");
  const Ctx hidden = WithString(traced, "trace", nullptr), detached = WithoutCancel(hidden);
  REQUIRE(strcmp(ctx_string(traced, "trace"), "0123456789abcdef") == 0 &&
          ctx_string(detached, "trace") == nullptr);
  char text[300];
  const int length = ctx_describe(detached, text, sizeof text);
  REQUIRE(length > 0 && strstr(text, ".WithName(a request)") != nullptr);
  REQUIRE(ctx_err(detached) == 0);
}

// A loop that comes and goes, with some contexts.
void Soak::Loops(std::mt19937& random) {
  static constexpr int kKindsOfLoops[] = {CTX_LOOP_THREAD, CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL};
  const int kind = kKindsOfLoops[random() % 3];
  ctx_loop_options_t options = LoopOptions();
  options.clock =
      kind != CTX_LOOP_VIRTUAL && random() % 2 == 0 ? CTX_CLOCK_BOOTTIME : CTX_CLOCK_MONOTONIC;
  Loop loop = NewLoop(kind, &options);
  const Ctx root = LoopBackground(loop);
  const Scope timed = WithTimeout(root, Soon(random)), lasting = WithTimeout(root, kHour);
  const Scope grace = WithGrace(lasting, kHour), merged = Merge({lasting, Any(random).Server()});
  Once callback;
  callback.Arm(grace, random() % 2 == 0 ? 0 : CTX_DEFER);
  if (kind == CTX_LOOP_VIRTUAL) REQUIRE(ctx_loop_advance(loop, 3 * kMillisecond) >= 1);
  if (kind != CTX_LOOP_VIRTUAL && random() % 2 == 0) Await(timed);
  if (kind == CTX_LOOP_THREAD || random() % 2 == 0) REQUIRE(ctx_loop_close(loop) == 0);
  loop.reset();
  for (ctx_t* ctx : {timed.ctx.get(), lasting.ctx.get(), grace.ctx.get(), merged.ctx.get()})
    REQUIRE(ctx_err(ctx) != 0);
  callback.ExpectOnce();
}

// A child uses what it has made itself; or it becomes another program, which finds no descriptor of this one.
void Soak::Forks(std::mt19937& random) {
  const Ctx server = Any(random).Server();
  const bool becomes_another = random() % 2 == 0;
  const pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    alarm(kPatience / kSecond);
    if (becomes_another) {
      execl("/proc/self/exe", "soak", "--open-descriptors", nullptr);
      _exit(3);
    }
    if (ctx_wait(server, 0) != -ECHILD) _exit(4);
    const Scope scope = WithTimeout(ctx_background(), kMillisecond), below = WithCancel(scope);
    Once plain, deferred;
    plain.Arm(below, 0);
    deferred.Arm(below, CTX_DEFER);
    Await(below);
    const Loop loop = NewLoop(CTX_LOOP_THREAD);
    Await(WithTimeout(LoopBackground(loop), kMillisecond));
    while (deferred.runs.load() == 0) SleepFor(kMillisecond);  // or the alarm comes
    plain.ExpectOnce();
    deferred.ExpectOnce();
    _exit(0);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) REQUIRE(errno == EINTR);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    printf("a child ended with status %#x\n", static_cast<unsigned>(status));
    Broken("a forked child did its work", __LINE__);
  }
}

// A stop meets a cancel.
void Soak::Stops(std::mt19937& random) {
  const Scope scope = WithTimeout(Any(random).Server(), Soon(random) / 8);
  Once callbacks[4];
  static constexpr uint32_t kFlags[] = {0, CTX_DEFER, CTX_BLOCKING, CTX_WAKER};
  for (int i = 0; i < 4; ++i) callbacks[i].Arm(scope, kFlags[i]);
  if (random() % 2 == 0) Await(scope);
  for (Once& callback : callbacks) callback.ExpectOnce();
}

void Soak::WaitsForAny(std::mt19937& random) {
  std::vector<Scope> scopes;
  std::vector<ctx_t*> raw;
  for (uint64_t i = 1 + random() % 10; i > 0; --i) {
    scopes.push_back(WithTimeout(Any(random).Server(), Soon(random)));
    raw.push_back(scopes.back());
  }
  size_t index = raw.size();
  for (int result; (result = ctx_wait_any(raw.data(), raw.size(), kPatience, &index)) != 1;)
    REQUIRE(result == -EINTR);
  REQUIRE(index < raw.size() && ctx_err(raw[index]) != 0);
  NoteLate(raw[index]);
}

// What was seen while all stood still.
struct Still {
  size_t heap, resident, descriptors, threads;
};

int Soak::Run(double minutes, FILE* figures) {
  const double begin = Seconds(), end = begin + minutes * 60;
  const double stop_every = std::min(10.0, minutes * 60 / 12);
  std::vector<Still> stills;
  uint64_t steps_before = 0, all_before = 0;
  double line_before = begin;
  if (figures != nullptr) {
    fprintf(
        figures,
        "seconds,heap,resident,descriptors,threads,worst_late_ns,shutdowns,dispatches,advances");
    for (const Step& step : kSteps) fprintf(figures, ",%s", step.name);
    fprintf(figures, "\n");
  }
  printf("%8s %9s %10s %8s %8s %6s %8s %12s\n", "seconds", "steps/s", "steps", "heap KB", "RSS MB",
         "open", "threads", "worst late");
  while (Seconds() < end) {
    SleepFor(static_cast<int64_t>(stop_every * 1e9));
    const uint64_t steps = turnstile_.steps();
    REQUIRE(steps > steps_before);  // progress
    steps_before = steps;
    const double now = Seconds();
    const double rate = static_cast<double>(steps - all_before) / (now - line_before);
    all_before = steps;

    const Cause tide = NewCause(1, "all stand still");
    const auto replace = [&] {
      for (Place& place : places_) place.Replace(tide);
    };
    turnstile_.Close(static_cast<int>(members_.size()), replace);
    replace();
    // What other threads still have to give back.
    const int64_t patience = Clock(CLOCK_MONOTONIC) + kPatience;
    const auto settled = [&] {
      return entered_.load() == reaped_.load() &&
             (stills.empty() || (OpenDescriptors() <= stills.front().descriptors &&
                                 ThreadCount() <= stills.front().threads));
    };
    while (!settled() && Clock(CLOCK_MONOTONIC) < patience) SleepFor(10 * kMillisecond);
    if (stills.empty()) SleepFor(2 * kSecond);  // threads that idle have ended by then
    REQUIRE(entered_.load() == reaped_.load());
    stills.push_back({HeapInUse(), Resident(), OpenDescriptors(), ThreadCount()});
    const Still& still = stills.back();
    const int64_t late = latest_.exchange(0);
    printf("%8.0f %9.0f %10" PRIu64 " %8zu %8zu %6zu %8zu %9.1f ms\n", now - begin, rate, steps,
           still.heap >> 10, still.resident >> 20, still.descriptors, still.threads,
           static_cast<double>(late) * 1e-6);
    fflush(stdout);
    if (figures != nullptr) {
      fprintf(figures, "%.0f,%zu,%zu,%zu,%zu,%" PRId64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64,
              now - begin, still.heap, still.resident, still.descriptors, still.threads, late,
              shutdowns_.load(), dispatches_.load(), advances_.load());
      for (const auto& count : count_) fprintf(figures, ",%" PRIu64, count.load());
      fprintf(figures, "\n");
      fflush(figures);
    }
    if (still.descriptors > stills.front().descriptors)
      Broken("descriptors are given back", __LINE__);
    if (still.threads > stills.front().threads) Broken("threads end", __LINE__);
    line_before = Seconds();
    turnstile_.Open();
  }
  turnstile_.End();
  for (std::thread& member : members_) member.join();
  over_.store(true);
  for (std::thread& helper : helpers_) helper.join();

  printf("\n%-18s %12s\n", "steps", "in all");
  for (size_t i = 0; i < kKinds; ++i)
    printf("%-18s %12" PRIu64 "\n", kSteps[i].name, count_[i].load());
  printf("%-18s %12" PRIu64 "\n%-18s %12" PRIu64 "\n%-18s %12" PRIu64 "\n", "shutdowns",
         shutdowns_.load(), "dispatches", dispatches_.load(), "advances", advances_.load());
  for (size_t i = 0; i < kKinds; ++i) {
    if (i != 12 || minutes >= 1) REQUIRE(count_[i].load() > 0);
  }
  REQUIRE(shutdowns_ > 0 && dispatches_ > 0 && advances_ > 0);

  // The first quarter warms up. Then the least of the last quarter is no more than the most of the second.
  const size_t quarter = stills.size() / 4;
  const auto most = [&](size_t Still::*what) {
    size_t found = 0;
    for (size_t i = quarter; i < 2 * quarter; ++i) found = std::max(found, stills[i].*what);
    return found;
  };
  const auto least = [&](size_t Still::*what) {
    size_t found = SIZE_MAX;
    for (size_t i = stills.size() - quarter; i < stills.size(); ++i)
      found = std::min(found, stills[i].*what);
    return found;
  };
  REQUIRE(quarter > 0);
  printf("heap %zu KB, then %zu KB; resident %zu KB, then %zu KB\n", most(&Still::heap) >> 10,
         least(&Still::heap) >> 10, most(&Still::resident) >> 10, least(&Still::resident) >> 10);
  if (least(&Still::heap) > most(&Still::heap) + 64 * 1024)
    Broken("the heap does not grow", __LINE__);
  if (least(&Still::resident) > most(&Still::resident) + 8 * 1024 * 1024) {
    Broken("the process does not grow", __LINE__);
  }
  printf("soak: passed\n");
  fflush(stdout);
  return 0;
}

// The program that a child has become: only the standard three are open, and the folder that it looks at.
int OpenOnes() {
  for (const std::string& name : ListFolder("/proc/self/fd")) {
    const int fd = atoi(name.c_str());
    if (fd <= 2) continue;
    const std::string kind = KindOf(fd);
    if (kind.empty() || kind.rfind("/proc/", 0) == 0) continue;
    fprintf(stderr, "left open in another program: %d %s\n", fd, kind.c_str());
    return 6;
  }
  return 0;
}

}  // namespace
}  // namespace ctxtest

int main(int argc, char** argv) {
  using namespace ctxtest;
  if (argc == 2 && strcmp(argv[1], "--open-descriptors") == 0) return OpenOnes();
  const double minutes = argc > 1 ? atof(argv[1]) : 10;
  if (minutes <= 0) return 2;
  // What an allocator keeps for each thread would look like a heap that grows. It takes that choice at its start.
  if (getenv("GLIBC_TUNABLES") == nullptr) {
    setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
    char self[4096] = "";
    if (readlink("/proc/self/exe", self, sizeof self - 1) > 0) execv(self, argv);
    perror("soak: not started again");
    return 2;
  }
  FILE* figures = argc > 2 ? fopen(argv[2], "we") : nullptr;
  if (argc > 2 && figures == nullptr) {
    perror(argv[2]);
    return 2;
  }
  // What this program was started with goes no further.
  for (int fd = 3; fd < 256; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const int result = (new Soak)->Run(minutes, figures);
  if (testing::Test::HasFailure()) Broken("no derivation failed", __LINE__);
  if (figures != nullptr) fclose(figures);
  _exit(result);
}
