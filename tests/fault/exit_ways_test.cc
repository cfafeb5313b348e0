// SPDX-License-Identifier: MIT
//
// Rule 48: each way to end a process, from each place where code of the program runs, with every kind of loop at work.
#include <cstdlib>
#include <string>
#include <thread>
#include <tuple>

#include "support/handles.h"
#include "support/process.h"
#include "support/require.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

struct Way {
  const char* name;
  void (*leave)();
};

const Way kWays[] = {
    {"Exit", [] { exit(kExitStatus); }},
    {"UnderscoreExit", [] { _exit(kExitStatus); }},
    {"QuickExit", [] { quick_exit(kExitStatus); }},
};

void Run(ctx_t*, void* way) { static_cast<const Way*>(way)->leave(); }
void Drop(void* way) { static_cast<const Way*>(way)->leave(); }

ctx_t* Near(ctx_t* root) {
  ctx_t* ctx = nullptr;
  REQUIRE(ctx_with_timeout(root, kMillisecond, &ctx, nullptr) == 0);
  return ctx;
}

void Arm(ctx_t* ctx, uint32_t flags, const Way& way) {
  REQUIRE(ctx_after_func(ctx, Run, const_cast<Way*>(&way), nullptr, flags, nullptr) >= 0);
}

[[noreturn]] void Wait() {
  for (;;) ctx_wait(ctx_background(), CTX_FOREVER);
}

// Where it is called from. None of these comes back.
struct From {
  const char* name;
  void (*leave)(const Way& way);
};

const From kFrom[] = {
    {"Main", [](const Way& way) { way.leave(); }},
    {"AThread",
     [](const Way& way) {
       std::thread([&] { way.leave(); }).detach();
       Wait();
     }},
    {"ACancel",
     [](const Way& way) {
       const Scope scope = WithCancel(ctx_background());
       Arm(scope, 0, way);
       scope.Cancel();
     }},
    {"TheCallbackThread",
     [](const Way& way) {
       Arm(Near(ctx_background()), 0, way);
       Wait();
     }},
    {"TheLane",
     [](const Way& way) {
       Arm(Near(ctx_background()), CTX_BLOCKING, way);
       Wait();
     }},
    {"TheClock",
     [](const Way& way) {
       Arm(Near(ctx_background()), CTX_WAKER, way);
       Wait();
     }},
    {"ADispatch",
     [](const Way& way) {
       const Loop loop = NewLoop(CTX_LOOP_MANUAL);
       Arm(Near(LoopBackground(loop)), 0, way);
       for (;;) {
         Readable(ctx_loop_fd(loop), kLimitMs);
         ctx_loop_dispatch(loop);
       }
     }},
    {"AnExecutor",
     [](const Way& way) {
       const auto post = [](void*, void (*run)(void*), void* work) {
         std::thread([=] { run(work); }).detach();
         return 0;
       };
       const Loop loop = NewLoopWith(post, nullptr);
       Arm(Near(LoopBackground(loop)), 0, way);
       Wait();
     }},
    {"ADrop",
     [](const Way& way) {
       ctx_t* ctx = nullptr;
       REQUIRE(ctx_with_value(ctx_background(), &kKey, const_cast<Way*>(&way), Drop, &ctx) == 0);
       ctx_unref(ctx);
     }},
    {"AClose",
     [](const Way& way) {
       const Loop loop = NewLoop(CTX_LOOP_THREAD);
       ctx_t* ctx = nullptr;
       REQUIRE(ctx_with_timeout(LoopBackground(loop), kHour, &ctx, nullptr) == 0);
       Arm(ctx, 0, way);
       ctx_loop_close(loop);
     }},
};

// Threads that derive, wait and cancel, and loops that come and go, until the end.
void KeepBusy() {
  for (int i = 0; i < 2; ++i) {
    std::thread([] {
      for (;;) {
        const Loop loop = NewLoop(CTX_LOOP_THREAD);
        const Scope near = WithTimeout(LoopBackground(loop), 20 * kMicrosecond);
        const Scope scope = WithTimeout(ctx_background(), 20 * kMicrosecond);
        Queue queue = NewQueue();
        ctx_queue_add(queue, scope, 1, nullptr);
        ctx_wait(near, kLimit);
        ctx_wait(scope, kLimit);
      }
    }).detach();
  }
  REQUIRE(ctx_wait(Near(ctx_background()), kLimit) == 1);
}

class ExitWays : public ::testing::TestWithParam<std::tuple<From, Way>> {};

TEST_P(ExitWays, Rule48_EndsTheProcessWithItsStatus) {
  const auto& [from, way] = GetParam();
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (int round = 0; round < 3; ++round) {
    EXPECT_EXIT(
        {
          alarm(kLimit / kSecond);
          KeepBusy();
          from.leave(way);
          _exit(2);
        },
        ::testing::ExitedWithCode(kExitStatus), "");
  }
}

INSTANTIATE_TEST_SUITE_P(, ExitWays,
                         ::testing::Combine(::testing::ValuesIn(kFrom), ::testing::ValuesIn(kWays)),
                         [](const auto& each) {
                           return std::string(std::get<0>(each.param).name) +
                                  std::get<1>(each.param).name;
                         });

}  // namespace
}  // namespace ctxtest
