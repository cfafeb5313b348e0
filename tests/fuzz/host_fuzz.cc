// SPDX-License-Identifier: MIT
//
// Hosts of manual loops. Each drives its loops in one of the ways that ctx/loop.h allows: its descriptor level- or
// edge-triggered, by ctx_loop_next() alone, late, or one after the other; while other code of the same thread derives,
// cancels, waits, sends signals and writes to descriptors, before the loop has started and after, inside callbacks and
// outside. Once such a host has nothing to do, nothing may be left that is due: no context, no callback, no event. And
// it may not be kept busy with nothing.
#include <ctx/ctx.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "fuzz/input.h"
#include "fuzz/system.h"

namespace fuzz {
namespace {

constexpr size_t kMostItems = 40;
constexpr size_t kMostSteps = 150;

enum class Mode { kLevel, kEdge, kNext };
const char* const kModes[] = {"level", "edge", "next"};

struct Host {
  ctx_loop_t* loop = nullptr;
  ctx_t* root = nullptr;
  Mode mode = Mode::kLevel;
  int set = -1;  // of an edge-triggered one
};

struct Item {
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  enum Kind { kPlain, kIdle, kGrace, kDescriptor, kSignal, kMerge } kind = kPlain;
  size_t host = 0;
  std::vector<size_t> parents;  // items; none: a root
  int64_t length = 0;
  int64_t made = 0, touched = 0, looked_for = 0;
  int64_t seen_done = -1;  // when
  int fd = -1;
  int signal = 0;
  bool told_to_end = false;  // by a signal, or by a descriptor of ctx_cancel_fd
};

class Session;

struct Armed {
  Session* session;
  size_t item;
  bool ran = false;
};

bool IsReadable(int fd) {
  pollfd one = {fd, POLLIN, 0};
  return poll(&one, 1, 0) == 1;
}

class Session {
 public:
  Session(const uint8_t* data, size_t size) : in_(data, size) {
    hosts_.resize(1 + in_.Pick(2));
    for (Host& host : hosts_) {
      FUZZ_EQ(ctx_loop_new(CTX_LOOP_MANUAL, nullptr, &host.loop), 0);
      FUZZ_EQ(ctx_loop_background(host.loop, &host.root), 0);
      host.mode = static_cast<Mode>(in_.Pick(3));
      Say("host %zu: %s", static_cast<size_t>(&host - hosts_.data()),
          kModes[static_cast<int>(host.mode)]);
    }
    FUZZ_EQ(ctx_queue_new(&queue_), 0);
  }

  void Run() {
    for (size_t i = 0; i < kMostSteps && !in_.empty(); ++i) {
      Step();
      if (!is_late_) Look();
    }
    is_late_ = false;
    Look();
    Pass(20 * 86'400 * kSecond);
    End();
  }

 private:
  // ---------------------------------------------------------------- the host

  // Whether the host would dispatch now.
  bool HasToDo(Host& host) {
    const int fd = ctx_loop_fd(host.loop);
    REQUIRE(fd >= 0);
    switch (host.mode) {
      case Mode::kLevel:
        return IsReadable(fd);
      case Mode::kNext:
        return ctx_loop_next(host.loop) <= RealNow();
      case Mode::kEdge:
        break;
    }
    if (host.set < 0) {
      host.set = epoll_create1(EPOLL_CLOEXEC);
      epoll_event event{};
      event.events = EPOLLIN | EPOLLET;
      FUZZ_EQ(epoll_ctl(host.set, EPOLL_CTL_ADD, fd, &event), 0);
    }
    epoll_event event{};
    return epoll_wait(host.set, &event, 1, 0) == 1;
  }

  // The host does all that it finds to do, until it would sleep.
  void Look() {
    constexpr int kMost = 2000;  // of turns; what is there to do is far less
    int turns = 0;
    for (bool any = true; any && turns < kMost; ++turns) {
      any = false;
      for (Host& host : hosts_) {
        if (!HasToDo(host)) continue;
        any = true;
        int fired = 0;
        do {
          fired = ctx_loop_dispatch(host.loop);
          REQUIRE(fired >= 0);
          Say("ctx_loop_dispatch: %d", fired);
        } while (host.mode == Mode::kEdge && fired > 0);
      }
    }
    if (turns == kMost) BROKEN("the host is kept busy for ever");
    Check();
  }

  // Time passes; the host sleeps and is woken.
  void Pass(int64_t span) {
    Look();  // a host does not sleep while there is something to do
    const int64_t until = RealNow() + span;
    Say("%lld ns pass", static_cast<long long>(span));
    for (int i = 0; RealNow() < until; ++i) {
      if (i > 100'000) BROKEN("the host is woken for ever");
      int64_t wake = until;
      for (Host& host : hosts_) {
        wake = std::min(wake, host.mode == Mode::kNext ? ctx_loop_next(host.loop) : NextRing());
      }
      MoveTo(std::max(wake, RealNow() + 1));
      Look();
    }
  }

  // ---------------------------------------------------------------- what must be so

  void MustBeDone(size_t i, const char* why) {
    if (ctx_err(items_[i].ctx) != 0) return;
    std::fprintf(stderr, "c%zu has not ended, at %lld\n", i, static_cast<long long>(RealNow()));
    BROKEN(why);
  }

  void Check() {
    const int64_t now = RealNow();
    for (size_t i = 0; i < items_.size(); ++i) {
      Item& item = items_[i];
      int64_t deadline = 0;
      if (ctx_deadline(item.ctx, &deadline) == 1 && deadline <= now) {
        MustBeDone(i, "its deadline has passed");
      }
      for (size_t parent : item.parents) {
        if (item.kind == Item::kGrace) {
          const int64_t done = std::max(items_[parent].seen_done, item.made);
          if (items_[parent].seen_done >= 0 && done <= now - item.length) {
            MustBeDone(i, "its grace is over");
          }
        } else if (ctx_err(items_[parent].ctx) != 0) {
          MustBeDone(i, "a parent has ended");
        }
      }
      if (item.kind == Item::kIdle && item.length < 365 * 86'400 * kSecond) {
        const int64_t late = std::max<int64_t>(item.length / 16, 1'000'000);
        const int64_t end = std::max(item.touched, item.looked_for) + item.length + late;
        if (end <= now) MustBeDone(i, "nobody has touched it");
        item.looked_for = item.touched > item.looked_for ? now : item.looked_for;
      }
      if (item.kind == Item::kDescriptor && IsReadable(item.fd)) {
        MustBeDone(i, "its descriptor is readable");
      }
      if (item.told_to_end) MustBeDone(i, "a signal came, or a write to a descriptor that cancels");
      if (item.seen_done < 0 && ctx_err(item.ctx) != 0) item.seen_done = now;
    }
    for (const Armed& armed : armed_) {
      if (!armed.ran && ctx_err(items_[armed.item].ctx) != 0) {
        std::fprintf(stderr, "of c%zu: ", armed.item);
        BROKEN("a callback has not run");
      }
    }
    ctx_event_t events[8];
    for (int64_t n = 1; n > 0;) {
      n = ctx_queue_drain(queue_, events, 8);
      for (int64_t e = 0; e < n; ++e) ++events_[events[e].token];
    }
    for (size_t i = 0; i < events_.size(); ++i) {
      FUZZ_EQ(events_[i], ctx_err(items_[queued_[i]].ctx) != 0 ? 1 : 0);
    }
  }

  // ---------------------------------------------------------------- other code of the thread

  int64_t Span() {
    static constexpr int64_t kUnits[] = {1,           1'000,   20'000,        1'000'000,
                                         100'000'000, kSecond, 3600 * kSecond};
    const size_t unit = in_.Pick(8);
    const auto count = static_cast<int64_t>(in_.Byte());
    return unit == 7 ? -count : (count + 1) * kUnits[unit];
  }

  void Step() {
    switch (in_.Pick(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Derive();
      case 4:
      case 5:
        return Pass(SpanToPass());
      case 6:
        is_late_ = !is_late_;
        return;
      case 7: {
        Host& host = hosts_[in_.Pick(hosts_.size())];
        host.mode = static_cast<Mode>(in_.Pick(3));
        Say("host %zu: %s", static_cast<size_t>(&host - hosts_.data()),
            kModes[static_cast<int>(host.mode)]);
        if (host.set >= 0) close(host.set);
        host.set = -1;
        return;
      }
      case 8: {  // late
        const int64_t span = SpanToPass();
        Say("%lld ns pass without the host", static_cast<long long>(span));
        MoveTo(RealNow() + span);
        Touched();  // a touch is noticed by a look
        return;
      }
      default:
        return Act();
    }
  }

  int64_t SpanToPass() {
    if (in_.Pick(2) == 0) return std::max<int64_t>(Span(), 1);
    int64_t next = INT64_MAX;  // to a deadline, or just before it
    for (const Item& item : items_) {
      int64_t deadline = 0;
      if (ctx_deadline(item.ctx, &deadline) == 1 && deadline > RealNow()) {
        next = std::min(next, deadline);
      }
    }
    if (next == INT64_MAX || next - RealNow() > 1'000'000 * kSecond) return 1;
    return std::max<int64_t>(next - RealNow() - static_cast<int64_t>(in_.Pick(2)), 1);
  }

  // What may also be called in a callback.
  void Act() {
    if (items_.empty()) return Derive();
    const size_t i = items_.size() - 1 - in_.Pick(items_.size());
    Item& item = items_[i];
    switch (in_.Pick(12)) {
      case 0:
        if (item.canceler == nullptr) return;
        Say("ctx_cancel(c%zu)", i);
        ctx_cancel(item.canceler);
        return;
      case 1:
        if (item.canceler == nullptr) return;
        Say("ctx_cancel_deferred(c%zu)", i);
        ctx_cancel_deferred(item.canceler, CTX_CANCELED, nullptr);
        return;
      case 2:
      case 3:
      case 4: {
        static constexpr uint32_t kFlags[] = {0, CTX_DEFER, CTX_WAKER, CTX_DEFER | CTX_BLOCKING};
        const uint32_t flags = kFlags[in_.Pick(4)];
        if (armed_.size() >= 2 * kMostItems) return;
        Say("ctx_after_func(c%zu, %u)", i, flags);
        armed_.push_back({this, i, false});
        REQUIRE(ctx_after_func(item.ctx, Called, &armed_.back(), nullptr, flags, nullptr) >= 0);
        return;
      }
      case 5: {
        Say("ctx_touch(c%zu)", i);
        if (ctx_touch(item.ctx) == 0) Touched();
        return;
      }
      case 6: {
        Say("ctx_wait(c%zu, 0)", i);
        const int result = ctx_wait(item.ctx, 0);
        FUZZ_EQ(result, ctx_err(item.ctx) != 0 ? 1 : 0);
        return;
      }
      case 7:
        Say("ctx_queue_add(c%zu)", i);
        FUZZ_EQ(ctx_queue_add(queue_, item.ctx, events_.size(), nullptr), 0);
        events_.push_back(0);
        queued_.push_back(i);
        return;
      case 8: {
        if (pipes_.empty()) return;
        const auto& pipe = pipes_[in_.Pick(pipes_.size())];
        Say("write to %d", pipe.second);
        [[maybe_unused]] const ssize_t n = write(pipe.second, "x", 1);
        return;
      }
      case 9: {
        bool waited_for = false;
        const int signal = kSignals[in_.Pick(2)];
        for (Item& other : items_) {
          if (other.signal != signal || ctx_err(other.ctx) != 0) continue;
          waited_for = true;
          other.told_to_end = true;
        }
        Say("kill(%d)", signal);
        if (waited_for) kill(getpid(), signal);
        return;
      }
      case 10: {
        if (item.canceler == nullptr) return;
        Say("ctx_cancel_fd(c%zu), and a write", i);
        const int fd = ctx_cancel_fd(item.canceler);
        const uint64_t one = 1;
        FUZZ_EQ(write(fd, &one, sizeof one), 8);
        close(fd);
        item.told_to_end = true;
        return;
      }
      default:
        return Derive();
    }
  }

  // Those above it count, too, but how far is the library's to say: so all may end later.
  void Touched() {
    for (Item& item : items_) item.touched = std::max(item.touched, RealNow());
  }

  void Derive() {
    if (items_.size() >= kMostItems) return;
    Item made;
    const size_t from = in_.Pick(items_.size() + hosts_.size());
    ctx_t* parent = nullptr;
    if (from < hosts_.size()) {
      made.host = from;
      parent = hosts_[from].root;
    } else {
      const size_t above = items_.size() - 1 - (from - hosts_.size());
      made.host = items_[above].host;
      made.parents = {above};
      parent = items_[above].ctx;
    }
    made.length = Span();
    made.made = made.touched = RealNow();
    const size_t number = items_.size();
    switch (in_.Pick(8)) {
      case 0:
      case 1:
      case 2:
        Say("c%zu = ctx_with_timeout(%zu, %lld)", number, from,
            static_cast<long long>(made.length));
        FUZZ_EQ(ctx_with_timeout(parent, made.length, &made.ctx, &made.canceler), 0);
        break;
      case 3:
        made.kind = Item::kGrace;
        Say("c%zu = ctx_with_grace(%zu, %lld)", number, from, static_cast<long long>(made.length));
        FUZZ_EQ(ctx_with_grace(parent, made.length, &made.ctx, &made.canceler), 0);
        break;
      case 4:
        made.kind = Item::kIdle;
        Say("c%zu = ctx_with_idle(%zu, %lld)", number, from, static_cast<long long>(made.length));
        FUZZ_EQ(ctx_with_idle(parent, made.length, nullptr, &made.ctx, &made.canceler), 0);
        break;
      case 5: {
        made.kind = Item::kDescriptor;
        if (pipes_.size() < 4 && (pipes_.empty() || in_.Pick(2) == 0)) {
          int ends[2];
          FUZZ_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
          pipes_.emplace_back(ends[0], ends[1]);
        }
        made.fd = pipes_[in_.Pick(pipes_.size())].first;
        Say("c%zu = ctx_with_fd(%zu, %d)", number, from, made.fd);
        FUZZ_EQ(ctx_with_fd(parent, made.fd, POLLIN, &made.ctx, &made.canceler), 0);
        break;
      }
      case 6: {
        made.kind = Item::kSignal;
        made.signal = kSignals[in_.Pick(2)];
        Say("c%zu = ctx_with_signal(%zu, %d)", number, from, made.signal);
        FUZZ_EQ(ctx_with_signal(parent, &made.signal, 1, &made.ctx, &made.canceler), 0);
        break;
      }
      default: {
        made.kind = Item::kMerge;
        std::vector<ctx_t*> parents = {parent};
        for (size_t n = in_.Pick(3); n > 0 && !items_.empty(); --n) {
          made.parents.push_back(in_.Pick(items_.size()));
          parents.push_back(items_[made.parents.back()].ctx);
        }
        Say("c%zu = ctx_merge(%zu, %zu others)", number, from, parents.size() - 1);
        for (size_t p : made.parents) Say("    of c%zu", p);
        FUZZ_EQ(ctx_merge(parents.data(), parents.size(), &made.ctx, &made.canceler), 0);
      }
    }
    items_.push_back(made);
  }

  static void Called(ctx_t* ctx, void* arg) {
    auto& armed = *static_cast<Armed*>(arg);
    REQUIRE(!armed.ran);
    armed.ran = true;
    REQUIRE(ctx_err(ctx) != 0);
    Session& session = *armed.session;
    Say("  callback of c%zu", armed.item);
    if (session.depth_ >= 3) return;
    ++session.depth_;
    for (size_t n = session.in_.Pick(3); n > 0; --n) session.Act();
    --session.depth_;
  }

  void End() {
    Say("-- the end --");
    depth_ = 3;
    for (Host& host : hosts_) FUZZ_EQ(ctx_loop_close(host.loop), 0);
    Look();
    for (size_t i = 0; i < items_.size(); ++i) MustBeDone(i, "its loop was closed");
    ctx_queue_unref(queue_);
    for (const Item& item : items_) {
      ctx_unref(item.ctx);
      if (item.canceler != nullptr) ctx_canceler_unref(item.canceler);
    }
    for (const Host& host : hosts_) {
      ctx_unref(host.root);
      ctx_loop_unref(host.loop);
      if (host.set >= 0) close(host.set);
    }
    for (const auto& pipe : pipes_) {
      close(pipe.first);
      close(pipe.second);
    }
  }

  Input in_;
  std::vector<Host> hosts_;
  std::deque<Item> items_;
  std::deque<Armed> armed_;
  std::vector<std::pair<int, int>> pipes_;
  ctx_queue_t* queue_ = nullptr;
  std::vector<int> events_;     // how many came of each token
  std::vector<size_t> queued_;  // the item of each
  bool is_late_ = false;
  int depth_ = 0;
};

}  // namespace
}  // namespace fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  fuzz::BlockSignals();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  {
    fuzz::Session session(data, size);
    session.Run();
  }
  fuzz::ResetSystem();
  fuzz::TakeSignals();
  return 0;
}
