// SPDX-License-Identifier: MIT
//
// Waits for as many things as fit into what needs no memory, one less and one more. AddressSanitizer sees what is
// written past the end.
#include <vector>

#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

TEST(WaitBorders, Rule42_APollOfAnyNumberOfDescriptors) {
  const ManualLoop manual;
  const Pipe ready, idle;
  ready.Write();
  for (ctx_t* root : {ctx_background(), manual.root.get()}) {
    const Scope scope = WithCancel(root), done = WithCancel(root);
    done.Cancel();
    for (size_t count = 0; count <= 40; ++count) {
      std::vector<pollfd> fds(count, pollfd{idle.read_end, POLLIN, -1});
      EXPECT_EQ(ctx_poll(scope, fds.data(), count, 0), 0) << count;
      EXPECT_EQ(ctx_poll(done, fds.data(), count, 0), CTX_CANCELED) << count;
      if (count == 0) continue;
      for (const pollfd& fd : fds) EXPECT_EQ(fd.revents, 0) << count;
      fds.back().fd = ready.read_end;
      EXPECT_EQ(ctx_poll(scope, fds.data(), count, kLimit), 1) << count;
      EXPECT_EQ(fds.back().revents, POLLIN) << count;
      fds.insert(fds.begin() + static_cast<long>(count / 2), pollfd{-1, POLLIN, 77});
      EXPECT_EQ(ctx_poll(scope, fds.data(), count + 1, kLimit), 1) << count;
      EXPECT_EQ(fds.back().revents, POLLIN) << count;
      EXPECT_EQ(fds[count / 2].revents, 0) << count;
    }
  }
}

TEST(WaitBorders, Rule42_AWaitForAnyNumberOfContexts) {
  const ManualLoop manual;
  for (ctx_t* root : {ctx_background(), manual.root.get()}) {
    for (size_t count = 1; count <= 20; ++count) {
      std::vector<Scope> scopes;
      std::vector<ctx_t*> contexts;
      for (size_t i = 0; i < count; ++i) {
        scopes.push_back(WithCancel(root));
        contexts.push_back(scopes.back());
      }
      size_t index = 99;
      EXPECT_EQ(ctx_wait_any(contexts.data(), count, 0, &index), 0) << count;
      EXPECT_EQ(ctx_wait_any(contexts.data(), count, kMicrosecond, &index), 0) << count;
      EXPECT_EQ(index, 99u);
      const Scope timed = WithTimeout(root, 20 * kMicrosecond);
      contexts.back() = timed;
      EXPECT_EQ(ctx_wait_any(contexts.data(), count, kLimit, &index), 1) << count;
      EXPECT_EQ(index, count - 1);
    }
  }
}

}  // namespace
}  // namespace ctxtest
