// SPDX-License-Identifier: MIT
//
// Rules 47 and 51: a forked child ends its own loop in order, and its parent's goes on.
#include <sys/wait.h>
#include <unistd.h>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/time.h"

namespace ctxtest {
namespace {

void AChildEndsItsOwn() {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  const pid_t child = fork();
  if (child == 0) {
    const Scope own = WithTimeout(ctx_background(), kHour);
    Callback deferred;
    deferred.Arm(own, CTX_DEFER);
    const bool ended = ctx_shutdown(CTX_FOREVER) == 0 && ctx_err(own) == CTX_CANCELED &&
                       deferred.drops() == 1 && Soon([] { return Tasks("ctx-").empty(); });
    _exit(ended ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(ctx_err(scope), 0);
  EXPECT_EQ(ctx_shutdown(CTX_FOREVER), 0);
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
}
TEST(ForkShutdown, Rule47_AChildEndsItsOwn) { CTX_IN_NEW_PROCESS(AChildEndsItsOwn()); }

}  // namespace
}  // namespace ctxtest
