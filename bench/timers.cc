// SPDX-License-Identifier: MIT
//
// P12 and P14: how late deadlines are, against a thread that reads a bare timerfd, and how often the
// loop's thread wakes up for 100,000 timeouts a second that are all cancelled long before they are
// due. Prints `name value` lines; lateness is in microseconds.
#include <dirent.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>

#include "trees.h"

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
  std::printf("P12/%s/min %.1f\nP12/%s/p50 %.1f\nP12/%s/p99 %.1f\nP12/%s/max %.1f\n", name, late[0],
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
  ReportLateness("timerfd", timers);
}

void OurTimers() {
  std::atomic<size_t> fired{0};
  std::vector<Timer> timers = Deadlines();
  std::vector<std::optional<Ours>> contexts(kTimers);
  for (const size_t i : Order(kTimers, true)) {
    Timer& timer = timers[i];
    timer.fired = &fired;
    contexts[i].emplace(ctx_background(), timer.deadline_ns - Now());
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
  ReportLateness("ours", timers);
}

// How often the thread of that name has gone to sleep, which is how often it was woken.
int64_t Sleeps(const std::string& thread_name) {
  int64_t sleeps = -1;
  DIR* tasks = opendir("/proc/self/task");
  while (const dirent* entry = readdir(tasks)) {
    std::ifstream status("/proc/self/task/" + std::string(entry->d_name) + "/status");
    std::string field, value;
    bool found = false;
    while (status >> field && std::getline(status >> std::ws, value)) {
      if (field == "Name:") found = value == thread_name;
      if (found && field == "voluntary_ctxt_switches:") sleeps = std::stoll(value);
    }
  }
  closedir(tasks);
  if (sleeps < 0) std::abort();
  return sleeps;
}

void Churn() {
  constexpr int kPerTick = 100, kTicks = 4'000, kWarmUp = 1'000;
  OursCancel::Parent parent;
  std::vector<std::optional<Ours>> alive(kPerTick);
  int64_t sleeps_before = 0, begin_ns = 0;
  int missed = 0;
  int64_t tick_ns = Now();
  for (int tick = 0; tick < kTicks; ++tick) {
    for (auto& ctx : alive) {
      if (ctx && !ctx->Cancel()) ++missed;  // this thread was not run for a second: void
      ctx.emplace(parent.ctx, kSecond);
    }
    if (tick == kWarmUp) {
      sleeps_before = Sleeps("ctx-loop");
      begin_ns = Now();
    }
    SleepUntil(tick_ns += kMillisecond);
  }
  const double seconds = static_cast<double>(Now() - begin_ns) / kSecond;
  const double sleeps = static_cast<double>(Sleeps("ctx-loop") - sleeps_before);
  std::printf("P14/wakeups %.2f\nP14/missed %d\n", sleeps / seconds, missed);
}

}  // namespace
}  // namespace ctxbench

int main() {
  ctxbench::BareTimerfd();
  ctxbench::OurTimers();
  ctxbench::Churn();
}
