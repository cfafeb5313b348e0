// SPDX-License-Identifier: MIT
//
// Contexts that are made and canceled, with values and causes.
#include <array>
#include <vector>

#include "fault/scenarios/scenarios.h"
#include "support/callback.h"

namespace ctxtest::scenarios {

namespace {

constexpr ctx_key_t kOther = {"other"};

int CountStrings(const char*, const char*, void* count) {
  ++*static_cast<int*>(count);
  return 0;
}

}  // namespace

void Derivations(Run& run) {
  const Scope parent = run.WithCancel(run.root());
  const Spent spent(run);
  const Cause cause = NewCause(run, 7, "late");
  const int64_t now = run.Get(CTX_FN(ctx_now), parent);
  std::array<Scope, 12> made;
  run.Try(0, CTX_FN(ctx_with_cancel), parent, made[0].ctx.out(), made[0].canceler.out());
  run.Try(0, CTX_FN(ctx_with_deadline), parent, now + kHour, made[1].ctx.out(),
          made[1].canceler.out());
  run.Try(0, CTX_FN(ctx_with_timeout), made[1], kHour, made[2].ctx.out(), nullptr);
  run.Try(0, CTX_FN(ctx_with_deadline_cause), parent, now + kHour, cause, made[3].ctx.out(),
          made[3].canceler.out());
  run.Try(0, CTX_FN(ctx_with_timeout_cause), made[0], kHour, cause, made[4].ctx.out(),
          made[4].canceler.out());
  run.Try(0, CTX_FN(ctx_with_grace), parent, kHour, made[5].ctx.out(), made[5].canceler.out());
  run.Try(0, CTX_FN(ctx_with_grace), parent, 0, made[6].ctx.out(), made[6].canceler.out());
  run.Try(0, CTX_FN(ctx_with_idle), parent, kHour, cause, made[7].ctx.out(),
          made[7].canceler.out());
  run.Try(0, CTX_FN(ctx_with_deadline_cause), parent, INT64_MIN, cause, made[8].ctx.out(),
          made[8].canceler.out());
  run.Try(0, CTX_FN(ctx_with_grace), made[8], kHour, made[9].ctx.out(), made[9].canceler.out());
  run.Try(0, CTX_FN(ctx_with_grace), parent, CTX_FOREVER, made[10].ctx.out(),
          made[10].canceler.out());
  run.Try(0, CTX_FN(ctx_with_idle), parent, 0, nullptr, made[11].ctx.out(), nullptr);
  run.ExpectErr(made[8], CTX_DEADLINE_EXCEEDED);
  run.ExpectErr(made[11], CTX_DEADLINE_EXCEEDED);
  run.Sure(0, CTX_FN(ctx_touch), made[7]);
  run.Sure(1, CTX_FN(ctx_cancelable), parent);
  EXPECT_EQ(*run.Get(CTX_FN(ctx_err_word), parent), 0);
  int64_t deadline = 0;
  run.Sure(1, CTX_FN(ctx_deadline), made[1], &deadline);
  EXPECT_EQ(deadline, now + kHour);
  EXPECT_GT(run.Get(CTX_FN(ctx_remaining), made[1]), 0);
  EXPECT_GT(run.Get(CTX_FN(ctx_remaining_ms), made[1]), 0);
  char text[200];
  EXPECT_GT(run.Get(CTX_FN(ctx_describe), made[1], text, sizeof text), 0);
  run.Cancel(parent);
  for (const size_t i : {0u, 1u, 2u, 3u, 4u, 6u, 7u}) run.ExpectErr(made[i], CTX_CANCELED);
  run.ExpectErr(made[5], 0);
  run.Sure(1, CTX_FN(ctx_ended_by), made[2], parent);
  run.Cancel(made[5]);
  run.Cancel(made[9]);
  run.Cancel(made[10]);
}

void Values(Run& run) {
  Drop drop;
  {
    const Scope parent = run.WithCancel(run.root());
    Ctx value, string, hidden, name, detached;
    run.Try(0, CTX_FN(ctx_with_value), parent, &kKey, &drop, Drop::Run, value.out());
    run.Try(0, CTX_FN(ctx_with_string), value, "name", "text", string.out());
    run.Try(0, CTX_FN(ctx_with_string), string, "other", nullptr, hidden.out());
    run.Try(0, CTX_FN(ctx_with_name), hidden, "work", name.out());
    run.Try(0, CTX_FN(ctx_without_cancel), name, detached.out());
    EXPECT_EQ(drop.count(), 0);
    const Scope below = run.WithCancel(detached);
    run.Sure(&drop, CTX_FN(ctx_value), below, &kKey);
    EXPECT_STREQ(run.Get(CTX_FN(ctx_string), below, "name"), "text");
    int count = 0;
    run.Sure(0, CTX_FN(ctx_strings), below, CountStrings, &count);
    EXPECT_EQ(count, 1);
    Ctx again(run.Sure(name.get(), CTX_FN(ctx_ref), name));
    run.Cancel(parent);
    run.ExpectErr(name, CTX_CANCELED);
    run.ExpectErr(below, 0);
    run.Cancel(below);
    ctx_t* variable = again.release();
    run.Get(CTX_FN(ctx_unrefp), &variable);
    run.Sure(nullptr, CTX_FN(ctx_unref), static_cast<ctx_t*>(nullptr));
  }
  EXPECT_EQ(drop.count(), 1);
}

void Causes(Run& run) {
  Drop plain, placed;
  {
    const Scope scope = run.WithCancel(run.root()), deferred = run.WithCancel(run.root());
    const Cause cause = NewCause(run, 7, "why");
    ctx_cause_t *with_data = nullptr, *with_place = nullptr;
    run.Try(0, CTX_FN(ctx_cause_new_data), 8, "data", &kKey, &plain, Drop::Run, &with_data);
    run.Try(0, CTX_FN(ctx_cause_new_at), 9, nullptr, CTX_ORIGIN_PEER, "file", 10, "function", &kKey,
            &placed, Drop::Run, &with_place);
    EXPECT_EQ(plain.count() + placed.count(), 0);
    run.Sure(1, CTX_FN(ctx_cancel_with), scope.canceler, CTX_DEADLINE_EXCEEDED, with_place);
    run.Try(1, CTX_FN(ctx_cancel_deferred), deferred.canceler, CTX_CANCELED, cause);
    const ctx_cause_t* of = run.Get(CTX_FN(ctx_cause), scope);
    run.Sure(9, CTX_FN(ctx_cause_code), of);
    run.Sure(1, CTX_FN(ctx_cause_given), of);
    run.Sure(CTX_ORIGIN_PEER, CTX_FN(ctx_cause_origin), of);
    run.Sure(10, CTX_FN(ctx_cause_line), of);
    run.Sure(&placed, CTX_FN(ctx_cause_data), of, &kKey);
    run.Sure(nullptr, CTX_FN(ctx_cause_data), of, &kOther);
    EXPECT_STREQ(run.Get(CTX_FN(ctx_cause_file), of), "file");
    EXPECT_STREQ(run.Get(CTX_FN(ctx_cause_function), of), "function");
    EXPECT_NE(run.Get(CTX_FN(ctx_cause_message), of), nullptr);
    EXPECT_NE(run.Get(CTX_FN(ctx_strerror), CTX_CANCELED), nullptr);
    Cause again(run.Sure(with_data, CTX_FN(ctx_cause_ref), with_data));
    run.Get(CTX_FN(ctx_cause_unref), with_data);
    const ctx_cause_t* variable = with_place;
    run.Get(CTX_FN(ctx_cause_unrefp), &variable);
    Canceler canceler(run.Sure(scope.canceler.get(), CTX_FN(ctx_canceler_ref), scope.canceler));
    ctx_canceler_t* other = run.Get(CTX_FN(ctx_canceler_ref), scope.canceler);
    run.Get(CTX_FN(ctx_canceler_unref), canceler.release());
    run.Get(CTX_FN(ctx_canceler_unrefp), &other);
  }
  EXPECT_TRUE(plain.Wait() && placed.Wait());
}

void Merges(Run& run) {
  const Scope first = run.WithCancel(run.root()), second = run.WithCancel(run.root());
  const Scope timed = run.WithTimeout(run.root(), kHour);
  const Spent spent(run);
  ctx_t* const parents[] = {first, second, timed, run.root()};
  std::vector<ctx_t*> many(30, first);
  Scope merged, one, of_many;
  run.Try(0, CTX_FN(ctx_merge), parents, 4, merged.ctx.out(), merged.canceler.out());
  run.Try(0, CTX_FN(ctx_merge), many.data(), many.size(), of_many.ctx.out(), nullptr);
  run.Try(0, CTX_FN(ctx_merge), parents, 1, one.ctx.out(), nullptr);
  const Scope below = run.WithCancel(merged);
  run.Cancel(second);
  run.ExpectErr(merged, CTX_CANCELED);
  run.ExpectErr(below, CTX_CANCELED);
  run.ExpectErr(one, 0);
  run.Sure(1, CTX_FN(ctx_ended_by), below, second);
  Scope late;
  run.Try(0, CTX_FN(ctx_merge), parents, 3, late.ctx.out(), late.canceler.out());
  run.ExpectErr(late, CTX_CANCELED);
  run.Cancel(first);
  run.ExpectErr(one, CTX_CANCELED);
  run.ExpectErr(of_many, CTX_CANCELED);
}

// Parents of two loops.
void Mirrors(Run& run) {
  ctx_t* const elsewhere = run.other.root();
  const Scope here = run.WithCancel(run.root()), there = run.WithCancel(elsewhere);
  Scope timed, merged, unharmed;
  run.Try(0, CTX_FN(ctx_with_timeout), elsewhere, kHour, timed.ctx.out(), timed.canceler.out());
  ctx_t* const parents[] = {here, there, timed, elsewhere};
  run.Try(0, CTX_FN(ctx_merge), parents, 4, merged.ctx.out(), merged.canceler.out());
  run.Try(0, CTX_FN(ctx_merge), parents, 3, unharmed.ctx.out(), unharmed.canceler.out());
  run.Cancel(unharmed);
  run.ExpectErr(merged, 0);
  run.Cancel(there);
  run.Await(merged);
  run.ExpectErr(merged, CTX_CANCELED);
  run.ExpectErr(here, 0);
}

}  // namespace ctxtest::scenarios
