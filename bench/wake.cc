// SPDX-License-Identifier: MIT
//
// P10: from a cancel to the moment at which the thread that waited for it goes on, in epoll_wait() and in a wait of the
// library's own; both threads on one processor, or each on its own. Bare are an eventfd and a futex. Prints
// `name value` lines: the median of many, in nanoseconds of real time.
#include <linux/futex.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "plain.h"
#include "trees.h"

namespace ctxbench {
namespace {

constexpr int kRounds = 4'000;

int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

void Pin(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) std::abort();
}

void Futex(std::atomic<uint32_t>* word, int operation, uint32_t value) {
  syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
}

// A number that one thread waits for and the other counts up.
class Turnstile {
 public:
  void Pass() {
    count_.fetch_add(1);
    Futex(&count_, FUTEX_WAKE, 1);
  }
  void Await(uint32_t n) {
    for (uint32_t seen; (seen = count_.load()) < n;) Futex(&count_, FUTEX_WAIT, seen);
  }

 private:
  std::atomic<uint32_t> count_{0};
};

class Epoll {
 public:
  Epoll() : fd_(epoll_create1(EPOLL_CLOEXEC)) {}
  Epoll(const Epoll&) = delete;
  ~Epoll() { close(fd_); }
  void Wait(int fd) const {
    epoll_event event = {};
    event.events = EPOLLIN;
    if (epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) std::abort();
    while (epoll_wait(fd_, &event, 1, -1) != 1) continue;
  }

 private:
  const int fd_;
};

// Each has Wait(), for one thread, and End(), for the other.
struct OursEpoll {
  void Wait() const { epoll.Wait(Check(ctx_done_fd(made.ctx))); }
  void End() { made.Cancel(); }
  OursCancel::Parent made;
  Epoll epoll;
};
struct OursWait {
  void Wait() const { Check(ctx_wait(made.ctx, CTX_FOREVER)); }
  void End() { made.Cancel(); }
  OursCancel::Parent made;
};
struct BareEpoll {
  ~BareEpoll() { close(fd); }
  void Wait() const { epoll.Wait(fd); }
  void End() const { eventfd_write(fd, 1); }
  const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  Epoll epoll;
};
// With a limit, as in a wait that a signal must end: the kernel restarts one without, and sets no timer for it.
struct BareWait {
  void Wait() {
    static constexpr timespec kLimit = {INT64_MAX / kSecond, 0};
    while (word.load() == 0) {
      syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0, &kLimit, nullptr,
              FUTEX_BITSET_MATCH_ANY);
    }
  }
  void End() {
    word.store(1);
    Futex(&word, FUTEX_WAKE, 1);
  }
  std::atomic<uint32_t> word{0};
};
#if CTX_BENCH_NSYNC
struct NsyncWait {
  void Wait() const { nsync::nsync_note_wait(made.note, nsync::nsync_time_no_deadline); }
  void End() { made.Cancel(); }
  Nsync::Parent made;
};
#endif
#if CTX_BENCH_GLIB
struct GlibEpoll {
  void Wait() const { epoll.Wait(g_cancellable_get_fd(made.object)); }
  void End() { made.Cancel(); }
  Glib::Parent made;
  Epoll epoll;
};
#endif

// The waiter says that it is about to wait, and some time later it does.
template <class Signal>
void WakeUp(const std::string& name, bool one_processor) {
  std::vector<double> took(kRounds);
  std::unique_ptr<Signal> signal, previous;  // whose End() may not have returned yet
  Turnstile begun, ended;
  int64_t woken_ns = 0;
  std::thread waiter([&] {
    Pin(one_processor ? 0 : 1);
    for (uint32_t i = 0; i < kRounds; ++i) {
      previous = std::exchange(signal, std::make_unique<Signal>());
      begun.Pass();
      signal->Wait();
      woken_ns = Now();
      ended.Pass();
    }
  });
  Pin(0);
  for (uint32_t i = 0; i < kRounds; ++i) {
    begun.Await(i + 1);
    const timespec moment = {0, 50'000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, nullptr);
    const int64_t begin_ns = Now();
    signal->End();
    ended.Await(i + 1);
    took[i] = static_cast<double>(woken_ns - begin_ns);
  }
  waiter.join();
  std::nth_element(took.begin(), took.begin() + kRounds / 2, took.end());
  std::printf("%s %.0f\n", name.c_str(), took[kRounds / 2]);
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  std::vector<std::pair<std::string, std::function<void()>>> all;
  const bool two = std::thread::hardware_concurrency() > 1;
  const auto add = [&]<class Signal>(const char* way, const char* who) {
    for (const bool one : {true, false}) {
      if (!one && !two) continue;
      const std::string name =
          std::string("P10/") + (one ? "one_processor/" : "two_processors/") + way + "/" + who;
      all.emplace_back(name, [name, one] { WakeUp<Signal>(name, one); });
    }
  };
  add.operator()<OursEpoll>("epoll", "ours");
  add.operator()<BareEpoll>("epoll", "bare");
  add.operator()<OursWait>("wait", "ours");
  add.operator()<BareWait>("wait", "bare");
#if CTX_BENCH_NSYNC
  add.operator()<NsyncWait>("wait", "nsync");
#endif
#if CTX_BENCH_GLIB
  add.operator()<GlibEpoll>("epoll", "glib");
#endif
  return RunPlain(argc, argv, all);
}
