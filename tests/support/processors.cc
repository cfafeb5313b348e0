// SPDX-License-Identifier: MIT
#include "support/processors.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <thread>

#include "support/handles.h"

namespace {

constexpr int kNext = -2;

std::atomic<unsigned> known_threads{0};
thread_local unsigned last_one = 5 * known_threads.fetch_add(1);
thread_local int here = kNext;
thread_local unsigned asked = 0;

}  // namespace

// It comes before that of libc, also for libctx.so.
extern "C" int sched_getcpu() noexcept {
  ++asked;
  return here == kNext ? static_cast<int>(++last_one % ctxtest::kProcessors) : here;
}

namespace ctxtest {

OnProcessor::OnProcessor(int number) : before_(here) { here = number; }

OnProcessor::~OnProcessor() { here = before_; }

void MeetAt(ctx_t* parent) {
  std::atomic<bool> over{false};
  std::thread other([&] {
    while (!over) WithCancel(parent);
  });
  const int64_t limit = Now() + kLimit;
  const unsigned before = asked;
  while (asked == before && Now() < limit)
    WithCancel(parent);  // asks once its children are kept so
  over = true;
  other.join();
  EXPECT_NE(asked, before) << "they have not met";
}

}  // namespace ctxtest
