// SPDX-License-Identifier: MIT
//
// What contexts, callbacks, queues, groups and loops must look like, worked out apart from the library, in the
// simplest way there is: everything is numbered and kept, every end walks over all contexts, every step of time looks
// for the next timer, and what is still in memory is found by following who keeps whom. One thread.
//
// Where the headers promise no order, this takes any. A callback that runs must be one of those that may run next;
// events of one end come in any order. If an input makes two things due at one moment, and what comes of it depends on
// which comes first, `ambiguous` is set: then nothing more is compared.
#ifndef CTX_TESTS_FUZZ_REFERENCE_H_
#define CTX_TESTS_FUZZ_REFERENCE_H_

#include <ctx/ctx.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace fuzz {

constexpr int kNone = -1;

inline int64_t Sum(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a > 0 ? INT64_MAX : INT64_MIN;
}
inline int64_t Difference(int64_t a, int64_t b) {
  int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return a > 0 ? INT64_MAX : INT64_MIN;
}

struct Cause {
  const ctx_cause_t* handle = nullptr;  // nullptr: one that the library made
  int code = 0;
  std::string message;
  bool given = false;
  int stated = 0;  // origin
  bool to_deadline = false;

  int origin() const {
    if (stated != 0) return stated;
    return code == CTX_DEADLINE_EXCEEDED || to_deadline ? CTX_ORIGIN_DEADLINE : CTX_ORIGIN_CANCELED;
  }
};
using CauseRef = std::shared_ptr<Cause>;

inline CauseRef LibrarysOwn(int code, std::string message, bool given, int origin) {
  return std::make_shared<Cause>(Cause{nullptr, code, std::move(message), given, origin, false});
}
inline CauseRef Plain(int err) {
  return err == CTX_CANCELED
             ? LibrarysOwn(err, "context canceled", false, CTX_ORIGIN_CANCELED)
             : LibrarysOwn(err, "context deadline exceeded", false, CTX_ORIGIN_DEADLINE);
}

enum class Kind {
  kBackground,
  kTodo,
  kCancel,
  kDeadline,
  kIdle,
  kGrace,
  kMerge,
  kDescriptor,
  kSignal,
  kValue,
  kString,
  kName,
  kDetached,
  kMirror,  // of a context of another loop, below a merge: nobody has a handle
};

struct Context {
  Kind kind = Kind::kBackground;
  int loop = 0;
  int parent = kNone;          // that it was derived from; of a mirror, what it follows
  int node = kNone;            // whose end is its end: itself, if it can end
  std::vector<int> ends_with;  // the nodes of its parents
  std::vector<int> parents;    // of a merge
  int graced = kNone;          // the node whose end begins this grace
  // What it carries.
  const ctx_key_t* key = nullptr;
  void* value = nullptr;
  std::string name, text;
  bool hides = false;  // a string without a text
  // When it ends.
  int64_t length = 0;              // of a grace, or of an idle context
  int64_t deadline = CTX_FOREVER;  // what ctx_deadline() tells
  int64_t timer = CTX_FOREVER;
  int64_t touched = 0, touched_by = 0;  // at the earliest, at the latest
  bool touched_since = false;           // perhaps since the loop has looked
  int fd = -1, number = -1;             // the descriptor while it is open; as it was given
  uint32_t events = 0;
  std::set<int> signals;
  bool begun_late = false;  // a grace that was over when it began
  bool posted = false;      // its signal has come
  bool written = false;     // to a descriptor of ctx_cancel_fd()
  bool has_cancel_fd = false;
  CauseRef reason;
  // How it ended.
  int err = 0;
  CauseRef cause;
  int end = 0;  // all that ended together have the same
  std::vector<int>
      through;  // the nodes that it may have ended through; empty: by itself, or with its loop
  bool with_loop = false;  // not by itself
  // Who keeps it.
  int handles = 0, cancelers = 0;
  bool held = true;  // so that a program may use it; else at most what is below it keeps it
  bool kept = true;

  bool is_root() const { return kind == Kind::kBackground || kind == Kind::kTodo; }
};

struct Watch {
  enum State { kIdle, kArmed, kRunning, kOver };
  State state = kIdle;
  int ctx = kNone;
  bool waker = false, deferred = false;
  int queue = kNone;  // of an entry
  uint64_t token = 0;
  bool posted = false;
  int drops = 0;      // as they should be
  bool held = false;  // by a handle
};

struct Batch {
  std::vector<int> watches;  // in any order that parents and descendants allow
  bool wakers = false;
};

struct Queue {
  bool alive = true;
  std::deque<std::vector<int>> events;  // of one moment in any order
  int moment = 0;
};

struct Group {
  int ctx = kNone, outer = kNone;
  int64_t work = 0;
  int handles = 1;
  CauseRef cause;
  std::vector<int> overs;  // contexts
  bool alive = true;
};

struct Loop {
  bool is_virtual = true;
  int64_t ahead = 0;  // of the real clock
  int64_t now = 0;    // of a virtual one
  bool closed = false, orphaned = false, driven = false;
  bool may_release = false;  // what was ended for it may wait there for its last release
  int handles = 1;
  int root = kNone;
  std::deque<Batch> wakers, backlog;
  int moment = 0;
};

class Reference {
 public:
  // A reference into these stays valid when more are added.
  std::deque<Context> contexts;
  std::deque<Watch> watches;
  std::deque<Queue> queues;
  std::deque<Group> groups;
  std::deque<Loop> loops;
  bool ambiguous = false;

  // What the library says of a context that is kept, for what may be either way.
  std::function<int(int ctx)> ask_err;
  std::function<int64_t()> real_now;
  std::function<uint32_t(int fd)> poll;  // the events that poll(2) reports
  std::function<void(const char*)> fail;

  int64_t Now(int loop) const {
    const Loop& l = loops[loop];
    return l.is_virtual ? l.now : real_now() + l.ahead;
  }

  // ---------------------------------------------------------------- making contexts

  int NewLoop(bool is_virtual, int64_t ahead) {
    loops.push_back({});
    loops.back().is_virtual = is_virtual;
    loops.back().ahead = ahead;
    const int loop = static_cast<int>(loops.size()) - 1;
    loops[loop].root = Root(loop, Kind::kBackground);
    contexts[loops[loop].root].handles = 0;
    return loop;
  }

  int Root(int loop, Kind kind) {
    Context made;
    made.kind = kind;
    made.loop = loop;
    return Add(made);
  }

  int Cancelable(int parent) { return Add(Below(Kind::kCancel, parent)); }

  int Deadline(int parent, int64_t deadline, const CauseRef& reason) {
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

  int Idle(int parent, int64_t limit, const CauseRef& reason) {
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

  int Grace(int parent, int64_t grace) {
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

  int Merge(const std::vector<int>& parents) {
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

  int Descriptor(int parent, int fd, uint32_t events) {
    Context made = Below(Kind::kDescriptor, parent);
    made.fd = made.number = fd;
    made.events = events;
    return Add(made);
  }
  int Signal(int parent, std::set<int> signals) {
    Context made = Below(Kind::kSignal, parent);
    made.signals = std::move(signals);
    return Add(made);
  }

  int Carrier(Kind kind, int parent) {
    Context made;
    made.kind = kind;
    made.parent = parent;
    made.loop = NodeOf(parent).loop;
    made.node = kind == Kind::kDetached ? loops[made.loop].root : contexts[parent].node;
    return Add(made);
  }

  // ---------------------------------------------------------------- asking

  const Context& NodeOf(int ctx) const { return contexts[contexts[ctx].node]; }
  Context& NodeOf(int ctx) { return contexts[contexts[ctx].node]; }

  // 1, 0, or kNone if either may be.
  int EndedBy(int ctx, int candidate) const {
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

  const Context* Find(int ctx, const std::function<bool(const Context&)>& is_it) const {
    for (; ctx != kNone; ctx = contexts[ctx].parent) {
      if (is_it(contexts[ctx])) return &contexts[ctx];
    }
    return nullptr;
  }

  int64_t Next(int loop) {
    Collect();
    if (HasWork(loop)) return Now(loop);
    const int64_t next = NextTimer(loop);
    return next == CTX_FOREVER ? next : std::max(next, Now(loop));
  }

  int64_t NextTimer(int loop) {
    Collect();
    int64_t next = CTX_FOREVER;
    for (const Context& c : contexts) {
      if (IsLive(c) && c.loop == loop) next = std::min(next, TimerOf(c));
    }
    return next;
  }

  // Whether a dispatch or an advance finds work other than timers.
  bool HasWork(int loop) {
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

  bool HasManualIdle(int loop) const {
    if (loops[loop].is_virtual) return false;
    return std::any_of(contexts.begin(), contexts.end(), [&](const Context& c) {
      return c.loop == loop && c.kind == Kind::kIdle && IsLive(c);
    });
  }

  bool Readable(int queue) const {
    for (const auto& moment : queues[queue].events) {
      if (!moment.empty()) return true;
    }
    return false;
  }

  // Marks what nothing keeps any more. Its timers are gone.
  void Collect() {
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

  // ---------------------------------------------------------------- calls that run callbacks
  //
  // Enter(); one of the calls below; the call of the library, whose callbacks call Called() and Returned(); Leave().

  void Enter() { frames_.push_back({}); }

  // What the call must have run is over. Whatever was left to a callback's turn runs after that callback.
  void Leave() {
    Settle(true);
    if (!ambiguous && !frames_.back().now.empty()) fail("a callback was not run");
    if (frames_.back().driving != kNone) {
      Loop& loop = loops[frames_.back().driving];
      loop.driven = loop.may_release = false;
    }
    frames_.pop_back();
    Collect();
  }

  bool InCallback() const {
    return std::any_of(frames_.begin(), frames_.end(),
                       [](const Frame& frame) { return frame.running != kNone; });
  }
  bool InWaker() const {
    return std::any_of(frames_.begin(), frames_.end(), [&](const Frame& frame) {
      return frame.running != kNone && frame.running_waker;
    });
  }

  bool Cancel(int ctx, int err, const CauseRef& cause) {
    const int node = contexts[ctx].node;
    if (cause && err == CTX_DEADLINE_EXCEEDED) cause->to_deadline = true;
    if (contexts[node].err != 0) return false;
    RunHere(contexts[node].loop, End(node, err, cause, {}));
    return true;
  }
  bool CancelDeferred(int ctx, int err, const CauseRef& cause) {
    const int node = contexts[ctx].node;
    if (cause && err == CTX_DEADLINE_EXCEEDED) cause->to_deadline = true;
    if (contexts[node].err != 0) return false;
    LeaveToLoop(contexts[node].loop, End(node, err, cause, {}));
    return true;
  }

  void Close(int loop) {
    if (loops[loop].closed) return;
    loops[loop].closed = true;
    RunHere(loop, EndAll(loop));
  }
  void UnrefLoop(int loop) {
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

  // How many it will have fired is known after Leave().
  std::shared_ptr<int> Dispatch(int loop) {
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

  std::shared_ptr<int> Advance(int loop, int64_t ns) {
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

  // The error, or 0. A callback on a context that is done runs here.
  int Arm(int watch, int ctx, bool waker, bool deferred) {
    Watch& w = watches[watch];
    w.waker = waker;
    w.deferred = deferred;
    w.ctx = ctx;
    const Context& node = NodeOf(ctx);
    if (node.is_root()) {
      w.state = Watch::kIdle;
      return 0;
    }
    if (deferred && loops[node.loop].orphaned) return -ESHUTDOWN;
    w.state = Watch::kArmed;
    if (node.err == 0) return 0;
    Batch batch{{watch}, waker};
    if (deferred) {
      loops[node.loop].backlog.push_back(batch);
    } else {
      frames_.back().now.push_back(batch);
    }
    return 1;
  }

  std::shared_ptr<int> EndWork(int group, const CauseRef& cause) {
    auto result = std::make_shared<int>(0);
    if (groups[group].work == 0) {
      *result = -EINVAL;
      return result;
    }
    Fail(group, cause);
    frames_.back().stages.push_back([=, this] { *result = TakeOut(group); });
    return result;
  }
  void UnrefGroup(int group) {
    --groups[group].handles;
    FreeIfOver(group);
  }
  int Over(int group) {
    const int over = Cancelable(loops[contexts[groups[group].ctx].loop].root);
    if (groups[group].work > 0) {
      groups[group].overs.push_back(over);
    } else {
      Cancel(over, CTX_CANCELED, nullptr);
    }
    return over;
  }

  void Called(int watch) {
    Settle(false);
    if (ambiguous) return;
    Frame& frame = frames_.back();
    if (watches[watch].state != Watch::kArmed) return fail("a callback ran that was not armed");
    if (frame.now.empty()) return fail("a callback ran that nothing had set off");
    Batch& batch = frame.now.front();
    const auto found = std::find(batch.watches.begin(), batch.watches.end(), watch);
    if (found == batch.watches.end()) return fail("a callback ran before its time");
    for (int other : batch.watches) {
      if (watches[other].state == Watch::kArmed && MustPrecede(other, watch)) {
        std::fprintf(stderr, "w%d of c%d comes before w%d of c%d\n", other, watches[other].ctx,
                     watch, watches[watch].ctx);
        return fail("a callback ran before one that must come first");
      }
    }
    frame.running_waker = batch.wakers;
    batch.watches.erase(found);
    frame.running = watch;
    watches[watch].state = Watch::kRunning;
  }
  void Returned(int watch) {
    Frame& frame = frames_.back();
    if (ambiguous) return;
    frame.running = kNone;
    watches[watch].state = Watch::kOver;
    frame.now.insert(frame.now.begin(), frame.left.begin(), frame.left.end());
    frame.left.clear();
    Collect();
  }

  // ---------------------------------------------------------------- calls that run none

  int Touch(int ctx) {
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

  bool Stop(int watch) {
    Watch& w = watches[watch];
    if (w.state != Watch::kArmed && w.state != Watch::kIdle) return false;
    w.state = Watch::kOver;
    if (w.queue != kNone) {
      for (auto& moment : queues[w.queue].events) {
        moment.erase(std::remove(moment.begin(), moment.end(), watch), moment.end());
      }
    }
    return true;
  }

  void Add(int queue, int ctx, int watch) {
    Watch& w = watches[watch];
    w.queue = queue;
    w.ctx = ctx;
    w.state = NodeOf(ctx).is_root() ? Watch::kIdle : Watch::kArmed;
    if (NodeOf(ctx).err != 0) Post(queue, watch, ++moments_);
  }

  // The event that was drained.
  bool Drained(int queue, uint64_t token, int err) {
    auto& events = queues[queue].events;
    while (!events.empty() && events.front().empty()) events.pop_front();
    if (events.empty()) return false;
    auto& moment = events.front();
    const auto found = std::find_if(moment.begin(), moment.end(),
                                    [&](int w) { return watches[w].token == token; });
    if (found == moment.end() || NodeOf(watches[*found].ctx).err != err) return false;
    drained = *found;
    watches[*found].state = Watch::kOver;
    moment.erase(found);
    return true;
  }
  int drained = kNone;

  void FreeQueue(int queue) {
    queues[queue].alive = false;
    queues[queue].events.clear();
    for (Watch& w : watches) {
      if (w.queue == queue) w.state = Watch::kOver;
    }
  }

  // As a thread that waits on a manual loop does, when the clock has come to its time.
  void FireForWaiter(int loop) {
    if (!loops[loop].is_virtual) FireDue(loop, true);
  }
  // A context whose deadline has passed ends.
  void EndPassed(int node) {
    if (contexts[node].err != 0 || contexts[node].deadline == CTX_FOREVER) return;
    if (contexts[node].deadline <= Now(contexts[node].loop)) FireDue(contexts[node].loop, true);
  }

  void SignalCame(int signal) {
    Collect();
    for (Context& c : contexts) {
      if (IsLive(c) && c.signals.count(signal) > 0 && !c.posted) {
        c.posted = true;
        c.reason = LibrarysOwn(signal, "", true, CTX_ORIGIN_SIGNAL);
      }
    }
  }

 private:
  struct Frame {
    std::deque<Batch> now;    // to be run before the call returns, one after the other
    std::vector<Batch> left;  // by the callback that runs
    std::deque<std::function<void()>> stages;  // of the call, when all of `now` has run
    int running = kNone;
    bool running_waker = false;
    int driving = kNone;
    int64_t target = kNone;  // of an advance
    std::shared_ptr<int> fired;
  };
  struct Ended {
    std::vector<int> wakers, deferred, calls;
  };

  bool IsLive(const Context& c) const {
    return c.kept && !c.is_root() && c.err == 0 && &contexts[c.node] == &c;
  }
  int64_t TimerOf(const Context& c) const {
    if (c.kind != Kind::kIdle) return c.timer;
    return c.length == CTX_FOREVER ? CTX_FOREVER : Sum(c.touched, c.length);
  }
  bool IsReady(const Context& c) const {
    if (c.written) return true;
    if (c.kind == Kind::kMirror) return contexts[c.parent].err != 0;
    return c.kind == Kind::kDescriptor && c.fd >= 0 && Came(c) != 0;
  }
  uint32_t Came(const Context& c) const { return poll(c.fd) & (c.events | POLLERR | POLLHUP); }
  bool Waits(const Batch& batch) const {
    return std::any_of(batch.watches.begin(), batch.watches.end(),
                       [&](int w) { return watches[w].state == Watch::kArmed; });
  }

  Context Below(Kind kind, int parent) {
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

  int Add(Context made) {
    const int i = static_cast<int>(contexts.size());
    if (made.node == kNone) made.node = i;
    contexts.push_back(std::move(made));
    return i;
  }

  // Ends when the other loop's context has ended and this loop takes a turn; or at that one's deadline, if both
  // loops have one clock.
  int Mirror(int loop, int followed) {
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
  int OwnerOfDeadline(int node) const {
    const Context& c = contexts[node];
    if (c.deadline == CTX_FOREVER) return kNone;
    if (c.kind == Kind::kDeadline || c.kind == Kind::kMirror) return node;
    if (c.graced != kNone) return contexts[c.graced].err != 0 ? kNone : OwnerOfDeadline(c.graced);
    for (int above : c.ends_with) {
      if (contexts[above].deadline == c.deadline) return OwnerOfDeadline(above);
    }
    return kNone;
  }

  static CauseRef LoopClosed() {
    return LibrarysOwn(CTX_CANCELED, "loop closed", true, CTX_ORIGIN_SHUTDOWN);
  }

  void Begin(int grace) {
    Context& c = contexts[grace];
    if (c.err != 0) return;
    c.timer = std::min(Sum(Now(c.loop), c.length), c.deadline);
    c.begun_late = c.timer <= Now(c.loop);
  }

  // Ends a context and all that ends with it, and begins the graces.
  Ended End(int top, int err, const CauseRef& cause, std::vector<int> through) {
    Collect();
    ++ends_;
    Mark(top, err, cause ? cause : Plain(err), std::move(through));
    return Tell();
  }
  Ended EndAll(int loop) {
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
  void Mark(int top, int err, const CauseRef& cause, std::vector<int> through) {
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
  Ended Tell() {
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
  void Post(int queue, int watch, int moment) {
    Queue& q = queues[queue];
    if (q.moment != moment || q.events.empty()) q.events.push_back({});
    q.moment = moment;
    q.events.back().push_back(watch);
  }

  // Where callbacks run if a call of the program ends a context.
  void RunHere(int loop, const Ended& ended) {
    FireOverdue(loop);
    Frame& frame = frames_.back();
    Frame* around = nullptr;
    for (Frame& f : frames_) {
      if (f.running != kNone) around = &f;
    }
    if (around != nullptr && InWaker() && !loops[loop].orphaned) return LeaveToLoop(loop, ended);
    Append(frame.now, ended.wakers, true);
    Append(loops[loop].backlog, ended.deferred, false);
    if (around == nullptr) return Append(frame.now, ended.calls, false);
    if (!ended.calls.empty()) around->left.push_back({ended.calls, false});
  }
  void LeaveToLoop(int loop, const Ended& ended) {
    std::vector<int> others = ended.calls;
    others.insert(others.end(), ended.deferred.begin(), ended.deferred.end());
    Loop& l = loops[loop];
    l.may_release = true;
    const bool together = moment_ != 0 && l.moment == moment_;
    l.moment = moment_;
    Append(l.wakers, ended.wakers, true, together);
    Append(l.backlog, others, false, together);
  }
  static void Append(std::deque<Batch>& batches, const std::vector<int>& watches, bool wakers,
                     bool together = false) {
    if (watches.empty()) return;
    if (together && !batches.empty()) {
      auto& last = batches.back().watches;
      last.insert(last.end(), watches.begin(), watches.end());
    } else {
      batches.push_back({watches, wakers});
    }
  }

  // Parents' callbacks come before those of what ended with them, those of one context in their order.
  bool MustPrecede(int first, int second) const {
    const Watch &a = watches[first], &b = watches[second];
    if (NodeOf(a.ctx).end != NodeOf(b.ctx).end) return false;
    if (a.ctx == b.ctx) return first < second;
    return IsAbove(a.ctx, b.ctx);
  }
  bool IsAbove(int above, int ctx) const {
    const Context& c = contexts[ctx];
    if (c.kind == Kind::kDetached || c.kind == Kind::kGrace || c.is_root()) return false;
    const std::vector<int> parents =
        c.kind == Kind::kMerge ? c.parents : std::vector<int>{c.parent};
    for (int parent : parents) {
      const Context& node = NodeOf(parent);
      if (node.is_root() || node.end != NodeOf(ctx).end || node.loop != c.loop) continue;
      if (parent == above || IsAbove(above, parent)) return true;
    }
    return false;
  }

  // ---------------------------------------------------------------- time

  // Whatever has ended in one moment, in no order; how many ended by themselves.
  int FireTogether(const std::vector<int>& due, const std::function<void(int)>& fire) {
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
  std::set<int> Descendants(int top) const {
    std::set<int> all = {top};
    for (size_t i = static_cast<size_t>(top) + 1; i < contexts.size(); ++i) {
      for (int above : contexts[i].ends_with) {
        if (all.count(above) > 0) all.insert(static_cast<int>(i));
      }
    }
    return all;
  }
  bool AreRelated(int a, int b) const {
    const std::set<int> below = Descendants(a);
    for (int i : Descendants(b)) {
      if (below.count(i) > 0) return true;
    }
    return false;
  }

  int Turn(int loop) {
    Collect();
    int fired = FireTogether(All(loop, [&](const Context& c) { return IsReady(c); }),
                             [&](int i) { FireSource(i); });
    fired += FireTogether(All(loop, [](const Context& c) { return c.posted; }), [&](int i) {
      LeaveToLoop(loop, End(i, CTX_CANCELED, contexts[i].reason, {}));
    });
    ForgetPosted(loop);
    return fired + FireDue(loop);
  }
  void ForgetPosted(int loop) {
    for (Context& c : contexts) {
      if (c.loop == loop) c.posted = false;
    }
  }
  void FireSource(int i) {
    Context& c = contexts[i];
    if (c.kind == Kind::kMirror) {
      const Context& followed = contexts[c.parent];
      return LeaveToLoop(c.loop, End(i, followed.err, followed.cause, {}));
    }
    if (c.written) return LeaveToLoop(c.loop, End(i, CTX_CANCELED, nullptr, {}));
    const CauseRef reason = LibrarysOwn(static_cast<int>(Came(c)), "", true, CTX_ORIGIN_DESCRIPTOR);
    LeaveToLoop(c.loop, End(i, CTX_CANCELED, reason, {}));
  }
  std::vector<int> All(int loop, const std::function<bool(const Context&)>& is_it) const {
    std::vector<int> found;
    for (size_t i = 0; i < contexts.size(); ++i) {
      if (IsLive(contexts[i]) && contexts[i].loop == loop && is_it(contexts[i])) {
        found.push_back(static_cast<int>(i));
      }
    }
    return found;
  }

  // Everything due, in the order of its time; what is of one time, or within a tick of real time, in any order.
  // A call that does not drive a manual loop may leave graces that begin late.
  int FireDue(int loop, bool leaves_graces = false) {
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
  bool IsDue(int i, bool leaves_graces) const {
    const Context& c = contexts[i];
    // At the end of a virtual clock every idle context has waited for long enough.
    const bool never =
        TimerOf(c) == CTX_FOREVER && (c.kind != Kind::kIdle || c.length == CTX_FOREVER);
    if (never || TimerOf(c) > Now(c.loop)) return false;
    if (c.begun_late && leaves_graces && !loops[c.loop].is_virtual) return ask_err(i) != 0;
    if (c.kind != Kind::kIdle || loops[c.loop].is_virtual) return true;
    return ask_err(i) != 0 || Now(c.loop) >= LatestOf(c);
  }
  // By how much an idle context may end late, and how often the loop looks at it.
  static int64_t StepOf(const Context& c) { return std::max<int64_t>(c.length / 16, 1'000'000); }
  static int64_t LatestOf(const Context& c) {
    return c.touched_since ? CTX_FOREVER : Sum(Sum(c.touched_by, c.length), StepOf(c));
  }
  // A touch is noticed when the loop looks, a step after it has looked last, and counts from then.
  void LookAtIdle(int loop) {
    if (loops[loop].is_virtual) return;
    for (Context& c : contexts) {
      if (c.kind != Kind::kIdle || c.loop != loop || !c.touched_since) continue;
      if (Now(loop) < Sum(c.touched, StepOf(c))) continue;
      c.touched_since = false;
      c.touched_by = Now(loop);
    }
  }
  void FireTimer(int i) {
    Context& c = contexts[i];
    if (c.kind == Kind::kGrace) {
      const Context& graced = contexts[c.graced];
      return LeaveToLoop(c.loop, End(i, graced.err, graced.cause, {c.graced}));
    }
    if (c.kind == Kind::kIdle && !loops[c.loop].is_virtual) {
      // When exactly this was is not known, and so not when a grace has begun.
      const std::set<int> below = Descendants(i);
      for (const Context& other : contexts) {
        if (other.graced != kNone && below.count(other.graced) > 0) ambiguous = true;
      }
    }
    LeaveToLoop(c.loop, End(i, CTX_DEADLINE_EXCEEDED, c.reason, {}));
  }
  // A virtual loop leaves nothing overdue.
  void FireOverdue(int loop) {
    if (loops[loop].is_virtual) FireDue(loop);
  }

  // ---------------------------------------------------------------- groups

  void Fail(int group, const CauseRef& cause) {
    if (!cause || groups[group].cause) return;
    groups[group].cause = cause;
    Cancel(groups[group].ctx, CTX_CANCELED, cause);
  }
  int TakeOut(int group) {
    Group& g = groups[group];
    if (g.work == 0) return -EINVAL;
    if (--g.work > 0) return 0;
    std::vector<int> overs;
    overs.swap(g.overs);
    for (int over : overs) {
      ++contexts[over].cancelers;  // the group's reference, until it has ended
      frames_.back().stages.push_back([=, this] {
        Cancel(over, CTX_CANCELED, nullptr);
        frames_.back().stages.push_front([=, this] { --contexts[over].cancelers; });
      });
    }
    // Whether this was the last of it is decided now.
    if (g.handles == 0) {
      frames_.back().stages.push_back([=, this] { FreeIfOver(group); });
    }
    return 0;
  }
  void FreeIfOver(int group) {
    Group& g = groups[group];
    if (!g.alive || g.handles > 0 || g.work > 0) return;
    if (g.outer != kNone) {
      const int outer = g.outer;
      Fail(outer, g.cause);
      frames_.back().stages.push_back([=, this] {
        groups[group].alive = false;
        groups[group].cause = nullptr;
        TakeOut(outer);
      });
    } else {
      g.alive = false;
      g.cause = nullptr;
    }
  }

  // ---------------------------------------------------------------- whose turn it is

  void RunWakers(int loop) {
    Frame& frame = frames_.back();
    frame.now.insert(frame.now.end(), loops[loop].wakers.begin(), loops[loop].wakers.end());
    const bool any = !loops[loop].wakers.empty();
    loops[loop].wakers.clear();
    // Those that a waker's cancel adds run before others.
    if (any) frame.stages.push_front([=, this] { RunWakers(loop); });
  }

  // Goes on to what comes next, if all before it has run.
  void Settle(bool to_the_end) {
    if (ambiguous || frames_.empty()) return;
    for (;;) {
      Frame& frame = frames_.back();
      if (frame.running != kNone) return;
      while (!frame.now.empty() && !Waits(frame.now.front())) frame.now.pop_front();
      if (!frame.now.empty()) return;
      if (!frame.stages.empty()) {
        const auto stage = frame.stages.front();
        frame.stages.pop_front();
        stage();
        continue;
      }
      if (frame.driving == kNone || !loops[frame.driving].is_virtual) return;
      if (!GoOn(frame, to_the_end)) return;
    }
  }
  // An advance: all that was deferred meanwhile, then the next time.
  bool GoOn(Frame& frame, bool to_the_end) {
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

 public:
  std::function<int64_t(int loop)> library_now;

 private:
  std::deque<Frame> frames_;
  int ends_ = 0;
  int moments_ = 0, moment_ = 0;
};

}  // namespace fuzz

#endif  // CTX_TESTS_FUZZ_REFERENCE_H_
