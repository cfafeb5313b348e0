// SPDX-License-Identifier: MIT
//
// Rules 31 and 43, and what every header promises of bad handles: NULL for every pointer of every
// function, a canceler where a context is wanted and the reverse, times and sizes that make no sense. A
// clear error, nothing written, nothing taken.
#include <poll.h>

#include "support/callback.h"
#include "support/handles.h"

namespace ctxtest {
namespace {

void Nothing(ctx_t*, void*) {}

// Result pointers with something in them that a failing call must leave there.
struct Untouched {
  ctx_t* ctx = ctx_todo();
  ctx_canceler_t* canceler = reinterpret_cast<ctx_canceler_t*>(this);
  ctx_watch_t* watch = reinterpret_cast<ctx_watch_t*>(this);
  ctx_cause_t* cause = reinterpret_cast<ctx_cause_t*>(this);
  int64_t time = 42;
  size_t index = 42;

  ~Untouched() {
    EXPECT_EQ(ctx, ctx_todo());
    EXPECT_EQ(canceler, reinterpret_cast<ctx_canceler_t*>(this));
    EXPECT_EQ(watch, reinterpret_cast<ctx_watch_t*>(this));
    EXPECT_EQ(cause, reinterpret_cast<ctx_cause_t*>(this));
    EXPECT_EQ(time, 42);
    EXPECT_EQ(index, 42u);
  }
};

// Every function that takes a context, with one that is none.
void ExpectRefused(ctx_t* bad) {
  Untouched ret;
  Drop drop;
  EXPECT_EQ(ctx_with_cancel(bad, &ret.ctx, &ret.canceler), -EINVAL);
  for (int64_t time : {INT64_MIN, int64_t{-1}, int64_t{0}, kHour, CTX_FOREVER}) {
    EXPECT_EQ(ctx_with_deadline(bad, time, &ret.ctx, &ret.canceler), -EINVAL);
    EXPECT_EQ(ctx_with_timeout(bad, time, &ret.ctx, &ret.canceler), -EINVAL);
    EXPECT_EQ(ctx_with_deadline_cause(bad, time, nullptr, &ret.ctx, &ret.canceler), -EINVAL);
    EXPECT_EQ(ctx_with_timeout_cause(bad, time, nullptr, &ret.ctx, &ret.canceler), -EINVAL);
  }
  EXPECT_EQ(ctx_without_cancel(bad, &ret.ctx), -EINVAL);
  EXPECT_EQ(ctx_with_value(bad, &kKey, &drop, Drop::Run, &ret.ctx), -EINVAL);
  EXPECT_EQ(ctx_with_string(bad, "name", "text", &ret.ctx), -EINVAL);
  EXPECT_EQ(ctx_with_name(bad, "name", &ret.ctx), -EINVAL);
  EXPECT_EQ(ctx_ref(bad), nullptr);
  EXPECT_EQ(ctx_unref(bad), nullptr);
  EXPECT_EQ(ctx_err(bad), -EINVAL);
  EXPECT_EQ(ctx_err_word(bad), nullptr);
  EXPECT_EQ(ctx_cancelable(bad), -EINVAL);
  EXPECT_EQ(ctx_deadline(bad, &ret.time), -EINVAL);
  EXPECT_EQ(ctx_remaining(bad), INT64_MIN);
  EXPECT_EQ(ctx_remaining_ms(bad), -EINVAL);
  EXPECT_EQ(ctx_now(bad), INT64_MIN);
  char buf[] = "####";
  EXPECT_EQ(ctx_describe(bad, buf, sizeof buf), -EINVAL);
  EXPECT_EQ(ctx_describe(bad, nullptr, 0), -EINVAL);
  EXPECT_STREQ(buf, "####");
  EXPECT_EQ(ctx_cause(bad), nullptr);
  EXPECT_EQ(ctx_value(bad, &kKey), nullptr);
  EXPECT_EQ(ctx_string(bad, "name"), nullptr);
  const auto never = [](const char*, const char*, void*) { return 1; };
  EXPECT_EQ(ctx_strings(bad, never, nullptr), -EINVAL);
  ctx_formats_t formats{};
  formats.size = sizeof formats;
  const auto nothing = [](const char*, const char**, void*) { return int64_t{-1}; };
  EXPECT_EQ(ctx_inject(bad, &formats, never, nullptr), -EINVAL);
  EXPECT_EQ(ctx_extract(bad, &formats, nothing, nullptr, &ret.ctx, &ret.canceler), -EINVAL);
  EXPECT_EQ(ctx_require(bad, 0), -EINVAL);
  EXPECT_EQ(ctx_baggage(bad, "name", buf, sizeof buf), -EINVAL);
  EXPECT_EQ(ctx_with_baggage(bad, "name", "text", &ret.ctx), -EINVAL);
  EXPECT_STREQ(buf, "####");
  EXPECT_EQ(ctx_done_fd(bad), -EINVAL);
  EXPECT_EQ(ctx_done_fd_dup(bad), -EINVAL);
  EXPECT_EQ(ctx_wait(bad, 0), -EINVAL);
  EXPECT_EQ(ctx_wait_any(&bad, 1, 0, &ret.index), -EINVAL);
  pollfd fd = {-1, POLLIN, 42};
  EXPECT_EQ(ctx_poll(bad, &fd, 1, 0), -EINVAL);
  EXPECT_EQ(fd.revents, 42);
  for (uint32_t flags : {uint32_t{0}, CTX_DEFER}) {
    EXPECT_EQ(ctx_after_func(bad, Nothing, &drop, Drop::Run, flags, &ret.watch), -EINVAL);
    EXPECT_EQ(ctx_after_func(bad, Nothing, &drop, Drop::Run, flags, nullptr), -EINVAL);
  }
  EXPECT_EQ(drop.count(), 0);
}

TEST(BadInput, Rule31_ANullContext) { ExpectRefused(nullptr); }

TEST(BadInput, Rule31_NullKeysAndNames) {
  Untouched ret;
  Drop drop;
  EXPECT_EQ(ctx_with_value(ctx_background(), nullptr, &drop, Drop::Run, &ret.ctx), -EINVAL);
  EXPECT_EQ(ctx_with_string(ctx_background(), nullptr, "text", &ret.ctx), -EINVAL);
  EXPECT_EQ(ctx_with_string(ctx_background(), nullptr, nullptr, &ret.ctx), -EINVAL);
  EXPECT_EQ(ctx_with_name(ctx_background(), nullptr, &ret.ctx), -EINVAL);
  EXPECT_EQ(ctx_cause_new_data(1, "text", nullptr, &drop, Drop::Run, &ret.cause), -EINVAL);
  const Ctx ctx = WithString(WithValue(ctx_background(), &kKey, &drop), "name", "text");
  EXPECT_EQ(ctx_value(ctx, nullptr), nullptr);
  EXPECT_EQ(ctx_string(ctx, nullptr), nullptr);
  EXPECT_EQ(ctx_cause_data(NewCause(1, ""), nullptr), nullptr);
  EXPECT_EQ(drop.count(), 0);
}

TEST(BadInput, Rule43_NullForWhereToStoreAContext) {
  Untouched ret;
  Drop drop;
  ctx_t* const root = ctx_background();
  EXPECT_EQ(ctx_with_cancel(root, nullptr, &ret.canceler), -EINVAL);
  EXPECT_EQ(ctx_with_cancel(root, &ret.ctx, nullptr), -EINVAL);
  EXPECT_EQ(ctx_with_cancel(root, nullptr, nullptr), -EINVAL);
  for (int64_t time : {int64_t{0}, kHour, CTX_FOREVER}) {
    EXPECT_EQ(ctx_with_deadline(root, time, nullptr, &ret.canceler), -EINVAL);
    EXPECT_EQ(ctx_with_timeout(root, time, nullptr, &ret.canceler), -EINVAL);
    EXPECT_EQ(ctx_with_deadline_cause(root, time, nullptr, nullptr, &ret.canceler), -EINVAL);
    EXPECT_EQ(ctx_with_timeout_cause(root, time, nullptr, nullptr, nullptr), -EINVAL);
  }
  EXPECT_EQ(ctx_without_cancel(root, nullptr), -EINVAL);
  EXPECT_EQ(ctx_with_value(root, &kKey, &drop, Drop::Run, nullptr), -EINVAL);
  EXPECT_EQ(ctx_with_string(root, "name", "text", nullptr), -EINVAL);
  EXPECT_EQ(ctx_with_name(root, "name", nullptr), -EINVAL);
  EXPECT_EQ(ctx_cause_new(1, "text", nullptr), -EINVAL);
  EXPECT_EQ(ctx_cause_new_data(1, "text", &kKey, &drop, Drop::Run, nullptr), -EINVAL);
  EXPECT_EQ(ctx_deadline(WithTimeout(root, kHour), nullptr), -EINVAL);
  EXPECT_EQ(ctx_deadline(root, nullptr), -EINVAL);
  EXPECT_EQ(drop.count(), 0);
}

TEST(BadInput, Rule43_NullForWhereToStoreAWatchIsFine) {
  const Scope scope = WithCancel(ctx_background());
  int runs = 0;
  const auto fn = [](ctx_t*, void* arg) { ++*static_cast<int*>(arg); };
  EXPECT_EQ(ctx_after_func(scope, fn, &runs, nullptr, 0, nullptr), 0);
  scope.Cancel();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(ctx_after_func(scope, fn, &runs, nullptr, 0, nullptr), 1);
  EXPECT_EQ(runs, 2);
}

TEST(BadInput, Rule43_ANullFnIsEINVAL) {
  Untouched ret;
  Drop drop;
  const Scope live = WithCancel(ctx_background()), done = WithTimeout(ctx_background(), 0);
  for (ctx_t* ctx : {live.ctx.get(), done.ctx.get(), ctx_background()}) {
    for (uint32_t flags : {uint32_t{0}, CTX_DEFER}) {
      EXPECT_EQ(ctx_after_func(ctx, nullptr, &drop, Drop::Run, flags, &ret.watch), -EINVAL);
    }
  }
  EXPECT_EQ(drop.count(), 0);
}

TEST(BadInput, UnknownFlagsAreEINVAL) {
  Untouched ret;
  Drop drop;
  const Scope live = WithCancel(ctx_background()), done = WithTimeout(ctx_background(), 0);
  for (ctx_t* ctx : {live.ctx.get(), done.ctx.get(), ctx_background()}) {
    for (uint32_t flags : {uint32_t{8}, CTX_DEFER | CTX_WAKER, uint32_t{1} << 31, ~uint32_t{0}}) {
      EXPECT_EQ(ctx_after_func(ctx, Nothing, &drop, Drop::Run, flags, &ret.watch), -EINVAL);
    }
  }
  EXPECT_EQ(drop.count(), 0);
}

TEST(BadInput, NullCancelersCausesAndWatches) {
  EXPECT_EQ(ctx_cancel(nullptr), -EINVAL);
  EXPECT_EQ(ctx_cancel_with(nullptr, CTX_CANCELED, nullptr), -EINVAL);
  EXPECT_EQ(ctx_cancel_with(nullptr, 0, nullptr), -EINVAL);
  EXPECT_EQ(ctx_canceler_ref(nullptr), nullptr);
  EXPECT_EQ(ctx_canceler_unref(nullptr), nullptr);
  EXPECT_EQ(ctx_cause_code(nullptr), -EINVAL);
  EXPECT_EQ(ctx_cause_given(nullptr), -EINVAL);
  EXPECT_EQ(ctx_cause_origin(nullptr), -EINVAL);
  EXPECT_EQ(ctx_cause_file(nullptr), nullptr);
  EXPECT_EQ(ctx_cause_line(nullptr), -EINVAL);
  EXPECT_EQ(ctx_cause_function(nullptr), nullptr);
  EXPECT_EQ(ctx_cause_message(nullptr), nullptr);
  EXPECT_EQ(ctx_cause_data(nullptr, &kKey), nullptr);
  EXPECT_EQ(ctx_cause_data(nullptr, nullptr), nullptr);
  EXPECT_EQ(ctx_cause_ref(nullptr), nullptr);
  EXPECT_EQ(ctx_cause_unref(nullptr), nullptr);
  EXPECT_EQ(ctx_watch_stop(nullptr), -EINVAL);
  EXPECT_EQ(ctx_watch_stop_wait(nullptr), -EINVAL);
  EXPECT_EQ(ctx_watch_unref(nullptr), nullptr);
}

TEST(BadInput, ACancelerPassedAsAContext) {
  const Scope plain = WithCancel(ctx_background()), timed = WithTimeout(ctx_background(), kHour);
  for (const Scope* scope : {&plain, &timed}) {
    ExpectRefused(reinterpret_cast<ctx_t*>(scope->canceler.get()));
    EXPECT_EQ(ctx_err(*scope), 0);
    EXPECT_EQ(scope->Cancel(), 1) << "neither handle was given back";
  }
}

TEST(BadInput, AContextPassedAsACanceler) {
  const Scope plain = WithCancel(ctx_background()), timed = WithTimeout(ctx_background(), kHour);
  const Ctx value = WithValue(plain, &kKey, nullptr), detached = WithoutCancel(plain);
  for (ctx_t* ctx : {ctx_background(), ctx_todo(), plain.ctx.get(), timed.ctx.get(), value.get(),
                     detached.get()}) {
    auto* bad = reinterpret_cast<ctx_canceler_t*>(ctx);
    EXPECT_EQ(ctx_cancel(bad), -EINVAL);
    EXPECT_EQ(ctx_cancel_with(bad, CTX_CANCELED, nullptr), -EINVAL);
    EXPECT_EQ(ctx_canceler_ref(bad), nullptr);
    EXPECT_EQ(ctx_canceler_unref(bad), nullptr);
    EXPECT_EQ(ctx_err(ctx), 0);
  }
  EXPECT_EQ(plain.Cancel(), 1);
  EXPECT_EQ(timed.Cancel(), 1);
}

TEST(BadInput, AMixedUpHandleAmongTheContextsOfAWait) {
  const Scope scope = WithCancel(ctx_background()), done = WithTimeout(ctx_background(), 0);
  ctx_t* const any[] = {done, reinterpret_cast<ctx_t*>(scope.canceler.get())};
  size_t untouched = 42;
  EXPECT_EQ(ctx_wait_any(any, 2, 0, &untouched), -EINVAL);
  EXPECT_EQ(untouched, 42u);
}

TEST(BadInput, Rule40_EveryTimeIsACorrectResult) {
  for (int64_t time : {INT64_MIN, INT64_MIN + 1, int64_t{-1}, int64_t{0}, int64_t{1}}) {
    EXPECT_EQ(ctx_err(WithDeadline(ctx_background(), time)), CTX_DEADLINE_EXCEEDED);
  }
  for (int64_t time : {CTX_FOREVER, CTX_FOREVER - 1, CTX_FOREVER / 2}) {
    EXPECT_EQ(ctx_err(WithDeadline(ctx_background(), time)), 0);
    EXPECT_EQ(ctx_err(WithTimeout(ctx_background(), time)), 0);
  }
  const Scope soon = WithTimeout(ctx_background(), kMillisecond);
  EXPECT_TRUE(Done(soon)) << "and the clock still runs";
}

TEST(BadInput, EmptyTextIsText) {
  EXPECT_STREQ(ctx_string(WithString(ctx_background(), "", ""), ""), "");
  EXPECT_STREQ(ctx_cause_message(NewCause(0, "")), "");
}

}  // namespace
}  // namespace ctxtest
