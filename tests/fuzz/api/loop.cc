// SPDX-License-Identifier: MIT
//
// Loops, who drives them, and time.
#include <algorithm>

#include "fuzz/api/session.h"

namespace fuzz {

void Session::NewLoop(bool is_virtual, bool boottime) {
  ctx_loop_options_t options{};
  options.size = sizeof options;
  options.clock = boottime ? CTX_CLOCK_BOOTTIME : CTX_CLOCK_MONOTONIC;
  options.flags = boottime ? CTX_LOOP_START : 0;
  ctx_loop_t* loop = nullptr;
  FUZZ_EQ(ctx_loop_new(is_virtual ? CTX_LOOP_VIRTUAL : CTX_LOOP_MANUAL, &options, &loop), 0);
  const int i = model_.NewLoop(is_virtual, boottime ? kSuspended : 0);
  Say("l%d = ctx_loop_new(%s%s)", i, is_virtual ? "virtual" : "manual",
      boottime ? ", boottime" : "");
  loops_.push_back(loop);
  ctx_t* root = nullptr;
  FUZZ_EQ(ctx_loop_background(loop, &root), 0);
  Made(model_.loops[i].root, root, nullptr, 1);
  Say("c%d = ctx_loop_background(l%d)", model_.loops[i].root, i);
}

void Session::DriveLoop(int i) {
  Loop& loop = model_.loops[i];
  ctx_loop_t* const handle = loops_[i];
  if (model_.InWaker()) return;
  int64_t span = 0;
  if (loop.is_virtual) {
    const size_t how = in_.Pick(4);
    const int64_t next = model_.Next(i);
    span = how == 0   ? 0
           : how == 1 ? Span()
           : how == 2 ? Difference(next, loop.now)
                      : Difference(next, Sum(loop.now, 1));
    if (span < 0) span = 0;
    if (span > 1000 * kSecond && in_.Pick(4) != 3) span = 1000 * kSecond;
    if (i == 0) span %= 1000 * kSecond;  // it goes on in the next input
  }
  Say(loop.is_virtual ? "ctx_loop_advance(l%d, %lld)" : "ctx_loop_dispatch(l%d, %lld)", i,
      static_cast<long long>(span));
  if (loop.driven) {
    FUZZ_EQ(loop.is_virtual ? ctx_loop_advance(handle, span) : ctx_loop_dispatch(handle), -EBUSY);
    return;
  }
  model_.Enter();
  const std::shared_ptr<int> fired = loop.is_virtual ? model_.Advance(i, span) : model_.Dispatch(i);
  const int result = loop.is_virtual ? ctx_loop_advance(handle, span) : ctx_loop_dispatch(handle);
  model_.Leave();
  if (!model_.ambiguous) FUZZ_EQ(result, *fired);
}

// Real time passes.
void Session::Move() {
  int64_t span = Span();
  if (span <= 0 || span > 100'000 * kSecond) span = 1;
  if (in_.Pick(2) == 1) {
    int64_t next = CTX_FOREVER;
    for (size_t i = 0; i < loops_.size(); ++i) {
      if (model_.loops[i].is_virtual) continue;
      next = std::min(next, Difference(model_.Next(static_cast<int>(i)), model_.loops[i].ahead));
    }
    if (next > RealNow() && next < RealNow() + 100'000 * kSecond) span = next - RealNow();
  }
  Say("%lld ns pass", static_cast<long long>(span));
  MoveTo(RealNow() + span);
}

void Session::Loops() {
  const size_t what = in_.Pick(5);
  if (what == 0) {
    const size_t kind = in_.Pick(3);
    if (loops_.size() < 6) NewLoop(kind == 0, kind == 2);
    return;
  }
  const int i = AnyLoop();
  if (i == 0) {
    FUZZ_EQ(ctx_loop_set_default(loops_[0]), -EBUSY);
    return;
  }
  if (what <= 2) {
    Say("ctx_loop_close(l%d)", i);
    model_.Enter();
    model_.Close(i);
    FUZZ_EQ(ctx_loop_close(loops_[i]), 0);
    model_.Leave();
  } else if (!model_.InCallback() || model_.loops[i].handles > 1) {
    UnrefLoop(i);
  }
}

void Session::UnrefLoop(int i) {
  Say("ctx_loop_unref(l%d)", i);
  model_.Enter();
  model_.UnrefLoop(i);
  ctx_loop_t* handle = loops_[i];
  if (in_.Pick(2) == 0) {
    REQUIRE(ctx_loop_unref(handle) == nullptr);
  } else {
    ctx_loop_unrefp(&handle);
  }
  model_.Leave();
}

}  // namespace fuzz
