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

#include "support/descriptor.h"
#include "support/handles.h"

namespace ctxtest {

inline const std::string kChild = CTX_TESTS_CHILD;

// A context as other processes find it.
struct Exported {
  explicit Exported(ctx_t* ctx) { EXPECT_EQ(ctx_export(ctx, text, sizeof text, watch.out()), 0); }
  Exported(const Exported&) = delete;
  ~Exported() {
    if (watch != nullptr) ctx_watch_stop(watch);
  }

  // The number at this place of the text: 1 the process, 2 and 3 the descriptors, and so on.
  uint64_t Field(int index) const {
    const char* at = text;
    for (; index > 0; --index) at = strchr(at, ':') + 1;
    return std::strtoull(at, nullptr, 10);
  }
  // The text with another number at this place.
  std::string With(int index, uint64_t number) const {
    std::string made;
    for (int i = 0; i < 7; ++i) {
      made += (i > 0 ? ":" : "") + std::to_string(i == index ? number : Field(i));
    }
    return made;
  }

  char text[CTX_EXPORT_SIZE] = "";
  Watch watch;
};

inline Scope Import(const char* text, ctx_t* parent = ctx_background()) {
  Scope made;
  EXPECT_EQ(ctx_import(text, parent, made.ctx.out(), made.canceler.out()), 0);
  return made;
}

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
  std::string Line() const {
    std::string line;
    for (char c = 0; Readable(out_, kLimitMs) && read(out_, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
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
  static std::vector<char*> Pointers(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
  }

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
