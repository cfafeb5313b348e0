// SPDX-License-Identifier: MIT
//
// Every end: what ends with it, who is told, and where the callbacks run.
#include <algorithm>

#include "fuzz/reference/reference.h"

namespace fuzz {

bool Reference::Cancel(int ctx, int err, const CauseRef& cause) {
  const int node = contexts[ctx].node;
  if (cause && err == CTX_DEADLINE_EXCEEDED) cause->to_deadline = true;
  if (contexts[node].err != 0) return false;
  RunHere(contexts[node].loop, End(node, err, cause, {}));
  return true;
}

bool Reference::CancelDeferred(int ctx, int err, const CauseRef& cause) {
  const int node = contexts[ctx].node;
  if (cause && err == CTX_DEADLINE_EXCEEDED) cause->to_deadline = true;
  if (contexts[node].err != 0) return false;
  LeaveToLoop(contexts[node].loop, End(node, err, cause, {}));
  return true;
}

void Reference::Close(int loop) {
  if (loops[loop].closed) return;
  loops[loop].closed = true;
  RunHere(loop, EndAll(loop));
}

void Reference::UnrefLoop(int loop) {
  if (--loops[loop].handles > 0) return;
  if (!loops[loop].closed) Close(loop);
  frames_.back().stages.push_back([=, this] {
    loops[loop].orphaned = true;
    ForgetPosted(loop);
    Frame& frame = frames_.back();
    frame.now.insert(frame.now.end(), loops[loop].wakers.begin(), loops[loop].wakers.end());
    frame.now.insert(frame.now.end(), loops[loop].backlog.begin(), loops[loop].backlog.end());
    loops[loop].wakers.clear();
    loops[loop].backlog.clear();
  });
}

CauseRef Reference::LoopClosed() {
  return LibrarysOwn(CTX_CANCELED, "loop closed", true, CTX_ORIGIN_SHUTDOWN);
}

void Reference::Begin(int grace) {
  Context& c = contexts[grace];
  if (c.err != 0) return;
  c.timer = std::min(Sum(Now(c.loop), c.length), c.deadline);
  c.begun_late = c.timer <= Now(c.loop);
}

// Ends a context and all that ends with it, and begins the graces.
Reference::Ended Reference::End(int top, int err, const CauseRef& cause, std::vector<int> through) {
  Collect();
  ++ends_;
  Mark(top, err, cause ? cause : Plain(err), std::move(through));
  return Tell();
}

Reference::Ended Reference::EndAll(int loop) {
  Collect();
  ++ends_;
  for (size_t i = 0; i < contexts.size(); ++i) {
    Context& c = contexts[i];
    if (!IsLive(c) || c.loop != loop || !c.ends_with.empty()) continue;
    c.with_loop = true;
    Mark(static_cast<int>(i), CTX_CANCELED, LoopClosed(), {});
  }
  const Ended ended = Tell();
  for (Context& c : contexts) {  // a merge perhaps by its loop, perhaps through a parent
    if (c.end == ends_ && c.kind == Kind::kMerge) c.through.insert(c.through.end(), 2, kNone);
  }
  return ended;
}

// A child has a higher number than each of its parents.
void Reference::Mark(int top, int err, const CauseRef& cause, std::vector<int> through) {
  for (size_t i = static_cast<size_t>(top); i < contexts.size(); ++i) {
    Context& c = contexts[i];
    if (static_cast<int>(i) == top) {
      c.through = through;
    } else {
      if (!IsLive(c)) continue;
      for (int above : c.ends_with) {
        if (contexts[above].end == ends_) c.through.push_back(above);
      }
      if (c.through.empty()) continue;
    }
    c.err = err;
    c.cause = cause;
    c.end = ends_;
  }
}

Reference::Ended Reference::Tell() {
  for (size_t i = 0; i < contexts.size(); ++i) {
    Context& c = contexts[i];
    // A merge of which a later parent ends in the same moment.
    if (c.end == ends_ && c.kind == Kind::kMerge && !c.through.empty()) {
      c.through.clear();
      for (int above : c.ends_with) {
        if (contexts[above].end == ends_) c.through.push_back(above);
      }
    }
    if (IsLive(c) && c.graced != kNone && contexts[c.graced].end == ends_)
      Begin(static_cast<int>(i));
  }
  Ended ended;
  ++moments_;
  for (size_t i = 0; i < watches.size(); ++i) {
    const Watch& w = watches[i];
    if (w.state != Watch::kArmed || NodeOf(w.ctx).end != ends_) continue;
    const int watch = static_cast<int>(i);
    if (w.queue != kNone) {
      Post(w.queue, watch, moment_ != 0 ? moment_ : moments_);
    } else {
      (w.waker ? ended.wakers : w.deferred ? ended.deferred : ended.calls).push_back(watch);
    }
  }
  return ended;
}

// Where callbacks run if a call of the program ends a context.
void Reference::RunHere(int loop, const Ended& ended) {
  FireOverdue(loop);
  Frame& frame = frames_.back();
  Frame* around = nullptr;
  for (Frame& f : frames_) {
    if (f.running != kNone) around = &f;
  }
  if (around != nullptr && InWaker() && !loops[loop].orphaned) return LeaveToLoop(loop, ended);
  Append(frame.now, ended.wakers, true);
  const auto others = [=, this] {
    Append(loops[loop].backlog, ended.deferred, false);
    if (around == nullptr) return Append(frames_.back().now, ended.calls, false);
    if (!ended.calls.empty()) around->left.push_back({ended.calls, false});
  };
  // Of a cancel wakers come first, and what they leave to the loop comes before what this one has deferred.
  if (ended.wakers.empty() || InWaker()) return others();
  frame.stages.push_front(others);
}

void Reference::LeaveToLoop(int loop, const Ended& ended) {
  std::vector<int> others = ended.calls;
  others.insert(others.end(), ended.deferred.begin(), ended.deferred.end());
  Loop& l = loops[loop];
  l.may_release = true;
  const bool together = moment_ != 0 && l.moment == moment_;
  l.moment = moment_;
  Append(l.wakers, ended.wakers, true, together);
  Append(l.backlog, others, false, together);
}

void Reference::Append(std::deque<Batch>& batches, const std::vector<int>& watches, bool wakers,
                       bool together) {
  if (watches.empty()) return;
  if (together && !batches.empty()) {
    auto& last = batches.back().watches;
    last.insert(last.end(), watches.begin(), watches.end());
  } else {
    batches.push_back({watches, wakers});
  }
}

}  // namespace fuzz
