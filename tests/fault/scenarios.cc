// SPDX-License-Identifier: MIT
//
// The scenarios: short ways to use the library, which together call all of it. Each ends all that it has made.
#include <array>
#include <cstring>
#include <deque>
#include <vector>

#include "fault/run.h"
#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

constexpr ctx_key_t kOther = {"other"};

// Uses up what the library has kept for later, so that it must ask.
struct Spent {
  explicit Spent(Run& run) {
    for (Scope& one : scopes) one = run.WithCancel(run.root());
    for (Scope& one : scopes) one = run.WithCancel(run.root());
  }
  std::array<Scope, 5> scopes;
};

Cause NewCause(Run& run, int code, const char* message) {
  ctx_cause_t* made = nullptr;
  run.Try(0, CTX_FN(ctx_cause_new), code, message, &made);
  return Cause(made);
}

void Derivations(Run& run) {
  const Scope parent = run.WithCancel(run.root());
  const Spent spent(run);
  const Cause cause = NewCause(run, 7, "late");
  const int64_t now = run.Get(CTX_FN(ctx_now), parent);
  std::array<Scope, 12> made;
  run.Try(0, CTX_FN(ctx_with_cancel), parent, made[0].ctx.out(), made[0].canceler.out());
  run.Try(0, CTX_FN(ctx_with_deadline), parent, now + kHour, made[1].ctx.out(),
          made[1].canceler.out());
  run.Try(0, CTX_FN(ctx_with_timeout), made[1], kHour, made[2].ctx.out(), nullptr);
  run.Try(0, CTX_FN(ctx_with_deadline_cause), parent, now + kHour, cause, made[3].ctx.out(),
          made[3].canceler.out());
  run.Try(0, CTX_FN(ctx_with_timeout_cause), made[0], kHour, cause, made[4].ctx.out(),
          made[4].canceler.out());
  run.Try(0, CTX_FN(ctx_with_grace), parent, kHour, made[5].ctx.out(), made[5].canceler.out());
  run.Try(0, CTX_FN(ctx_with_grace), parent, 0, made[6].ctx.out(), made[6].canceler.out());
  run.Try(0, CTX_FN(ctx_with_idle), parent, kHour, cause, made[7].ctx.out(),
          made[7].canceler.out());
  run.Try(0, CTX_FN(ctx_with_deadline_cause), parent, INT64_MIN, cause, made[8].ctx.out(),
          made[8].canceler.out());
  run.Try(0, CTX_FN(ctx_with_grace), made[8], kHour, made[9].ctx.out(), made[9].canceler.out());
  run.Try(0, CTX_FN(ctx_with_grace), parent, CTX_FOREVER, made[10].ctx.out(),
          made[10].canceler.out());
  run.Try(0, CTX_FN(ctx_with_idle), parent, 0, nullptr, made[11].ctx.out(), nullptr);
  run.ExpectErr(made[8], CTX_DEADLINE_EXCEEDED);
  run.ExpectErr(made[11], CTX_DEADLINE_EXCEEDED);
  run.Sure(0, CTX_FN(ctx_touch), made[7]);
  run.Sure(1, CTX_FN(ctx_cancelable), parent);
  EXPECT_EQ(*run.Get(CTX_FN(ctx_err_word), parent), 0);
  int64_t deadline = 0;
  run.Sure(1, CTX_FN(ctx_deadline), made[1], &deadline);
  EXPECT_EQ(deadline, now + kHour);
  EXPECT_GT(run.Get(CTX_FN(ctx_remaining), made[1]), 0);
  EXPECT_GT(run.Get(CTX_FN(ctx_remaining_ms), made[1]), 0);
  char text[200];
  EXPECT_GT(run.Get(CTX_FN(ctx_describe), made[1], text, sizeof text), 0);
  run.Cancel(parent);
  for (const size_t i : {0u, 1u, 2u, 3u, 4u, 6u, 7u}) run.ExpectErr(made[i], CTX_CANCELED);
  run.ExpectErr(made[5], 0);
  run.Sure(1, CTX_FN(ctx_ended_by), made[2], parent);
  run.Cancel(made[5]);
  run.Cancel(made[9]);
  run.Cancel(made[10]);
}

int CountStrings(const char*, const char*, void* count) {
  ++*static_cast<int*>(count);
  return 0;
}

void Values(Run& run) {
  Drop drop;
  {
    const Scope parent = run.WithCancel(run.root());
    Ctx value, string, hidden, name, detached;
    run.Try(0, CTX_FN(ctx_with_value), parent, &kKey, &drop, Drop::Run, value.out());
    run.Try(0, CTX_FN(ctx_with_string), value, "name", "text", string.out());
    run.Try(0, CTX_FN(ctx_with_string), string, "other", nullptr, hidden.out());
    run.Try(0, CTX_FN(ctx_with_name), hidden, "work", name.out());
    run.Try(0, CTX_FN(ctx_without_cancel), name, detached.out());
    EXPECT_EQ(drop.count(), 0);
    const Scope below = run.WithCancel(detached);
    run.Sure(&drop, CTX_FN(ctx_value), below, &kKey);
    EXPECT_STREQ(run.Get(CTX_FN(ctx_string), below, "name"), "text");
    int count = 0;
    run.Sure(0, CTX_FN(ctx_strings), below, CountStrings, &count);
    EXPECT_EQ(count, 1);
    Ctx again(run.Sure(name.get(), CTX_FN(ctx_ref), name));
    run.Cancel(parent);
    run.ExpectErr(name, CTX_CANCELED);
    run.ExpectErr(below, 0);
    run.Cancel(below);
    ctx_t* variable = again.release();
    run.Get(CTX_FN(ctx_unrefp), &variable);
    run.Sure(nullptr, CTX_FN(ctx_unref), static_cast<ctx_t*>(nullptr));
  }
  EXPECT_EQ(drop.count(), 1);
}

void Causes(Run& run) {
  Drop plain, placed;
  {
    const Scope scope = run.WithCancel(run.root()), deferred = run.WithCancel(run.root());
    const Cause cause = NewCause(run, 7, "why");
    ctx_cause_t *with_data = nullptr, *with_place = nullptr;
    run.Try(0, CTX_FN(ctx_cause_new_data), 8, "data", &kKey, &plain, Drop::Run, &with_data);
    run.Try(0, CTX_FN(ctx_cause_new_at), 9, nullptr, CTX_ORIGIN_PEER, "file", 10, "function", &kKey,
            &placed, Drop::Run, &with_place);
    EXPECT_EQ(plain.count() + placed.count(), 0);
    run.Sure(1, CTX_FN(ctx_cancel_with), scope.canceler, CTX_DEADLINE_EXCEEDED, with_place);
    run.Try(1, CTX_FN(ctx_cancel_deferred), deferred.canceler, CTX_CANCELED, cause);
    const ctx_cause_t* of = run.Get(CTX_FN(ctx_cause), scope);
    run.Sure(9, CTX_FN(ctx_cause_code), of);
    run.Sure(1, CTX_FN(ctx_cause_given), of);
    run.Sure(CTX_ORIGIN_PEER, CTX_FN(ctx_cause_origin), of);
    run.Sure(10, CTX_FN(ctx_cause_line), of);
    run.Sure(&placed, CTX_FN(ctx_cause_data), of, &kKey);
    run.Sure(nullptr, CTX_FN(ctx_cause_data), of, &kOther);
    EXPECT_STREQ(run.Get(CTX_FN(ctx_cause_file), of), "file");
    EXPECT_STREQ(run.Get(CTX_FN(ctx_cause_function), of), "function");
    EXPECT_NE(run.Get(CTX_FN(ctx_cause_message), of), nullptr);
    EXPECT_NE(run.Get(CTX_FN(ctx_strerror), CTX_CANCELED), nullptr);
    Cause again(run.Sure(with_data, CTX_FN(ctx_cause_ref), with_data));
    run.Get(CTX_FN(ctx_cause_unref), with_data);
    const ctx_cause_t* variable = with_place;
    run.Get(CTX_FN(ctx_cause_unrefp), &variable);
    Canceler canceler(run.Sure(scope.canceler.get(), CTX_FN(ctx_canceler_ref), scope.canceler));
    ctx_canceler_t* other = run.Get(CTX_FN(ctx_canceler_ref), scope.canceler);
    run.Get(CTX_FN(ctx_canceler_unref), canceler.release());
    run.Get(CTX_FN(ctx_canceler_unrefp), &other);
  }
  EXPECT_TRUE(plain.Wait() && placed.Wait());
}

void Descriptors(Run& run) {
  const Scope first = run.WithCancel(run.root()), second = run.WithCancel(run.root());
  const int fd = run.Try(Run::kAny, CTX_FN(ctx_done_fd), first);
  const Fd copy(run.Try(Run::kAny, CTX_FN(ctx_done_fd_dup), second));
  const Fd cancels(run.Try(Run::kAny, CTX_FN(ctx_cancel_fd), second.canceler));
  EXPECT_FALSE(Readable(fd) || Readable(copy));
  run.Cancel(first);
  EXPECT_TRUE(Readable(fd));
  run.Try(Run::kAny, CTX_FN(ctx_done_fd), first);
  const uint64_t one = 1;
  EXPECT_EQ(write(cancels, &one, sizeof one), static_cast<ssize_t>(sizeof one));
  run.Await(second);
  EXPECT_TRUE(Readable(copy, kLimitMs));
  const Scope done = run.WithTimeout(run.root(), 0);
  EXPECT_TRUE(Readable(run.Try(Run::kAny, CTX_FN(ctx_done_fd), done)));
}

void Waits(Run& run) {
  const Scope soon = run.WithTimeout(run.root(), 2 * kMillisecond);
  std::vector<Scope> scopes;
  std::vector<ctx_t*> all;
  for (int i = 0; i < 6; ++i) scopes.push_back(run.WithCancel(run.root()));
  for (const Scope& scope : scopes) all.push_back(scope);
  size_t index = 77;
  run.Try(0, CTX_FN(ctx_wait), scopes[0], kMicrosecond);
  run.Try(0, CTX_FN(ctx_wait_any), all.data(), all.size(), kMicrosecond, &index);
  EXPECT_EQ(index, 77u);
  const Pipe pipe;
  std::vector<pollfd> fds(20, {pipe.read_end, POLLIN, 0});
  run.Try(0, CTX_FN(ctx_poll), scopes[0], fds.data(), fds.size(), kMicrosecond);
  run.Try(0, CTX_FN(ctx_poll), run.root(), fds.data(), 1, kMicrosecond);
  pipe.Write();
  run.Try(20, CTX_FN(ctx_poll), scopes[0], fds.data(), fds.size(), kLimit);
  run.Await(soon);
  run.Cancel(scopes[3]);
  run.Try(1, CTX_FN(ctx_wait_any), all.data(), all.size(), kLimit, &index);
  EXPECT_EQ(index, 3u);
  run.Sure(CTX_CANCELED, CTX_FN(ctx_poll), scopes[3], fds.data(), fds.size(), kLimit);
}

// All kinds of callbacks, on a context that ends by a cancel and on one that ends by itself.
void Callbacks(Run& run) {
  constexpr uint32_t kFlags[] = {0, CTX_DEFER, CTX_BLOCKING, CTX_DEFER | CTX_BLOCKING, CTX_WAKER};
  Drop drops;
  int registered = 0;
  const auto ignore = [](ctx_t*, void*) {};
  for (const bool timed : {false, true}) {
    const Scope scope = timed ? run.WithTimeout(run.root(), kHour) : run.WithCancel(run.root());
    std::array<Watch, 5> watches;
    for (size_t i = 0; i < watches.size(); ++i) {
      run.Try(0, CTX_FN(ctx_after_func), scope, ignore, &drops, Drop::Run, kFlags[i],
              watches[i].out());
      ++registered;
    }
    EXPECT_EQ(drops.count(), timed ? 5 : 0);
    Watch stopped, idle;
    run.Try(0, CTX_FN(ctx_after_func), scope, ignore, nullptr, nullptr, 0, stopped.out());
    run.Sure(1, CTX_FN(ctx_watch_stop), stopped);
    run.Try(0, CTX_FN(ctx_after_func), run.root(), ignore, nullptr, nullptr, 0, idle.out());
    run.Cancel(scope);
    if (run.on == On::kManual) run.Try(Run::kAny, CTX_FN(ctx_loop_dispatch), run.loop());
    if (run.on == On::kVirtual) run.Sure(0, CTX_FN(ctx_loop_advance), run.loop(), 0);
    EXPECT_TRUE(drops.Wait(registered));
    for (Watch& watch : watches) run.Sure(0, CTX_FN(ctx_watch_stop_wait), watch);
    Watch late;
    run.Try(1, CTX_FN(ctx_after_func), scope, ignore, nullptr, nullptr, 0, late.out());
    run.Get(CTX_FN(ctx_watch_unref), late.release());
    ctx_watch_t* variable = idle.release();
    run.Get(CTX_FN(ctx_watch_unrefp), &variable);
  }
}

// The loop itself ends them, and runs what it set off.
void FiredCallbacks(Run& run) {
  Drop drops;
  const Pipe pipe;
  Ctx by_time, by_fd;
  run.Try(0, CTX_FN(ctx_with_timeout), run.root(), kMillisecond, by_time.out(), nullptr);
  run.Try(0, CTX_FN(ctx_with_fd), run.root(), pipe.read_end, POLLIN, by_fd.out(), nullptr);
  int armed = 0;
  for (ctx_t* const ctx : {by_time.get(), by_fd.get()}) {
    for (const uint32_t flags : {0u, CTX_DEFER, CTX_BLOCKING, CTX_WAKER}) {
      // It may be done by now.
      const int wanted = ctx_err(ctx) == 0 && ctx == by_fd ? 0 : -1;
      run.Try(
          wanted, CTX_FN(ctx_after_func), ctx, [](ctx_t*, void*) {}, &drops, Drop::Run, flags,
          nullptr);
      ++armed;
    }
  }
  pipe.Write();
  run.Await(by_time);
  run.Await(by_fd);
  for (int i = 0; i < kLimitMs && drops.count() < armed; ++i) {
    if (run.on == On::kManual) run.Try(Run::kAny, CTX_FN(ctx_loop_dispatch), run.loop());
    if (run.on == On::kVirtual) run.Get(CTX_FN(ctx_loop_advance), run.loop(), 0);
    poll(nullptr, 0, drops.count() < armed ? 1 : 0);
  }
  EXPECT_EQ(drops.count(), armed);
}

void Queues(Run& run) {
  Queue queue;
  run.Try(0, CTX_FN(ctx_queue_new), queue.out());
  const Scope parent = run.WithCancel(run.root()), stays = run.WithCancel(run.root());
  std::deque<Watch> watches(75);  // more than one piece of memory has room for
  for (size_t i = 0; i < watches.size(); ++i) {
    run.Try(0, CTX_FN(ctx_queue_add), queue, parent, i, watches[i].out());
  }
  Watch of_root;
  run.Try(0, CTX_FN(ctx_queue_add), queue, run.root(), 0, of_root.out());
  run.Try(0, CTX_FN(ctx_queue_add), queue, stays, 0, nullptr);
  const int fd = run.Try(Run::kAny, CTX_FN(ctx_queue_fd), queue);
  std::array<ctx_event_t, 100> events{};
  run.Try(0, CTX_FN(ctx_queue_wait), queue, events.data(), events.size(), kMicrosecond);
  EXPECT_FALSE(Readable(fd));
  run.Cancel(parent);
  EXPECT_TRUE(Readable(fd));
  run.Sure(1, CTX_FN(ctx_watch_stop), watches[0]);
  run.Sure(4, CTX_FN(ctx_queue_drain), queue, events.data(), 4);
  std::array<ctx_t*, 10> contexts{};
  run.Sure(10, CTX_FN(ctx_queue_drain_ctxs), queue, events.data(), contexts.data(), 10);
  for (ctx_t* ctx : contexts) ctx_unref(ctx);
  run.Try(60, CTX_FN(ctx_queue_wait), queue, events.data(), events.size(), kLimit);
  EXPECT_EQ(events[59].token, 74u);
  EXPECT_FALSE(Readable(fd));
  run.Try(0, CTX_FN(ctx_queue_add), queue, parent, 5, nullptr);  // done already
  run.Try(1, CTX_FN(ctx_queue_wait), queue, events.data(), events.size(), kLimit);
  const Scope soon = run.WithTimeout(run.root(), 2 * kMillisecond);
  run.Try(0, CTX_FN(ctx_queue_add), queue, soon, 6, nullptr);
  run.Try(1, CTX_FN(ctx_queue_wait), queue, events.data(), events.size(), kLimit);
  Queue again(run.Sure(queue.get(), CTX_FN(ctx_queue_ref), queue));
  run.Get(CTX_FN(ctx_queue_unref), queue.release());
  ctx_queue_t* variable = again.release();
  run.Get(CTX_FN(ctx_queue_unrefp), &variable);
  run.ExpectErr(stays, 0);
}

void Groups(Run& run) {
  const Scope parent = run.WithCancel(run.root());
  const Spent spent(run);
  const Cause cause = NewCause(run, 7, "failed");
  Group outer, inner;
  Ctx over;
  run.Try(0, CTX_FN(ctx_group_new), parent, outer.out());
  run.Try(0, CTX_FN(ctx_group_new_below), outer, inner.out());
  run.Sure(0, CTX_FN(ctx_group_begin), outer);
  run.Sure(0, CTX_FN(ctx_group_begin), inner);
  const int fd = run.Try(Run::kAny, CTX_FN(ctx_group_fd), outer);
  run.Try(0, CTX_FN(ctx_group_over), outer, over.out());
  run.Try(0, CTX_FN(ctx_group_wait), outer, kMicrosecond);
  EXPECT_FALSE(Readable(fd));
  run.ExpectErr(over, 0);
  run.Sure(0, CTX_FN(ctx_group_end), inner, cause);
  run.Sure(cause.get(), CTX_FN(ctx_group_cause), inner);
  run.ExpectErr(run.Get(CTX_FN(ctx_group_context), inner), CTX_CANCELED);
  run.ExpectErr(run.Get(CTX_FN(ctx_group_context), outer), 0);
  run.Get(CTX_FN(ctx_group_unref), inner.release());
  run.ExpectErr(run.Get(CTX_FN(ctx_group_context), outer), CTX_CANCELED);
  run.Sure(CTX_CANCELED, CTX_FN(ctx_group_begin), outer);
  run.Sure(0, CTX_FN(ctx_cancel), run.Get(CTX_FN(ctx_group_canceler), outer));
  run.Sure(0, CTX_FN(ctx_group_end), outer, nullptr);
  run.ExpectErr(over, CTX_CANCELED);
  EXPECT_TRUE(Readable(fd));
  run.Try(1, CTX_FN(ctx_group_wait), outer, kLimit);
  ctx_group_t* variable = run.Sure(outer.get(), CTX_FN(ctx_group_ref), outer);
  run.Get(CTX_FN(ctx_group_unrefp), &variable);
}

void Merges(Run& run) {
  const Scope first = run.WithCancel(run.root()), second = run.WithCancel(run.root());
  const Scope timed = run.WithTimeout(run.root(), kHour);
  const Spent spent(run);
  ctx_t* const parents[] = {first, second, timed, run.root()};
  std::vector<ctx_t*> many(30, first);
  Scope merged, one, of_many;
  run.Try(0, CTX_FN(ctx_merge), parents, 4, merged.ctx.out(), merged.canceler.out());
  run.Try(0, CTX_FN(ctx_merge), many.data(), many.size(), of_many.ctx.out(), nullptr);
  run.Try(0, CTX_FN(ctx_merge), parents, 1, one.ctx.out(), nullptr);
  const Scope below = run.WithCancel(merged);
  run.Cancel(second);
  run.ExpectErr(merged, CTX_CANCELED);
  run.ExpectErr(below, CTX_CANCELED);
  run.ExpectErr(one, 0);
  run.Sure(1, CTX_FN(ctx_ended_by), below, second);
  Scope late;
  run.Try(0, CTX_FN(ctx_merge), parents, 3, late.ctx.out(), late.canceler.out());
  run.ExpectErr(late, CTX_CANCELED);
  run.Cancel(first);
  run.ExpectErr(one, CTX_CANCELED);
  run.ExpectErr(of_many, CTX_CANCELED);
}

// Parents of two loops.
void Mirrors(Run& run) {
  ctx_t* const elsewhere = run.other.root();
  const Scope here = run.WithCancel(run.root()), there = run.WithCancel(elsewhere);
  Scope timed, merged, unharmed;
  run.Try(0, CTX_FN(ctx_with_timeout), elsewhere, kHour, timed.ctx.out(), timed.canceler.out());
  ctx_t* const parents[] = {here, there, timed, elsewhere};
  run.Try(0, CTX_FN(ctx_merge), parents, 4, merged.ctx.out(), merged.canceler.out());
  run.Try(0, CTX_FN(ctx_merge), parents, 3, unharmed.ctx.out(), unharmed.canceler.out());
  run.Cancel(unharmed);
  run.ExpectErr(merged, 0);
  run.Cancel(there);
  run.Await(merged);
  run.ExpectErr(merged, CTX_CANCELED);
  run.ExpectErr(here, 0);
}

void Sources(Run& run) {
  const BlockSignals blocked{SIGUSR1, SIGUSR2};
  const Pipe pipe;
  const int signals[] = {SIGUSR1, SIGUSR2};
  std::array<Scope, 2> by_fd, by_signal;
  for (Scope& scope : by_fd) {
    run.Try(0, CTX_FN(ctx_with_fd), run.root(), pipe.read_end, POLLIN, scope.ctx.out(),
            scope.canceler.out());
  }
  for (Scope& scope : by_signal) {
    run.Try(0, CTX_FN(ctx_with_signal), run.root(), signals, 2, scope.ctx.out(),
            scope.canceler.out());
  }
  const Fd far(
      fcntl(pipe.read_end, F_DUPFD_CLOEXEC, 300));  // the loop's table grows while it is in use
  Scope by_far;
  run.Try(0, CTX_FN(ctx_with_fd), run.root(), far, POLLIN, by_far.ctx.out(), by_far.canceler.out());
  run.Cancel(by_fd[0]);
  pipe.Write();
  run.Await(by_far);
  run.Await(by_fd[1]);
  run.Cancel(by_signal[0]);
  run.ExpectErr(by_signal[1], 0);
  EXPECT_EQ(kill(getpid(), SIGUSR2), 0);
  run.Await(by_signal[1]);
}

void Deadlines(Run& run) {
  const Scope parent = run.WithTimeout(run.root(), 2 * kMillisecond);
  Scope grace, idle;
  run.Try(0, CTX_FN(ctx_with_grace), parent, kMillisecond, grace.ctx.out(), grace.canceler.out());
  run.Try(0, CTX_FN(ctx_with_idle), run.root(), 2 * kMillisecond, nullptr, idle.ctx.out(),
          idle.canceler.out());
  std::vector<Scope> many;
  for (int i = 0; i < 20; ++i) many.push_back(run.WithTimeout(run.root(), i * kMicrosecond));
  run.Await(parent);
  run.ExpectErr(parent, CTX_DEADLINE_EXCEEDED);
  run.Await(grace);
  run.Await(idle);
  for (const Scope& scope : many) run.Await(scope);
}

// Loops of all kinds, made here.
void Loops(Run& run) {
  for (int kind : {CTX_LOOP_THREAD, CTX_LOOP_MANUAL, CTX_LOOP_VIRTUAL}) {
    Loop loop;
    ctx_loop_options_t options = LoopOptions();
    options.name = "f";
    for (const uint32_t flags : {0u, CTX_LOOP_START}) {
      options.flags = flags;
      run.Try(0, CTX_FN(ctx_loop_new), kind, &options, loop.out());
      Ctx root;
      run.Sure(0, CTX_FN(ctx_loop_background), loop, root.out());
      const Scope scope = run.WithTimeout(root, kHour);
      EXPECT_GE(run.Get(CTX_FN(ctx_loop_now), loop), 0);
      const int64_t next = run.Get(CTX_FN(ctx_loop_next), loop);
      EXPECT_TRUE(kind == CTX_LOOP_THREAD ? next == INT64_MIN : next > 0 && next != INT64_MAX);
      if (kind == CTX_LOOP_MANUAL) {
        run.Try(Run::kAny, CTX_FN(ctx_loop_fd), loop);
        run.Try(0, CTX_FN(ctx_loop_dispatch), loop);
      }
      if (kind == CTX_LOOP_VIRTUAL) run.Sure(1, CTX_FN(ctx_loop_advance), loop, kHour);
      run.Sure(0, CTX_FN(ctx_loop_close), loop);
      run.ExpectErr(scope, kind == CTX_LOOP_VIRTUAL ? CTX_DEADLINE_EXCEEDED : CTX_CANCELED);
      const Scope late = run.WithCancel(root);
      run.ExpectErr(late, CTX_CANCELED);
      ctx_loop_t* again = run.Sure(loop.get(), CTX_FN(ctx_loop_ref), loop);
      run.Get(CTX_FN(ctx_loop_unrefp), &again);
      run.Get(CTX_FN(ctx_loop_unref), loop.release());
    }
  }
}

// Each of these starts a loop that nobody has used.
void FirstUses(Run& run) {
  const BlockSignals blocked{SIGUSR1};
  const int signal = SIGUSR1;
  using Use = void (*)(Run&, ctx_t*, Scope*);
  const Use uses[] = {[](Run& r, ctx_t* root, Scope* made) {
                        r.Try(0, CTX_FN(ctx_with_deadline_cause), root, ctx_now(root) + kHour,
                              nullptr, made->ctx.out(), made->canceler.out());
                      },
                      [](Run& r, ctx_t* root, Scope* made) {
                        r.Try(0, CTX_FN(ctx_with_timeout_cause), root, kHour, nullptr,
                              made->ctx.out(), made->canceler.out());
                      },
                      [](Run& r, ctx_t* root, Scope* made) {
                        r.Try(0, CTX_FN(ctx_with_grace), root, kHour, made->ctx.out(),
                              made->canceler.out());
                      },
                      [](Run& r, ctx_t* root, Scope* made) {
                        r.Try(0, CTX_FN(ctx_with_idle), root, kHour, nullptr, made->ctx.out(),
                              made->canceler.out());
                      }};
  const int kind = run.on == On::kThread ? CTX_LOOP_THREAD : CTX_LOOP_MANUAL;
  for (size_t i = 0; i < 7; ++i) {
    Loop loop;
    Ctx root;
    Scope made;
    run.Try(0, CTX_FN(ctx_loop_new), kind, nullptr, loop.out());
    run.Sure(0, CTX_FN(ctx_loop_background), loop, root.out());
    if (i < std::size(uses)) {
      uses[i](run, root, &made);
    } else if (i == 4) {
      run.Try(0, CTX_FN(ctx_with_signal), root, &signal, 1, made.ctx.out(), made.canceler.out());
    } else if (kind == CTX_LOOP_MANUAL && i == 5) {
      run.Try(Run::kAny, CTX_FN(ctx_loop_fd), loop);
    } else if (kind == CTX_LOOP_MANUAL) {
      run.Try(0, CTX_FN(ctx_loop_dispatch), loop);
    }
    if (made.canceler) run.Cancel(made);
  }
}

int RunAtOnce(void*, void (*work)(void*), void* argument) {
  work(argument);
  return 0;
}
int Refuse(void*, void (*)(void*), void*) { return -EAGAIN; }

void Executors(Run& run) {
  for (const ctx_post_fn post : {RunAtOnce, Refuse}) {
    Drop callbacks, executor;
    {
      ctx_loop_options_t options = LoopOptions();
      options.post = post;
      options.executor = &executor;
      options.drop = Drop::Run;
      options.flags = CTX_LOOP_START;
      Loop loop;
      run.Try(0, CTX_FN(ctx_loop_new), CTX_LOOP_THREAD, &options, loop.out());
      EXPECT_EQ(executor.count(), 0);
      Ctx root;
      run.Sure(0, CTX_FN(ctx_loop_background), loop, root.out());
      const Scope scope = run.WithTimeout(root, kMillisecond);
      for (const uint32_t flags : {CTX_DEFER, CTX_DEFER | CTX_BLOCKING}) {
        run.Try(
            Run::kAny, CTX_FN(ctx_after_func), scope, [](ctx_t*, void*) {}, &callbacks, Drop::Run,
            flags, nullptr);
      }
      run.Try(1, CTX_FN(ctx_wait), scope, kLimit);
      EXPECT_TRUE(callbacks.Wait(2));
    }
    EXPECT_TRUE(executor.Wait());
  }
}

void Roots(Run& run) {
  EXPECT_NE(run.Get(CTX_FN(ctx_background)), run.Get(CTX_FN(ctx_todo)));
  EXPECT_EQ(run.Get(CTX_FN(ctx_version)), CTX_VERSION);
  EXPECT_NE(run.Get(CTX_FN(ctx_version_string)), nullptr);
  const Scope scope = run.WithCancel(ctx_todo());
  run.Try(Run::kAny, CTX_FN(ctx_done_fd), scope);
  run.Cancel(scope);
}

// A manual loop as the default one.
void SetDefault(Run& run) {
  Loop loop;
  run.Try(0, CTX_FN(ctx_loop_new), CTX_LOOP_MANUAL, nullptr, loop.out());
  run.Sure(0, CTX_FN(ctx_loop_set_default), loop);
  const Scope scope = run.WithTimeout(ctx_background(), kMillisecond);
  run.Try(1, CTX_FN(ctx_wait), scope, kLimit);
}

void Shutdown(Run& run) {
  Drop drops;
  const Scope scope = run.WithTimeout(run.root(), kHour);
  for (const uint32_t flags : {0u, CTX_DEFER, CTX_BLOCKING, CTX_WAKER}) {
    run.Try(
        0, CTX_FN(ctx_after_func), scope, [](ctx_t*, void*) {}, &drops, Drop::Run, flags, nullptr);
  }
  run.Sure(0, CTX_FN(ctx_shutdown), kLimit);
  EXPECT_EQ(drops.count(), 4);
  run.ExpectErr(scope, CTX_CANCELED);
  const Scope late = run.WithTimeout(run.root(), kHour);
  run.ExpectErr(late, CTX_CANCELED);
}

}  // namespace

const Scenario kScenarios[] = {
    {"Derivations", Derivations, kAllLoops},
    {"Values", Values, kAllLoops},
    {"Causes", Causes, kAllLoops},
    {"Descriptors", Descriptors, kAllLoops},
    {"Waits", Waits, kAllLoops},
    {"Callbacks", Callbacks, kAllLoops},
    {"FiredCallbacks", FiredCallbacks, kAllLoops},
    {"Queues", Queues, kDefaultLoop},
    {"Groups", Groups, kDefaultLoop | kManualLoop},
    {"Merges", Merges, kDefaultLoop | kManualLoop | kVirtualLoop},
    {"Mirrors", Mirrors, kAllLoops},
    {"Sources", Sources, kAllLoops},
    {"Deadlines", Deadlines, kAllLoops},
    {"Loops", Loops, kDefaultLoop},
    {"FirstUses", FirstUses, kThreadLoop | kManualLoop},
    {"Executors", Executors, kDefaultLoop},
    {"Roots", Roots, kDefaultLoop},
    {"SetDefault", SetDefault, kDefaultLoop, true},
    {"Shutdown", Shutdown, kDefaultLoop, true},
};
const size_t kScenarioCount = std::size(kScenarios);

}  // namespace ctxtest
