// SPDX-License-Identifier: MIT
//
// soak MINUTES [FIGURES.csv]: a server made of everything at once, for so long, with what the rules promise checked at
// each step.
//
// Eight clients derive, merge, wait, call back, fork, and make loops of their own, below servers on four loops: the
// default one, one with an executor, a manual and a virtual one. Meanwhile the servers are shut down and replaced, a
// signal comes now and then, a queue that all share is drained. Every few seconds all of it stops for a moment, and
// what was taken must have been given back: descriptors and threads are no more than at the first such stop, and
// neither the heap nor the process grows. All of it keeps to about one processor.
#include <ctx/ctx.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "scale/measure.h"
#include "scale/soak/await.h"
#include "scale/soak/clients.h"
#include "scale/soak/figures.h"
#include "scale/soak/servers.h"
#include "scale/soak/turnstile.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"

namespace ctxtest {
namespace {

class Soak {
 public:
  explicit Soak(FILE* file);
  void Run(double minutes);

 private:
  static constexpr unsigned kClients = 8;

  void Client(unsigned seed);
  void StandStill(double seconds);
  Counts CountsNow() const;
  void End();

  std::vector<Step> steps_ = kRequests;
  std::deque<std::atomic<uint64_t>> counts_;  // of each step
  Figures figures_;
  Servers servers_;
  Turnstile turnstile_;
  std::vector<std::thread> members_;  // that pass the turnstile
};

Soak::Soak(FILE* file) : figures_(file) {
  steps_.insert(steps_.end(), kSurroundings.begin(), kSurroundings.end());
  for (size_t i = 0; i < steps_.size(); ++i) counts_.emplace_back(0);
  for (unsigned i = 1; i <= kClients; ++i) members_.emplace_back([this, i] { Client(i); });
  members_.emplace_back([this] { servers_.ShutDown(turnstile_); });
}

void Soak::Client(unsigned seed) {
  std::mt19937 random(seed);
  std::vector<double> weights;
  for (const Step& step : steps_) weights.push_back(step.weight);
  std::discrete_distribution<size_t> draw(weights.begin(), weights.end());
  while (turnstile_.Pass()) {
    const size_t i = draw(random);
    steps_[i].run(servers_, random);
    counts_[i].fetch_add(1, std::memory_order_relaxed);
  }
}

Counts Soak::CountsNow() const {
  Counts counts = {{"shutdowns", servers_.shutdowns},
                   {"dispatches", servers_.dispatches},
                   {"advances", servers_.advances}};
  for (size_t i = 0; i < steps_.size(); ++i) counts.emplace_back(steps_[i].name, counts_[i]);
  return counts;
}

// Stops all, waits until what they took has been given back, and looks at what is left.
void Soak::StandStill(double seconds) {
  const uint64_t steps = turnstile_.steps();
  const Cause tide = NewCause(1, "all stand still");
  turnstile_.Close(static_cast<int>(members_.size()), [&] { servers_.ReplaceAll(tide); });
  servers_.ReplaceAll(tide);
  const bool first = figures_.stills().empty();
  const auto settled = [&] {
    if (!servers_.AllCameOut()) return false;
    const Still now = Still::Look();
    return first || (now.descriptors <= figures_.stills().front().descriptors &&
                     now.threads <= figures_.stills().front().threads);
  };
  static_cast<void>(Soon(settled));  // what is wrong then shows below
  if (first) SleepFor(2 * kSecond);  // threads that idle have ended by then
  REQUIRE(servers_.AllCameOut());
  figures_.Add(seconds, steps, servers_.TakeWorstLate(), CountsNow());
  turnstile_.Open();
}

void Soak::End() {
  turnstile_.End();
  for (std::thread& member : members_) member.join();
  servers_.End();
}

void Soak::Run(double minutes) {
  const double begin = Seconds(), end = begin + minutes * 60;
  const double stop_every = std::min(10.0, minutes * 60 / 12);
  for (uint64_t before = 0; Seconds() < end; before = turnstile_.steps()) {
    SleepFor(static_cast<int64_t>(stop_every * 1e9));
    REQUIRE(turnstile_.steps() > before);  // progress
    StandStill(Seconds() - begin);
  }
  End();
  printf("\n%-18s %12s\n", "steps", "in all");
  for (const auto& [name, count] : CountsNow()) {
    printf("%-18s %12" PRIu64 "\n", name.c_str(), count);
    if (minutes >= 1) REQUIRE(count > 0);
  }
  figures_.ExpectFlat();
  if (testing::Test::HasFailure()) BROKEN("a derivation failed");
  printf("soak: passed\n");
  fflush(stdout);
}

// The program that a child has become: only the standard three are open, and the folder that it looks at.
int ListOpen() {
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

// What an allocator keeps for each thread would look like a heap that grows. It takes that choice at its start.
bool StartedWithoutThreadCaches(char** argv) {
  if (getenv("GLIBC_TUNABLES") != nullptr) return true;
  setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
  char self[4096] = "";
  if (readlink("/proc/self/exe", self, sizeof self - 1) > 0) execv(self, argv);
  perror("soak: not started again");
  return false;
}

}  // namespace
}  // namespace ctxtest

int main(int argc, char** argv) {
  using namespace ctxtest;
  if (argc == 2 && strcmp(argv[1], "--open-descriptors") == 0) return ListOpen();
  const double minutes = argc > 1 ? atof(argv[1]) : 10;
  if (minutes <= 0 || !StartedWithoutThreadCaches(argv)) return 2;
  FILE* file = argc > 2 ? fopen(argv[2], "we") : nullptr;
  if (argc > 2 && file == nullptr) {
    perror(argv[2]);
    return 2;
  }
  // What this program was started with goes no further.
  for (int fd = 3; fd < 256; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  (new Soak(file))->Run(minutes);
  if (file != nullptr) fclose(file);
  _exit(0);
}
