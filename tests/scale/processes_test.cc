// SPDX-License-Identifier: MIT
//
// One export and thousands of processes below it, all of them alive: none costs the exporter anything, and one cancel ends
// all.
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "scale/measure.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"

namespace ctxtest {
namespace {

constexpr int kProcesses = 3000;

// What a child does: its status is 0 if all is as it should be.
int LiveBelow(const char* text, int ready) {
  ctx_loop_t* loop = nullptr;
  ctx_t *root = nullptr, *ctx = nullptr;
  if (ctx_loop_new(CTX_LOOP_MANUAL, nullptr, &loop) < 0) return 1;
  if (ctx_loop_background(loop, &root) < 0) return 2;
  if (ctx_import(text, root, &ctx, nullptr) < 0 || ctx_err(ctx) != 0) return 3;
  if (write(ready, "x", 1) != 1) return 4;
  pollfd fd = {ctx_loop_fd(loop), POLLIN, 0};
  while (ctx_err(ctx) == 0 && poll(&fd, 1, -1) > 0) ctx_loop_dispatch(loop);
  return ctx_cause_code(ctx_cause(ctx)) == 7 ? 0 : 5;
}

TEST(ScaleProcesses, Rule64_ThousandsBelowOneExport) {
  const Scope scope = WithCancel(ctx_background());
  char text[CTX_EXPORT_SIZE];
  Watch watch;
  ASSERT_EQ(ctx_export(scope, text, sizeof text, watch.out()), 0);
  const Pipe ready;
  const size_t before = OpenDescriptors();
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t pid = fork();
    if (pid == 0) _exit(LiveBelow(text, ready.write_end));
    ASSERT_GT(pid, 0);
    children.push_back(pid);
  }
  for (int i = 0; i < kProcesses; ++i) {
    ASSERT_TRUE(Readable(ready.read_end, kLimitMs));
    ready.Read();
  }
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, NewCause(7, "all")), 1);
  int failed = 0;
  for (const pid_t pid : children) {
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    failed += status != 0;
  }
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace ctxtest
