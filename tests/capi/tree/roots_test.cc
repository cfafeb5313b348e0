// SPDX-License-Identifier: MIT
//
// Rules 1 and 2: the two roots, and calls from any thread at any time.
#include <poll.h>

#include <array>
#include <atomic>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

class Root : public testing::TestWithParam<ctx_t* (*)()> {
 protected:
  ctx_t* root() const { return GetParam()(); }
};

INSTANTIATE_TEST_SUITE_P(Roots, Root, testing::Values(ctx_background, ctx_todo),
                         [](const auto& root) { return root.index == 0 ? "Background" : "Todo"; });

TEST(Roots, Rule01_BackgroundAndTodoAreTwo) {
  ASSERT_NE(ctx_background(), nullptr);
  ASSERT_NE(ctx_todo(), nullptr);
  EXPECT_NE(ctx_background(), ctx_todo());
  EXPECT_EQ(ctx_background(), ctx_background());
  EXPECT_EQ(ctx_todo(), ctx_todo());
}

TEST_P(Root, Rule01_IsNeverDone) {
  EXPECT_EQ(ctx_err(root()), 0);
  ASSERT_NE(ctx_err_word(root()), nullptr);
  EXPECT_EQ(*ctx_err_word(root()), 0);
  EXPECT_EQ(ctx_cause(root()), nullptr);
  EXPECT_EQ(ctx_cancelable(root()), 0);
  EXPECT_EQ(ctx_wait(root(), 0), 0);
  EXPECT_EQ(ctx_wait(root(), kMillisecond), 0);
}

TEST_P(Root, Rule01_StaysLiveWhenItsChildrenEnd) {
  const Scope child = WithCancel(root());
  const Scope timed = WithTimeout(root(), 0);
  EXPECT_EQ(child.Cancel(), 1);
  EXPECT_EQ(ctx_err(root()), 0);
  EXPECT_EQ(ctx_cause(root()), nullptr);
}

TEST_P(Root, Rule01_HasNoDeadline) {
  int64_t deadline = 42;
  EXPECT_EQ(ctx_deadline(root(), &deadline), 0);
  EXPECT_EQ(deadline, 42) << "a result was written that is none";
  EXPECT_EQ(ctx_remaining(root()), CTX_FOREVER);
  EXPECT_GT(ctx_now(root()), 0);
}

TEST_P(Root, Rule01_HasNoValues) {
  EXPECT_EQ(ctx_value(root(), &kKey), nullptr);
  EXPECT_EQ(ctx_string(root(), "name"), nullptr);
}

TEST_P(Root, Rule01_HasNoDoneDescriptor) {
  EXPECT_EQ(ctx_done_fd(root()), -ENOTSUP);
  EXPECT_EQ(ctx_done_fd_dup(root()), -ENOTSUP);
}

TEST_P(Root, Rule01_NothingThatCannotEndHasADoneDescriptor) {
  const Ctx with_value = WithValue(root(), &kKey, nullptr);
  const Ctx with_string = WithString(with_value, "name", "text");
  const Scope cancelable = WithCancel(with_string);
  const Ctx detached = WithoutCancel(cancelable);
  for (ctx_t* ctx : {with_value.get(), with_string.get(), detached.get()}) {
    EXPECT_EQ(ctx_cancelable(ctx), 0);
    EXPECT_EQ(ctx_done_fd(ctx), -ENOTSUP);
    EXPECT_EQ(ctx_done_fd_dup(ctx), -ENOTSUP);
  }
  EXPECT_EQ(ctx_cancelable(cancelable), 1);
}

TEST_P(Root, Rule01_PollIgnoresItsDescriptor) {
  std::array<pollfd, 2> polled = {pollfd{ctx_done_fd(root()), POLLIN, 0},
                                  pollfd{ctx_done_fd_dup(root()), POLLIN, 0}};
  EXPECT_EQ(poll(polled.data(), polled.size(), 0), 0);
}

TEST_P(Root, Rule01_RefAndUnrefDoNothing) {
  EXPECT_EQ(ctx_ref(root()), root());
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(ctx_unref(root()), nullptr);
  const Scope child = WithCancel(root());
  EXPECT_EQ(child.Cancel(), 1);
  EXPECT_EQ(ctx_err(root()), 0);
}

TEST(Roots, RefKeepsAContextAndUnrefReturnsNull) {
  Drop drop;
  Ctx ctx = Watched(ctx_background(), &drop);
  ASSERT_EQ(ctx_ref(ctx), ctx.get());
  EXPECT_EQ(ctx_unref(ctx), nullptr);
  EXPECT_EQ(drop.count(), 0);
  EXPECT_EQ(ctx_unref(ctx.release()), nullptr);
  EXPECT_EQ(drop.count(), 1);
}

TEST(Roots, CancelableTellsWhatCanEnd) {
  const Scope cancelable = WithCancel(ctx_background());
  const Scope timed = WithTimeout(ctx_background(), kHour);
  const Ctx below = WithValue(cancelable, &kKey, nullptr);
  const Scope below_detached = WithCancel(WithoutCancel(cancelable));
  EXPECT_EQ(ctx_cancelable(cancelable), 1);
  EXPECT_EQ(ctx_cancelable(timed), 1);
  EXPECT_EQ(ctx_cancelable(below), 1);
  EXPECT_EQ(ctx_cancelable(below_detached), 1);
  EXPECT_EQ(cancelable.Cancel(), 1);
  EXPECT_EQ(ctx_cancelable(cancelable), 1) << "it still can be done: it is";
}

TEST(Roots, TheTwoHandlesOfAContextDiffer) {
  const Scope scope = WithCancel(ctx_background());
  EXPECT_NE(static_cast<void*>(scope.ctx.get()), static_cast<void*>(scope.canceler.get()));
}

// Every function on shared contexts, from several threads, while one of them ends the family: right
// if nothing crashes, no sanitizer reports, and what each call answers fits the state it may have
// seen.
TEST(Roots, Rule02_EveryFunctionFromManyThreadsOnSharedContexts) {
  struct Family {
    Scope top, timed;
    Ctx value, text, detached;
  };
  Family family;
  Cause cause = NewCause(7, "enough");
  std::atomic<int> wrong_at{0};  // the line of the last expectation that failed
  const auto expect = [&](bool right, int line = __builtin_LINE()) {
    if (!right) wrong_at = line;
  };
  const auto use = [&] {
    for (ctx_t* ctx : {family.top.ctx.get(), family.timed.ctx.get(), family.value.get(),
                       family.text.get(), family.detached.get()}) {
      Ctx held(ctx_ref(ctx));
      const Scope child = WithCancel(ctx);
      const Scope timed = WithTimeout(ctx, kHour, cause);
      Ctx value = WithValue(ctx, &kKey, &family);
      const Ctx text = WithString(ctx, "other", "text");
      const Ctx detached = WithoutCancel(ctx);
      const int err = ctx_err(ctx);
      expect(err == 0 || err == CTX_CANCELED);
      expect(err == 0 || ctx_cause_code(ctx_cause(ctx)) == 7);
      expect(*ctx_err_word(detached) == 0);
      int64_t deadline = 0;
      expect(ctx_deadline(timed, &deadline) == 1 && ctx_remaining(timed) > 0 &&
             ctx_now(ctx) < deadline);
      expect(ctx_value(value, &kKey) == &family && ctx_string(text, "other") != nullptr);
      char buf[256];
      expect(ctx_describe(timed, buf, sizeof buf) > 0);
      expect(ctx_wait(child, err != 0 ? kLimit : 0) == 1 || err == 0);
      size_t index = 9;
      ctx_t* const several[] = {detached, child};
      expect(ctx_wait_any(several, 2, 0, &index) == 0 || index == 1);
      pollfd none = {-1, POLLIN, 0};
      const int polled = ctx_poll(child, &none, 1, 0);
      expect(polled == 0 || polled == CTX_CANCELED);
      if (ctx_cancelable(ctx) == 1) {
        expect(ctx_done_fd(ctx) >= 0);
        const int fd = ctx_done_fd_dup(ctx);
        expect(fd >= 0 && close(fd) == 0);
      }
      Callback callback;
      expect(callback.Arm(child) >= 0);
      expect(callback.StopWait() + callback.runs() == 1);
      Canceler canceler(ctx_canceler_ref(child.canceler));
      expect(ctx_cancel_with(canceler, CTX_CANCELED, cause) >= 0);
      expect(ctx_cause_code(ctx_cause(child)) == 7);
      expect(child.Cancel() == 0);
    }
  };
  Race(
      kSanitized ? 60 : 300,
      [&] {
        family.top = WithCancel(ctx_background());
        family.timed = WithTimeout(family.top, kHour);
        family.value = WithValue(family.timed, &kKey, nullptr);
        family.text = WithString(family.value, "name", "text");
        family.detached = WithoutCancel(family.text);
      },
      {use, use,
       [&] {
         const Scope below = WithCancel(family.text);
         expect(ctx_cancel_with(family.top.canceler, CTX_CANCELED, cause) == 1);
         expect(ctx_err(below) == CTX_CANCELED);
       }},
      [&] { family = Family(); });
  EXPECT_EQ(wrong_at, 0);
}

}  // namespace
}  // namespace ctxtest
