// SPDX-License-Identifier: MIT
//
// A program that a test starts, with pipes to all that it says, and an owner for what may be left of it.
#ifndef CTX_TESTS_TOOL_STARTED_H_
#define CTX_TESTS_TOOL_STARTED_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "support/descriptor.h"
#include "support/programs.h"

namespace ctxtest {

using Words = std::vector<std::string>;

inline const std::string kTool = CTX_TESTS_TOOL, kChild = CTX_TESTS_CHILD;

inline Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// What waitpid(2) says, for people.
inline std::string Said(int status) {
  return WIFEXITED(status) ? "status " + std::to_string(WEXITSTATUS(status))
                           : "signal " + std::to_string(WTERMSIG(status));
}

class Started {
 public:
  // `text` is the value of LIBCTX; "": there is none. Signals that are ignored here are ignored there.
  explicit Started(const Words& command, const std::string& text = "") {
    Pipe out, err;
    out_ = std::move(out.read_end);
    err_ = std::move(err.read_end);
    fcntl(out_, F_SETFL, 0);
    fcntl(err_, F_SETFL, 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out.write_end, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.write_end, STDERR_FILENO);
    // A group of its own: signals to that are not for the test's.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    Words variables = {"PATH=/usr/bin:/bin", "LC_ALL=C"};
    if (!text.empty()) variables.push_back("LIBCTX=" + text);
    EXPECT_EQ(posix_spawnp(&pid_, command[0].c_str(), &actions, &attributes,
                           Pointers(command).data(), Pointers(variables).data()),
              0);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
  }
  Started(const Started&) = delete;
  ~Started() {
    if (pid_ > 0) Join(SIGKILL);
  }

  pid_t pid() const { return pid_; }
  bool IsAsleep() const {
    std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
    std::string line;
    std::getline(stat, line);
    return line.find(") S ") != std::string::npos;
  }
  void Send(int signal) const { EXPECT_EQ(kill(pid_, signal), 0); }

  // The next line that it says, or a process below it; "" at the end, when all of them are gone.
  std::string Line() const { return ReadLine(out_); }
  std::string Error() const { return ReadLine(err_); }

  // How it ended.
  int Join(int signal = 0) {
    int status = -1;
    if (signal != 0) Send(signal);
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = 0;
    return status;
  }
  std::string End() { return Said(Join()); }

 private:
  pid_t pid_ = 0;
  Fd out_, err_;
};

inline Words CtxRun(const Words& options, const Words& command) {
  return Words{kTool, "run"} + options + Words{"--"} + command;
}

// A process that is no child of the test; killed at the end.
class Stray {
 public:
  explicit Stray(pid_t pid) : pid_(pid) {}
  Stray(const Stray&) = delete;
  ~Stray() {
    if (pid_ > 1) kill(pid_, SIGKILL);
  }
  bool IsThere() const { return pid_ > 1 && kill(pid_, 0) == 0; }

 private:
  const pid_t pid_;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_TOOL_STARTED_H_
