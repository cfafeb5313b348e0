// SPDX-License-Identifier: MIT
//
// A machine with as many processors as a test wants: in a program that has processors.cc, that file tells the library
// on which one a thread runs. Unless a test says, a thread is on the next of sixteen each time it is asked, so that all
// that is kept by processor is used on any machine.
#ifndef CTX_TESTS_SUPPORT_PROCESSORS_H_
#define CTX_TESTS_SUPPORT_PROCESSORS_H_

#include <ctx/ctx.h>

#include <vector>

namespace ctxtest {

inline constexpr int kProcessors = 16;

// While it lives the calling thread is on this processor. One below 0: the system does not say.
class OnProcessor {
 public:
  explicit OnProcessor(int number);
  OnProcessor(const OnProcessor&) = delete;
  ~OnProcessor();

 private:
  const int before_;
};

// Makes threads meet while they derive from each of these: from then on it keeps its children by processor.
void MeetAt(const std::vector<ctx_t*>& parents);

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_PROCESSORS_H_
