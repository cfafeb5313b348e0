// SPDX-License-Identifier: MIT
//
// After each step: all that a program can see is what the reference says.
#include <algorithm>
#include <climits>
#include <cstdio>

#include "fuzz/api/session.h"

namespace fuzz {

void Session::Check() {
  for (size_t i = 0; i < model_.contexts.size(); ++i) {
    const Context& c = model_.contexts[i];
    if (contexts_[i].ctx == nullptr) continue;
    const int number = static_cast<int>(i);
    if (IsThere(i)) CheckContext(number, i == turn_ % model_.contexts.size());
    if (c.kept && !c.is_root()) FUZZ_EQ(*contexts_[i].word, model_.NodeOf(number).err);
    if (c.kind == Kind::kValue && c.value != nullptr) {
      const bool waits = values_[i] == 0 && model_.loops[c.loop].may_release;
      if (values_[i] != (c.kept ? 0 : 1) && !waits) {
        std::fprintf(stderr, "the value of c%zu was dropped %d times\n", i, values_[i]);
        BROKEN("a value is not dropped once, when nothing keeps it");
      }
    }
  }
  ++turn_;
  for (size_t i = 0; i < model_.watches.size(); ++i) {
    const Watch& w = model_.watches[i];
    if (w.queue != kNone) continue;
    if (w.state == Watch::kIdle && w.ctx == kNone) continue;
    if (drops_[i] != (w.state == Watch::kOver && w.ctx != kNone ? 1 : 0)) {
      std::fprintf(stderr, "the argument of w%zu was dropped %d times\n", i, drops_[i]);
      BROKEN("a callback's argument is not dropped once, after it");
    }
  }
  for (size_t i = 0; i < queues_.size(); ++i) {
    if (queues_[i].second > 0 && queue_fds_[i] >= 0) {
      FUZZ_EQ(Readable(queue_fds_[i]) ? 1 : 0, model_.Readable(static_cast<int>(i)) ? 1 : 0);
    }
  }
  for (size_t i = 0; i < groups_.size(); ++i) {
    const Group& g = model_.groups[i];
    if (!g.alive || g.handles == 0) continue;
    if (groups_[i].second >= 0) FUZZ_EQ(Readable(groups_[i].second) ? 1 : 0, g.work == 0 ? 1 : 0);
    REQUIRE(ctx_group_cause(groups_[i].first) == (g.cause ? g.cause->handle : nullptr));
    REQUIRE(ctx_group_context(groups_[i].first) == contexts_[g.ctx].ctx);
  }
  for (size_t i = 0; i < loops_.size(); ++i) CheckLoop(static_cast<int>(i));
  for (const Kept& kept : causes_) {
    REQUIRE(kept.refs == 0 || kept.drops == (kept.key == nullptr ? 1 : 0));
  }
}

void Session::CheckContext(int i, bool closely) {
  const Context& c = model_.contexts[i];
  const Context& node = model_.NodeOf(i);
  const ctx_t* const ctx = contexts_[i].ctx;
  if (ctx_err(ctx) != node.err) {
    std::fprintf(stderr, "of c%d: ", i);
    FUZZ_EQ(ctx_err(ctx), node.err);
  }
  const ctx_cause_t* const cause = ctx_cause(ctx);
  REQUIRE((cause == nullptr) == (node.err == 0));
  if (cause != nullptr) {
    const Cause& wanted = *node.cause;
    REQUIRE(wanted.handle == nullptr || wanted.handle == cause);
    FUZZ_EQ(ctx_cause_code(cause), wanted.code);
    REQUIRE(wanted.message.empty() || wanted.message == ctx_cause_message(cause));
    FUZZ_EQ(ctx_cause_given(cause), wanted.given ? 1 : 0);
    FUZZ_EQ(ctx_cause_origin(cause), wanted.origin());
  }
  int64_t deadline = CTX_FOREVER;
  FUZZ_EQ(ctx_deadline(ctx, &deadline), node.deadline == CTX_FOREVER ? 0 : 1);
  FUZZ_EQ(deadline, node.deadline);
  if (contexts_[c.node].done_fd >= 0 && !node.is_root()) {
    FUZZ_EQ(Readable(contexts_[c.node].done_fd) ? 1 : 0, node.err != 0 ? 1 : 0);
  }
  if (!closely) return;
  const int64_t now = model_.Now(node.loop);
  FUZZ_EQ(ctx_now(ctx), now);
  FUZZ_EQ(*ctx_err_word(ctx), node.err);
  FUZZ_EQ(ctx_cancelable(ctx), node.is_root() ? 0 : 1);
  const int64_t left = node.deadline == CTX_FOREVER
                           ? CTX_FOREVER
                           : std::max(Difference(node.deadline, now), INT64_MIN + 1);
  FUZZ_EQ(ctx_remaining(ctx), left);
  const int64_t ms = left <= 0 ? 0 : left / 1'000'000 + (left % 1'000'000 != 0 ? 1 : 0);
  FUZZ_EQ(ctx_remaining_ms(ctx), left == CTX_FOREVER ? -1 : std::min<int64_t>(ms, INT_MAX));
  for (const ctx_key_t& key : kKeys) {
    const Context* const found = model_.Find(
        i, [&](const Context& above) { return above.kind == Kind::kValue && above.key == &key; });
    REQUIRE(ctx_value(ctx, &key) == (found == nullptr ? nullptr : found->value));
  }
  for (const char* name : kNames) {
    const Context* const found = model_.Find(
        i, [&](const Context& above) { return above.kind == Kind::kString && above.name == name; });
    const char* const text = ctx_string(ctx, name);
    REQUIRE((text == nullptr) == (found == nullptr || found->hides));
    REQUIRE(text == nullptr || found->text == text);
  }
  for (size_t other = 0; other < model_.contexts.size(); ++other) {
    if (!IsThere(other)) continue;
    const int expected = model_.EndedBy(i, static_cast<int>(other));
    const int result = ctx_ended_by(ctx, contexts_[other].ctx);
    if (expected != kNone && result != expected) {
      std::fprintf(stderr, "of c%d and c%zu: ", i, other);
      FUZZ_EQ(result, expected);
    }
  }
}

void Session::CheckLoop(int i) {
  const Loop& loop = model_.loops[i];
  if (loop.handles == 0) return;
  const int64_t now = model_.Now(i);
  FUZZ_EQ(ctx_loop_now(loops_[i]), now);
  const int64_t next = model_.Next(i);
  const bool idle = model_.HasManualIdle(i);
  if (!loop.is_virtual && next <= now && !idle) {
    const int fd = ctx_loop_fd(loops_[i]);
    REQUIRE(fd >= 0);
    if (!Readable(fd)) BROKEN("work waits, and the loop's descriptor is not readable");
  }
  const int64_t told = ctx_loop_next(loops_[i]);
  REQUIRE(told >= now);
  if (told == now && loop.may_release) return;  // there is something to free
  if (loop.is_virtual || (next == CTX_FOREVER && !idle)) {
    if (told != next) std::fprintf(stderr, "of l%d: ", i);
    FUZZ_EQ(told, next);
  } else if (!idle) {
    REQUIRE(told <= next);
    if (next - now < 1'000'000) FUZZ_EQ(told, next);
  }
}

}  // namespace fuzz
