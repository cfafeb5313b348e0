// SPDX-License-Identifier: MIT
//
// A process below the test, which imports what the test exports (exported_child.c).
#ifndef CTX_TESTS_CAPI_EXPORTED_CHILD_H_
#define CTX_TESTS_CAPI_EXPORTED_CHILD_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "capi/exported/exported.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/programs.h"

namespace ctxtest {

inline const std::string kChild = CTX_TESTS_CHILD;

class Child {
 public:
  // Starts a program with this value of LIBCTX; "": without the variable. `inherited` are left open.
  Child(const std::string& text, const std::vector<std::string>& command,
        const std::vector<int>& inherited = {}) {
    Pipe out, in;
    out_ = std::move(out.read_end);
    in_ = std::move(in.write_end);
    fcntl(out_, F_SETFL, 0);
    fcntl(in.read_end, F_SETFL, 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in.read_end, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out.write_end, STDOUT_FILENO);
    for (const int fd : inherited) posix_spawn_file_actions_adddup2(&actions, fd, fd);
    std::vector<std::string> variables = {"PATH=/usr/bin:/bin"};
    if (!text.empty()) variables.push_back("LIBCTX=" + text);
    for (char** old = environ; *old != nullptr; ++old) {
      const std::string one = *old;
      if (one.rfind("PATH=", 0) != 0 && one.rfind("LIBCTX=", 0) != 0) variables.push_back(one);
    }
    EXPECT_EQ(posix_spawnp(&pid_, command[0].c_str(), &actions, nullptr, Pointers(command).data(),
                           Pointers(variables).data()),
              0);
    posix_spawn_file_actions_destroy(&actions);
  }
  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)),
        out_(std::move(other.out_)),
        in_(std::move(other.in_)) {}
  ~Child() {
    if (pid_ > 0) Kill();
  }

  pid_t pid() const { return pid_; }

  // The next line of its output, or of a process below it; "" at the end.
  std::string Line() const { return ReadLine(out_); }
  void Write() const { EXPECT_EQ(write(in_, "x", 1), 1); }
  void EndInput() { in_.Close(); }
  void Kill() {
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, 0), nullptr, 0);
  }
  int Join() {
    int status = -1;
    EXPECT_EQ(waitpid(std::exchange(pid_, 0), &status, 0) > 0, true);
    return status;
  }

 private:
  pid_t pid_ = 0;
  Fd out_, in_;
};

inline std::vector<std::string> Command(std::initializer_list<const char*> words) {
  std::vector<std::string> command = {kChild};
  command.insert(command.end(), words.begin(), words.end());
  return command;
}

inline const char* const kGone = "context canceled|-125|7|parent process gone";

}  // namespace ctxtest

#endif  // CTX_TESTS_CAPI_EXPORTED_CHILD_H_
