// SPDX-License-Identifier: MIT
//
// Who is told of an end: descriptors, waits, callbacks, queues and groups.
#include <array>
#include <deque>
#include <vector>

#include "fault/scenarios/scenarios.h"
#include "support/callback.h"
#include "support/descriptor.h"

namespace ctxtest::scenarios {

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

// From one loop to another of the same process.
void Exports(Run& run) {
  const Cause late = NewCause(run, 3, "late"), enough = NewCause(run, 7, "enough");
  Ctx named;
  Scope timed;
  run.Try(0, CTX_FN(ctx_with_string), run.root(), "a", "1", named.out());
  run.Try(0, CTX_FN(ctx_with_timeout_cause), named, kHour, late, timed.ctx.out(),
          timed.canceler.out());
  char text[CTX_EXPORT_SIZE], of_root[CTX_EXPORT_SIZE];
  Watch watch, root_watch;
  run.Try(0, CTX_FN(ctx_export), timed, text, sizeof text, watch.out());
  run.Try(0, CTX_FN(ctx_export), run.root(), of_root, sizeof of_root, root_watch.out());
  const Spent spent(run);
  Scope first, second, plain;
  run.Try(0, CTX_FN(ctx_import), text, run.root(), first.ctx.out(), first.canceler.out());
  run.Try(0, CTX_FN(ctx_import), of_root, run.root(), second.ctx.out(), second.canceler.out());
  run.Try(0, CTX_FN(ctx_import), nullptr, run.root(), plain.ctx.out(), plain.canceler.out());
  run.Sure(1, CTX_FN(ctx_cancel_with), timed.canceler, CTX_CANCELED, enough);
  run.Await(first);
  EXPECT_STREQ(run.Get(CTX_FN(ctx_cause_message), run.Get(CTX_FN(ctx_cause), first)), "enough");
  run.Sure(0, CTX_FN(ctx_watch_stop), watch);
  run.Sure(1, CTX_FN(ctx_watch_stop), root_watch);
  run.Await(second);
  Ctx born_done, gone;
  run.Try(0, CTX_FN(ctx_import), text, run.root(), born_done.out(), nullptr);
  run.ExpectErr(born_done, CTX_CANCELED);
  run.Get(CTX_FN(ctx_watch_unref), watch.release());
  run.Try(0, CTX_FN(ctx_import), text, run.root(), gone.out(), nullptr);
  run.ExpectErr(gone, CTX_CANCELED);
}

}  // namespace ctxtest::scenarios
