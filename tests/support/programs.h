// SPDX-License-Identifier: MIT
//
// For tests that start programs: what these are started with, and what they say.
#ifndef CTX_TESTS_SUPPORT_PROGRAMS_H_
#define CTX_TESTS_SUPPORT_PROGRAMS_H_

#include <unistd.h>

#include <string>
#include <vector>

#include "support/descriptor.h"
#include "support/time.h"

namespace ctxtest {

// Texts as exec(3) takes them. They are the caller's.
inline std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The next line from a pipe; "" at the end, when all who could write are gone.
inline std::string ReadLine(int fd) {
  std::string line;
  for (char c = 0; Readable(fd, kLimitMs) && read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_PROGRAMS_H_
