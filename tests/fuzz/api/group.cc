// SPDX-License-Identifier: MIT
//
// Groups.
#include "fuzz/api/session.h"

namespace fuzz {

void Session::NewGroup() {
  if (groups_.size() >= 8 || model_.contexts.size() >= kMostContexts) return;
  ctx_group_t* group = nullptr;
  Group made;
  const int outer = in_.Pick(2) == 1 ? AnyGroup() : kNone;
  if (outer != kNone) {
    const int err = model_.NodeOf(model_.groups[outer].ctx).err;
    Say("g%zu = ctx_group_new_below(g%d)", groups_.size(), outer);
    FUZZ_EQ(ctx_group_new_below(groups_[outer].first, &group), err);
    if (err != 0) return;
    made.ctx = model_.Cancelable(model_.groups[outer].ctx);
    made.outer = outer;
    ++model_.groups[outer].work;
  } else {
    const int parent = AnyContext();
    Say("g%zu = ctx_group_new(c%d)", groups_.size(), parent);
    FUZZ_EQ(ctx_group_new(contexts_[parent].ctx, &group), 0);
    made.ctx = model_.Cancelable(parent);
  }
  Made(made.ctx, ctx_group_context(group), nullptr, 0);
  model_.groups.push_back(made);
  groups_.push_back({group, -1});
  work_.push_back(0);
}

void Session::Work() {
  const int i = AnyGroup();
  if (i == kNone) {
    const int working = AnyWorking();
    if (working != kNone) EndWork(working, AnyCause());
    return;
  }
  ctx_group_t* const group = groups_[i].first;
  switch (in_.Pick(9)) {
    case 0:
    case 1:
    case 2: {
      const int err = model_.NodeOf(model_.groups[i].ctx).err;
      Say("ctx_group_begin(g%d)", i);
      if (err == 0) ++model_.groups[i].work, ++work_[i];
      FUZZ_EQ(ctx_group_begin(group), err);
      return;
    }
    case 3:
    case 4:
      return EndWork(AnyWorking(), AnyCause());
    case 5: {
      if (model_.contexts.size() >= kMostContexts) return;
      ctx_t* ctx = nullptr;
      model_.Enter();
      const int over = model_.Over(i);
      FUZZ_EQ(ctx_group_over(group, &ctx), 0);
      Made(over, ctx, nullptr, 1);
      model_.Leave();
      Say("c%d = ctx_group_over(g%d)", over, i);
      return;
    }
    case 6:
      return UnrefGroup(i);
    case 7: {
      // A handle to its context, and to its canceler.
      const int ctx = model_.groups[i].ctx;
      if (in_.Pick(2) == 0) {
        ctx_ref(ctx_group_context(group));
        ++model_.contexts[ctx].handles;
      } else {
        contexts_[ctx].canceler = ctx_canceler_ref(ctx_group_canceler(group));
        ++model_.contexts[ctx].cancelers;
      }
      return;
    }
    default: {
      if (in_.Pick(2) == 0) {
        groups_[i].second = ctx_group_fd(group);
        REQUIRE(groups_[i].second >= 0);
        return;
      }
      const int64_t limit = in_.Byte() * int64_t{1'000'000};
      const int result = ctx_group_wait(group, limit);
      Say("ctx_group_wait(g%d, %lld): %d", i, static_cast<long long>(limit), result);
      Waited({model_.groups[i].ctx});
      FUZZ_EQ(result, model_.groups[i].work == 0 ? 1 : 0);
      return;
    }
  }
}

void Session::EndWork(int i, Kept* cause) {
  if (i == kNone) return;
  Say("ctx_group_end(g%d, %s)", i, cause == nullptr ? "NULL" : "cause");
  model_.Enter();
  if (work_[i] > 0) --work_[i];
  const std::shared_ptr<int> expected = model_.EndWork(i, ModelOf(cause));
  const int result = ctx_group_end(groups_[i].first, cause == nullptr ? nullptr : cause->handle);
  model_.Leave();
  if (!model_.ambiguous) FUZZ_EQ(result, *expected);
}

void Session::UnrefGroup(int i) {
  Say("ctx_group_unref(g%d)", i);
  model_.Enter();
  model_.UnrefGroup(i);
  ctx_group_t* handle = groups_[i].first;
  if (in_.Pick(2) == 0) {
    REQUIRE(ctx_group_unref(handle) == nullptr);
  } else {
    ctx_group_unrefp(&handle);
    REQUIRE(handle == nullptr);
  }
  model_.Leave();
}

}  // namespace fuzz
