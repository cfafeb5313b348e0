// SPDX-License-Identifier: MIT
//
// Any sequence of calls that one thread can make, on the default loop and on virtual and manual ones, from outside and
// from inside callbacks. After each call all that a program can see is what reference.h says, and when all handles are
// given back nothing is left: no value, no memory (LeakSanitizer), no descriptor.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fuzz/input.h"
#include "fuzz/plain_text.h"
#include "fuzz/reference.h"
#include "fuzz/system.h"

namespace fuzz {
namespace {

constexpr size_t kMostContexts = 48;
constexpr size_t kMostSteps = 200;
constexpr int kDeepest = 3;  // callbacks in callbacks

const ctx_key_t kKeys[] = {{"user"}, {nullptr}, {"trace"}};
const int kSignals[] = {SIGURG, SIGWINCH};
const char* const kNames[] = {"a", "b", "", "a longer name"};

ctx_loop_t* default_loop;

int LowestFree() {
  const int fd = dup(0);
  close(fd);
  return fd;
}

bool Readable(int fd) {
  pollfd one = {fd, POLLIN, 0};
  return poll(&one, 1, 0) == 1;
}

class Session;

struct Armed {
  Session* session;
  int watch;
};

class Session {
 public:
  Session(const uint8_t* data, size_t size) : in_(data, size) {
    model_.real_now = [this] { return now_; };
    model_.library_now = [this](int loop) { return ctx_loop_now(loops_[loop]); };
    model_.ask_err = [this](int ctx) { return *contexts_[ctx].word; };
    model_.poll = [](int fd) {
      pollfd one = {fd, static_cast<short>(POLLIN | POLLOUT | POLLPRI | POLLRDHUP), 0};
      poll(&one, 1, 0);
      return static_cast<uint32_t>(one.revents);
    };
    model_.fail = [](const char* what) { Fail(__FILE__, __LINE__, what); };
    now_ = RealNow();
    model_.NewLoop(true, 0);
    model_.loops[0].now = ctx_loop_now(default_loop);
    loops_.push_back(default_loop);
    // Two roots of it; its own is the first.
    Made(0, ctx_background(), nullptr, 1);
    Made(model_.Root(0, Kind::kTodo), ctx_todo(), nullptr, 1);
    NewLoop(true, false);
    NewLoop(false, false);
  }

  void Run() {
    for (size_t i = 0; i < kMostSteps && !in_.empty() && !model_.ambiguous; ++i) {
      Step();
      now_ = RealNow();
      if (model_.ambiguous) break;
      model_.Collect();
      Check();
    }
    End();
  }

  void Called(Armed& armed, ctx_t* ctx) {
    const int watch = armed.watch;
    Say("  callback w%d begins", watch);
    now_ = RealNow();
    model_.Called(watch);
    if (!model_.ambiguous) {
      const Watch& w = model_.watches[watch];
      FUZZ_CHECK(ctx == contexts_[w.ctx].ctx);
      FUZZ_EQ(ctx_err(ctx), model_.NodeOf(w.ctx).err);
      FUZZ_CHECK(ctx_err(ctx) != 0);
      FUZZ_EQ(ctx_now(ctx), model_.Now(model_.NodeOf(w.ctx).loop));
      if (w.waker) {
        if (in_.Pick(4) == 3) CancelOne();
      } else if (++depth_ <= kDeepest) {
        for (size_t n = in_.Pick(4); n > 0 && !model_.ambiguous; --n) {
          Step();
          now_ = RealNow();
        }
      }
      if (!w.waker) --depth_;
    }
    Say("  callback w%d ends", watch);
    model_.Returned(watch);
  }

  void Dropped(int watch) { ++drops_[watch]; }

 private:
  struct Handle {
    ctx_t* ctx = nullptr;
    ctx_canceler_t* canceler = nullptr;
    const volatile int32_t* word = nullptr;  // of its error: also while only what is below keeps it
    int done_fd = -1;
  };
  struct Pipe {
    int ends[2];
  };
  struct Kept {
    ctx_cause_t* handle;
    CauseRef model;
    int drops = 0;
    int refs = 1;
    const ctx_key_t* key = nullptr;
  };

  // ---------------------------------------------------------------- choosing

  int AnyContext() {
    std::vector<int> held;
    for (size_t i = 0; i < model_.contexts.size(); ++i) {
      if (model_.contexts[i].handles > 0) held.push_back(static_cast<int>(i));
    }
    return held[held.size() - 1 - in_.Pick(held.size())];  // 0: the newest
  }
  int AnyCanceler() {
    std::vector<int> held;
    for (size_t i = 0; i < model_.contexts.size(); ++i) {
      if (model_.contexts[i].cancelers > 0 && contexts_[i].canceler != nullptr) {
        held.push_back(static_cast<int>(i));
      }
    }
    return held.empty() ? kNone : held[held.size() - 1 - in_.Pick(held.size())];
  }
  int AnyWatch() {
    std::vector<int> held;
    for (size_t i = 0; i < model_.watches.size(); ++i) {
      if (model_.watches[i].held) held.push_back(static_cast<int>(i));
    }
    return held.empty() ? kNone : held[held.size() - 1 - in_.Pick(held.size())];
  }
  int AnyQueue() {
    std::vector<int> held;
    for (size_t i = 0; i < queues_.size(); ++i) {
      if (queues_[i].second > 0) held.push_back(static_cast<int>(i));
    }
    return held.empty() ? kNone : held[in_.Pick(held.size())];
  }
  int AnyGroup() {
    std::vector<int> held;
    for (size_t i = 0; i < groups_.size(); ++i) {
      if (model_.groups[i].handles > 0) held.push_back(static_cast<int>(i));
    }
    return held.empty() ? kNone : held[held.size() - 1 - in_.Pick(held.size())];
  }
  // One that has a handle or work, which holds the group, too.
  int AnyWorking() {
    std::vector<int> working;
    for (size_t i = 0; i < groups_.size(); ++i) {
      const bool refuses = model_.groups[i].handles > 0 && model_.groups[i].work == 0;
      if (refuses || work_[i] > 0) working.push_back(static_cast<int>(i));
    }
    return working.empty() ? kNone : working[working.size() - 1 - in_.Pick(working.size())];
  }
  int AnyLoop() {
    std::vector<int> held;
    for (size_t i = 0; i < loops_.size(); ++i) {
      if (model_.loops[i].handles > 0) held.push_back(static_cast<int>(i));
    }
    return held[held.size() - 1 - in_.Pick(held.size())];
  }
  Kept* AnyCause() {
    const size_t n = in_.Pick(4);
    if (n == 0 || causes_.empty()) return nullptr;
    Kept* const kept = &causes_[in_.Pick(causes_.size())];
    return kept->refs > 0 ? kept : nullptr;
  }

  int64_t Span() {
    static constexpr int64_t kUnits[] = {1,       1'000,          1'000'000,           100'000'000,
                                         kSecond, 3600 * kSecond, 34'000'000 * kSecond};
    const size_t unit = in_.Pick(10);
    const auto count = static_cast<int64_t>(in_.Byte());
    if (unit < 7) return (count + 1) * kUnits[unit];
    if (unit == 7) return -count;
    if (unit == 8) return INT64_MAX - count;
    return INT64_MIN + count;
  }

  // ---------------------------------------------------------------- what is there

  void Made(int i, ctx_t* ctx, ctx_canceler_t* canceler, int handles) {
    if (contexts_.size() < model_.contexts.size()) {
      contexts_.resize(model_.contexts.size());
      values_.resize(model_.contexts.size());
    }
    contexts_[i].ctx = ctx;
    contexts_[i].word = ctx_err_word(ctx);
    contexts_[i].canceler = canceler;
    model_.contexts[i].handles = handles;
    model_.contexts[i].cancelers = canceler != nullptr ? 1 : 0;
  }

  void NewLoop(bool is_virtual, bool boottime) {
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

  // ---------------------------------------------------------------- steps

  void Step() {
    switch (in_.Pick(40)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        return Derive();
      case 8:
      case 9:
        return CancelOne();
      case 10:
      case 11:
      case 12:
        return Arm();
      case 13:
        return Stop();
      case 14:
      case 15:
        return Release();
      case 16:
      case 17:
      case 18:
        return Drive();
      case 19:
        return Move();
      case 20:
        return NewQueue();
      case 21:
        return AddToQueue();
      case 22:
        return Drain();
      case 23:
        return NewGroup();
      case 24:
      case 25:
        return Work();
      case 26:
        return NewCause();
      case 27:
        return Descriptors();
      case 28:
        return SendSignal();
      case 29:
        return CancelByDescriptor();
      case 30:
        return Wait();
      case 31:
        return Describe();
      case 32:
        return ReferMore();
      case 33:
        return Loops();
      case 34:
        return BadArguments();
      case 35:
        return Touch();
      case 36:
        return AskDoneFd();
      case 37:
        return Strings();
      case 38:
        return DropWatch();
      default:
        return Poll();
    }
  }

  void Derive() {
    if (model_.contexts.size() >= kMostContexts) return;
    const int parent = AnyContext();
    ctx_t* const above = contexts_[parent].ctx;
    ctx_t* ctx = nullptr;
    ctx_canceler_t* canceler = nullptr;
    const size_t what = in_.Pick(16);
    ctx_canceler_t** const wanted = (what & 1) == 0 && what != 0 ? nullptr : &canceler;
    switch (what) {
      case 0:
      case 1:
        FUZZ_EQ(ctx_with_cancel(above, &ctx, &canceler), 0);
        Made(model_.Cancelable(parent), ctx, canceler, 1);
        return Said("ctx_with_cancel(c%d)", parent);
      case 2:
      case 3:
      case 4: {
        const int64_t span = Span();
        const bool absolute = what == 4 && in_.Pick(2) == 0;
        Kept* const cause = AnyCause();
        const int64_t now = model_.Now(model_.NodeOf(parent).loop);
        const int64_t deadline = absolute ? span : Sum(now, span);
        const ctx_cause_t* const given = cause == nullptr ? nullptr : cause->handle;
        int result = 0;
        if (absolute) {
          result = cause == nullptr ? ctx_with_deadline(above, span, &ctx, wanted)
                                    : ctx_with_deadline_cause(above, span, given, &ctx, wanted);
        } else {
          result = cause == nullptr ? ctx_with_timeout(above, span, &ctx, wanted)
                                    : ctx_with_timeout_cause(above, span, given, &ctx, wanted);
        }
        FUZZ_EQ(result, 0);
        Made(model_.Deadline(parent, deadline, ModelOf(cause)), ctx, canceler, 1);
        return Said(absolute ? "ctx_with_deadline(c%d, %lld)" : "ctx_with_timeout(c%d, %lld)",
                    parent, static_cast<long long>(span));
      }
      case 5:
        FUZZ_EQ(ctx_without_cancel(above, &ctx), 0);
        Made(model_.Carrier(Kind::kDetached, parent), ctx, nullptr, 1);
        return Said("ctx_without_cancel(c%d)", parent);
      case 6: {
        const char* const name = kNames[in_.Pick(4)];
        FUZZ_EQ(ctx_with_name(above, name, &ctx), 0);
        const int i = model_.Carrier(Kind::kName, parent);
        model_.contexts[i].name = name;
        Made(i, ctx, nullptr, 1);
        return Said("ctx_with_name(c%d)", parent);
      }
      case 7: {
        const ctx_key_t* const key = &kKeys[in_.Pick(3)];
        const int i = model_.Carrier(Kind::kValue, parent);
        contexts_.resize(model_.contexts.size());
        values_.resize(model_.contexts.size());
        void* const value = in_.Pick(4) == 3 ? nullptr : &values_[i];
        FUZZ_EQ(ctx_with_value(
                    above, key, value,
                    value == nullptr ? nullptr : [](void* count) { ++*static_cast<int*>(count); },
                    &ctx),
                0);
        model_.contexts[i].key = key;
        model_.contexts[i].value = value;
        Made(i, ctx, nullptr, 1);
        return Said("ctx_with_value(c%d)", parent);
      }
      case 8: {
        const int i = model_.Carrier(Kind::kString, parent);
        Context& c = model_.contexts[i];
        c.name = kNames[in_.Pick(4)];
        c.hides = in_.Pick(4) == 3;
        c.text = in_.Text(4);
        FUZZ_EQ(ctx_with_string(above, c.name.c_str(), c.hides ? nullptr : c.text.c_str(), &ctx),
                0);
        Made(i, ctx, nullptr, 1);
        return Said("ctx_with_string(c%d)", parent);
      }
      case 9:
      case 10: {
        const int64_t span = Span();
        FUZZ_EQ(ctx_with_grace(above, span, &ctx, wanted), 0);
        Made(model_.Grace(parent, span), ctx, canceler, 1);
        return Said("ctx_with_grace(c%d, %lld)", parent, static_cast<long long>(span));
      }
      case 11: {
        const int64_t span = Span();
        Kept* const cause = AnyCause();
        FUZZ_EQ(
            ctx_with_idle(above, span, cause == nullptr ? nullptr : cause->handle, &ctx, wanted),
            0);
        Made(model_.Idle(parent, span, ModelOf(cause)), ctx, canceler, 1);
        return Said("ctx_with_idle(c%d, %lld)", parent, static_cast<long long>(span));
      }
      case 12:
      case 13: {
        std::vector<int> parents = {parent};
        for (size_t n = in_.Pick(4); n > 0; --n) parents.push_back(AnyContext());
        std::vector<ctx_t*> handles;
        for (int i : parents) handles.push_back(contexts_[i].ctx);
        FUZZ_EQ(ctx_merge(handles.data(), handles.size(), &ctx, wanted), 0);
        const int i = model_.Merge(parents);
        // For a parent of another loop the library has asked for its done descriptor.
        Made(i, ctx, canceler, 1);
        Said("ctx_merge(c%d ...)", parent);
        for (int p : parents) Say("    of c%d", p);
        return;
      }
      case 14: {
        if (pipes_.empty()) return NewPipe();
        const Pipe& pipe = pipes_[in_.Pick(pipes_.size())];
        const int end = static_cast<int>(in_.Pick(2));
        static constexpr uint32_t kEvents[] = {POLLIN, POLLOUT, POLLRDHUP, POLLPRI | POLLIN};
        const uint32_t events = kEvents[in_.Pick(4)];
        const int fd = pipe.ends[end];
        if (fd < 0) return;
        FUZZ_EQ(ctx_with_fd(above, fd, events, &ctx, wanted), 0);
        Made(model_.Descriptor(parent, fd, events), ctx, canceler, 1);
        return Said("ctx_with_fd(c%d, %d, %u)", parent, fd, events);
      }
      default: {
        std::set<int> signals = {kSignals[in_.Pick(2)]};
        if (in_.Pick(2) == 1) signals = {kSignals[0], kSignals[1]};
        const std::vector<int> numbers(signals.begin(), signals.end());
        FUZZ_EQ(ctx_with_signal(above, numbers.data(), numbers.size(), &ctx, wanted), 0);
        Made(model_.Signal(parent, signals), ctx, canceler, 1);
        return Said("ctx_with_signal(c%d)", parent);
      }
    }
  }
  template <typename... Args>
  void Said(const char* format, Args... args) {
    if (!kPrints) return;
    std::fprintf(stderr, "c%zu = ", model_.contexts.size() - 1);
    std::fprintf(stderr, format, args...);
    std::fputc('\n', stderr);
  }

  static CauseRef ModelOf(Kept* kept) { return kept == nullptr ? nullptr : kept->model; }

  void CancelOne() {
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

  int NewWatch() {
    const int watch = static_cast<int>(model_.watches.size());
    model_.watches.push_back({});
    watches_.push_back(nullptr);
    armed_.push_back({this, watch});
    drops_.push_back(0);
    return watch;
  }

  void Arm() {
    if (model_.watches.size() >= 2 * kMostContexts) return;
    const int ctx = AnyContext();
    static constexpr uint32_t kFlags[] = {0, CTX_DEFER,    CTX_WAKER,
                                          0, CTX_BLOCKING, CTX_BLOCKING | CTX_DEFER};
    const uint32_t flags = kFlags[in_.Pick(6)];
    // Nobody closes the default loop: what is armed there can only be stopped.
    const bool held = in_.Pick(3) != 2 || model_.NodeOf(ctx).loop == 0;
    if (depth_ >= kDeepest && model_.NodeOf(ctx).err != 0) return;
    const int watch = NewWatch();
    Say("w%d = ctx_after_func(c%d, %u)", watch, ctx, flags);
    model_.Enter();
    const bool deferred = (flags & CTX_DEFER) != 0;
    const int expected = model_.Arm(watch, ctx, flags == CTX_WAKER, deferred);
    model_.watches[watch].held = held && expected >= 0;
    const int result = ctx_after_func(
        contexts_[ctx].ctx,
        [](ctx_t* c, void* arg) {
          auto& armed = *static_cast<Armed*>(arg);
          armed.session->Called(armed, c);
        },
        &armed_[watch],
        [](void* arg) {
          auto& armed = *static_cast<Armed*>(arg);
          armed.session->Dropped(armed.watch);
        },
        flags, held ? &watches_[watch] : nullptr);
    model_.Leave();
    if (model_.ambiguous) return;
    FUZZ_EQ(result, expected);
    if (expected < 0) {
      model_.watches[watch].ctx = kNone;  // nothing was taken
      return;
    }
    // Unless the callback has given it back.
    FUZZ_CHECK(!model_.watches[watch].held || watches_[watch] != nullptr);
    if (!held && model_.watches[watch].state == Watch::kIdle) {
      model_.watches[watch].state = Watch::kOver;  // nothing was armed
    }
  }

  void Stop() {
    const int watch = AnyWatch();
    if (watch == kNone) return;
    const bool waits = in_.Pick(2) == 1;
    Say("ctx_watch_stop%s(w%d)", waits ? "_wait" : "", watch);
    const bool expected = model_.Stop(watch);
    const int result =
        waits ? ctx_watch_stop_wait(watches_[watch]) : ctx_watch_stop(watches_[watch]);
    FUZZ_EQ(result, expected ? 1 : 0);
    if (expected && model_.watches[watch].queue == kNone) FUZZ_EQ(drops_[watch], 1);
  }

  void DropWatch() {
    const int watch = AnyWatch();
    if (watch == kNone) return;
    Say("ctx_watch_unref(w%d)", watch);
    Watch& w = model_.watches[watch];
    if (w.state == Watch::kArmed && w.queue == kNone && model_.NodeOf(w.ctx).loop == 0) return;
    w.held = false;
    if (w.state == Watch::kIdle) w.state = Watch::kOver;
    if (in_.Pick(2) == 0) {
      FUZZ_CHECK(ctx_watch_unref(watches_[watch]) == nullptr);
    } else {
      ctx_watch_unrefp(&watches_[watch]);
      FUZZ_CHECK(watches_[watch] == nullptr);
    }
  }

  void Release() {
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
        FUZZ_CHECK(ctx_canceler_unref(handle) == nullptr);
      } else {
        ctx_canceler_unrefp(&handle);
        FUZZ_CHECK(handle == nullptr);
      }
    } else {
      Say("ctx_unref(c%d)", i);
      --c.handles;
      ctx_t* handle = contexts_[i].ctx;
      if (in_.Pick(2) == 0) {
        FUZZ_CHECK(ctx_unref(handle) == nullptr);
      } else {
        ctx_unrefp(&handle);
        FUZZ_CHECK(handle == nullptr);
      }
    }
  }

  void ReferMore() {
    const size_t what = in_.Pick(5);
    if (what == 0) {
      const int i = AnyContext();
      Say("ctx_ref(c%d)", i);
      FUZZ_CHECK(ctx_ref(contexts_[i].ctx) == contexts_[i].ctx);
      // Those of the two static ones are not counted.
      if (!model_.contexts[i].is_root() || model_.contexts[i].loop != 0) {
        ++model_.contexts[i].handles;
      }
    } else if (what == 1) {
      const int i = AnyCanceler();
      if (i == kNone) return;
      Say("ctx_canceler_ref(c%d)", i);
      FUZZ_CHECK(ctx_canceler_ref(contexts_[i].canceler) == contexts_[i].canceler);
      ++model_.contexts[i].cancelers;
    } else if (what == 2) {
      const int i = AnyQueue();
      if (i == kNone) return;
      FUZZ_CHECK(ctx_queue_ref(queues_[i].first) == queues_[i].first);
      ++queues_[i].second;
    } else if (what == 3) {
      const int i = AnyGroup();
      if (i == kNone) return;
      FUZZ_CHECK(ctx_group_ref(groups_[i].first) == groups_[i].first);
      ++model_.groups[i].handles;
    } else {
      const int i = AnyLoop();
      if (i == 0) return;
      FUZZ_CHECK(ctx_loop_ref(loops_[i]) == loops_[i]);
      ++model_.loops[i].handles;
    }
  }

  // ---------------------------------------------------------------- loops

  void Drive() { DriveLoop(AnyLoop()); }

  void DriveLoop(int i) {
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
    const std::shared_ptr<int> fired =
        loop.is_virtual ? model_.Advance(i, span) : model_.Dispatch(i);
    const int result = loop.is_virtual ? ctx_loop_advance(handle, span) : ctx_loop_dispatch(handle);
    model_.Leave();
    if (!model_.ambiguous) FUZZ_EQ(result, *fired);
  }

  // Real time passes.
  void Move() {
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

  void Loops() {
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

  void UnrefLoop(int i) {
    Say("ctx_loop_unref(l%d)", i);
    model_.Enter();
    model_.UnrefLoop(i);
    ctx_loop_t* handle = loops_[i];
    if (in_.Pick(2) == 0) {
      FUZZ_CHECK(ctx_loop_unref(handle) == nullptr);
    } else {
      ctx_loop_unrefp(&handle);
    }
    model_.Leave();
  }

  // ---------------------------------------------------------------- queues

  void NewQueue() {
    if (queues_.size() >= 4) return;
    ctx_queue_t* queue = nullptr;
    FUZZ_EQ(ctx_queue_new(&queue), 0);
    queues_.push_back({queue, 1});
    queue_fds_.push_back(-1);
    model_.queues.push_back({});
    Say("q%zu = ctx_queue_new()", queues_.size() - 1);
  }

  void AddToQueue() {
    const int queue = AnyQueue();
    if (queue == kNone || model_.watches.size() >= 2 * kMostContexts) return;
    const int ctx = AnyContext();
    const bool held = in_.Pick(2) == 1;
    const int watch = NewWatch();
    Watch& w = model_.watches[watch];
    w.token = static_cast<uint64_t>(watch) * 0x100000001u;
    w.held = held;
    Say("w%d = ctx_queue_add(q%d, c%d)", watch, queue, ctx);
    model_.Add(queue, ctx, watch);
    FUZZ_EQ(ctx_queue_add(queues_[queue].first, contexts_[ctx].ctx, w.token,
                          held ? &watches_[watch] : nullptr),
            0);
    if (!held && w.state == Watch::kIdle) w.state = Watch::kOver;
  }

  void Drain() {
    const int queue = AnyQueue();
    if (queue == kNone) return;
    const size_t n = in_.Pick(6);
    const size_t how = in_.Pick(6);
    if (how == 0) return DropQueue(queue);
    if (how == 1) {
      queue_fds_[queue] = ctx_queue_fd(queues_[queue].first);
      FUZZ_CHECK(queue_fds_[queue] >= 0);
      return;
    }
    ctx_event_t events[6];
    ctx_t* contexts[6];
    int64_t count = 0;
    if (how == 2) {
      count = ctx_queue_drain_ctxs(queues_[queue].first, events, contexts, n);
    } else if (how == 3 && n > 0) {
      count = ctx_queue_wait(queues_[queue].first, events, n, in_.Byte());
    } else {
      count = ctx_queue_drain(queues_[queue].first, events, n);
    }
    Say("ctx_queue_drain(q%d, %zu): %lld", queue, n, static_cast<long long>(count));
    for (int64_t i = 0; i < count; ++i) {
      if (!model_.Drained(queue, events[i].token, events[i].err)) {
        Fail(__FILE__, __LINE__, "an event came that must not, or not yet");
      }
      FUZZ_EQ(events[i].reserved, 0);
      if (how != 2) continue;
      const int ctx = model_.watches[model_.drained].ctx;
      FUZZ_CHECK(contexts[i] == contexts_[ctx].ctx);
      ++model_.contexts[ctx].handles;
    }
    if (static_cast<size_t>(count) < n) FUZZ_CHECK(!model_.Readable(queue));
  }

  void DropQueue(int queue) {
    Say("ctx_queue_unref(q%d)", queue);
    if (--queues_[queue].second == 0) model_.FreeQueue(queue);
    ctx_queue_t* handle = queues_[queue].first;
    if (in_.Pick(2) == 0) {
      FUZZ_CHECK(ctx_queue_unref(handle) == nullptr);
    } else {
      ctx_queue_unrefp(&handle);
      FUZZ_CHECK(handle == nullptr);
    }
  }

  // ---------------------------------------------------------------- groups

  void NewGroup() {
    if (groups_.size() >= 8 || model_.contexts.size() >= kMostContexts) return;
    ctx_group_t* group = nullptr;
    Group made;
    const int outer = in_.Pick(2) == 1 ? AnyGroup() : kNone;
    if (outer != kNone) {
      const int err = model_.NodeOf(model_.groups[outer].ctx).err;
      Say("g%zu = ctx_group_new_below(g%d)", groups_.size(), outer);
      FUZZ_EQ(ctx_group_new_below(groups_[outer].first, &group), err);
      if (err != 0) return;
      made.ctx = model_.Cancelable(model_.groups[outer].ctx);
      made.outer = outer;
      ++model_.groups[outer].work;
    } else {
      const int parent = AnyContext();
      Say("g%zu = ctx_group_new(c%d)", groups_.size(), parent);
      FUZZ_EQ(ctx_group_new(contexts_[parent].ctx, &group), 0);
      made.ctx = model_.Cancelable(parent);
    }
    Made(made.ctx, ctx_group_context(group), nullptr, 0);
    model_.groups.push_back(made);
    groups_.push_back({group, -1});
    work_.push_back(0);
  }

  void Work() {
    const int i = AnyGroup();
    if (i == kNone) {
      const int working = AnyWorking();
      if (working != kNone) EndWork(working, AnyCause());
      return;
    }
    ctx_group_t* const group = groups_[i].first;
    switch (in_.Pick(9)) {
      case 0:
      case 1:
      case 2: {
        const int err = model_.NodeOf(model_.groups[i].ctx).err;
        Say("ctx_group_begin(g%d)", i);
        if (err == 0) ++model_.groups[i].work, ++work_[i];
        FUZZ_EQ(ctx_group_begin(group), err);
        return;
      }
      case 3:
      case 4:
        return EndWork(AnyWorking(), AnyCause());
      case 5: {
        if (model_.contexts.size() >= kMostContexts) return;
        ctx_t* ctx = nullptr;
        model_.Enter();
        const int over = model_.Over(i);
        FUZZ_EQ(ctx_group_over(group, &ctx), 0);
        Made(over, ctx, nullptr, 1);
        model_.Leave();
        Say("c%d = ctx_group_over(g%d)", over, i);
        return;
      }
      case 6:
        return UnrefGroup(i);
      case 7: {
        // A handle to its context, and to its canceler.
        const int ctx = model_.groups[i].ctx;
        if (in_.Pick(2) == 0) {
          ctx_ref(ctx_group_context(group));
          ++model_.contexts[ctx].handles;
        } else {
          contexts_[ctx].canceler = ctx_canceler_ref(ctx_group_canceler(group));
          ++model_.contexts[ctx].cancelers;
        }
        return;
      }
      default: {
        if (in_.Pick(2) == 0) {
          groups_[i].second = ctx_group_fd(group);
          FUZZ_CHECK(groups_[i].second >= 0);
          return;
        }
        const int64_t limit = in_.Byte() * int64_t{1'000'000};
        const int result = ctx_group_wait(group, limit);
        Say("ctx_group_wait(g%d, %lld): %d", i, static_cast<long long>(limit), result);
        Waited({model_.groups[i].ctx});
        FUZZ_EQ(result, model_.groups[i].work == 0 ? 1 : 0);
        return;
      }
    }
  }

  void EndWork(int i, Kept* cause) {
    if (i == kNone) return;
    Say("ctx_group_end(g%d, %s)", i, cause == nullptr ? "NULL" : "cause");
    model_.Enter();
    if (work_[i] > 0) --work_[i];
    const std::shared_ptr<int> expected = model_.EndWork(i, ModelOf(cause));
    const int result = ctx_group_end(groups_[i].first, cause == nullptr ? nullptr : cause->handle);
    model_.Leave();
    if (!model_.ambiguous) FUZZ_EQ(result, *expected);
  }

  void UnrefGroup(int i) {
    Say("ctx_group_unref(g%d)", i);
    model_.Enter();
    model_.UnrefGroup(i);
    ctx_group_t* handle = groups_[i].first;
    if (in_.Pick(2) == 0) {
      FUZZ_CHECK(ctx_group_unref(handle) == nullptr);
    } else {
      ctx_group_unrefp(&handle);
      FUZZ_CHECK(handle == nullptr);
    }
    model_.Leave();
  }

  // ---------------------------------------------------------------- causes

  void NewCause() {
    if (causes_.size() >= 8) return DropCause();
    static constexpr int kCodes[] = {0, CTX_CANCELED, CTX_DEADLINE_EXCEEDED, -ECONNRESET,
                                     7, INT_MIN};
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
      static constexpr int kOrigins[] = {0, CTX_ORIGIN_CANCELED, CTX_ORIGIN_DEADLINE,
                                         CTX_ORIGIN_PEER, 255};
      model.stated = kOrigins[in_.Pick(5)];
      const char* const file = in_.Pick(2) == 0 ? nullptr : "file";
      kept.key = &kKeys[in_.Pick(3)];
      FUZZ_EQ(ctx_cause_new_at(code, message, model.stated, file, 7, "function", kept.key,
                               &kept.drops, drop, &kept.handle),
              0);
      FUZZ_EQ(ctx_cause_line(kept.handle), file == nullptr ? 0 : 7);
      FUZZ_CHECK((ctx_cause_file(kept.handle) == nullptr) == (file == nullptr));
      FUZZ_CHECK((ctx_cause_function(kept.handle) == nullptr) == (file == nullptr));
      model.given = true;
    }
    model.handle = kept.handle;
    Say("k%zu = ctx_cause_new(%d)", causes_.size() - 1, code);
    if (kept.key != nullptr) {
      FUZZ_CHECK(ctx_cause_data(kept.handle, kept.key) == &kept.drops);
      FUZZ_CHECK(ctx_cause_data(kept.handle, &kKeys[0]) == nullptr || kept.key == &kKeys[0]);
    }
  }
  void DropCause() {
    Kept& kept = causes_[in_.Pick(causes_.size())];
    if (kept.refs == 0) return;
    if (in_.Pick(3) == 2) {
      FUZZ_CHECK(ctx_cause_ref(kept.handle) == kept.handle);
      ++kept.refs;
      return;
    }
    --kept.refs;
    Say("ctx_cause_unref(k)");
    const ctx_cause_t* handle = kept.handle;
    if (in_.Pick(2) == 0) {
      FUZZ_CHECK(ctx_cause_unref(handle) == nullptr);
    } else {
      ctx_cause_unrefp(&handle);
      FUZZ_CHECK(handle == nullptr);
    }
  }

  // ---------------------------------------------------------------- descriptors and signals

  void NewPipe() {
    if (pipes_.size() >= 4) return;
    Pipe made{};
    FUZZ_EQ(pipe2(made.ends, O_CLOEXEC | O_NONBLOCK), 0);
    pipes_.push_back(made);
    Say("pipe %d, %d", made.ends[0], made.ends[1]);
  }
  void Descriptors() {
    if (pipes_.empty() || in_.Pick(6) == 5) return NewPipe();
    Pipe& pipe = pipes_[in_.Pick(pipes_.size())];
    switch (in_.Pick(5)) {
      case 0:
      case 1:
      case 2:
        if (pipe.ends[1] >= 0 && pipe.ends[0] >= 0) {
          Say("write to %d", pipe.ends[1]);
          [[maybe_unused]] const ssize_t n = write(pipe.ends[1], "x", 1);
        }
        return;
      case 3:
        if (pipe.ends[0] >= 0) {
          Say("read from %d", pipe.ends[0]);
          char bytes[64];
          [[maybe_unused]] const ssize_t n = read(pipe.ends[0], bytes, sizeof bytes);
        }
        return;
      default:
        return ClosePipe(pipe, in_.Pick(2));
    }
  }
  void ClosePipe(Pipe& pipe, size_t end) {
    if (pipe.ends[end] < 0) return;
    Say("close(%d)", pipe.ends[end]);
    for (Context& c : model_.contexts) {
      if (c.fd == pipe.ends[end]) c.fd = -1;  // it no longer ends them
    }
    close(pipe.ends[end]);
    pipe.ends[end] = -1;
  }

  // And a loop that waits for it takes a turn at once, so that it is known which contexts it ends.
  void SendSignal() {
    if (model_.InWaker()) return;
    model_.Collect();
    std::vector<int> waiting;
    for (size_t i = 0; i < model_.contexts.size(); ++i) {
      const Context& c = model_.contexts[i];
      if (!c.signals.empty() && c.kept && c.err == 0 && !c.posted && !model_.loops[c.loop].driven &&
          model_.loops[c.loop].handles > 0) {
        waiting.push_back(static_cast<int>(i));
      }
    }
    if (waiting.empty()) return;
    const Context& c = model_.contexts[waiting[in_.Pick(waiting.size())]];
    const int signal = *c.signals.begin();
    Say("kill(%d)", signal);
    kill(getpid(), signal);
    model_.SignalCame(signal);
    DriveLoop(c.loop);
  }

  void CancelByDescriptor() {
    const int i = AnyCanceler();
    if (i == kNone) return;
    Context& node = model_.contexts[i];
    const int fd = ctx_cancel_fd(contexts_[i].canceler);
    FUZZ_CHECK(fd >= 0);
    Say("ctx_cancel_fd(c%d), and a write: %d", i, fd);
    if (in_.Pick(4) != 3) {
      const uint64_t one = 1;
      FUZZ_EQ(write(fd, &one, sizeof one), 8);
      if (node.err == 0) node.written = true;
    }
    close(fd);
  }

  void AskDoneFd() {
    const int i = AnyContext();
    if (model_.NodeOf(i).is_root()) {
      FUZZ_EQ(ctx_done_fd(contexts_[i].ctx), -ENOTSUP);
      FUZZ_EQ(ctx_done_fd_dup(contexts_[i].ctx), -ENOTSUP);
      return;
    }
    Say("ctx_done_fd(c%d)", i);
    const int fd = ctx_done_fd(contexts_[i].ctx);
    FUZZ_CHECK(fd >= 0);
    const int node = model_.contexts[i].node;
    int& known = contexts_[node].done_fd;
    FUZZ_CHECK(known == -1 || known == fd);
    known = fd;
    const int copy = ctx_done_fd_dup(contexts_[i].ctx);
    FUZZ_CHECK(copy >= 0 && copy != fd);
    FUZZ_EQ(Readable(copy) ? 1 : 0, model_.contexts[node].err != 0 ? 1 : 0);
    close(copy);
  }

  // ---------------------------------------------------------------- waiting

  // The thread has waited for these, and so has fired what was due on their manual loops, as time went on.
  void Waited(const std::vector<int>& waited) {
    std::set<int> manual;
    for (int ctx : waited) {
      const int loop = model_.NodeOf(ctx).loop;
      if (!model_.loops[loop].is_virtual) manual.insert(loop);
    }
    const int64_t until = RealNow();
    for (;;) {
      for (int loop : manual) model_.FireForWaiter(loop);
      if (now_ == until) break;
      int64_t next = until;
      for (int loop : manual) {
        const int64_t timer = model_.NextTimer(loop);
        if (timer != CTX_FOREVER) next = std::min(next, timer - model_.loops[loop].ahead);
      }
      now_ = std::max(now_, next);
    }
  }
  bool IsDone(int ctx) const { return model_.NodeOf(ctx).err != 0; }

  void Wait() {
    std::vector<int> waited = {AnyContext()};
    for (size_t n = in_.Pick(8); n > 0; --n) waited.push_back(AnyContext());
    int64_t limit = in_.Byte() * int64_t{10'000'000};
    if (in_.Pick(4) != 0) limit = 0;
    std::vector<ctx_t*> handles;
    for (int i : waited) handles.push_back(contexts_[i].ctx);
    size_t index = 1000;
    int result = 0;
    if (waited.size() == 1) {
      result = ctx_wait(handles[0], limit);
      index = 0;
    } else {
      result = ctx_wait_any(handles.data(), handles.size(), limit, &index);
    }
    Say("ctx_wait(c%d and %zu others, %lld): %d", waited[0], waited.size() - 1,
        static_cast<long long>(limit), result);
    Waited(waited);
    if (model_.ambiguous) return;
    size_t done = 0;
    while (done < waited.size() && !IsDone(waited[done])) ++done;
    FUZZ_EQ(result, done < waited.size() ? 1 : 0);
    if (result == 1) FUZZ_EQ(index, done);
  }

  void Poll() {
    const int ctx = AnyContext();
    std::vector<pollfd> fds;
    for (const Pipe& pipe : pipes_) {
      fds.push_back({pipe.ends[0], POLLIN, 0});
      fds.push_back({pipe.ends[1], POLLOUT, 0});
    }
    fds.resize(in_.Pick(fds.size() + 1));
    for (size_t n = in_.Pick(4) == 3 ? 17 : 0; n > 0; --n) fds.push_back({-1, POLLIN, 0});
    int64_t limit = in_.Byte() * int64_t{1'000'000};
    if (in_.Pick(2) != 0) limit = 0;
    const int result = ctx_poll(contexts_[ctx].ctx, fds.data(), fds.size(), limit);
    Say("ctx_poll(c%d, %zu, %lld): %d", ctx, fds.size(), static_cast<long long>(limit), result);
    Waited({ctx});
    if (model_.ambiguous) return;
    const int err = model_.NodeOf(ctx).err;
    if (err != 0) {
      FUZZ_EQ(result, err);
      return;
    }
    int ready = 0;
    for (pollfd& fd : fds) {
      const short was = fd.revents;
      fd.revents = 0;
      poll(&fd, 1, 0);
      FUZZ_EQ(was, fd.revents);
      ready += fd.revents != 0 ? 1 : 0;
    }
    FUZZ_EQ(result, ready);
  }

  void Touch() {
    const int i = AnyContext();
    Say("ctx_touch(c%d)", i);
    FUZZ_EQ(ctx_touch(contexts_[i].ctx), model_.Touch(i));
  }

  // ---------------------------------------------------------------- text

  std::string Text(int i) const {
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

  void Describe() {
    const int i = AnyContext();
    const std::string text = Text(i);
    char buffer[512];
    const size_t size = in_.Pick(2) == 0 ? sizeof buffer : in_.Byte();
    std::memset(buffer, '#', sizeof buffer);
    FUZZ_EQ(ctx_describe(contexts_[i].ctx, size == 0 ? nullptr : buffer, size), text.size());
    Say("ctx_describe(c%d): %s", i, text.c_str());
    if (size == 0) return;
    const std::string written = text.substr(0, size - 1);
    FUZZ_CHECK(written == buffer);
    for (size_t at = written.size() + 1; at < sizeof buffer; ++at) FUZZ_CHECK(buffer[at] == '#');
  }

  void Strings() {
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
    FUZZ_CHECK(visit.seen == expected);
    FUZZ_EQ(result, visit.most != 0 && expected.size() == visit.most ? 7 : 0);
  }

  // ---------------------------------------------------------------- refused

  void BadArguments() {
    ctx_t* ctx = nullptr;
    ctx_canceler_t* canceler = nullptr;
    ctx_t* const some = contexts_[AnyContext()].ctx;
    ctx_t* const none = nullptr;
    const int any_canceler = AnyCanceler();
    const int loop = AnyLoop();
    FUZZ_EQ(ctx_with_cancel(some, &ctx, nullptr), -EINVAL);
    FUZZ_EQ(ctx_with_cancel(none, &ctx, &canceler), -EINVAL);
    FUZZ_EQ(ctx_with_timeout(some, 1, nullptr, &canceler), -EINVAL);
    FUZZ_EQ(ctx_with_value(some, nullptr, &ctx, nullptr, &ctx), -EINVAL);
    FUZZ_EQ(ctx_with_string(some, nullptr, "x", &ctx), -EINVAL);
    FUZZ_EQ(ctx_with_name(some, nullptr, &ctx), -EINVAL);
    FUZZ_EQ(ctx_merge(&some, 0, &ctx, nullptr), -EINVAL);
    FUZZ_EQ(ctx_merge(&none, 1, &ctx, nullptr), -EINVAL);
    FUZZ_EQ(ctx_with_fd(some, 1000, POLLIN, &ctx, nullptr), -EBADF);
    FUZZ_EQ(ctx_with_fd(some, 0, 0, &ctx, nullptr), -EINVAL);
    const int unblocked = SIGCHLD;
    FUZZ_EQ(ctx_with_signal(some, &unblocked, 1, &ctx, nullptr), -EINVAL);
    FUZZ_EQ(ctx_after_func(some, nullptr, nullptr, nullptr, 0, nullptr), -EINVAL);
    FUZZ_EQ(ctx_wait(some, -1), -EINVAL);
    FUZZ_EQ(ctx_err(nullptr), -EINVAL);
    FUZZ_CHECK(ctx_err_word(nullptr) == nullptr && ctx_cause(nullptr) == nullptr);
    FUZZ_CHECK(ctx_ref(nullptr) == nullptr && ctx_unref(nullptr) == nullptr);
    FUZZ_EQ(ctx_now(nullptr), INT64_MIN);
    FUZZ_EQ(ctx_cause_code(nullptr), -EINVAL);
    if (any_canceler != kNone) {
      canceler = contexts_[any_canceler].canceler;
      FUZZ_EQ(ctx_cancel_with(canceler, -EIO, nullptr), -EINVAL);
      FUZZ_EQ(ctx_cancel_deferred(canceler, 0, nullptr), -EINVAL);
      FUZZ_EQ(ctx_err(reinterpret_cast<ctx_t*>(canceler)), -EINVAL);
      FUZZ_EQ(ctx_touch(reinterpret_cast<ctx_t*>(canceler)), -EINVAL);
    }
    FUZZ_EQ(model_.loops[loop].is_virtual ? ctx_loop_dispatch(loops_[loop])
                                          : ctx_loop_advance(loops_[loop], 1),
            -ENOTSUP);
    if (model_.loops[loop].is_virtual) {
      FUZZ_EQ(ctx_loop_advance(loops_[loop], -1), -EINVAL);
      FUZZ_EQ(ctx_loop_fd(loops_[loop]), -ENOTSUP);
    }
    FUZZ_CHECK(ctx == nullptr);
  }

  // ---------------------------------------------------------------- comparing

  void Check() {
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
          Fail(__FILE__, __LINE__, "a value is dropped once, when nothing keeps it");
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
        Fail(__FILE__, __LINE__, "a callback's argument is dropped once, after it");
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
      FUZZ_CHECK(ctx_group_cause(groups_[i].first) == (g.cause ? g.cause->handle : nullptr));
      FUZZ_CHECK(ctx_group_context(groups_[i].first) == contexts_[g.ctx].ctx);
    }
    for (size_t i = 0; i < loops_.size(); ++i) CheckLoop(static_cast<int>(i));
    for (const Kept& kept : causes_) {
      FUZZ_CHECK(kept.refs == 0 || kept.drops == (kept.key == nullptr ? 1 : 0));
    }
  }

  bool IsThere(size_t i) const { return model_.contexts[i].held && contexts_[i].ctx != nullptr; }

  void CheckContext(int i, bool closely) {
    const Context& c = model_.contexts[i];
    const Context& node = model_.NodeOf(i);
    const ctx_t* const ctx = contexts_[i].ctx;
    if (ctx_err(ctx) != node.err) {
      std::fprintf(stderr, "of c%d: ", i);
      FUZZ_EQ(ctx_err(ctx), node.err);
    }
    const ctx_cause_t* const cause = ctx_cause(ctx);
    FUZZ_CHECK((cause == nullptr) == (node.err == 0));
    if (cause != nullptr) {
      const Cause& wanted = *node.cause;
      FUZZ_CHECK(wanted.handle == nullptr || wanted.handle == cause);
      FUZZ_EQ(ctx_cause_code(cause), wanted.code);
      FUZZ_CHECK(wanted.message.empty() || wanted.message == ctx_cause_message(cause));
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
      FUZZ_CHECK(ctx_value(ctx, &key) == (found == nullptr ? nullptr : found->value));
    }
    for (const char* name : kNames) {
      const Context* const found = model_.Find(i, [&](const Context& above) {
        return above.kind == Kind::kString && above.name == name;
      });
      const char* const text = ctx_string(ctx, name);
      FUZZ_CHECK((text == nullptr) == (found == nullptr || found->hides));
      FUZZ_CHECK(text == nullptr || found->text == text);
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

  void CheckLoop(int i) {
    const Loop& loop = model_.loops[i];
    if (loop.handles == 0) return;
    const int64_t now = model_.Now(i);
    FUZZ_EQ(ctx_loop_now(loops_[i]), now);
    const int64_t next = model_.Next(i);
    const bool idle = model_.HasManualIdle(i);
    if (!loop.is_virtual && next <= now && !idle) {
      const int fd = ctx_loop_fd(loops_[i]);
      FUZZ_CHECK(fd >= 0);
      if (!Readable(fd))
        Fail(__FILE__, __LINE__, "work waits, and the loop's descriptor is not readable");
    }
    const int64_t told = ctx_loop_next(loops_[i]);
    FUZZ_CHECK(told >= now);
    if (told == now && loop.may_release) return;  // there is something to free
    if (loop.is_virtual || (next == CTX_FOREVER && !idle)) {
      if (told != next) std::fprintf(stderr, "of l%d: ", i);
      FUZZ_EQ(told, next);
    } else if (!idle) {
      FUZZ_CHECK(told <= next);
      if (next - now < 1'000'000) FUZZ_EQ(told, next);
    }
  }

  // ---------------------------------------------------------------- the end

  // Everything is given back, in one of several orders.
  void End() {
    const size_t order = in_.Pick(6);
    Say("-- the end --");
    depth_ = kDeepest;  // callbacks do nothing more
    const bool compares = !model_.ambiguous;
    for (size_t step = 0; step < 4; ++step) {
      switch ((step + order) % 4) {
        case 0:
          EndWatches();
          break;
        case 1:
          EndGroups();
          break;
        case 2:
          EndContexts(order >= 4);
          break;
        default:
          for (size_t i = 1; i < loops_.size(); ++i) {
            while (model_.loops[i].handles > 0) {
              if (compares) {
                UnrefLoop(static_cast<int>(i));
              } else {
                --model_.loops[i].handles;
                ctx_loop_unref(loops_[i]);
              }
            }
          }
      }
      if (model_.ambiguous) continue;
      model_.Collect();
      Check();
    }
    // What the default loop still has to do.
    model_.ambiguous = true;
    ctx_loop_advance(default_loop, 0);
    for (Pipe& pipe : pipes_) {
      ClosePipe(pipe, 0);
      ClosePipe(pipe, 1);
    }
    for (Kept& kept : causes_) {
      for (; kept.refs > 0; --kept.refs) ctx_cause_unref(kept.handle);
    }
    for (const Kept& kept : causes_) FUZZ_EQ(kept.drops, 1);
    for (size_t i = 0; i < values_.size(); ++i) {
      const Context& c = model_.contexts[i];
      if (c.kind == Kind::kValue && c.value != nullptr) FUZZ_EQ(values_[i], 1);
    }
    for (size_t i = 0; i < drops_.size(); ++i) {
      const Watch& w = model_.watches[i];
      if (w.queue == kNone && w.ctx != kNone) FUZZ_EQ(drops_[i], 1);
    }
  }

  void EndWatches() {
    for (size_t i = 0; i < model_.watches.size(); ++i) {
      Watch& w = model_.watches[i];
      if (!w.held) continue;
      w.held = false;
      if (model_.Stop(static_cast<int>(i)) || model_.ambiguous) ctx_watch_stop(watches_[i]);
      ctx_watch_unref(watches_[i]);
    }
    for (size_t i = 0; i < queues_.size(); ++i) {
      while (queues_[i].second > 0) DropQueue(static_cast<int>(i));
    }
  }
  void EndGroups() {
    for (size_t i = 0; i < groups_.size(); ++i) {
      while (work_[i] > 0) EndWork(static_cast<int>(i), nullptr);
    }
    for (size_t i = groups_.size(); i-- > 0;) {
      while (model_.groups[i].handles > 0) UnrefGroup(static_cast<int>(i));
    }
  }
  void EndContexts(bool backwards) {
    const size_t n = model_.contexts.size();
    for (size_t k = 0; k < n; ++k) {
      const size_t i = backwards ? n - 1 - k : k;
      Context& c = model_.contexts[i];
      if (c.is_root() && c.loop == 0) continue;
      for (; c.handles > 0; --c.handles) ctx_unref(contexts_[i].ctx);
      for (; c.cancelers > 0 && contexts_[i].canceler != nullptr; --c.cancelers) {
        ctx_canceler_unref(contexts_[i].canceler);
      }
    }
  }

  Input in_;
  Reference model_;
  int64_t now_ = 0;
  int depth_ = 0;
  size_t turn_ = 0;
  std::vector<ctx_loop_t*> loops_;
  std::vector<Handle> contexts_;
  std::deque<int> values_;  // how often the value of each context was dropped
  std::vector<ctx_watch_t*> watches_;
  std::deque<Armed> armed_;
  std::vector<int> drops_;
  std::vector<std::pair<ctx_queue_t*, int>> queues_;  // with their handles
  std::vector<int> queue_fds_;
  std::vector<std::pair<ctx_group_t*, int>> groups_;  // with their descriptors
  // Their work that the program began and nobody is ending yet; a nested group ends its piece itself.
  std::vector<int> work_;
  std::deque<Kept> causes_;
  std::vector<Pipe> pipes_;
};

}  // namespace
}  // namespace fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : fuzz::kSignals) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // The default loop is one that needs no threads, for all inputs.
  if (ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &fuzz::default_loop) != 0 ||
      ctx_loop_set_default(fuzz::default_loop) != 0 || ctx_version() != CTX_VERSION ||
      std::string(ctx_version_string()).empty()) {
    std::abort();
  }
  // It keeps the descriptors that it has opened.
  ctx_t* ctx = nullptr;
  if (ctx_with_signal(ctx_background(), fuzz::kSignals, 1, &ctx, nullptr) != 0) std::abort();
  ctx_unref(ctx);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int free_before = fuzz::LowestFree();
  {
    fuzz::Session session(data, size);
    session.Run();
  }
  FUZZ_EQ(fuzz::LowestFree(), free_before);
  return 0;
}
