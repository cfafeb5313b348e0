// SPDX-License-Identifier: MIT
//
// Time, descriptors and signals: what a loop ends when somebody drives it, or waits.
#include <algorithm>

#include "fuzz/reference/reference.h"

namespace fuzz {

namespace {

// By how much an idle context may end late, and how often the loop looks at it.
int64_t StepOf(const Context& c) { return std::max<int64_t>(c.length / 16, 1'000'000); }

}  // namespace

int64_t Reference::Now(int loop) const {
  const Loop& l = loops[loop];
  return l.is_virtual ? l.now : real_now() + l.ahead;
}

int64_t Reference::Next(int loop) {
  Collect();
  if (HasWork(loop)) return Now(loop);
  const int64_t next = NextTimer(loop);
  return next == CTX_FOREVER ? next : std::max(next, Now(loop));
}

int64_t Reference::NextTimer(int loop, int64_t after) {
  Collect();
  int64_t next = CTX_FOREVER;
  for (const Context& c : contexts) {
    const bool counts = IsLive(c) && c.loop == loop && TimerOf(c) > after;
    if (counts) next = std::min(next, TimerOf(c));
  }
  return next;
}

bool Reference::HasWork(int loop) {
  for (const Batch& batch : loops[loop].wakers) {
    if (Waits(batch)) return true;
  }
  for (const Batch& batch : loops[loop].backlog) {
    if (Waits(batch)) return true;
  }
  for (size_t i = 0; i < contexts.size(); ++i) {
    const Context& c = contexts[i];
    if (c.loop == loop && (c.posted || (IsLive(c) && IsReady(c)))) return true;
  }
  return false;
}

bool Reference::HasManualIdle(int loop) const {
  if (loops[loop].is_virtual) return false;
  return std::any_of(contexts.begin(), contexts.end(), [&](const Context& c) {
    return c.loop == loop && c.kind == Kind::kIdle && IsLive(c);
  });
}

std::shared_ptr<int> Reference::Dispatch(int loop) {
  auto fired = std::make_shared<int>(0);
  frames_.back().driving = loop;
  loops[loop].driven = true;
  frames_.back().stages.push_back([=, this] {
    *fired += Turn(loop);
    RunWakers(loop);
  });
  frames_.back().stages.push_back([=, this] {
    Frame& frame = frames_.back();
    frame.now.insert(frame.now.end(), loops[loop].backlog.begin(), loops[loop].backlog.end());
    loops[loop].backlog.clear();
  });
  return fired;
}

std::shared_ptr<int> Reference::Advance(int loop, int64_t ns) {
  auto fired = std::make_shared<int>(0);
  frames_.back().driving = loop;
  loops[loop].driven = true;
  frames_.back().target = Sum(loops[loop].now, ns);
  frames_.back().fired = fired;
  frames_.back().stages.push_back([=, this] {
    *fired += Turn(loop);
    RunWakers(loop);
  });
  return fired;
}

int Reference::Touch(int ctx) {
  int node = contexts[ctx].node;
  if (contexts[node].err != 0) return contexts[node].err;
  while (!contexts[node].is_root()) {
    Context& c = contexts[node];
    const int64_t now = Now(c.loop);
    if (c.kind == Kind::kIdle) {
      c.touched = c.touched_by = std::max(c.touched, now);
      c.touched_since = true;
    }
    node = contexts[c.parent].node;
  }
  return 0;
}

void Reference::FireForWaiter(int loop) {
  if (!loops[loop].is_virtual) FireDue(loop, true);
}

void Reference::EndPassed(int node) {
  if (contexts[node].err != 0 || contexts[node].deadline == CTX_FOREVER) return;
  if (contexts[node].deadline <= Now(contexts[node].loop)) FireDue(contexts[node].loop, true);
}

void Reference::SignalCame(int signal) {
  Collect();
  for (Context& c : contexts) {
    if (IsLive(c) && c.signals.count(signal) > 0 && !c.posted) {
      c.posted = true;
      c.reason = LibrarysOwn(signal, "", true, CTX_ORIGIN_SIGNAL);
    }
  }
}

int64_t Reference::TimerOf(const Context& c) const {
  if (c.kind != Kind::kIdle) return c.timer;
  return c.length == CTX_FOREVER ? CTX_FOREVER : Sum(c.touched, c.length);
}

bool Reference::IsReady(const Context& c) const {
  if (c.written) return true;
  if (c.kind == Kind::kMirror) return contexts[c.parent].err != 0;
  return c.kind == Kind::kDescriptor && c.fd >= 0 && Came(c) != 0;
}

// Whatever has ended in one moment, in no order; how many ended by themselves.
int Reference::FireTogether(const std::vector<int>& due, const std::function<void(int)>& fire) {
  for (size_t i = 0; i < due.size(); ++i) {
    for (size_t j = i + 1; j < due.size(); ++j) {
      if (AreRelated(due[i], due[j])) ambiguous = true;
    }
  }
  int fired = 0;
  moment_ = ++moments_;
  for (int i : due) {
    if (contexts[i].err != 0) continue;
    fire(i);
    ++fired;
  }
  moment_ = 0;
  return fired;
}

int Reference::Turn(int loop) {
  Collect();
  int fired = FireTogether(All(loop, [&](const Context& c) { return IsReady(c); }),
                           [&](int i) { FireSource(i); });
  fired += FireTogether(All(loop, [](const Context& c) { return c.posted; }), [&](int i) {
    LeaveToLoop(loop, End(i, CTX_CANCELED, contexts[i].reason, {}));
  });
  ForgetPosted(loop);
  return fired + FireDue(loop);
}

void Reference::ForgetPosted(int loop) {
  for (Context& c : contexts) {
    if (c.loop == loop) c.posted = false;
  }
}

void Reference::FireSource(int i) {
  Context& c = contexts[i];
  if (c.kind == Kind::kMirror) {
    const Context& followed = contexts[c.parent];
    return LeaveToLoop(c.loop, End(i, followed.err, followed.cause, {}));
  }
  if (c.written) return LeaveToLoop(c.loop, End(i, CTX_CANCELED, nullptr, {}));
  const CauseRef reason = LibrarysOwn(static_cast<int>(Came(c)), "", true, CTX_ORIGIN_DESCRIPTOR);
  LeaveToLoop(c.loop, End(i, CTX_CANCELED, reason, {}));
}

// Everything due, in the order of its time; what is of one time, or within a tick of real time, in any order.
// A call that does not drive a manual loop may leave graces that begin late.
int Reference::FireDue(int loop, bool leaves_graces) {
  const int64_t tick = loops[loop].is_virtual ? 0 : 40'000;
  int fired = 0;
  Collect();
  LookAtIdle(loop);
  for (;;) {
    int64_t first = CTX_FOREVER;
    bool any = false;
    for (int i : All(loop, [](const Context&) { return true; })) {
      if (!IsDue(i, leaves_graces)) continue;
      any = true;
      first = std::min(first, TimerOf(contexts[i]));
    }
    if (!any) return fired;
    std::vector<int> due;
    bool late = false;
    for (int i : All(loop, [](const Context&) { return true; })) {
      if (!IsDue(i, leaves_graces)) continue;
      // An idle context of a real clock ends somewhat later than this.
      const bool idle = contexts[i].kind == Kind::kIdle && !loops[loop].is_virtual;
      late = late || idle;
      if (late || TimerOf(contexts[i]) - first <= tick) due.push_back(i);
    }
    fired += FireTogether(due, [&](int i) { FireTimer(i); });
    Collect();
  }
}

bool Reference::IsDue(int i, bool leaves_graces) const {
  const Context& c = contexts[i];
  // At the end of a virtual clock every idle context has waited for long enough.
  const bool never =
      TimerOf(c) == CTX_FOREVER && (c.kind != Kind::kIdle || c.length == CTX_FOREVER);
  if (never || TimerOf(c) > Now(c.loop)) return false;
  if (c.begun_late && leaves_graces && !loops[c.loop].is_virtual) return ask_err(i) != 0;
  if (c.kind != Kind::kIdle || loops[c.loop].is_virtual) return true;
  return ask_err(i) != 0 || Now(c.loop) >= LatestOf(c);
}

int64_t Reference::LatestOf(const Context& c) {
  return c.touched_since ? CTX_FOREVER : Sum(Sum(c.touched_by, c.length), StepOf(c));
}

// A touch is noticed when the loop looks, a step after it has looked last, and counts from then.
void Reference::LookAtIdle(int loop) {
  if (loops[loop].is_virtual) return;
  for (Context& c : contexts) {
    if (c.kind != Kind::kIdle || c.loop != loop || !c.touched_since) continue;
    if (Now(loop) < Sum(c.touched, StepOf(c))) continue;
    c.touched_since = false;
    c.touched_by = Now(loop);
  }
}

void Reference::FireTimer(int i) {
  Context& c = contexts[i];
  if (c.kind == Kind::kGrace) {
    const Context& graced = contexts[c.graced];
    return LeaveToLoop(c.loop, End(i, graced.err, graced.cause, {c.graced}));
  }
  if (c.kind == Kind::kIdle && !loops[c.loop].is_virtual) {
    // When exactly this was is not known: so not when a grace has begun, nor whether what is below had ended before.
    const std::set<int> below = Descendants(i);
    const int64_t latest = Sum(Sum(c.touched_by, c.length), StepOf(c));
    for (const int other : below) {
      if (other != i && IsLive(contexts[other]) && TimerOf(contexts[other]) <= latest)
        ambiguous = true;
    }
    for (const Context& other : contexts) {
      if (other.graced != kNone && below.count(other.graced) > 0) ambiguous = true;
    }
  }
  LeaveToLoop(c.loop, End(i, CTX_DEADLINE_EXCEEDED, c.reason, {}));
}

// A virtual loop leaves nothing overdue.
void Reference::FireOverdue(int loop) {
  if (loops[loop].is_virtual) FireDue(loop);
}

void Reference::RunWakers(int loop) {
  Frame& frame = frames_.back();
  frame.now.insert(frame.now.end(), loops[loop].wakers.begin(), loops[loop].wakers.end());
  const bool any = !loops[loop].wakers.empty();
  loops[loop].wakers.clear();
  // Those that a waker's cancel adds run before others.
  if (any) frame.stages.push_front([=, this] { RunWakers(loop); });
}

// An advance: all that was deferred meanwhile, then the next time.
bool Reference::GoOn(Frame& frame, bool to_the_end) {
  Loop& loop = loops[frame.driving];
  if (!loop.backlog.empty()) {
    frame.now.swap(loop.backlog);
    return true;
  }
  Collect();
  int64_t next = CTX_FOREVER;
  for (int i : All(frame.driving, [](const Context&) { return true; })) {
    next = std::min(next, TimerOf(contexts[i]));
  }
  next = std::max(next, loop.now);
  const int64_t limit = to_the_end ? frame.target : library_now(frame.driving);
  if (next > limit || next == CTX_FOREVER) {
    if (loop.now == limit) return false;
    loop.now = limit;
    if (limit != frame.target) return false;
  } else {
    loop.now = next;
  }
  const int driving = frame.driving;
  *frame.fired += Turn(driving);
  RunWakers(driving);
  return true;
}

}  // namespace fuzz
