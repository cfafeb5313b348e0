// SPDX-License-Identifier: MIT
//
// What must hold where an expectation of GoogleTest's says nothing or costs too much: in a program that is no test, in
// a process that is about to end, in each of a hundred million rounds. The first one that does not ends the process.
#ifndef CTX_TESTS_SUPPORT_REQUIRE_H_
#define CTX_TESTS_SUPPORT_REQUIRE_H_

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ctxtest {

[[noreturn]] inline void Break(const char* what, const char* file, int line) {
  const char* error = std::strerror(errno);
  std::fflush(stdout);  // what was said before
  std::fprintf(stderr, "FAILED: %s (%s:%d; errno: %s)\n", what, file, line, error);
  std::abort();
}

}  // namespace ctxtest

#define BROKEN(what) ::ctxtest::Break(what, __FILE__, __LINE__)
#define REQUIRE(condition) ((condition) ? (void)0 : BROKEN("not so: " #condition))

#endif  // CTX_TESTS_SUPPORT_REQUIRE_H_
