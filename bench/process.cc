// SPDX-License-Identifier: MIT
//
// P22: `ctx run` against timeout(1), how late its deadline is, an export and its import, and from the end of a context to the
// moment at which a process below goes on. Bare is a pipe that is closed. Prints `name value` lines, medians of many.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "plain.h"
#include "trees.h"

namespace ctxbench {
namespace {

std::string self;  // the path of this program

int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

void Median(const char* name, std::vector<double> took, double unit) {
  std::nth_element(took.begin(), took.begin() + static_cast<long>(took.size() / 2), took.end());
  std::printf("%s %.2f\n", name, took[took.size() / 2] / unit);
}

void Await(std::vector<const char*> command) {
  command.push_back(nullptr);
  pid_t pid = 0;
  posix_spawn_file_actions_t actions;  // what ctx says of an end is not for the table
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  if (posix_spawnp(&pid, command[0], &actions, nullptr, const_cast<char**>(command.data()),
                   environ) != 0) {
    std::abort();
  }
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) std::abort();
}

// Both, and also the command alone, take turns.
void Commands() {
  std::vector<double> ours, timeout, alone;
  for (int i = 0; i < 300; ++i) {
    const int64_t begin = Now();
    Await({CTX_BENCH_TOOL, "run", "--timeout", "5", "true"});
    const int64_t second = Now();
    Await({"timeout", "5", "true"});
    const int64_t third = Now();
    Await({"true"});
    ours.push_back(static_cast<double>(second - begin));
    timeout.push_back(static_cast<double>(third - second));
    alone.push_back(static_cast<double>(Now() - third));
  }
  Median("P22/run/ours", ours, 1000);
  Median("P22/run/timeout", timeout, 1000);
  Median("P22/run/bare", alone, 1000);
}

// The command notes when the signal comes, and knows the deadline.
void Late() {
  std::vector<double> late;
  for (int i = 0; i < 40; ++i) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    const std::string out = std::to_string(ends[1]);
    Await({CTX_BENCH_TOOL, "run", "--timeout", "30ms", self.c_str(), "signal", out.c_str()});
    int64_t took = 0;
    close(ends[1]);
    if (read(ends[0], &took, sizeof took) == sizeof took) late.push_back(static_cast<double>(took));
    close(ends[0]);
  }
  if (late.empty()) std::abort();
  Median("P22/late", late, 1e6);
}

int AwaitSignal(const char* out) {
  ctx_loop_t* loop;
  ctx_t *root, *ctx;
  int64_t deadline = 0;
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  sigprocmask(SIG_BLOCK, &term, nullptr);
  Check(ctx_loop_new(CTX_LOOP_MANUAL, nullptr, &loop));
  Check(ctx_loop_background(loop, &root));
  Check(ctx_import(nullptr, root, &ctx, nullptr));
  Check(ctx_deadline(ctx, &deadline));
  while (sigwaitinfo(&term, nullptr) < 0) continue;
  const int64_t late = Now() - deadline;
  return write(std::atoi(out), &late, sizeof late) == sizeof late ? 0 : 1;
}

void Pair() {
  std::vector<double> took;
  const OursCancel::Parent made;
  for (int i = 0; i < 3000; ++i) {
    char text[CTX_EXPORT_SIZE];
    ctx_watch_t* watch = nullptr;
    ctx_t* ctx = nullptr;
    const int64_t begin = Now();
    Check(ctx_export(made.ctx, text, sizeof text, &watch));
    Check(ctx_import(text, ctx_background(), &ctx, nullptr));
    took.push_back(static_cast<double>(Now() - begin));
    ctx_unref(ctx);
    ctx_watch_stop(watch);
    ctx_watch_unref(watch);
  }
  Median("P22/pair/ours", took, 1000);
}

void Send(int fd, const void* from, size_t size) {
  if (write(fd, from, size) != static_cast<ssize_t>(size)) std::abort();
}

void Receive(int fd, void* at, size_t size) {
  if (recv(fd, at, size, MSG_WAITALL) != static_cast<ssize_t>(size)) std::abort();
}

// Each process on a processor of its own, if there are two.
void Pin(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);
}

// The other process: for each text that comes it imports, says so, waits, and says when.
[[noreturn]] void WaitBelow(int fd) {
  ctx_loop_t* loop;
  ctx_t* root;
  Check(ctx_loop_new(CTX_LOOP_MANUAL, nullptr, &loop));
  Check(ctx_loop_background(loop, &root));
  char text[CTX_EXPORT_SIZE];
  while (recv(fd, text, sizeof text, MSG_WAITALL) == sizeof text) {
    ctx_t* ctx;
    Check(ctx_import(text, root, &ctx, nullptr));
    Send(fd, "r", 1);
    pollfd polled = {ctx_loop_fd(loop), POLLIN, 0};
    int64_t times[2] = {};  // awake; and when the context is done
    while (ctx_err(ctx) == 0) {
      poll(&polled, 1, -1);
      if (times[0] == 0) times[0] = Now();
      ctx_loop_dispatch(loop);
    }
    times[1] = Now();
    Send(fd, times, sizeof times);
    ctx_unref(ctx);
  }
  _exit(0);
}

// The same with the read end of a pipe, whose number comes; the process is forked for each.
[[noreturn]] void WaitBare(int fd, int read_end) {
  Send(fd, "r", 1);
  pollfd polled = {read_end, POLLIN, 0};
  poll(&polled, 1, -1);
  const int64_t woken = Now();
  Send(fd, &woken, sizeof woken);
  _exit(0);
}

void Wake() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  const pid_t below = fork();
  if (below == 0) {
    close(ends[0]);
    Pin(1);
    WaitBelow(ends[1]);
  }
  Pin(0);
  std::vector<double> ours, done, bare;
  const timespec moment = {0, 200'000};
  char ready = 0;
  int64_t woken = 0;
  for (int i = 0; i < 500; ++i) {
    OursCancel::Parent made;
    char text[CTX_EXPORT_SIZE];
    Check(ctx_export(made.ctx, text, sizeof text, nullptr));
    Send(ends[0], text, sizeof text);
    Receive(ends[0], &ready, 1);
    nanosleep(&moment, nullptr);
    const int64_t begin = Now();
    made.Cancel();
    int64_t times[2];
    Receive(ends[0], times, sizeof times);
    ours.push_back(static_cast<double>(times[0] - begin));
    done.push_back(static_cast<double>(times[1] - begin));

    int life[2];
    if (pipe(life) != 0) std::abort();
    const pid_t pid = fork();
    if (pid == 0) {
      close(life[1]);
      Pin(1);
      WaitBare(ends[1], life[0]);
    }
    Receive(ends[0], &ready, 1);
    nanosleep(&moment, nullptr);
    const int64_t again = Now();
    close(life[1]);
    Receive(ends[0], &woken, sizeof woken);
    bare.push_back(static_cast<double>(woken - again));
    close(life[0]);
    waitpid(pid, nullptr, 0);
  }
  close(ends[0]);
  close(ends[1]);
  waitpid(below, nullptr, 0);
  Median("P22/wake/ours", ours, 1000);
  Median("P22/wake/bare", bare, 1000);
  Median("P22/done/ours", done, 1000);
}

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  if (argc == 3 && std::strcmp(argv[1], "signal") == 0) return AwaitSignal(argv[2]);
  self = argv[0];
  return RunPlain(
      argc, argv,
      {{"P22/run", Commands}, {"P22/late", Late}, {"P22/pair", Pair}, {"P22/wake", Wake}});
}
