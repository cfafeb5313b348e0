// SPDX-License-Identifier: MIT
// What a piece of code asks the system for, while it is refused that.
#ifndef CTX_TESTS_FAULT_ASKED_H_
#define CTX_TESTS_FAULT_ASKED_H_

#include <gtest/gtest.h>

#include <cerrno>
#include <functional>

#include "fault/faults.h"

namespace ctxtest {

struct Asked {
  int memory = 0, threads = 0, descriptors = 0, watches = 0;
};

inline Asked WhatIsAskedBy(const std::function<void()>& body, Resource refused = Resource::kMemory,
                           int error = ENOMEM) {
  Faults faults(refused, error);
  body();
  return {faults.count(Resource::kMemory), faults.count(Resource::kThread),
          faults.count(Resource::kDescriptor), faults.count(Resource::kWatch)};
}

inline void ExpectNothing(const Asked& asked) {
  EXPECT_EQ(asked.memory, 0);
  EXPECT_EQ(asked.threads, 0);
  EXPECT_EQ(asked.descriptors, 0);
  EXPECT_EQ(asked.watches, 0);
}

}  // namespace ctxtest

#endif  // CTX_TESTS_FAULT_ASKED_H_
