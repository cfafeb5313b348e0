// SPDX-License-Identifier: MIT
//
// The clients of the servers: threads that draw one step after the other.
#ifndef CTX_TESTS_SCALE_SOAK_CLIENTS_H_
#define CTX_TESTS_SCALE_SOAK_CLIENTS_H_

#include <ctx/ctx.h>

#include <atomic>
#include <cstdint>
#include <random>
#include <vector>

#include "scale/soak/await.h"
#include "scale/soak/servers.h"

namespace ctxtest {

struct Step {
  const char* name;
  double weight;  // how often it comes, among the others
  void (*run)(Servers& servers, std::mt19937& random);
};

extern const std::vector<Step> kRequests;      // requests.cc
extern const std::vector<Step> kSurroundings;  // surroundings.cc

// A callback that must run once and be dropped once.
struct Once {
  std::atomic<int> runs{0}, drops{0};
  std::atomic<int> err{0};
  ctx_watch_t* watch = nullptr;

  void Arm(ctx_t* ctx, uint32_t flags) {
    const int result = ctx_after_func(ctx, Run, this, Drop, flags, &watch);
    REQUIRE(result == 0 || result == 1);
  }
  // The context has ended.
  void ExpectOnce() {
    const int stopped = ctx_watch_stop_wait(watch);
    REQUIRE(runs.load() == (stopped == 1 ? 0 : 1));
    REQUIRE(drops.load() == 1);
    REQUIRE(stopped == 1 || err.load() != 0);
    watch = ctx_watch_unref(watch);
  }
  static void Run(ctx_t* ctx, void* arg) {
    auto* self = static_cast<Once*>(arg);
    self->err.store(ctx_err(ctx));
    self->runs.fetch_add(1);
  }
  static void Drop(void* arg) { static_cast<Once*>(arg)->drops.fetch_add(1); }
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SCALE_SOAK_CLIENTS_H_
