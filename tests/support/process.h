// SPDX-License-Identifier: MIT
//
// What tests ask the system about their own process: its threads and descriptors, a thread with a
// small stack, and a new process for what must be the first thing to happen in one.
#ifndef CTX_TESTS_SUPPORT_PROCESS_H_
#define CTX_TESTS_SUPPORT_PROCESS_H_

#include <dirent.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CTX_TESTS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CTX_TESTS_SANITIZED 1
#endif
#endif
#ifndef CTX_TESTS_SANITIZED
#define CTX_TESTS_SANITIZED 0
#endif

namespace ctxtest {

inline constexpr int kExitStatus = 42;  // neither success nor what a crash gives

inline constexpr bool kSanitized = CTX_TESTS_SANITIZED;

// How often to repeat what has nothing to do with done descriptors: a quarter as often in the runs that differ in
// these alone.
inline int Rounds(int full) {
  const std::string program = program_invocation_short_name;
  const auto named = [&](const char* kind) { return program.find(kind) != std::string::npos; };
  const bool other_descriptors = named("_pipe") || named("_no_eventfd");
  return other_descriptors ? full / 4 : full;
}

// A sanitizer keeps its own frames on a thread's stack; valgrind and plain runs do not.
inline constexpr size_t kSmallStack = (kSanitized ? 1024 : 128) * size_t{1024};

inline std::string CurrentThreadName() {
  char name[32] = "";
  pthread_getname_np(pthread_self(), name, sizeof name);
  return name;
}

// The names in a folder, such as /proc/self/fd, but for the two of every folder.
inline std::vector<std::string> ListFolder(const char* path) {
  std::vector<std::string> names;
  DIR* folder = opendir(path);
  if (folder == nullptr) return names;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  closedir(folder);
  return names;
}

inline size_t OpenDescriptors() { return ListFolder("/proc/self/fd").size(); }

inline size_t ThreadCount() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("Threads:", 0) == 0) return std::strtoull(line.c_str() + 8, nullptr, 10);
  }
  return 0;
}

// All threads of this process by number. A listing that meets the end of a thread may leave out one
// that lives on, so it is held against the kernel's own count.
inline std::vector<std::string> ListThreads() {
  for (;;) {
    const size_t count = ThreadCount();
    const std::vector<std::string> ids = ListFolder("/proc/self/task");
    if (ids.size() == count && ThreadCount() == count) return ids;
  }
}

struct Task {
  std::string name;
  uint64_t blocked_signals = 0;     // bit n - 1 stands for signal n
  uint64_t voluntary_switches = 0;  // how often it went to sleep
};

// The threads of this process whose names begin with prefix.
inline std::vector<Task> Tasks(const std::string& prefix) {
  std::vector<Task> tasks;
  for (const std::string& tid : ListThreads()) {
    std::ifstream status("/proc/self/task/" + tid + "/status");
    Task task;
    for (std::string line; std::getline(status, line);) {
      const size_t colon = line.find(':');
      if (colon == std::string::npos || colon + 2 > line.size()) continue;
      const std::string field = line.substr(0, colon);
      const std::string value = line.substr(colon + 2);
      if (field == "Name") task.name = value;
      if (field == "SigBlk") task.blocked_signals = std::strtoull(value.c_str(), nullptr, 16);
      if (field == "voluntary_ctxt_switches") {
        task.voluntary_switches = std::strtoull(value.c_str(), nullptr, 10);
      }
    }
    if (task.name.rfind(prefix, 0) == 0) tasks.push_back(task);
  }
  return tasks;
}

// Whether a thread of this process waits in the kernel.
inline bool IsAsleep(pid_t thread) {
  std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string line;
  std::getline(stat, line);
  return line.find(") S ") != std::string::npos;
}

// Runs body on a thread whose stack would not survive a recursion over a tree.
inline void OnSmallStack(std::function<void()> body) {
  pthread_attr_t attr;
  ASSERT_EQ(pthread_attr_init(&attr), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attr, kSmallStack), 0);
  pthread_t thread;
  const auto run = [](void* arg) -> void* {
    (*static_cast<std::function<void()>*>(arg))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attr, run, &body), 0);
  pthread_attr_destroy(&attr);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
}

}  // namespace ctxtest

// Runs a test's statement in a process that has used nothing of the library yet. Its expectations
// count as the test's own.
#define CTX_IN_NEW_PROCESS(statement)                   \
  do {                                                  \
    GTEST_FLAG_SET(death_test_style, "threadsafe");     \
    EXPECT_EXIT(                                        \
        {                                               \
          statement;                                    \
          fflush(stdout);                               \
          _exit(::testing::Test::HasFailure() ? 1 : 0); \
        },                                              \
        ::testing::ExitedWithCode(0), "");              \
  } while (0)

#endif  // CTX_TESTS_SUPPORT_PROCESS_H_
