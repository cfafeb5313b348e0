// SPDX-License-Identifier: MIT
//
// Exit of a process whose loops, sources and queues are all alive and at work: it ends with the status it
// chose.
#include <atomic>
#include <cstdlib>
#include <thread>

#include "support/handles.h"
#include "support/process.h"
#include "support/require.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

// Handles that nobody gives back, on a loop of one kind (0: the default one). Returns its root.
ctx_t* LeaveEverything(int kind) {
  ctx_loop_t* loop = nullptr;
  ctx_t* root = ctx_background();
  if (kind != 0) {
    REQUIRE(ctx_loop_new(kind, nullptr, &loop) == 0 && ctx_loop_background(loop, &root) == 0);
  }
  ctx_queue_t* queue = nullptr;
  REQUIRE(ctx_queue_new(&queue) == 0 && ctx_queue_fd(queue) >= 0);
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const int signal = SIGUSR1;
  for (uint64_t i = 0; i < 200; ++i) {
    ctx_t *from_fd = nullptr, *from_signal = nullptr, *timed = nullptr, *grace = nullptr;
    ctx_canceler_t* canceler = nullptr;
    REQUIRE(ctx_with_fd(root, ends[0], POLLIN, &from_fd, nullptr) == 0);
    REQUIRE(ctx_with_signal(root, &signal, 1, &from_signal, nullptr) == 0);
    const int64_t soon = static_cast<int64_t>(i) * kMicrosecond;
    REQUIRE(ctx_with_timeout(root, soon, &timed, &canceler) == 0);
    REQUIRE(ctx_with_grace(timed, soon, &grace, nullptr) == 0);
    if (i % 50 == 0) REQUIRE(ctx_cancel_fd(canceler) >= 0);
    for (ctx_t* ctx : {from_fd, from_signal, timed, grace}) {
      REQUIRE(ctx_queue_add(queue, ctx, i, nullptr) == 0);
    }
  }
  std::thread([queue] {
    ctx_event_t event;
    while (ctx_queue_wait(queue, &event, 1, CTX_FOREVER) >= 0) {
    }
  }).detach();
  REQUIRE(write(ends[1], "x", 1) == 1 && kill(getpid(), SIGUSR1) == 0);
  return root;
}

TEST(ExitWithLoops, Rule48_OfEveryKindAllAlive) {
  const BlockSignals blocked{SIGUSR1};
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        for (const int kind : {0, CTX_LOOP_THREAD, CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL}) {
          LeaveEverything(kind);
        }
        exit(kExitStatus);
      },
      ::testing::ExitedWithCode(kExitStatus), "");
}

// Threaded loops go on making and ending contexts, and coming and going themselves, meanwhile.
TEST(ExitWithLoops, Rule48_WhileTheyAreAtWork) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (int round = 0; round < 10; ++round) {
    EXPECT_EXIT(
        {
          static std::atomic<long> steps{0};
          for (int t = 0; t < 3; ++t) {
            std::thread([] {
              for (;;) {
                Loop loop;
                Ctx root;
                Ctx ctx;
                REQUIRE(ctx_loop_new(CTX_LOOP_THREAD, nullptr, loop.out()) == 0);
                REQUIRE(ctx_loop_background(loop, root.out()) == 0);
                REQUIRE(ctx_with_timeout(root, 20 * kMicrosecond, ctx.out(), nullptr) == 0);
                if (steps++ % 3 != 0) ctx_wait(ctx, kLimit);
              }
            }).detach();
          }
          while (steps < 300) std::this_thread::yield();
          exit(kExitStatus);
        },
        ::testing::ExitedWithCode(kExitStatus), "");
  }
}

// The last handle of a manual loop is given back by an exit handler.
TEST(ExitWithLoops, Rule48_AndUseInAnExitHandler) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        static ctx_loop_t* loop = nullptr;
        static ctx_t* root = nullptr;
        static ctx_t* ctx = nullptr;
        REQUIRE(ctx_loop_new(CTX_LOOP_MANUAL, nullptr, &loop) == 0);
        REQUIRE(ctx_loop_background(loop, &root) == 0);
        REQUIRE(ctx_with_timeout(root, kHour, &ctx, nullptr) == 0);
        atexit([] {
          REQUIRE(ctx_loop_dispatch(loop) == 0);
          ctx_loop_unref(loop);
          REQUIRE(ctx_err(ctx) == CTX_CANCELED);
          ctx_unref(ctx);
          ctx_unref(root);
        });
        exit(kExitStatus);
      },
      ::testing::ExitedWithCode(kExitStatus), "");
}

}  // namespace
}  // namespace ctxtest
