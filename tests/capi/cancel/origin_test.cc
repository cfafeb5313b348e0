// SPDX-License-Identifier: MIT
//
// Rule 56: who ended a context, and where the cause of that was made.
#include <signal.h>

#include <cstring>
#include <string>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

Cause CauseAt(int code, const char* message, int origin, const char* file, int line,
              const char* function) {
  ctx_cause_t* made = nullptr;
  EXPECT_EQ(ctx_cause_new_at(code, message, origin, file, line, function, nullptr, nullptr, nullptr,
                             &made),
            0);
  return Cause(made);
}

void ExpectNoPlace(const ctx_cause_t* cause) {
  EXPECT_EQ(ctx_cause_file(cause), nullptr);
  EXPECT_EQ(ctx_cause_line(cause), 0);
  EXPECT_EQ(ctx_cause_function(cause), nullptr);
}

int OriginOf(ctx_t* ctx) { return ctx_cause_origin(ctx_cause(ctx)); }

TEST(Origin, Rule56_PlainCausesHaveThatOfTheirError) {
  const Scope canceled = WithCancel(ctx_background()), passed_on = WithCancel(ctx_background());
  canceled.Cancel();
  EXPECT_EQ(ctx_cancel_with(passed_on.canceler, CTX_DEADLINE_EXCEEDED, nullptr), 1);
  const Scope late = WithTimeout(ctx_background(), 0), fired = WithTimeout(ctx_background(), 1);
  EXPECT_TRUE(Done(fired));
  EXPECT_EQ(OriginOf(canceled), CTX_ORIGIN_CANCELED);
  EXPECT_EQ(OriginOf(WithCancel(canceled)), CTX_ORIGIN_CANCELED);
  for (ctx_t* ctx : {passed_on.ctx.get(), late.ctx.get(), fired.ctx.get()}) {
    EXPECT_EQ(OriginOf(ctx), CTX_ORIGIN_DEADLINE);
    EXPECT_EQ(OriginOf(WithCancel(ctx)), CTX_ORIGIN_DEADLINE);
    ExpectNoPlace(ctx_cause(ctx));
  }
}

TEST(Origin, Rule56_ACauseOfACallersIsACancel) {
  Drop drop;
  ctx_cause_t* with_data = nullptr;
  ASSERT_EQ(ctx_cause_new_data(7, "data", &kKey, &drop, Drop::Run, &with_data), 0);
  const Cause data(with_data);
  EXPECT_EQ(ctx_cause_origin(data), CTX_ORIGIN_CANCELED);
  for (int code : {0, 1, CTX_CANCELED, -EPIPE, -CTX_DEADLINE_EXCEEDED, INT32_MAX, INT32_MIN}) {
    const Cause cause = NewCause(code, nullptr);
    EXPECT_EQ(ctx_cause_origin(cause), CTX_ORIGIN_CANCELED) << code;
    const Scope scope = WithCancel(ctx_background());
    EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, cause), 1);
    EXPECT_EQ(OriginOf(scope), CTX_ORIGIN_CANCELED) << code;
  }
  EXPECT_EQ(ctx_cause_origin(NewCause(CTX_DEADLINE_EXCEEDED, nullptr)), CTX_ORIGIN_DEADLINE);
  EXPECT_EQ(ctx_cause_origin(NewCause(CTX_DEADLINE_EXCEEDED, "said so")), CTX_ORIGIN_DEADLINE);
}

TEST(Origin, Rule56_OneThatIsGivenToADeadlineIsADeadlines) {
  const Cause early = NewCause(-5, "past"), later = NewCause(-5, "slow"), unused = NewCause(5, "");
  EXPECT_EQ(OriginOf(WithTimeout(ctx_background(), 0, early)), CTX_ORIGIN_DEADLINE);
  const Scope timed = WithTimeout(ctx_background(), kMillisecond, later);
  EXPECT_TRUE(Done(timed));
  EXPECT_EQ(ctx_cause(timed), later.get());
  EXPECT_EQ(OriginOf(timed), CTX_ORIGIN_DEADLINE);
  EXPECT_EQ(OriginOf(WithCancel(timed)), CTX_ORIGIN_DEADLINE);

  for (const auto cancel : {ctx_cancel_with, ctx_cancel_deferred}) {
    const Scope scope = WithCancel(ctx_background());
    const Cause elsewhere = NewCause(5, "elsewhere");
    EXPECT_EQ(cancel(scope.canceler, CTX_DEADLINE_EXCEEDED, elsewhere), 1);
    EXPECT_EQ(OriginOf(scope), CTX_ORIGIN_DEADLINE);
  }

  // The parent's deadline counts: nothing keeps the cause.
  const Scope below = WithTimeout(WithTimeout(ctx_background(), kHour), 2 * kHour, unused);
  EXPECT_EQ(ctx_cause_origin(unused), CTX_ORIGIN_CANCELED);
}

TEST(Origin, Rule56_AStatedOneStays) {
  for (int origin : {CTX_ORIGIN_CANCELED, CTX_ORIGIN_PEER, CTX_ORIGIN_PARENT_PROCESS, 8, 255}) {
    const Cause cause = CauseAt(CTX_DEADLINE_EXCEEDED, "told", origin, nullptr, 0, nullptr);
    EXPECT_EQ(ctx_cause_origin(cause), origin);
    EXPECT_EQ(OriginOf(WithTimeout(ctx_background(), 0, cause)), origin);
    for (const auto cancel : {ctx_cancel_with, ctx_cancel_deferred}) {
      const Scope scope = WithCancel(ctx_background());
      EXPECT_EQ(cancel(scope.canceler, CTX_DEADLINE_EXCEEDED, cause), 1);
      EXPECT_EQ(OriginOf(scope), origin);
    }
    ExpectNoPlace(cause);
  }
}

TEST(Origin, Rule56_OfSourcesAndLoops) {
  const VirtualLoop loop;
  const Scope closed = WithCancel(loop.root);
  ASSERT_GE(ctx_loop_close(loop.loop), 0);
  EXPECT_EQ(OriginOf(closed), CTX_ORIGIN_SHUTDOWN);
  EXPECT_EQ(OriginOf(WithCancel(loop.root)), CTX_ORIGIN_SHUTDOWN) << "born done";

  const Pipe pipe;
  pipe.Write();
  const Scope readable = WithFd(ctx_background(), pipe.read_end, POLLIN);
  EXPECT_TRUE(Done(readable));
  EXPECT_EQ(OriginOf(readable), CTX_ORIGIN_DESCRIPTOR);
  ExpectNoPlace(ctx_cause(readable));
}

TEST(Origin, Rule56_APlaceIsWhereItSaysSo) {
  ctx_cause_t* made = nullptr;
  const int line = __LINE__ + 1;
  ASSERT_EQ(ctx_cause_here(-EPIPE, "the client has gone", &made), 0);
  const Cause cause(made);
  EXPECT_STREQ(ctx_cause_file(cause), __FILE__);
  EXPECT_EQ(ctx_cause_line(cause), line);
  EXPECT_STREQ(ctx_cause_function(cause), __func__);
  EXPECT_EQ(ctx_cause_code(cause), -EPIPE);
  EXPECT_STREQ(ctx_cause_message(cause), "the client has gone");
  EXPECT_EQ(ctx_cause_origin(cause), CTX_ORIGIN_CANCELED);
  const Scope scope = WithCancel(ctx_background());
  EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, cause), 1);
  EXPECT_EQ(ctx_cause_line(ctx_cause(WithCancel(scope))), line);
}

TEST(Origin, Rule56_ThePlaceIsACopy) {
  std::string message = "why", file = "a.py", function = "handler";
  const Cause cause = CauseAt(1, message.c_str(), 0, file.c_str(), 7, function.c_str());
  for (std::string* text : {&message, &file, &function}) text->assign(text->size(), '#');
  EXPECT_STREQ(ctx_cause_message(cause), "why");
  EXPECT_STREQ(ctx_cause_file(cause), "a.py");
  EXPECT_EQ(ctx_cause_line(cause), 7);
  EXPECT_STREQ(ctx_cause_function(cause), "handler");
}

TEST(Origin, Rule56_PartsOfAPlaceMayBeUnknown) {
  const Cause file = CauseAt(1, nullptr, 0, "a.rs", 0, nullptr);
  EXPECT_STREQ(ctx_cause_file(file), "a.rs");
  EXPECT_EQ(ctx_cause_line(file), 0);
  EXPECT_EQ(ctx_cause_function(file), nullptr);
  EXPECT_STREQ(ctx_cause_message(file), ctx_strerror(1));
  ExpectNoPlace(CauseAt(1, "no file", 0, nullptr, 7, "function"));
  const Cause empty = CauseAt(1, "", 0, "", INT32_MAX, "");
  EXPECT_STREQ(ctx_cause_file(empty), "");
  EXPECT_EQ(ctx_cause_line(empty), INT32_MAX);
  EXPECT_STREQ(ctx_cause_function(empty), "");
}

TEST(Origin, Rule56_DataAndPlaceTogether) {
  Drop drop;
  ctx_cause_t* made = nullptr;
  ASSERT_EQ(
      ctx_cause_new_at(20, "both", CTX_ORIGIN_PEER, "a.cc", 1, "f", &kKey, &drop, Drop::Run, &made),
      0);
  Cause cause(made);
  EXPECT_EQ(ctx_cause_data(cause, &kKey), &drop);
  EXPECT_STREQ(ctx_cause_file(cause), "a.cc");
  cause.reset();
  EXPECT_EQ(drop.count(), 1);
}

TEST(Origin, Rule18_APlaceOrAnotherOriginSaysMoreThanTheError) {
  for (int code : {CTX_CANCELED, CTX_DEADLINE_EXCEEDED}) {
    EXPECT_EQ(ctx_cause_given(CauseAt(code, nullptr, 0, nullptr, 0, nullptr)), 0);
    EXPECT_EQ(ctx_cause_given(CauseAt(code, nullptr, 0, "file", 0, nullptr)), 1);
    EXPECT_EQ(ctx_cause_given(CauseAt(code, nullptr, CTX_ORIGIN_PEER, nullptr, 0, nullptr)), 1);
    EXPECT_EQ(ctx_cause_given(CauseAt(code, nullptr, CTX_ORIGIN_CANCELED, nullptr, 0, nullptr)), 0);
    EXPECT_EQ(ctx_cause_given(CauseAt(code, nullptr, CTX_ORIGIN_DEADLINE, nullptr, 0, nullptr)), 0);
  }
}

TEST(Origin, Rule56_BadArgumentsAreEINVALAndTakeNothing) {
  Drop drop;
  ctx_cause_t* ret = nullptr;
  const auto make = [&](int origin, int line, const ctx_key_t* key, void* data, ctx_drop_fn run) {
    return ctx_cause_new_at(1, "text", origin, "file", line, "function", key, data, run, &ret);
  };
  EXPECT_EQ(make(-1, 1, &kKey, &drop, Drop::Run), -EINVAL);
  EXPECT_EQ(make(256, 1, &kKey, &drop, Drop::Run), -EINVAL);
  EXPECT_EQ(make(INT32_MIN, 1, &kKey, &drop, Drop::Run), -EINVAL);
  EXPECT_EQ(make(0, -1, &kKey, &drop, Drop::Run), -EINVAL);
  EXPECT_EQ(make(0, 1, nullptr, &drop, nullptr), -EINVAL) << "nobody could see the data";
  EXPECT_EQ(make(0, 1, nullptr, nullptr, Drop::Run), -EINVAL);
  EXPECT_EQ(ctx_cause_new_at(1, "text", 0, nullptr, 0, nullptr, &kKey, &drop, Drop::Run, nullptr),
            -EINVAL);
  EXPECT_EQ(ret, nullptr);
  EXPECT_EQ(drop.count(), 0);
}

}  // namespace
}  // namespace ctxtest
