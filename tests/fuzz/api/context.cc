// SPDX-License-Identifier: MIT
//
// Giving contexts back, touching and describing them, and the strings that they carry.
#include <cstring>

#include "fuzz/api/session.h"

namespace fuzz {

void Session::Release() {
  const bool canceler = in_.Pick(3) == 2;
  const int i = canceler ? AnyCanceler() : AnyContext();
  if (i == kNone) return;
  Context& c = model_.contexts[i];
  if (!canceler && c.is_root()) return;
  if (canceler) {
    Say("ctx_canceler_unref(c%d)", i);
    --c.cancelers;
    ctx_canceler_t* handle = contexts_[i].canceler;
    if (in_.Pick(2) == 0) {
      REQUIRE(ctx_canceler_unref(handle) == nullptr);
    } else {
      ctx_canceler_unrefp(&handle);
      REQUIRE(handle == nullptr);
    }
  } else {
    Say("ctx_unref(c%d)", i);
    --c.handles;
    ctx_t* handle = contexts_[i].ctx;
    if (in_.Pick(2) == 0) {
      REQUIRE(ctx_unref(handle) == nullptr);
    } else {
      ctx_unrefp(&handle);
      REQUIRE(handle == nullptr);
    }
  }
}

void Session::ReferMore() {
  const size_t what = in_.Pick(5);
  if (what == 0) {
    const int i = AnyContext();
    Say("ctx_ref(c%d)", i);
    REQUIRE(ctx_ref(contexts_[i].ctx) == contexts_[i].ctx);
    // Those of the two static ones are not counted.
    if (!model_.contexts[i].is_root() || model_.contexts[i].loop != 0) {
      ++model_.contexts[i].handles;
    }
  } else if (what == 1) {
    const int i = AnyCanceler();
    if (i == kNone) return;
    Say("ctx_canceler_ref(c%d)", i);
    REQUIRE(ctx_canceler_ref(contexts_[i].canceler) == contexts_[i].canceler);
    ++model_.contexts[i].cancelers;
  } else if (what == 2) {
    const int i = AnyQueue();
    if (i == kNone) return;
    REQUIRE(ctx_queue_ref(queues_[i].first) == queues_[i].first);
    ++queues_[i].second;
  } else if (what == 3) {
    const int i = AnyGroup();
    if (i == kNone) return;
    REQUIRE(ctx_group_ref(groups_[i].first) == groups_[i].first);
    ++model_.groups[i].handles;
  } else {
    const int i = AnyLoop();
    if (i == 0) return;
    REQUIRE(ctx_loop_ref(loops_[i]) == loops_[i]);
    ++model_.loops[i].handles;
  }
}

void Session::Touch() {
  const int i = AnyContext();
  Say("ctx_touch(c%d)", i);
  FUZZ_EQ(ctx_touch(contexts_[i].ctx), model_.Touch(i));
}

std::string Session::Text(int i) const {
  const Context& c = model_.contexts[i];
  const std::string above = c.parent == kNone ? "" : Text(c.parent);
  const int64_t now = model_.Now(model_.NodeOf(i).loop);
  switch (c.kind) {
    case Kind::kBackground:
      return "context.Background";
    case Kind::kTodo:
      return "context.TODO";
    case Kind::kCancel:
      return above + ".WithCancel";
    case Kind::kDeadline:
      return above + DeadlineText(c.deadline, now);
    case Kind::kIdle:
      return above + ".WithIdle(" + DurationText(c.length) + ")";
    case Kind::kGrace:
      return above + ".WithGrace(" + DurationText(c.length) + ")";
    case Kind::kMerge:
      return above + ".Merge(" + std::to_string(c.parents.size()) + ")";
    case Kind::kDescriptor:
      return above + ".WithFD(" + std::to_string(c.number) + ")";
    case Kind::kSignal: {
      std::string names;
      for (int signal : c.signals) {
        names +=
            (names.empty() ? "" : ", ") + std::string(signal == SIGURG ? "SIGURG" : "SIGWINCH");
      }
      return above + ".WithSignal(" + names + ")";
    }
    case Kind::kValue:
      return above + ".WithValue(" + (c.key->name == nullptr ? "unnamed" : c.key->name) + ")";
    case Kind::kString:
      return above + ".WithString(" + c.name + ")";
    case Kind::kName:
      return above + ".WithName(" + c.name + ")";
    case Kind::kDetached:
      return above + ".WithoutCancel";
    case Kind::kMirror:
      break;
  }
  return above;
}

void Session::Describe() {
  const int i = AnyContext();
  const std::string text = Text(i);
  char buffer[512];
  const size_t size = in_.Pick(2) == 0 ? sizeof buffer : in_.Byte();
  std::memset(buffer, '#', sizeof buffer);
  FUZZ_EQ(ctx_describe(contexts_[i].ctx, size == 0 ? nullptr : buffer, size), text.size());
  Say("ctx_describe(c%d): %s", i, text.c_str());
  if (size == 0) return;
  const std::string written = text.substr(0, size - 1);
  REQUIRE(written == buffer);
  for (size_t at = written.size() + 1; at < sizeof buffer; ++at) REQUIRE(buffer[at] == '#');
}

void Session::Strings() {
  const int i = AnyContext();
  struct Visit {
    std::vector<std::pair<std::string, std::string>> seen;
    size_t most;
  } visit{{}, in_.Pick(5)};
  const int result = ctx_strings(
      contexts_[i].ctx,
      [](const char* name, const char* value, void* arg) {
        auto* const to = static_cast<Visit*>(arg);
        to->seen.emplace_back(name, value);
        return to->seen.size() == to->most ? 7 : 0;
      },
      &visit);
  std::vector<std::pair<std::string, std::string>> expected;
  std::set<std::string> names;
  for (int c = i; c != kNone && (visit.most == 0 || expected.size() < visit.most);
       c = model_.contexts[c].parent) {
    const Context& context = model_.contexts[c];
    if (context.kind != Kind::kString || !names.insert(context.name).second) continue;
    if (!context.hides) expected.emplace_back(context.name, context.text);
  }
  REQUIRE(visit.seen == expected);
  FUZZ_EQ(result, visit.most != 0 && expected.size() == visit.most ? 7 : 0);
  Travel(i);
}

}  // namespace fuzz
