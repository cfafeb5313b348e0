// SPDX-License-Identifier: MIT
//
// A callback that says when it has begun, and goes on when it is let.
#ifndef CTX_TESTS_SUPPORT_HELD_H_
#define CTX_TESTS_SUPPORT_HELD_H_

#include <gtest/gtest.h>

#include "support/callback.h"
#include "support/sync.h"

namespace ctxtest {

struct Hold {  // before the callback, whose end it must outlive
  Gate begun, go_on;
};

struct HeldCallback : Hold, Callback {
  HeldCallback()
      : Callback([this](ctx_t*) {
          begun.Open();
          EXPECT_TRUE(go_on.Wait());
        }) {}
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_HELD_H_
