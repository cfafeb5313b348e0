// SPDX-License-Identifier: MIT
//
// Rules 47 and 51: a forked child ends its own loop in order, and its parent's goes on.
#include "support/callback.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/time.h"

namespace ctxtest {
namespace {

void ExpectAnOrderlyEnd() {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  Callback deferred, blocking;
  deferred.Arm(scope, CTX_DEFER);
  blocking.Arm(scope, CTX_DEFER | CTX_BLOCKING);
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
  EXPECT_EQ(deferred.drops() + blocking.drops(), 2);
  EXPECT_TRUE(Soon([] { return Tasks("ctx-").empty(); }));
}

void AChildEndsItsOwn() {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  InChild(ExpectAnOrderlyEnd);
  InChild([] {
    ExpectAnOrderlyEnd();
    InChild(ExpectAnOrderlyEnd);  // after its parent's own end
  });
  EXPECT_EQ(ctx_err(scope), 0);
  const Scope soon = WithTimeout(ctx_background(), kMillisecond);
  Callback deferred;
  deferred.Arm(soon, CTX_DEFER);
  EXPECT_TRUE(deferred.WaitDrop());
  ExpectAnOrderlyEnd();
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
}
TEST(ForkShutdown, Rule47_AChildEndsItsOwn) { CTX_IN_NEW_PROCESS(AChildEndsItsOwn()); }

}  // namespace
}  // namespace ctxtest
