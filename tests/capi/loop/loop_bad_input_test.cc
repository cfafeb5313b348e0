// SPDX-License-Identifier: MIT
//
// Rules 31, 41 and 43 for loops: bad handles, unknown kinds, and what only one kind of loop can do.
#include <climits>
#include <vector>

#include "support/handles.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

TEST(LoopBadInput, AnUnknownKindIsEINVAL) {
  for (int kind : {0, 4, -1, 255, INT_MIN, INT_MAX}) {
    ctx_loop_t* const marker = reinterpret_cast<ctx_loop_t*>(&kind);
    ctx_loop_t* untouched = marker;
    EXPECT_EQ(ctx_loop_new(kind, nullptr, &untouched), -EINVAL) << kind;
    EXPECT_EQ(untouched, marker);
  }
}

TEST(LoopBadInput, Rule43_NullForWhereToStoreALoopOrAContext) {
  for (int kind : {CTX_LOOP_THREAD, CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL}) {
    EXPECT_EQ(ctx_loop_new(kind, nullptr, nullptr), -EINVAL);
    EXPECT_EQ(ctx_loop_background(NewLoop(kind), nullptr), -EINVAL);
  }
}

// Every function that takes a loop, with one that is none.
void ExpectRefused(ctx_loop_t* bad) {
  ctx_t* untouched = ctx_todo();
  EXPECT_EQ(ctx_loop_ref(bad), nullptr);
  EXPECT_EQ(ctx_loop_unref(bad), nullptr);
  EXPECT_EQ(ctx_loop_close(bad), -EINVAL);
  EXPECT_EQ(ctx_loop_set_default(bad), -EINVAL);
  EXPECT_EQ(ctx_loop_background(bad, &untouched), -EINVAL);
  EXPECT_EQ(ctx_loop_fd(bad), -EINVAL);
  EXPECT_EQ(ctx_loop_dispatch(bad), -EINVAL);
  for (int64_t ns : {int64_t{-1}, int64_t{0}, kHour}) {
    EXPECT_EQ(ctx_loop_advance(bad, ns), -EINVAL);
  }
  EXPECT_EQ(ctx_loop_now(bad), INT64_MIN);
  EXPECT_EQ(ctx_loop_next(bad), INT64_MIN);
  EXPECT_EQ(untouched, ctx_todo());
}

TEST(LoopBadInput, Rule31_ANullLoop) { ExpectRefused(nullptr); }

TEST(LoopBadInput, AContextOrACancelerPassedAsALoop) {
  const Scope scope = WithCancel(ctx_background());
  ExpectRefused(reinterpret_cast<ctx_loop_t*>(ctx_background()));
  ExpectRefused(reinterpret_cast<ctx_loop_t*>(scope.ctx.get()));
  ExpectRefused(reinterpret_cast<ctx_loop_t*>(scope.canceler.get()));
  EXPECT_EQ(scope.Cancel(), 1);
}

TEST(LoopBadInput, ALoopPassedAsAContext) {
  for (int kind : {CTX_LOOP_THREAD, CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL}) {
    const Loop loop = NewLoop(kind);
    auto* const bad = reinterpret_cast<ctx_t*>(loop.get());
    ctx_t* untouched = ctx_todo();
    EXPECT_EQ(ctx_err(bad), -EINVAL);
    EXPECT_EQ(ctx_with_timeout(bad, kHour, &untouched, nullptr), -EINVAL);
    EXPECT_EQ(ctx_with_grace(bad, kHour, &untouched, nullptr), -EINVAL);
    EXPECT_EQ(ctx_merge(&bad, 1, &untouched, nullptr), -EINVAL);
    EXPECT_EQ(ctx_ref(bad), nullptr);
    EXPECT_EQ(ctx_unref(bad), nullptr);
    EXPECT_EQ(ctx_cancel(reinterpret_cast<ctx_canceler_t*>(loop.get())), -EINVAL);
    EXPECT_EQ(untouched, ctx_todo());
    EXPECT_EQ(ctx_loop_close(loop), 0);
  }
}

TEST(LoopBadInput, Rule41_AThreadedLoopIsNotDriven) {
  const Loop loop = NewLoop(CTX_LOOP_THREAD);
  const Ctx root = LoopBackground(loop);
  const Scope timed = WithTimeout(root, kHour);
  EXPECT_EQ(ctx_loop_fd(loop), -ENOTSUP);
  EXPECT_EQ(ctx_loop_dispatch(loop), -ENOTSUP);
  EXPECT_EQ(ctx_loop_advance(loop, 1), -ENOTSUP);
  EXPECT_EQ(ctx_loop_next(loop), INT64_MIN);
  const int64_t before = ctx_now(ctx_background()), now = ctx_loop_now(loop);
  EXPECT_LE(before, now);
  EXPECT_LE(now, ctx_now(ctx_background()));
}

TEST(LoopBadInput, Rule41_AManualLoopIsNotAdvanced) {
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, kHour);
  for (int64_t ns : {int64_t{0}, int64_t{1}, kHour, INT64_MAX}) {
    EXPECT_EQ(ctx_loop_advance(manual.loop, ns), -ENOTSUP);
  }
  EXPECT_EQ(ctx_err(timed), 0);
}

TEST(LoopBadInput, Rule41_AVirtualLoopIsNotDispatched) {
  const VirtualLoop time;
  const Scope timed = WithTimeout(time.root, kHour);
  EXPECT_EQ(ctx_loop_dispatch(time.loop), -ENOTSUP);
  EXPECT_EQ(ctx_loop_fd(time.loop), -ENOTSUP);
  EXPECT_EQ(time.Advance(kHour), 1) << "it was refused, not spoilt";
}

TEST(LoopBadInput, TheLoopOfARootIsGivenBackLikeAnyOther) {
  for (int kind : {CTX_LOOP_THREAD, CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL}) {
    Loop loop = NewLoop(kind);
    Loop again(ctx_loop_ref(loop));
    EXPECT_EQ(again.get(), loop.get());
    const Ctx root = LoopBackground(loop), same = LoopBackground(again);
    const Scope scope = WithCancel(root);
    loop.reset();
    EXPECT_EQ(ctx_err(scope), 0) << "that was not the last handle";
    EXPECT_EQ(ctx_err(WithCancel(same)), 0);
    EXPECT_EQ(scope.Cancel(), 1);
  }
}

// Wherever a context is wanted, with a good one of another kind of handle in between.
TEST(LoopBadInput, Rule31_ANullParentOfAMergeOrAGrace) {
  const Scope scope = WithCancel(ctx_background());
  ctx_t* const parents[] = {scope, nullptr, scope};
  ctx_t* untouched = ctx_todo();
  auto* const marker = reinterpret_cast<ctx_canceler_t*>(&untouched);
  ctx_canceler_t* canceler = marker;
  for (size_t start : {size_t{0}, size_t{1}}) {
    for (size_t n = 2; n + start <= 3; ++n) {
      EXPECT_EQ(ctx_merge(parents + start, n, &untouched, &canceler), -EINVAL);
    }
  }
  EXPECT_EQ(ctx_merge(nullptr, 0, &untouched, &canceler), -EINVAL);
  EXPECT_EQ(ctx_merge(nullptr, 1, &untouched, &canceler), -EINVAL);
  EXPECT_EQ(ctx_merge(nullptr, SIZE_MAX, &untouched, &canceler), -EINVAL);
  EXPECT_EQ(ctx_merge(parents, 0, &untouched, &canceler), -EINVAL);
  EXPECT_EQ(ctx_merge(parents, 1, nullptr, &canceler), -EINVAL);
  ctx_t* const mixed_up[] = {scope, reinterpret_cast<ctx_t*>(scope.canceler.get())};
  EXPECT_EQ(ctx_merge(mixed_up, 2, &untouched, &canceler), -EINVAL);
  for (int64_t grace : {INT64_MIN, int64_t{0}, kHour, CTX_FOREVER}) {
    EXPECT_EQ(ctx_with_grace(nullptr, grace, &untouched, &canceler), -EINVAL);
    EXPECT_EQ(ctx_with_grace(mixed_up[1], grace, &untouched, &canceler), -EINVAL);
    EXPECT_EQ(ctx_with_grace(scope, grace, nullptr, &canceler), -EINVAL);
  }
  EXPECT_EQ(untouched, ctx_todo());
  EXPECT_EQ(canceler, marker);
  EXPECT_EQ(scope.Cancel(), 1);
}

TEST(LoopBadInput, AnAbsurdNumberOfParentsIsAnError) {
  const Scope scope = WithCancel(ctx_background());
  ctx_t* const parents[] = {scope};
  for (size_t n : {SIZE_MAX, SIZE_MAX / sizeof(ctx_t*), SIZE_MAX / sizeof(ctx_t*) + 1}) {
    ctx_t* untouched = ctx_todo();
    const int result = ctx_merge(parents, n, &untouched, nullptr);
    EXPECT_TRUE(result == -EINVAL || result == -ENOMEM) << result;
    EXPECT_EQ(untouched, ctx_todo());
  }
}

}  // namespace
}  // namespace ctxtest
