// SPDX-License-Identifier: MIT
//
// Every way to derive a context. Each is called with a canceler and without one.
#include "fuzz/api/session.h"

namespace fuzz {

void Session::Derive() {
  if (model_.contexts.size() >= kMostContexts) return;
  const int parent = AnyContext();
  Derived made{parent, contexts_[parent].ctx};
  const size_t what = in_.Pick(16);
  made.wanted = (what & 1) == 0 && what != 0 ? nullptr : &made.canceler;
  switch (what) {
    case 0:
    case 1:
      FUZZ_EQ(ctx_with_cancel(made.above, &made.ctx, &made.canceler), 0);
      Made(model_.Cancelable(parent), made.ctx, made.canceler, 1);
      return Said("ctx_with_cancel(c%d)", parent);
    case 2:
    case 3:
    case 4:
      return DeriveTimed(made, what == 4);
    case 5:
      FUZZ_EQ(ctx_without_cancel(made.above, &made.ctx), 0);
      Made(model_.Carrier(Kind::kDetached, parent), made.ctx, nullptr, 1);
      return Said("ctx_without_cancel(c%d)", parent);
    case 6:
      return DeriveName(made);
    case 7:
      return DeriveValue(made);
    case 8:
      return DeriveString(made);
    case 9:
    case 10:
      return DeriveGrace(made);
    case 11:
      return DeriveIdle(made);
    case 12:
    case 13:
      return DeriveMerge(made);
    case 14:
      return DeriveDescriptor(made);
    default:
      return DeriveSignal(made);
  }
}

void Session::DeriveTimed(Derived& made, bool perhaps_absolute) {
  const int64_t span = Span();
  const bool absolute = perhaps_absolute && in_.Pick(2) == 0;
  Kept* const cause = AnyCause();
  const int64_t now = model_.Now(model_.NodeOf(made.parent).loop);
  const int64_t deadline = absolute ? span : Sum(now, span);
  const ctx_cause_t* const given = HandleOf(cause);
  int result = 0;
  if (absolute) {
    result = cause == nullptr
                 ? ctx_with_deadline(made.above, span, &made.ctx, made.wanted)
                 : ctx_with_deadline_cause(made.above, span, given, &made.ctx, made.wanted);
  } else {
    result = cause == nullptr
                 ? ctx_with_timeout(made.above, span, &made.ctx, made.wanted)
                 : ctx_with_timeout_cause(made.above, span, given, &made.ctx, made.wanted);
  }
  FUZZ_EQ(result, 0);
  Made(model_.Deadline(made.parent, deadline, ModelOf(cause)), made.ctx, made.canceler, 1);
  Said(absolute ? "ctx_with_deadline(c%d, %lld)" : "ctx_with_timeout(c%d, %lld)", made.parent,
       static_cast<long long>(span));
}

void Session::DeriveIdle(Derived& made) {
  const int64_t span = Span();
  Kept* const cause = AnyCause();
  FUZZ_EQ(ctx_with_idle(made.above, span, HandleOf(cause), &made.ctx, made.wanted), 0);
  Made(model_.Idle(made.parent, span, ModelOf(cause)), made.ctx, made.canceler, 1);
  Said("ctx_with_idle(c%d, %lld)", made.parent, static_cast<long long>(span));
}

void Session::DeriveGrace(Derived& made) {
  const int64_t span = Span();
  FUZZ_EQ(ctx_with_grace(made.above, span, &made.ctx, made.wanted), 0);
  Made(model_.Grace(made.parent, span), made.ctx, made.canceler, 1);
  Said("ctx_with_grace(c%d, %lld)", made.parent, static_cast<long long>(span));
}

void Session::DeriveMerge(Derived& made) {
  std::vector<int> parents = {made.parent};
  for (size_t n = in_.Pick(4); n > 0; --n) parents.push_back(AnyContext());
  std::vector<ctx_t*> handles;
  for (int i : parents) handles.push_back(contexts_[i].ctx);
  FUZZ_EQ(ctx_merge(handles.data(), handles.size(), &made.ctx, made.wanted), 0);
  Made(model_.Merge(parents), made.ctx, made.canceler, 1);
  Said("ctx_merge(c%d ...)", made.parent);
  for (int parent : parents) Say("    of c%d", parent);
}

void Session::DeriveName(Derived& made) {
  const char* const name = kNames[in_.Pick(4)];
  FUZZ_EQ(ctx_with_name(made.above, name, &made.ctx), 0);
  const int i = model_.Carrier(Kind::kName, made.parent);
  model_.contexts[i].name = name;
  Made(i, made.ctx, nullptr, 1);
  Said("ctx_with_name(c%d)", made.parent);
}

void Session::DeriveValue(Derived& made) {
  const ctx_key_t* const key = &kKeys[in_.Pick(3)];
  const int i = model_.Carrier(Kind::kValue, made.parent);
  contexts_.resize(model_.contexts.size());
  values_.resize(model_.contexts.size());
  void* const value = in_.Pick(4) == 3 ? nullptr : &values_[i];
  const auto drop = [](void* count) { ++*static_cast<int*>(count); };
  FUZZ_EQ(ctx_with_value(made.above, key, value, value == nullptr ? nullptr : +drop, &made.ctx), 0);
  model_.contexts[i].key = key;
  model_.contexts[i].value = value;
  Made(i, made.ctx, nullptr, 1);
  Said("ctx_with_value(c%d)", made.parent);
}

void Session::DeriveString(Derived& made) {
  const int i = model_.Carrier(Kind::kString, made.parent);
  Context& c = model_.contexts[i];
  c.name = kNames[in_.Pick(4)];
  c.hides = in_.Pick(4) == 3;
  c.text = in_.Text(4);
  const char* const text = c.hides ? nullptr : c.text.c_str();
  FUZZ_EQ(ctx_with_string(made.above, c.name.c_str(), text, &made.ctx), 0);
  Made(i, made.ctx, nullptr, 1);
  Said("ctx_with_string(c%d)", made.parent);
}

void Session::DeriveDescriptor(Derived& made) {
  if (pipes_.empty()) return NewPipe();
  const Pipe& pipe = pipes_[in_.Pick(pipes_.size())];
  const int end = static_cast<int>(in_.Pick(2));
  static constexpr uint32_t kEvents[] = {POLLIN, POLLOUT, POLLRDHUP, POLLPRI | POLLIN};
  const uint32_t events = kEvents[in_.Pick(4)];
  const int fd = pipe.ends[end];
  if (fd < 0) return;
  FUZZ_EQ(ctx_with_fd(made.above, fd, events, &made.ctx, made.wanted), 0);
  Made(model_.Descriptor(made.parent, fd, events), made.ctx, made.canceler, 1);
  Said("ctx_with_fd(c%d, %d, %u)", made.parent, fd, events);
}

void Session::DeriveSignal(Derived& made) {
  std::set<int> signals = {kSignals[in_.Pick(2)]};
  if (in_.Pick(2) == 1) signals = {kSignals[0], kSignals[1]};
  const std::vector<int> numbers(signals.begin(), signals.end());
  FUZZ_EQ(ctx_with_signal(made.above, numbers.data(), numbers.size(), &made.ctx, made.wanted), 0);
  Made(model_.Signal(made.parent, signals), made.ctx, made.canceler, 1);
  Said("ctx_with_signal(c%d)", made.parent);
}

}  // namespace fuzz
