// SPDX-License-Identifier: MIT
//
// A forked child as part of a test: its expectations count as the test's own, and a child that hangs
// is ended.
#ifndef CTX_TESTS_SUPPORT_FORKED_H_
#define CTX_TESTS_SUPPORT_FORKED_H_

#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "support/time.h"

namespace ctxtest {

// Forks and runs body in the child, which then leaves by leave(status). Returns the child's pid.
template <class Body>
pid_t Fork(const Body& body, void (*leave)(int) = _exit) {
  fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(kLimit / kSecond);
    body();
    fflush(nullptr);
    leave(::testing::Test::HasFailure() ? 1 : 0);
  }
  EXPECT_GT(pid, 0);
  return pid;
}

// Waits for a child. Fails unless it left with 0, or with the status that is also allowed; returns which.
inline int Join(pid_t pid, int allowed = 0) {
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_FALSE(WIFSIGNALED(status)) << "the child ended by signal " << WTERMSIG(status)
                                    << (WTERMSIG(status) == SIGALRM ? ": it hung" : "");
  if (WEXITSTATUS(status) == allowed) return allowed;
  EXPECT_EQ(status, 0);
  return 0;
}

template <class Body>
void InChild(const Body& body, void (*leave)(int) = _exit) {
  Join(Fork(body, leave));
}

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_FORKED_H_
