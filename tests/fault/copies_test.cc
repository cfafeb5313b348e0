// SPDX-License-Identifier: MIT
//
// A second copy of the library in one process, as one that is bundled beside the system's: each works
// on its own, tells the other's handles from its own ones and refuses them. And a copy that is closed
// with everything still alive in it.
#include <ctx/ctx.h>

#include "support/copied.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/process.h"

namespace ctxtest {
namespace {

class Copy {
 public:
  Copy() {
    Find(&background, "ctx_background");
    Find(&with_cancel, "ctx_with_cancel");
    Find(&with_timeout, "ctx_with_timeout");
    Find(&without_cancel, "ctx_without_cancel");
    Find(&with_value, "ctx_with_value");
    Find(&with_string, "ctx_with_string");
    Find(&cancel, "ctx_cancel");
    Find(&cancel_with, "ctx_cancel_with");
    Find(&err, "ctx_err");
    Find(&cause, "ctx_cause");
    Find(&cause_code, "ctx_cause_code");
    Find(&unref, "ctx_unref");
    Find(&canceler_unref, "ctx_canceler_unref");
    Find(&done_fd, "ctx_done_fd");
    Find(&done_fd_dup, "ctx_done_fd_dup");
    Find(&wait, "ctx_wait");
    Find(&wait_any, "ctx_wait_any");
    Find(&poll, "ctx_poll");
    Find(&after_func, "ctx_after_func");
    Find(&watch_stop, "ctx_watch_stop");
    Find(&watch_stop_wait, "ctx_watch_stop_wait");
    Find(&watch_unref, "ctx_watch_unref");
  }

  int Close() { return library_.Close(); }

  decltype(&ctx_background) background;
  decltype(&ctx_with_cancel) with_cancel;
  decltype(&ctx_with_timeout) with_timeout;
  decltype(&ctx_without_cancel) without_cancel;
  decltype(&ctx_with_value) with_value;
  decltype(&ctx_with_string) with_string;
  decltype(&ctx_cancel) cancel;
  decltype(&ctx_cancel_with) cancel_with;
  decltype(&ctx_err) err;
  decltype(&ctx_cause) cause;
  decltype(&ctx_cause_code) cause_code;
  decltype(&ctx_unref) unref;
  decltype(&ctx_canceler_unref) canceler_unref;
  decltype(&ctx_done_fd) done_fd;
  decltype(&ctx_done_fd_dup) done_fd_dup;
  decltype(&ctx_wait) wait;
  decltype(&ctx_wait_any) wait_any;
  decltype(&ctx_poll) poll;
  decltype(&ctx_after_func) after_func;
  decltype(&ctx_watch_stop) watch_stop;
  decltype(&ctx_watch_stop_wait) watch_stop_wait;
  decltype(&ctx_watch_unref) watch_unref;

 private:
  template <class Function>
  void Find(Function* function, const char* name) {
    *function = library_.Find<Function>(name);
  }

  CopiedLibrary library_;
};

// A context of the copy's own, with all that can hang on one.
struct Foreign {
  explicit Foreign(const Copy& copy_of) : copy(copy_of) {
    EXPECT_EQ(copy.with_cancel(copy.background(), &ctx, &canceler), 0);
    const auto count = [](ctx_t*, void* counted) { ++*static_cast<int*>(counted); };
    EXPECT_EQ(copy.after_func(ctx, count, &runs, nullptr, 0, &watch), 0);
  }
  ~Foreign() {
    copy.watch_unref(watch);
    copy.canceler_unref(canceler);
    copy.unref(ctx);
  }

  const Copy& copy;
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  ctx_watch_t* watch = nullptr;
  int runs = 0;
};

class TwoCopies : public ::testing::Test {
 protected:
  TwoCopies() { EXPECT_NE(other.background, &ctx_background) << "it is no other copy"; }

  Copy other;
};

TEST_F(TwoCopies, Rule49_EachWorksOnItsOwn) {
  EXPECT_NE(other.background(), ctx_background());
  const Foreign foreign(other);
  const Scope own = WithCancel(ctx_background());
  const Ctx own_timed = WithTimeout(own, kMillisecond).ctx;
  ctx_t* foreign_timed = nullptr;
  ASSERT_EQ(other.with_timeout(foreign.ctx, kMillisecond, &foreign_timed, nullptr), 0);
  EXPECT_TRUE(Done(own_timed));
  EXPECT_EQ(other.wait(foreign_timed, kLimit), 1);
  EXPECT_EQ(other.err(foreign_timed), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(Tasks("ctx-loop").size(), 2u);

  EXPECT_EQ(own.Cancel(), 1);
  EXPECT_EQ(other.err(foreign.ctx), 0);
  EXPECT_EQ(other.cancel(foreign.canceler), 1);
  EXPECT_EQ(foreign.runs, 1);
  other.unref(foreign_timed);
}

// It is of another copy and from before the fork: the error is that of the copy.
TEST_F(TwoCopies, Rule49_AForeignContextFromBeforeAForkIsEremoteToo) {
  const Foreign foreign(other);
  InChild([&] {
    EXPECT_EQ(ctx_err(foreign.ctx), -EREMOTE);
    EXPECT_EQ(ctx_wait(foreign.ctx, 0), -EREMOTE);
    EXPECT_EQ(ctx_cancel(foreign.canceler), -EREMOTE);
    EXPECT_EQ(ctx_watch_stop(foreign.watch), -EREMOTE);
    EXPECT_EQ(other.err(foreign.ctx), 0) << "its own copy still reads it";
    EXPECT_EQ(other.wait(foreign.ctx, 0), -ECHILD);
  });
  EXPECT_EQ(other.cancel(foreign.canceler), 1);
  EXPECT_EQ(foreign.runs, 1);
}

TEST_F(TwoCopies, Rule49_DerivingFromAForeignContextIsEremote) {
  const Foreign foreign(other);
  ctx_t* ret = nullptr;
  ctx_canceler_t* canceler = nullptr;
  for (ctx_t* const parent : {foreign.ctx, other.background()}) {
    EXPECT_EQ(ctx_with_cancel(parent, &ret, &canceler), -EREMOTE);
    EXPECT_EQ(ctx_with_deadline(parent, 1, &ret, &canceler), -EREMOTE);
    EXPECT_EQ(ctx_with_timeout(parent, kHour, &ret, &canceler), -EREMOTE);
    EXPECT_EQ(ctx_with_deadline_cause(parent, 1, nullptr, &ret, &canceler), -EREMOTE);
    EXPECT_EQ(ctx_with_timeout_cause(parent, kHour, nullptr, &ret, &canceler), -EREMOTE);
    EXPECT_EQ(ctx_without_cancel(parent, &ret), -EREMOTE);
    EXPECT_EQ(ctx_with_value(parent, &kKey, nullptr, nullptr, &ret), -EREMOTE);
    EXPECT_EQ(ctx_with_string(parent, "name", "value", &ret), -EREMOTE);
    EXPECT_EQ(ctx_with_name(parent, "name", &ret), -EREMOTE);
  }
  const Scope own = WithCancel(ctx_background());
  for (ctx_t* const parent : {own.ctx.get(), ctx_background()}) {
    EXPECT_EQ(other.with_cancel(parent, &ret, &canceler), -EREMOTE);
    EXPECT_EQ(other.with_timeout(parent, kHour, &ret, &canceler), -EREMOTE);
    EXPECT_EQ(other.without_cancel(parent, &ret), -EREMOTE);
    EXPECT_EQ(other.with_value(parent, &kKey, nullptr, nullptr, &ret), -EREMOTE);
    EXPECT_EQ(other.with_string(parent, "name", "value", &ret), -EREMOTE);
  }
  EXPECT_EQ(ret, nullptr);
  EXPECT_EQ(canceler, nullptr);
}

TEST_F(TwoCopies, Rule49_CancelingAForeignContextIsEremote) {
  const Foreign foreign(other);
  const Scope own = WithCancel(ctx_background());
  EXPECT_EQ(ctx_cancel(foreign.canceler), -EREMOTE);
  EXPECT_EQ(ctx_cancel_with(foreign.canceler, CTX_CANCELED, nullptr), -EREMOTE);
  EXPECT_EQ(ctx_cancel_deferred(foreign.canceler, CTX_CANCELED, nullptr), -EREMOTE);
  EXPECT_EQ(other.cancel(own.canceler), -EREMOTE);
  EXPECT_EQ(other.cancel_with(own.canceler, CTX_CANCELED, nullptr), -EREMOTE);
  EXPECT_EQ(other.err(foreign.ctx), 0);
  EXPECT_EQ(ctx_err(own), 0);
  EXPECT_EQ(foreign.runs, 0);
}

TEST_F(TwoCopies, Rule49_WaitingForAForeignContextIsEremote) {
  const Foreign foreign(other);
  const Scope own = WithCancel(ctx_background());
  ctx_t* const both[] = {own, foreign.ctx};
  size_t index = 77;
  ctx_watch_t* watch = nullptr;
  const auto fn = [](ctx_t*, void*) { ADD_FAILURE() << "ran"; };
  EXPECT_EQ(ctx_wait(foreign.ctx, kLimit), -EREMOTE);
  EXPECT_EQ(ctx_wait_any(both, 2, kLimit, &index), -EREMOTE);
  EXPECT_EQ(other.wait_any(both, 2, kLimit, &index), -EREMOTE);
  EXPECT_EQ(ctx_poll(foreign.ctx, nullptr, 0, kLimit), -EREMOTE);
  EXPECT_EQ(ctx_done_fd(foreign.ctx), -EREMOTE);
  EXPECT_EQ(ctx_done_fd_dup(foreign.ctx), -EREMOTE);
  EXPECT_EQ(ctx_after_func(foreign.ctx, fn, nullptr, nullptr, 0, &watch), -EREMOTE);
  EXPECT_EQ(ctx_watch_stop(foreign.watch), -EREMOTE);
  EXPECT_EQ(ctx_watch_stop_wait(foreign.watch), -EREMOTE);
  EXPECT_EQ(index, 77u);
  EXPECT_EQ(watch, nullptr);
  EXPECT_EQ(other.cancel(foreign.canceler), 1);
  EXPECT_EQ(foreign.runs, 1);  // the stops have stopped nothing
}

TEST_F(TwoCopies, Rule49_ReadingAForeignContextIsEremote) {
  const Foreign foreign(other);
  const Scope own = WithCancel(ctx_background());
  own.Cancel();
  EXPECT_EQ(other.cancel(foreign.canceler), 1);
  const auto fn = [](const char*, const char*, void*) { return 1; };
  int64_t deadline_ns = 77;
  char text[] = "####";
  EXPECT_EQ(ctx_err(foreign.ctx), -EREMOTE);
  EXPECT_EQ(ctx_err_word(foreign.ctx), nullptr);
  EXPECT_EQ(ctx_cancelable(foreign.ctx), -EREMOTE);
  EXPECT_EQ(ctx_ended_by(foreign.ctx, foreign.ctx), -EREMOTE);
  EXPECT_EQ(ctx_ended_by(own, foreign.ctx), -EREMOTE);
  EXPECT_EQ(ctx_ended_by(foreign.ctx, own), -EREMOTE);
  EXPECT_EQ(ctx_deadline(foreign.ctx, &deadline_ns), -EREMOTE);
  EXPECT_EQ(ctx_remaining(foreign.ctx), INT64_MIN);
  EXPECT_EQ(ctx_remaining_ms(foreign.ctx), -EREMOTE);
  EXPECT_EQ(ctx_now(foreign.ctx), INT64_MIN);
  EXPECT_EQ(ctx_describe(foreign.ctx, text, sizeof text), -EREMOTE);
  EXPECT_EQ(ctx_cause(foreign.ctx), nullptr);
  EXPECT_EQ(ctx_value(foreign.ctx, &kKey), nullptr);
  EXPECT_EQ(ctx_string(foreign.ctx, "name"), nullptr);
  EXPECT_EQ(ctx_strings(foreign.ctx, fn, nullptr), -EREMOTE);
  EXPECT_EQ(ctx_ref(foreign.ctx), nullptr);
  EXPECT_EQ(deadline_ns, 77);
  EXPECT_STREQ(text, "####");
}

TEST_F(TwoCopies, Rule49_AForeignCauseIsEremote) {
  const Foreign foreign(other);
  ASSERT_EQ(other.cancel(foreign.canceler), 1);
  const ctx_cause_t* cause = other.cause(foreign.ctx);
  ASSERT_NE(cause, nullptr);
  const Scope own = WithCancel(ctx_background());
  ctx_t* ret = nullptr;
  EXPECT_EQ(ctx_cancel_with(own.canceler, CTX_CANCELED, cause), -EREMOTE);
  EXPECT_EQ(ctx_cancel_with(own.canceler, CTX_DEADLINE_EXCEEDED, cause), -EREMOTE);
  EXPECT_EQ(ctx_with_timeout_cause(own, 0, cause, &ret, nullptr), -EREMOTE);
  EXPECT_EQ(ctx_with_deadline_cause(own, 0, cause, &ret, nullptr), -EREMOTE);
  EXPECT_EQ(ctx_cause_code(cause), -EREMOTE);
  EXPECT_EQ(ctx_cause_given(cause), -EREMOTE);
  EXPECT_EQ(ctx_cause_origin(cause), -EREMOTE);
  EXPECT_EQ(ctx_cause_line(cause), -EREMOTE);
  EXPECT_EQ(ctx_cause_file(cause), nullptr);
  EXPECT_EQ(ctx_cause_function(cause), nullptr);
  EXPECT_EQ(ctx_cause_message(cause), nullptr);
  EXPECT_EQ(ctx_cause_data(cause, &kKey), nullptr);
  EXPECT_EQ(ctx_cause_ref(cause), nullptr);
  EXPECT_EQ(ctx_cause_unref(cause), nullptr);
  EXPECT_EQ(ctx_err(own), 0);
  EXPECT_EQ(ret, nullptr);
  EXPECT_EQ(other.cause_code(cause), CTX_CANCELED);
}

// A reference that is given back to the wrong copy is lost, and nothing else is.
TEST_F(TwoCopies, Rule49_ForeignUnrefsDoNothing) {
  const Foreign foreign(other);
  EXPECT_EQ(ctx_watch_unref(foreign.watch), nullptr);
  EXPECT_EQ(ctx_canceler_unref(foreign.canceler), nullptr);
  EXPECT_EQ(ctx_unref(foreign.ctx), nullptr);
  ctx_t* ctx = foreign.ctx;
  ctx_canceler_t* canceler = foreign.canceler;
  ctx_watch_t* watch = foreign.watch;
  ctx_unrefp(&ctx);
  ctx_canceler_unrefp(&canceler);
  ctx_watch_unrefp(&watch);
  EXPECT_EQ(ctx, nullptr);
  EXPECT_EQ(canceler, nullptr);
  EXPECT_EQ(watch, nullptr);
  EXPECT_EQ(other.cancel(foreign.canceler), 1);
  EXPECT_EQ(foreign.runs, 1);
}

// The code stays where it is (-z nodelete), since threads of the library and the caller's handles
// still need it.
TEST_F(TwoCopies, Rule49_ClosingOneWithEverythingAlive) {
  const Foreign foreign(other);
  ctx_t* timed = nullptr;
  ASSERT_EQ(other.with_timeout(foreign.ctx, 20 * kMillisecond, &timed, nullptr), 0);
  EXPECT_EQ(other.Close(), 0);
  EXPECT_EQ(other.wait(timed, kLimit), 1);
  EXPECT_EQ(other.cancel(foreign.canceler), 1);
  EXPECT_EQ(foreign.runs, 1);
  other.unref(timed);
  EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMillisecond)));
}

}  // namespace
}  // namespace ctxtest
