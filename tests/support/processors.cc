// SPDX-License-Identifier: MIT
#include "support/processors.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <thread>
#include <vector>

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

void MeetAt(const std::vector<ctx_t*>& parents) {
  std::atomic<ctx_t*> at{parents[0]};
  std::thread other([&] {
    cpu_set_t all;  // it may have been started by a thread that stays on one (sync.h)
    CPU_ZERO(&all);
    for (int i = 0; i < CPU_SETSIZE; ++i) CPU_SET(i, &all);
    sched_setaffinity(0, sizeof all, &all);
    while (ctx_t* const parent = at) WithCancel(parent);
  });
  const int64_t limit = Now() + kLimit;
  for (ctx_t* const parent : parents) {
    at = parent;
    const unsigned before = asked;
    while (asked == before && Now() < limit)
      WithCancel(parent);  // asks once its children are kept so
    EXPECT_NE(asked, before) << "they have not met";
  }
  at = nullptr;
  other.join();
}

}  // namespace ctxtest
