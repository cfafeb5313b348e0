// SPDX-License-Identifier: MIT
//
// Must not compile: the compiler says what an executor is. The test looks for that.
#include <ctx/ctx.hpp>

void Spawns(const ctx::group& group) {
  group.spawn(0, [] {});
}
