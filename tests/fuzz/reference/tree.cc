// SPDX-License-Identifier: MIT
//
// Who is derived from whom, whose end is whose, and what is still in memory.
#include <algorithm>

#include "fuzz/reference/reference.h"

namespace fuzz {

int Reference::NewLoop(bool is_virtual, int64_t ahead) {
  loops.push_back({});
  loops.back().is_virtual = is_virtual;
  loops.back().ahead = ahead;
  const int loop = static_cast<int>(loops.size()) - 1;
  loops[loop].root = Root(loop, Kind::kBackground);
  contexts[loops[loop].root].handles = 0;
  return loop;
}

int Reference::Root(int loop, Kind kind) {
  Context made;
  made.kind = kind;
  made.loop = loop;
  return Add(made);
}

int Reference::Deadline(int parent, int64_t deadline, const CauseRef& reason) {
  const Context& above = NodeOf(parent);
  const int64_t now = Now(above.loop);
  if (above.deadline <= deadline) {  // the parent's counts
    if (above.deadline <= now) EndPassed(contexts[parent].node);
    return Cancelable(parent);
  }
  Context made = Below(Kind::kDeadline, parent);
  made.deadline = deadline;
  made.reason = reason;
  if (reason) reason->to_deadline = true;
  if (made.err == 0 && deadline > now) made.timer = deadline;
  const int i = Add(made);
  if (made.err == 0 && deadline <= now) End(i, CTX_DEADLINE_EXCEEDED, reason, {});
  return i;
}

int Reference::Idle(int parent, int64_t limit, const CauseRef& reason) {
  const int loop = NodeOf(parent).loop;
  const int64_t now = Now(loop);
  if (NodeOf(parent).deadline <= now) EndPassed(contexts[parent].node);
  Context made = Below(Kind::kIdle, parent);
  made.length = limit;
  made.reason = reason;
  if (reason) reason->to_deadline = true;
  made.touched = made.touched_by = now;
  const int i = Add(made);
  if (made.err == 0 && limit <= 0) End(i, CTX_DEADLINE_EXCEEDED, reason, {});
  if (limit > 0) {
    ++contexts[i].handles;  // it is held from now on
    FireOverdue(loop);
    --contexts[i].handles;
  }
  return i;
}

int Reference::Grace(int parent, int64_t grace) {
  if (grace <= 0) return Cancelable(parent);
  const int above = contexts[parent].node;
  const int loop = contexts[above].loop;
  Context made = Below(Kind::kGrace, loops[loop].root);
  made.parent = parent;
  made.ends_with.clear();
  made.graced = above;
  made.length = grace;
  const int64_t until = contexts[above].deadline;
  if (until != CTX_FOREVER) {
    made.deadline = Sum(contexts[above].err != 0 ? std::max(until, Now(loop)) : until, grace);
  }
  const int i = Add(made);
  if (contexts[above].err != 0) Begin(i);
  return i;
}

int Reference::Merge(const std::vector<int>& parents) {
  const int loop = NodeOf(parents[0]).loop;
  Context made = Below(Kind::kMerge, loops[loop].root);
  made.parent = parents[0];
  made.parents = parents;
  made.ends_with.clear();
  int64_t earliest = CTX_FOREVER;
  std::vector<int> nodes;
  for (int parent : parents) {
    int node = contexts[parent].node;
    if (contexts[node].is_root()) continue;
    if (contexts[node].loop != loop) node = Mirror(loop, node);
    nodes.push_back(node);
    earliest = std::min(earliest, contexts[node].deadline);
  }
  made.deadline = earliest;
  const int i = Add(made);
  for (int node : nodes) {
    if (contexts[i].err != 0) break;  // it needs no more of them
    contexts[i].ends_with.push_back(node);
    if (contexts[node].err == 0) continue;
    contexts[i].err = contexts[node].err;
    contexts[i].cause = contexts[node].cause;
    contexts[i].through = {node};
  }
  return i;
}

int Reference::Descriptor(int parent, int fd, uint32_t events) {
  Context made = Below(Kind::kDescriptor, parent);
  made.fd = made.number = fd;
  made.events = events;
  return Add(made);
}

int Reference::Signal(int parent, std::set<int> signals) {
  Context made = Below(Kind::kSignal, parent);
  made.signals = std::move(signals);
  return Add(made);
}

int Reference::Carrier(Kind kind, int parent) {
  Context made;
  made.kind = kind;
  made.parent = parent;
  made.loop = NodeOf(parent).loop;
  made.node = kind == Kind::kDetached ? loops[made.loop].root : contexts[parent].node;
  return Add(made);
}

int Reference::EndedBy(int ctx, int candidate) const {
  int node = contexts[ctx].node;
  const int wanted = contexts[candidate].node;
  if (contexts[node].err == 0) return 0;
  if (contexts[node].through.empty()) {
    return !contexts[node].with_loop && node == wanted ? 1 : 0;
  }
  while (!contexts[node].through.empty()) {
    if (contexts[node].through.size() > 1) return kNone;
    node = contexts[node].through[0];
    if (contexts[node].kind == Kind::kMirror && contexts[node].through.empty()) {
      if (contexts[node].with_loop) return 0;
      node = contexts[contexts[node].parent].node;  // the one that it follows
    }
    if (node == wanted) return 1;
  }
  return 0;
}

const Context* Reference::Find(int ctx, const std::function<bool(const Context&)>& is_it) const {
  for (; ctx != kNone; ctx = contexts[ctx].parent) {
    if (is_it(contexts[ctx])) return &contexts[ctx];
  }
  return nullptr;
}

void Reference::Collect() {
  std::vector<int> found;
  const auto reach = [&](int i) {
    if (i == kNone || contexts[i].kept) return;
    contexts[i].kept = true;
    found.push_back(i);
  };
  const auto hold = [&](int i) {
    reach(i);
    contexts[i].held = true;
  };
  for (Context& c : contexts) c.held = c.kept = false;
  for (size_t i = 0; i < contexts.size(); ++i) {
    const Context& c = contexts[i];
    const bool by_program = c.handles + c.cancelers > 0;
    if (by_program || (c.is_root() && c.loop == 0)) {
      hold(static_cast<int>(i));
    } else if (c.is_root() || c.posted) {
      reach(static_cast<int>(i));
    }
  }
  for (const Watch& w : watches) {
    if (w.state == Watch::kArmed || w.state == Watch::kRunning) hold(w.ctx);
  }
  for (const Group& g : groups) {
    if (g.alive) hold(g.ctx);
    for (int over : g.overs) hold(over);
  }
  while (!found.empty()) {
    const Context& c = contexts[found.back()];
    found.pop_back();
    reach(c.parent);
    for (int above : c.ends_with) reach(above);
  }
}

Context Reference::Below(Kind kind, int parent) {
  Context made;
  made.kind = kind;
  made.parent = parent;
  const int above = contexts[parent].node;
  const Context& node = contexts[above];
  made.loop = node.loop;
  made.deadline = node.deadline;
  if (node.is_root()) {
    if (loops[node.loop].closed) {
      made.err = CTX_CANCELED;
      made.cause = LoopClosed();
      made.with_loop = true;
    }
    return made;
  }
  made.ends_with = {above};
  if (node.err != 0) {
    made.err = node.err;
    made.cause = node.cause;
    made.through = {above};
  }
  return made;
}

int Reference::Add(Context made) {
  const int i = static_cast<int>(contexts.size());
  if (made.node == kNone) made.node = i;
  contexts.push_back(std::move(made));
  return i;
}

// Ends when the other loop's context has ended and this loop takes a turn; or at that one's deadline, if both
// loops have one clock.
int Reference::Mirror(int loop, int followed) {
  Context made = Below(Kind::kMirror, loops[loop].root);
  made.parent = followed;
  made.ends_with.clear();
  const Context& other = contexts[followed];
  const Loop &a = loops[loop], &b = loops[other.loop];
  if (other.err == 0 && !a.is_virtual && !b.is_virtual && a.ahead == b.ahead) {
    const int owner = OwnerOfDeadline(followed);
    if (owner != kNone) {
      made.deadline = made.timer = other.deadline;
      made.reason = contexts[owner].reason;
    }
  }
  const int i = Add(made);
  const int64_t timer = contexts[i].timer;
  if (contexts[i].err == 0 && other.err != 0) {
    End(i, other.err, other.cause, {});
  } else if (contexts[i].err == 0 && timer != CTX_FOREVER && timer <= Now(loop)) {
    End(i, CTX_DEADLINE_EXCEEDED, contexts[i].reason, {});
  }
  return i;
}

// The context that ends this one at its deadline; kNone if there is none, or if only a grace that has begun does.
int Reference::OwnerOfDeadline(int node) const {
  const Context& c = contexts[node];
  if (c.deadline == CTX_FOREVER) return kNone;
  if (c.kind == Kind::kDeadline || c.kind == Kind::kMirror) return node;
  if (c.graced != kNone) return contexts[c.graced].err != 0 ? kNone : OwnerOfDeadline(c.graced);
  for (int above : c.ends_with) {
    if (contexts[above].deadline == c.deadline) return OwnerOfDeadline(above);
  }
  return kNone;
}

std::set<int> Reference::Descendants(int top) const {
  std::set<int> all = {top};
  for (size_t i = static_cast<size_t>(top) + 1; i < contexts.size(); ++i) {
    for (int above : contexts[i].ends_with) {
      if (all.count(above) > 0) all.insert(static_cast<int>(i));
    }
  }
  return all;
}

bool Reference::AreRelated(int a, int b) const {
  const std::set<int> below = Descendants(a);
  for (int i : Descendants(b)) {
    if (below.count(i) > 0) return true;
  }
  return false;
}

bool Reference::IsLive(const Context& c) const {
  return c.kept && !c.is_root() && c.err == 0 && &contexts[c.node] == &c;
}

std::vector<int> Reference::All(int loop, const std::function<bool(const Context&)>& is_it) const {
  std::vector<int> found;
  for (size_t i = 0; i < contexts.size(); ++i) {
    if (IsLive(contexts[i]) && contexts[i].loop == loop && is_it(contexts[i])) {
      found.push_back(static_cast<int>(i));
    }
  }
  return found;
}

}  // namespace fuzz
