// SPDX-License-Identifier: MIT
//
// What contexts, callbacks, queues, groups and loops must look like, worked out apart from the library, in the
// simplest way there is: everything is numbered and kept, every end walks over all contexts, every step of time looks
// for the next timer, and what is still in memory is found by following who keeps whom. One thread.
//
// Where the headers promise no order, this takes any. A callback that runs must be one of those that may run next;
// events of one end come in any order. If an input makes two things due at one moment, and what comes of it depends on
// which comes first, `ambiguous` is set: then nothing more is compared.
#ifndef CTX_TESTS_FUZZ_REFERENCE_REFERENCE_H_
#define CTX_TESTS_FUZZ_REFERENCE_REFERENCE_H_

#include <ctx/ctx.h>

#include <algorithm>
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
  int drained = kNone;  // the event that was drained last

  // What the library says of a context that is kept, for what may be either way.
  std::function<int(int ctx)> ask_err;
  std::function<int64_t(int loop)> library_now;
  std::function<int64_t()> real_now;
  std::function<uint32_t(int fd)> poll;  // the events that poll(2) reports
  std::function<void(const char*)> fail;

  // Making contexts.

  int NewLoop(bool is_virtual, int64_t ahead);
  int Root(int loop, Kind kind);
  int Cancelable(int parent) { return Add(Below(Kind::kCancel, parent)); }
  int Deadline(int parent, int64_t deadline, const CauseRef& reason);
  int Idle(int parent, int64_t limit, const CauseRef& reason);
  int Grace(int parent, int64_t grace);
  int Merge(const std::vector<int>& parents);
  int Descriptor(int parent, int fd, uint32_t events);
  int Signal(int parent, std::set<int> signals);
  int Carrier(Kind kind, int parent);

  // Asking.

  int64_t Now(int loop) const;
  const Context& NodeOf(int ctx) const { return contexts[contexts[ctx].node]; }
  Context& NodeOf(int ctx) { return contexts[contexts[ctx].node]; }
  int EndedBy(int ctx, int candidate) const;  // 1, 0, or kNone if either may be
  const Context* Find(int ctx, const std::function<bool(const Context&)>& is_it) const;
  int64_t Next(int loop);
  int64_t NextTimer(int loop, int64_t after = INT64_MIN);  // CTX_FOREVER: none
  bool HasManualIdle(int loop) const;
  bool Readable(int queue) const;
  void Collect();  // marks what nothing keeps any more, whose timers are gone

  // Calls that run callbacks.
  //
  // Enter(); one of the calls below; the call of the library, whose callbacks call Called() and Returned(); Leave().
  // How many a dispatch or an advance has fired is known after Leave().

  void Enter() { frames_.push_back({}); }
  void Leave();
  bool InCallback() const;
  bool InWaker() const;
  bool Cancel(int ctx, int err, const CauseRef& cause);
  bool CancelDeferred(int ctx, int err, const CauseRef& cause);
  void Close(int loop);
  void UnrefLoop(int loop);
  std::shared_ptr<int> Dispatch(int loop);
  std::shared_ptr<int> Advance(int loop, int64_t ns);
  int Arm(int watch, int ctx, bool waker, bool deferred);  // the error, or what the call answers
  std::shared_ptr<int> EndWork(int group, const CauseRef& cause);
  void UnrefGroup(int group);
  int Over(int group);
  void Called(int watch);
  void Returned(int watch);

  // Calls that run none.

  int Touch(int ctx);
  bool Stop(int watch);
  void Add(int queue, int ctx, int watch);
  bool Drained(int queue, uint64_t token, int err);  // whether this event may come now
  void FreeQueue(int queue);
  void FireForWaiter(int loop);  // when the clock has come to the waiter's time
  void SignalCame(int signal);

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

  // tree.cc
  bool IsLive(const Context& c) const;
  Context Below(Kind kind, int parent);
  int Add(Context made);
  int Mirror(int loop, int followed);
  int OwnerOfDeadline(int node) const;
  std::set<int> Descendants(int top) const;
  bool AreRelated(int a, int b) const;
  std::vector<int> All(int loop, const std::function<bool(const Context&)>& is_it) const;

  // ends.cc
  static CauseRef LoopClosed();
  void Begin(int grace);
  Ended End(int top, int err, const CauseRef& cause, std::vector<int> through);
  Ended EndAll(int loop);
  void Mark(int top, int err, const CauseRef& cause, std::vector<int> through);
  Ended Tell();
  void RunHere(int loop, const Ended& ended);
  void LeaveToLoop(int loop, const Ended& ended);
  static void Append(std::deque<Batch>& batches, const std::vector<int>& watches, bool wakers,
                     bool together = false);

  // watches.cc
  bool Waits(const Batch& batch) const;
  bool MustPrecede(int first, int second) const;
  bool IsAbove(int above, int ctx) const;
  void Post(int queue, int watch, int moment);
  void Settle(bool to_the_end);

  // loops.cc
  bool HasWork(int loop);
  int64_t TimerOf(const Context& c) const;
  bool IsReady(const Context& c) const;
  uint32_t Came(const Context& c) const { return poll(c.fd) & (c.events | POLLERR | POLLHUP); }
  int FireTogether(const std::vector<int>& due, const std::function<void(int)>& fire);
  int Turn(int loop);
  void ForgetPosted(int loop);
  void FireSource(int i);
  int FireDue(int loop, bool leaves_graces = false);
  bool IsDue(int i, bool leaves_graces) const;
  static int64_t LatestOf(const Context& c);
  void LookAtIdle(int loop);
  void FireTimer(int i);
  void FireOverdue(int loop);
  void EndPassed(int node);
  void RunWakers(int loop);
  bool GoOn(Frame& frame, bool to_the_end);

  // groups.cc
  void Fail(int group, const CauseRef& cause);
  int TakeOut(int group);
  void FreeIfOver(int group);

  std::deque<Frame> frames_;
  int ends_ = 0;
  int moments_ = 0, moment_ = 0;
};

}  // namespace fuzz

#endif  // CTX_TESTS_FUZZ_REFERENCE_REFERENCE_H_
