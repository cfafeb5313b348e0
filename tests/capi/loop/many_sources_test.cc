// SPDX-License-Identifier: MIT
//
// Rules 34 and 35 for very many contexts: what one of them costs does not grow with how many there are. If each
// call looked at all the others, a case here would take the better part of an hour.
#include <unistd.h>

#include <vector>

#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

constexpr size_t kManySources = kSanitized ? 20'000 : 400'000;

TEST(ManySources, Rule34_OneDescriptorServesAnyNumberOfContexts) {
  const VirtualLoop time;
  const Pipe pipe;
  std::vector<Scope> scopes;
  for (size_t i = 0; i < kManySources; ++i)
    scopes.push_back(WithFd(time.root, pipe.read_end, POLLIN));
  EXPECT_EQ(time.Advance(0), 0);
  for (size_t i = 0; i < kManySources; ++i) {
    if (i % 4 == 1) scopes[i].reset();
    if (i % 4 == 2) scopes[i].Cancel();
  }
  pipe.Write();
  EXPECT_EQ(time.Advance(0), kManySources / 2);
  EXPECT_EQ(ctx_err(scopes[0]), CTX_CANCELED);
}

TEST(ManySources, Rule34_AnEventLooksAtNobodyWhoWaitsForAnother) {
  const VirtualLoop time;
  const Pipe pipe;
  std::vector<Scope> others;
  for (size_t i = 0; i < kManySources; ++i) {
    others.push_back(WithFd(time.root, pipe.read_end, i % 2 == 0 ? POLLPRI : POLLPRI | POLLRDBAND));
  }
  pipe.Write();
  for (size_t i = 0; i < kManySources; ++i) {
    const Scope scope = WithFd(time.root, pipe.read_end, POLLIN);
    ASSERT_EQ(time.Advance(0), 1);
    ASSERT_EQ(ctx_cause_code(ctx_cause(scope)), POLLIN);
  }
  for (const Scope& other : others) ASSERT_EQ(ctx_err(other), 0);
}

TEST(ManySources, Rule35_ASignalLooksAtNobodyWhoWaitsForAnother) {
  const BlockSignals blocked({SIGUSR1, SIGUSR2});
  const VirtualLoop time;
  std::vector<Scope> others;
  for (size_t i = 0; i < kManySources; ++i) others.push_back(WithSignal(time.root, {SIGUSR2}));
  for (size_t i = 0; i < kManySources / 2; ++i) {
    const Scope scope = WithSignal(time.root, {SIGUSR1, SIGUSR2});
    ASSERT_EQ(kill(getpid(), SIGUSR1), 0);
    ASSERT_EQ(time.Advance(0), 1);
    ASSERT_EQ(ctx_cause_code(ctx_cause(scope)), SIGUSR1);
  }
  ASSERT_EQ(kill(getpid(), SIGUSR2), 0);
  EXPECT_EQ(time.Advance(0), kManySources);
}

}  // namespace
}  // namespace ctxtest
