// SPDX-License-Identifier: MIT
//
// P12 and P14: how late deadlines are, against a thread that reads a bare timerfd (and, in bench/go,
// against Go's), and how often the loop's thread wakes up for 100,000 timeouts a second that are all
// canceled long before they are due. Both once more on a manual loop, whose host is a thread that does
// nothing but poll and dispatch. P19: how late the last of 100,000 equal deadlines is, and a lone one that
// is due a moment later. Prints `name value` lines; lateness is in microseconds, that of P19 in
// milliseconds.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "plain.h"
#include "trees.h"
#include "usage.h"

namespace ctxbench {
namespace {

constexpr size_t kTimers = 10'000;
constexpr int64_t kSpacing = 500 * kMillisecond / static_cast<int64_t>(kTimers);
constexpr int64_t kHeadStart = 100 * kMillisecond;  // to arm them all before the first is due

int64_t Now() { return ctx_now(ctx_background()); }

timespec ToTimespec(int64_t ns) { return {ns / kSecond, ns % kSecond}; }

void SleepUntil(int64_t ns) {
  const timespec at = ToTimespec(ns);
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
}

class ManualHost {
 public:
  ManualHost() {
    Check(ctx_loop_new(CTX_LOOP_MANUAL, nullptr, &loop_));
    Check(ctx_loop_background(loop_, &root_));
    thread_ = std::thread([this, fd = Check(ctx_loop_fd(loop_))] { Run(fd); });
  }
  ManualHost(const ManualHost&) = delete;
  ~ManualHost() {
    eventfd_write(stop_, 1);
    thread_.join();
    close(stop_);
    ctx_unref(root_);
    ctx_loop_unref(loop_);
  }

  ctx_t* root() const { return root_; }
  int64_t wake_ups() const { return wake_ups_; }

 private:
  void Run(int fd) {
    pollfd fds[] = {{fd, POLLIN, 0}, {stop_, POLLIN, 0}};
    while (poll(fds, 2, -1) > 0 && fds[1].revents == 0) {
      wake_ups_.fetch_add(1, std::memory_order_relaxed);
      Check(ctx_loop_dispatch(loop_));
    }
  }

  const int stop_ = eventfd(0, EFD_CLOEXEC);
  ctx_loop_t* loop_ = nullptr;
  ctx_t* root_ = nullptr;
  std::atomic<int64_t> wake_ups_{0};
  std::thread thread_;
};

struct Timer {
  int64_t deadline_ns = 0;
  int64_t fired_ns = 0;
  std::atomic<size_t>* fired = nullptr;
};

std::vector<Timer> Deadlines() {
  std::vector<Timer> timers(kTimers);
  int64_t next_ns = Now() + kHeadStart;
  for (Timer& timer : timers) timer.deadline_ns = next_ns += kSpacing;
  return timers;
}

void ReportLateness(const char* name, const std::vector<Timer>& timers) {
  std::vector<double> late;
  for (const Timer& timer : timers) {
    late.push_back(static_cast<double>(timer.fired_ns - timer.deadline_ns) / 1'000.0);
  }
  std::sort(late.begin(), late.end());
  std::printf("P12/min/%s %.1f\nP12/p50/%s %.1f\nP12/p99/%s %.1f\nP12/max/%s %.1f\n", name, late[0],
              name, late[kTimers / 2], name, late[kTimers * 99 / 100], name, late[kTimers - 1]);
}

void BareTimerfd() {
  const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (fd < 0) std::abort();
  std::vector<Timer> timers = Deadlines();
  for (Timer& timer : timers) {
    const itimerspec at = {{0, 0}, ToTimespec(timer.deadline_ns)};
    uint64_t expirations;
    if (timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, nullptr) < 0) std::abort();
    if (read(fd, &expirations, sizeof expirations) < 0) std::abort();
    timer.fired_ns = Now();
  }
  close(fd);
  ReportLateness("bare", timers);
}

void OurTimers(const char* name, ctx_t* root) {
  std::atomic<size_t> fired{0};
  std::vector<Timer> timers = Deadlines();
  std::vector<std::optional<Ours>> contexts(kTimers);
  for (const size_t i : Order(kTimers, true)) {
    Timer& timer = timers[i];
    timer.fired = &fired;
    contexts[i].emplace(root, timer.deadline_ns - Now());
    const auto record = [](ctx_t*, void* arg) {
      Timer* self = static_cast<Timer*>(arg);
      self->fired_ns = Now();
      self->fired->fetch_add(1, std::memory_order_release);
    };
    ctx_t* ctx = contexts[i]->ctx;
    ctx_deadline(ctx, &timer.deadline_ns);
    Check(ctx_after_func(ctx, record, &timer, nullptr, 0, nullptr));
  }
  // Sleeps, since a waiter of ours would be one more thread to wake.
  while (fired.load(std::memory_order_acquire) < kTimers) SleepUntil(Now() + 10 * kMillisecond);
  ReportLateness(name, timers);
}

// `wake_ups` tells how often there were some so far.
void Churn(const char* name, ctx_t* root, const std::function<int64_t()>& wake_ups) {
  constexpr int kPerTick = 100, kTicks = 4'000, kWarmUp = 1'000;
  Ours parent(root);
  std::vector<std::optional<Ours>> alive(kPerTick);
  int64_t wake_ups_before = 0, begin_ns = 0;
  int missed = 0;
  int64_t tick_ns = Now();
  for (int tick = 0; tick < kTicks; ++tick) {
    for (auto& ctx : alive) {
      if (ctx && !ctx->Cancel()) ++missed;  // this thread was not run for a second: void
      ctx.emplace(parent.ctx, kSecond);
    }
    if (tick == kWarmUp) {
      wake_ups_before = wake_ups();
      begin_ns = Now();
    }
    SleepUntil(tick_ns += kMillisecond);
  }
  const double seconds = static_cast<double>(Now() - begin_ns) / kSecond;
  std::printf("%s %.2f\n%s/missed %d\n", name,
              static_cast<double>(wake_ups() - wake_ups_before) / seconds, name, missed);
}

void RecordNow(ctx_t*, void* fired_ns) {
  static_cast<std::atomic<int64_t>*>(fired_ns)->store(Now(), std::memory_order_release);
}

constexpr size_t kMany = 100'000;

// Of the many only the ends are told, or each has a callback, too. The lone one always has one.
void Burst(const char* name, bool callbacks) {
  const int64_t due_ns = Now() + kSecond / 2;  // arming them all takes less
  const int64_t lone_due_ns = due_ns + kMillisecond;
  std::vector<std::atomic<int64_t>> fired_ns(kMany);
  std::atomic<int64_t> lone_ns{0};
  std::vector<ctx_t*> contexts(kMany);
  for (size_t i = 0; i < kMany; ++i) {
    Check(ctx_with_deadline(ctx_background(), due_ns, &contexts[i], nullptr));
    if (callbacks) Check(ctx_after_func(contexts[i], RecordNow, &fired_ns[i], nullptr, 0, nullptr));
  }
  ctx_t* lone;
  Check(ctx_with_deadline(ctx_background(), lone_due_ns, &lone, nullptr));
  Check(ctx_after_func(lone, RecordNow, &lone_ns, nullptr, 0, nullptr));
  if (Now() >= due_ns) std::abort();

  // Looks now and then: a thread that looks all the time would take a processor from the loop.
  SleepUntil(due_ns);
  for (ctx_t* ctx : contexts) {
    while (ctx_err(ctx) == 0) SleepUntil(Now() + kMillisecond / 10);
  }
  int64_t last_ns = Now();
  const auto await = [](const std::atomic<int64_t>& time_ns) {
    while (time_ns.load(std::memory_order_acquire) == 0) SleepUntil(Now() + kMillisecond);
    return time_ns.load(std::memory_order_relaxed);
  };
  if (callbacks) {
    last_ns = 0;
    for (const auto& time_ns : fired_ns) last_ns = std::max(last_ns, await(time_ns));
  }
  const double last_late = static_cast<double>(last_ns - due_ns) / kMillisecond;
  const double lone_late = static_cast<double>(await(lone_ns) - lone_due_ns) / kMillisecond;
  std::printf("%s/last/ours %.2f\n%s/lone/ours %.2f\n", name, last_late, name, lone_late);
  for (ctx_t* ctx : contexts) ctx_unref(ctx);
  ctx_unref(lone);
}

// A thread that sleeps until they are due ends them all, and then the lone one.
void BareBurst() {
  bare_node* const root = bare_root();
  const int64_t due_ns = Now() + kSecond / 2;
  const int64_t lone_due_ns = due_ns + kMillisecond;
  std::vector<bare_node*> nodes;
  while (nodes.size() < kMany) nodes.push_back(bare_derive_timed(root, due_ns - Now()));
  nodes.push_back(bare_derive_timed(root, lone_due_ns - Now()));
  int64_t last_ns = 0, lone_ns = 0;
  std::thread thread([&] {
    SleepUntil(due_ns + kSecond / 1'000'000);  // each has read the clock anew
    bare_expire(Now());
    last_ns = Now();
    SleepUntil(lone_due_ns);
    bare_expire(Now());
    lone_ns = Now();
  });
  thread.join();
  if (bare_error(nodes.back()) == 0) std::abort();
  for (bare_node* node : nodes) {
    for (int handles = 2; handles > 0; --handles) bare_release(node);
  }
  bare_free_root(root);
  std::printf("P19/ends/last/bare %.2f\nP19/ends/lone/bare %.2f\n",
              static_cast<double>(last_ns - due_ns) / kMillisecond,
              static_cast<double>(lone_ns - lone_due_ns) / kMillisecond);
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  return RunPlain(
      argc, argv,
      {{"P12/bare", BareTimerfd},
       {"P12/ours", [] { OurTimers("ours", ctx_background()); }},
       {"P12/manual", [] { OurTimers("manual", ManualHost().root()); }},
       {"P14/ours", [] { Churn("P14/ours", ctx_background(), [] { return Sleeps("ctx-loop"); }); }},
       {"P14/manual",
        [] {
          const ManualHost host;
          Churn("P14/manual", host.root(), [&host] { return host.wake_ups(); });
        }},
       {"P19/bare", BareBurst},
       {"P19/ends", [] { Burst("P19/ends", false); }},
       {"P19/callbacks", [] { Burst("P19/callbacks", true); }}});
}
