// SPDX-License-Identifier: MIT
//
// Fork with groups alive: in the child they can be read, and nothing else; new ones work there at once; and the work
// of the parent process is the parent's.
#include <ctx/ctx.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

void ExpectGroupsWork() {
  const Cause cause = NewCause(4, "failed");
  const Group group = NewGroup(ctx_background());
  Group nested = NewGroupBelow(group);
  EXPECT_GE(ctx_group_fd(group), 0);
  EXPECT_EQ(ctx_group_begin(nested), 0);
  std::thread works([&] { EXPECT_EQ(ctx_group_end(nested, cause), 0); });
  EXPECT_EQ(ctx_group_wait(nested, kLimit), 1);
  works.join();
  EXPECT_FALSE(Readable(ctx_group_fd(group)));
  nested.reset();
  EXPECT_TRUE(Readable(ctx_group_fd(group)));
  EXPECT_EQ(ctx_cause(ctx_group_context(group)), cause.get());
}

TEST(ForkGroup, Rule47_GroupsOfTheParentCanBeReadAndNothingElse) {
  Drop drop;
  const Cause cause = NewCause(4, "failed");
  Group live = NewGroup(Watched(ctx_background(), &drop)), failed = NewGroup(ctx_background());
  ASSERT_EQ(ctx_group_begin(live), 0);
  ASSERT_EQ(ctx_group_begin(failed), 0);
  ASSERT_EQ(ctx_group_end(failed, cause), 0);
  const int fd = ctx_group_fd(live);
  EXPECT_FALSE(Readable(fd));
  InChild([&] {
    EXPECT_EQ(ctx_err(ctx_group_context(live)), 0);
    EXPECT_EQ(ctx_group_cause(live), nullptr);
    EXPECT_EQ(ctx_group_cause(failed), cause.get());
    EXPECT_EQ(ctx_cancel(ctx_group_canceler(live)), -ECHILD);
    EXPECT_EQ(ctx_group_ref(live), live.get());
    ctx_group_t* ret = nullptr;
    EXPECT_EQ(ctx_group_new(ctx_group_context(live), &ret), -ECHILD);
    EXPECT_EQ(ctx_group_new_below(live, &ret), -ECHILD);
    EXPECT_EQ(ret, nullptr);
    EXPECT_EQ(ctx_group_begin(live), -ECHILD);
    EXPECT_EQ(ctx_group_end(live, nullptr), -ECHILD);
    EXPECT_EQ(ctx_group_end(live, cause), -ECHILD);
    EXPECT_EQ(ctx_group_wait(live, kLimit), -ECHILD);
    EXPECT_EQ(ctx_group_wait(failed, kLimit), -ECHILD);
    EXPECT_EQ(ctx_group_fd(live), -ECHILD);
    ctx_t* over = nullptr;
    EXPECT_EQ(ctx_group_over(live, &over), -ECHILD);
    live.reset();
    failed.reset();
    EXPECT_EQ(drop.count(), 0);
    ExpectGroupsWork();
  });
  EXPECT_EQ(ctx_group_wait(live, 0), 0);
  EXPECT_FALSE(Readable(fd));
  EXPECT_EQ(ctx_group_end(live, nullptr), 0);
  EXPECT_TRUE(Readable(fd));
  live.reset();
  EXPECT_EQ(drop.count(), 1);
}

TEST(ForkGroup, Rule47_NewGroupsWorkWhileThreadsOfTheParentUseTheirs) {
  const Group group = NewGroup(ctx_background());
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!over) {
        EXPECT_EQ(ctx_group_begin(group), 0);
        EXPECT_GE(ctx_group_wait(group, 1), 0);
        EXPECT_GE(ctx_group_fd(group), 0);
        EXPECT_EQ(ctx_group_end(group, nullptr), 0);
      }
    });
  }
  for (int i = 0; i < 20; ++i) InChild(ExpectGroupsWork);
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ctx_group_wait(group, 0), 1);
}

// A failure of a piece of work, and the end of a nested group, run callbacks and drops; each may fork, and return in
// the child. `last` does that on what is left of groups below a value.
template <class Last>
void ExpectTheRestIsTheParents(const Drop& drop, const Last& last) {
  const pid_t self = getpid();
  pid_t pid = -1;
  last([&] {
    fflush(nullptr);
    pid = fork();
    if (pid == 0) alarm(kLimit / kSecond);
  });
  if (getpid() != self) {
    EXPECT_EQ(drop.count(), 0);
    ExpectGroupsWork();
    fflush(nullptr);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  EXPECT_EQ(drop.count(), 1);
  Join(pid);
}

using Forks = std::function<void()>;

TEST(ForkGroup, Rule47_ACallbackOfAFailureForks) {
  Drop drop;
  const Cause cause = NewCause(4, "failed");
  Group group = NewGroup(Watched(ctx_background(), &drop));
  ctx_group_t* const held = group;
  ASSERT_EQ(ctx_group_begin(held), 0);
  ExpectTheRestIsTheParents(drop, [&](const Forks& forks) {
    Callback callback([&](ctx_t*) { forks(); });
    EXPECT_EQ(callback.Arm(ctx_group_context(held)), 0);
    group.reset();
    EXPECT_EQ(ctx_group_end(held, cause), 0);
  });
}

TEST(ForkGroup, Rule47_ACallbackOfANestedFailureForks) {
  Drop drop;
  const Cause cause = NewCause(4, "failed");
  Group outer = NewGroup(Watched(ctx_background(), &drop)), inner = NewGroupBelow(outer);
  ASSERT_EQ(ctx_group_begin(inner), 0);
  ASSERT_EQ(ctx_group_end(inner, cause), 0);
  ExpectTheRestIsTheParents(drop, [&](const Forks& forks) {
    Callback callback([&](ctx_t*) { forks(); });
    EXPECT_EQ(callback.Arm(ctx_group_context(outer)), 0);
    outer.reset();
    inner.reset();
  });
}

TEST(ForkGroup, Rule47_ACallbackOfTheEndOfTheWorkForks) {
  Drop drop;
  Group group = NewGroup(Watched(ctx_background(), &drop));
  ctx_group_t* const held = group;
  Ctx over;
  ASSERT_EQ(ctx_group_begin(held), 0);
  ASSERT_EQ(ctx_group_over(held, over.out()), 0);
  group.reset();
  ExpectTheRestIsTheParents(drop, [&](const Forks& forks) {
    Callback callback([&](ctx_t*) { forks(); });
    EXPECT_EQ(callback.Arm(over), 0);
    EXPECT_EQ(ctx_group_end(held, nullptr), 0);
  });
}

TEST(ForkGroup, Rule47_ADropOfANestedGroupForks) {
  Drop drop;
  Group outer = NewGroup(Watched(ctx_background(), &drop)), inner = NewGroupBelow(outer);
  ExpectTheRestIsTheParents(drop, [&](const Forks& forks) {
    ctx_cause_t* cause = nullptr;
    EXPECT_EQ(ctx_cause_new_data(
                  1, "data", &kKey, const_cast<Forks*>(&forks),
                  [](void* arg) { (*static_cast<const Forks*>(arg))(); }, &cause),
              0);
    EXPECT_EQ(ctx_cancel_with(ctx_group_canceler(inner), CTX_CANCELED, cause), 1);
    ctx_cause_unref(cause);
    outer.reset();
    inner.reset();
  });
}

}  // namespace
}  // namespace ctxtest
