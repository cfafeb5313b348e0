// SPDX-License-Identifier: MIT
//
// Canceling, and causes.
#include <climits>

#include "fuzz/api/session.h"

namespace fuzz {

void Session::CancelOne() {
  const int i = AnyCanceler();
  if (i == kNone) return;
  const size_t how = in_.Pick(4);
  Kept* const cause = AnyCause();
  const ctx_cause_t* const given = cause == nullptr ? nullptr : cause->handle;
  const int err = in_.Pick(3) == 2 ? CTX_DEADLINE_EXCEEDED : CTX_CANCELED;
  ctx_canceler_t* const canceler = contexts_[i].canceler;
  model_.Enter();
  int result = 0, expected = 0;
  if (how == 0) {
    Say("ctx_cancel(c%d)", i);
    expected = model_.Cancel(i, CTX_CANCELED, nullptr) ? 1 : 0;
    result = ctx_cancel(canceler);
  } else if (how < 3) {
    Say("ctx_cancel_with(c%d, %d)", i, err);
    expected = model_.Cancel(i, err, ModelOf(cause)) ? 1 : 0;
    result = ctx_cancel_with(canceler, err, given);
  } else {
    Say("ctx_cancel_deferred(c%d, %d)", i, err);
    expected = model_.CancelDeferred(i, err, ModelOf(cause)) ? 1 : 0;
    result = ctx_cancel_deferred(canceler, err, given);
  }
  model_.Leave();
  if (!model_.ambiguous) FUZZ_EQ(result, expected);
}

void Session::NewCause() {
  if (causes_.size() >= 8) return DropCause();
  static constexpr int kCodes[] = {0, CTX_CANCELED, CTX_DEADLINE_EXCEEDED, -ECONNRESET, 7, INT_MIN};
  const int code = kCodes[in_.Pick(6)];
  const char* const message = in_.Pick(2) == 0 ? nullptr : kNames[in_.Pick(4)];
  const size_t what = in_.Pick(4);
  causes_.push_back({nullptr, std::make_shared<Cause>(), 0, 1, nullptr});
  Kept& kept = causes_.back();
  Cause& model = *kept.model;
  model.code = code;
  model.message = message != nullptr ? message : ctx_strerror(code);
  model.given = message != nullptr || (code != CTX_CANCELED && code != CTX_DEADLINE_EXCEEDED);
  const auto drop = [](void* count) { ++*static_cast<int*>(count); };
  if (what == 0) {
    FUZZ_EQ(ctx_cause_new(code, message, &kept.handle), 0);
    kept.drops = 1;
  } else if (what == 1) {
    kept.key = &kKeys[in_.Pick(3)];
    FUZZ_EQ(ctx_cause_new_data(code, message, kept.key, &kept.drops, drop, &kept.handle), 0);
    model.given = true;
  } else {
    static constexpr int kOrigins[] = {0, CTX_ORIGIN_CANCELED, CTX_ORIGIN_DEADLINE, CTX_ORIGIN_PEER,
                                       255};
    model.stated = kOrigins[in_.Pick(5)];
    const char* const file = in_.Pick(2) == 0 ? nullptr : "file";
    kept.key = &kKeys[in_.Pick(3)];
    FUZZ_EQ(ctx_cause_new_at(code, message, model.stated, file, 7, "function", kept.key,
                             &kept.drops, drop, &kept.handle),
            0);
    FUZZ_EQ(ctx_cause_line(kept.handle), file == nullptr ? 0 : 7);
    REQUIRE((ctx_cause_file(kept.handle) == nullptr) == (file == nullptr));
    REQUIRE((ctx_cause_function(kept.handle) == nullptr) == (file == nullptr));
    model.given = true;
  }
  model.handle = kept.handle;
  Say("k%zu = ctx_cause_new(%d)", causes_.size() - 1, code);
  if (kept.key != nullptr) {
    REQUIRE(ctx_cause_data(kept.handle, kept.key) == &kept.drops);
    REQUIRE(ctx_cause_data(kept.handle, &kKeys[0]) == nullptr || kept.key == &kKeys[0]);
  }
}

void Session::DropCause() {
  Kept& kept = causes_[in_.Pick(causes_.size())];
  if (kept.refs == 0) return;
  if (in_.Pick(3) == 2) {
    REQUIRE(ctx_cause_ref(kept.handle) == kept.handle);
    ++kept.refs;
    return;
  }
  --kept.refs;
  Say("ctx_cause_unref(k)");
  const ctx_cause_t* handle = kept.handle;
  if (in_.Pick(2) == 0) {
    REQUIRE(ctx_cause_unref(handle) == nullptr);
  } else {
    ctx_cause_unrefp(&handle);
    REQUIRE(handle == nullptr);
  }
}

void Session::CancelByDescriptor() {
  const int i = AnyCanceler();
  if (i == kNone) return;
  Context& node = model_.contexts[i];
  const int fd = ctx_cancel_fd(contexts_[i].canceler);
  REQUIRE(fd >= 0);
  Say("ctx_cancel_fd(c%d), and a write: %d", i, fd);
  if (in_.Pick(4) != 3) {
    const uint64_t one = 1;
    FUZZ_EQ(write(fd, &one, sizeof one), 8);
    if (node.err == 0) node.written = true;
  }
  close(fd);
}

}  // namespace fuzz
