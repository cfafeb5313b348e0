// SPDX-License-Identifier: MIT
//
// Runs the cases with 64 KiB of stack for every thread: for main, for those of the tests and for those of the
// library. A limit of the stack holds for a program from its start, so this one starts itself again.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

#include "scale/measure.h"

int main(int argc, char** argv) {
  rlimit stack{};
  if (getrlimit(RLIMIT_STACK, &stack) != 0) return 2;
  if (stack.rlim_cur != ctxtest::kStack) {
    stack.rlim_cur = ctxtest::kStack;
    char self[4096] = "";  // its name, so that the process keeps its own
    if (setrlimit(RLIMIT_STACK, &stack) == 0 &&
        readlink("/proc/self/exe", self, sizeof self - 1) > 0) {
      execv(self, argv);
    }
    perror("scale: no small stack");
    return 2;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
