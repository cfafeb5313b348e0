// SPDX-License-Identifier: MIT
//
// Rules 18 to 20, and the part of rule 43 about messages: what a cause says, and how long it lives.
#include <string>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

const ctx_key_t kSameName = {"key"};

Cause DataCause(int code, const char* message, Drop* drop) {
  ctx_cause_t* made = nullptr;
  EXPECT_EQ(ctx_cause_new_data(code, message, &kKey, drop, drop ? Drop::Run : nullptr, &made), 0);
  return Cause(made);
}

void ExpectPlain(ctx_t* ctx, int err) {
  const ctx_cause_t* cause = ctx_cause(ctx);
  ASSERT_NE(cause, nullptr);
  EXPECT_EQ(ctx_cause_code(cause), err);
  EXPECT_STREQ(ctx_cause_message(cause), ctx_strerror(err));
  EXPECT_EQ(ctx_cause_data(cause, &kKey), nullptr);
}

TEST(Cause, Rule18_NullWhileLiveAndNeverNullOnceDone) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  EXPECT_EQ(ctx_cause(scope), nullptr);
  EXPECT_EQ(ctx_cause(value), nullptr);
  scope.Cancel();
  EXPECT_NE(ctx_cause(scope), nullptr);
  EXPECT_NE(ctx_cause(value), nullptr);
  EXPECT_EQ(ctx_cause(WithoutCancel(scope)), nullptr);
}

TEST(Cause, Rule18_WithoutAGivenOneItHasCodeAndTextOfTheError) {
  const Scope canceled = WithCancel(ctx_background()), late = WithCancel(ctx_background());
  canceled.Cancel();
  ctx_cancel_with(late.canceler, CTX_DEADLINE_EXCEEDED, nullptr);
  ExpectPlain(canceled, CTX_CANCELED);
  ExpectPlain(late, CTX_DEADLINE_EXCEEDED);
  ExpectPlain(WithCancel(canceled), CTX_CANCELED);
  ExpectPlain(WithTimeout(ctx_background(), 0), CTX_DEADLINE_EXCEEDED);
}

TEST(Cause, Rule18_AGivenOneIsTheVeryOne) {
  const Scope scope = WithCancel(ctx_background());
  const Scope child = WithCancel(scope);
  const Cause cause = NewCause(-5, "disk on fire");
  ASSERT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, cause), 1);
  EXPECT_EQ(ctx_cause(scope), cause.get());
  EXPECT_EQ(ctx_cause(child), cause.get());
  EXPECT_EQ(ctx_err(scope), CTX_CANCELED) << "the cause's code is not the context's error";
}

// So that a program can print the error, and the cause if it says more, whoever made it.
TEST(Cause, Rule18_AGivenOneIsToldFromThePlainOne) {
  const Scope plain = WithCancel(ctx_background()), given = WithCancel(ctx_background());
  plain.Cancel();
  const Scope late = WithTimeout(ctx_background(), 0);
  const Cause cause = NewCause(CTX_CANCELED, "context canceled");
  ASSERT_EQ(ctx_cancel_with(given.canceler, CTX_CANCELED, cause), 1);
  EXPECT_EQ(ctx_cause_given(ctx_cause(plain)), 0);
  EXPECT_EQ(ctx_cause_given(ctx_cause(WithCancel(plain))), 0);
  EXPECT_EQ(ctx_cause_given(ctx_cause(late)), 0);
  EXPECT_EQ(ctx_cause_given(ctx_cause(given)), 1) << "somebody said so, in the same words";
  EXPECT_EQ(ctx_cause_given(ctx_cause(WithCancel(given))), 1);
}

TEST(Cause, Rule18_OneMadeOfAnErrorsCodeAloneSaysNoMore) {
  Drop drop;
  for (int code : {CTX_CANCELED, CTX_DEADLINE_EXCEEDED}) {
    EXPECT_EQ(ctx_cause_given(NewCause(code, nullptr)), 0);
    EXPECT_EQ(ctx_cause_given(NewCause(-code, nullptr)), 1) << "the code is not the error's";
    EXPECT_EQ(ctx_cause_given(NewCause(code, "")), 1);
    EXPECT_EQ(ctx_cause_given(NewCause(code, ctx_strerror(code))), 1);
    EXPECT_EQ(ctx_cause_given(DataCause(code, nullptr, &drop)), 1);
    EXPECT_EQ(ctx_cause_given(DataCause(code, nullptr, nullptr)), 1);
  }
  for (int code : {0, 1, -EINVAL, -EPIPE, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(ctx_cause_given(NewCause(code, nullptr)), 1) << code;
  }
}

TEST(Cause, Rule19_CancelWithCanceledAndNoCauseIsCancel) {
  const Scope one = WithCancel(ctx_background()), other = WithCancel(ctx_background());
  EXPECT_EQ(one.Cancel(), 1);
  EXPECT_EQ(ctx_cancel_with(other.canceler, CTX_CANCELED, nullptr), 1);
  for (ctx_t* ctx : {one.ctx.get(), other.ctx.get()}) {
    EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
    ExpectPlain(ctx, CTX_CANCELED);
  }
}

TEST(Cause, Rule19_ADeadlineLearnedOfElsewhereCanBePassedOn) {
  const Scope scope = WithCancel(ctx_background());
  EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_DEADLINE_EXCEEDED, nullptr), 1);
  EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
}

TEST(Cause, Rule19_AnyOtherErrorIsEINVALAndTakesNothing) {
  Drop drop;
  const Scope scope = WithCancel(ctx_background());
  Cause cause = DataCause(1, "kept by nobody", &drop);
  EXPECT_EQ(ctx_cancel_with(scope.canceler, -EIO, cause), -EINVAL);
  EXPECT_EQ(ctx_cancel_with(scope.canceler, 0, cause), -EINVAL);
  cause.reset();
  EXPECT_EQ(drop.count(), 1);
  EXPECT_EQ(ctx_err(scope), 0);
}

TEST(Cause, Rule20_DataIsSeenOnlyThroughItsOwnKey) {
  Drop drop;
  const Cause cause = DataCause(20, "with data", &drop);
  EXPECT_EQ(ctx_cause_data(cause, &kKey), &drop);
  EXPECT_EQ(ctx_cause_data(cause, &kSameName), nullptr) << "a key is its address, not its name";
  EXPECT_EQ(ctx_cause_data(cause, nullptr), nullptr);
  EXPECT_EQ(ctx_cause_data(NewCause(20, "without"), &kKey), nullptr);
}

TEST(Cause, DataMayBeNullAndNeedsNoDrop) {
  Drop drop;
  ctx_cause_t* made = nullptr;
  ASSERT_EQ(ctx_cause_new_data(0, "", &kKey, nullptr, nullptr, &made), 0);
  Cause cause(made);
  EXPECT_EQ(ctx_cause_data(cause, &kKey), nullptr);
  EXPECT_EQ(ctx_cause_code(cause), 0);
  EXPECT_STREQ(ctx_cause_message(cause), "");
}

TEST(Cause, DropRunsOnceWithTheLastReference) {
  Drop drop;
  Cause cause = DataCause(1, "shared", &drop);
  ASSERT_EQ(ctx_cause_ref(cause), cause.get());
  EXPECT_EQ(ctx_cause_unref(cause.get()), nullptr);
  EXPECT_EQ(drop.count(), 0);
  cause.reset();
  EXPECT_EQ(drop.count(), 1);
  EXPECT_EQ(drop.thread(), std::this_thread::get_id());
}

TEST(Cause, LivesAsLongAsAnyContextItEnded) {
  Drop drop;
  Scope top = WithCancel(ctx_background());
  Scope child = WithCancel(top);
  Ctx leaf = WithValue(child, &kKey, nullptr);
  {
    const Cause cause = DataCause(1, "why", &drop);
    ASSERT_EQ(ctx_cancel_with(top.canceler, CTX_CANCELED, cause), 1);
  }
  Scope born_done = WithCancel(leaf);
  top.reset();
  child.reset();
  leaf.reset();
  EXPECT_EQ(drop.count(), 0);
  EXPECT_STREQ(ctx_cause_message(ctx_cause(born_done)), "why");
  EXPECT_EQ(ctx_cause_data(ctx_cause(born_done), &kKey), &drop);
  born_done.reset();
  EXPECT_EQ(drop.count(), 1);
}

TEST(Cause, OutlivesItsContextsWhenReferenced) {
  Drop drop;
  Cause kept;
  {
    const Scope scope = WithCancel(ctx_background());
    const Cause cause = DataCause(1, "kept", &drop);
    ASSERT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, cause), 1);
    kept.reset(ctx_cause_ref(ctx_cause(scope)));
    ASSERT_EQ(kept.get(), cause.get());
  }
  EXPECT_STREQ(ctx_cause_message(kept), "kept");
  kept.reset();
  EXPECT_EQ(drop.count(), 1);
}

TEST(Cause, APlainCauseMayBeReferencedAndOutliveItsContext) {
  Cause kept;
  {
    const Scope scope = WithCancel(ctx_background());
    scope.Cancel();
    kept.reset(ctx_cause_ref(ctx_cause(scope)));
  }
  EXPECT_EQ(ctx_cause_code(kept), CTX_CANCELED);
  EXPECT_STREQ(ctx_cause_message(kept), "context canceled");
  const Scope other = WithCancel(ctx_background());
  EXPECT_EQ(ctx_cancel_with(other.canceler, CTX_CANCELED, kept), 1);
  EXPECT_EQ(ctx_cause(other), kept.get());
}

TEST(Cause, ALosingCancelKeepsNothingOfItsCause) {
  Drop drop;
  const Scope scope = WithCancel(ctx_background());
  scope.Cancel();
  Cause cause = DataCause(2, "too late", &drop);
  EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, cause), 0);
  cause.reset();
  EXPECT_EQ(drop.count(), 1);
}

// Of each kind that is made with a cause: freed live, canceled, ended by that cause, and born done.
TEST(Cause, WhatAContextWasMadeWithGoesWithTheContext) {
  const auto with_deadline = [](ctx_t* parent, int64_t limit_ns, const ctx_cause_t* cause) {
    return WithDeadline(parent, ctx_now(parent) + limit_ns, cause);
  };
  Scope (*const kinds[])(ctx_t*, int64_t, const ctx_cause_t*) = {WithIdle, WithTimeout,
                                                                 with_deadline};
  const VirtualLoop time;
  const Scope done = WithCancel(time.root);
  done.Cancel();
  enum { live, canceled, ended, born_done, below_done };
  for (const auto make : kinds) {
    for (const int fate : {live, canceled, ended, born_done, below_done}) {
      Drop drop;
      Cause cause = DataCause(1, "given", &drop);
      Scope scope =
          make(fate == below_done ? done : time.root, fate == born_done ? 0 : kHour, cause);
      cause.reset();
      if (fate == ended) {
        EXPECT_EQ(time.Advance(kHour), 1);
      } else if (fate == canceled) {
        EXPECT_EQ(scope.Cancel(), 1);
      }
      if (fate == live || fate == ended || fate == born_done) {
        EXPECT_EQ(drop.count(), 0) << fate;
      }
      scope.reset();
      EXPECT_EQ(time.Advance(0), 0);
      EXPECT_EQ(drop.count(), 1) << fate;
    }
  }
}

TEST(Cause, OneCauseMayEndManyContexts) {
  Drop drop;
  std::vector<Scope> scopes(100);
  {
    const Cause cause = DataCause(3, "all of you", &drop);
    for (Scope& scope : scopes) {
      scope = WithCancel(ctx_background());
      ASSERT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, cause), 1);
    }
  }
  for (Scope& scope : scopes) {
    EXPECT_EQ(drop.count(), 0);
    scope.reset();
  }
  EXPECT_EQ(drop.count(), 1);
}

TEST(Cause, CodeIsAnyNumberAndTheMessageIsACopy) {
  char message[] = "first";
  for (int code : {0, 1, -1, INT32_MAX, INT32_MIN}) {
    const Cause cause = NewCause(code, message);
    message[0]++;
    EXPECT_EQ(ctx_cause_code(cause), code);
    message[0]--;
    EXPECT_STREQ(ctx_cause_message(cause), "first");
  }
}

TEST(Cause, TheMessageMayBeLongAndOfAnyText) {
  const std::string text = "z\xc3\xbcgig abgebrochen: \xe2\x8f\xb1 %s %n {}";
  EXPECT_EQ(ctx_cause_message(NewCause(1, text.c_str())), text);
  const std::string large(1 << 20, 'x');
  EXPECT_EQ(ctx_cause_message(NewCause(1, large.c_str())), large);
}

TEST(Cause, Rule43_ANullMessageIsTheTextOfTheCode) {
  for (int code : {CTX_CANCELED, CTX_DEADLINE_EXCEEDED, -ENOENT, ENOENT, 12345678}) {
    EXPECT_STREQ(ctx_cause_message(NewCause(code, nullptr)), ctx_strerror(code));
    const Cause with_data = DataCause(code, nullptr, nullptr);
    EXPECT_STREQ(ctx_cause_message(with_data), ctx_strerror(code));
  }
}

// A drop function of a cause is user code: it runs with no lock held.
TEST(Cause, DropMayUseTheLibrary) {
  struct Dropped {
    Scope parent = WithCancel(ctx_background());
    Scope child = WithCancel(parent);
    int canceled = -1;
  } dropped;
  const auto drop = [](void* data) {
    auto* self = static_cast<Dropped*>(data);
    const Scope sibling = WithCancel(self->parent);
    self->canceled = self->parent.Cancel();
    EXPECT_EQ(ctx_err(sibling), CTX_CANCELED);
  };
  ctx_cause_t* cause = nullptr;
  ASSERT_EQ(ctx_cause_new_data(1, "last", &kKey, &dropped, drop, &cause), 0);
  EXPECT_EQ(ctx_cancel_with(dropped.child.canceler, CTX_CANCELED, cause), 1);
  ctx_cause_unref(cause);
  EXPECT_EQ(dropped.canceled, -1);
  dropped.child.reset();
  EXPECT_EQ(dropped.canceled, 1);
}

}  // namespace
}  // namespace ctxtest
