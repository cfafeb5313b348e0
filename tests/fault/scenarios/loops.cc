// SPDX-License-Identifier: MIT
//
// Loops, what they watch, and what they are made with.
#include <array>
#include <iterator>
#include <vector>

#include "fault/scenarios/scenarios.h"
#include "support/callback.h"
#include "support/descriptor.h"

namespace ctxtest::scenarios {

namespace {

int RunAtOnce(void*, void (*work)(void*), void* argument) {
  work(argument);
  return 0;
}
int Refuse(void*, void (*)(void*), void*) { return -EAGAIN; }

}  // namespace

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
  char text[CTX_EXPORT_SIZE];
  Watch watch;
  run.Try(0, CTX_FN(ctx_export), run.root(), text, sizeof text, watch.out());
  for (size_t i = 0; i < 8; ++i) {
    Loop loop;
    Ctx root;
    Scope made;
    run.Try(0, CTX_FN(ctx_loop_new), kind, nullptr, loop.out());
    run.Sure(0, CTX_FN(ctx_loop_background), loop, root.out());
    if (i < std::size(uses)) {
      uses[i](run, root, &made);
    } else if (i == 4) {
      run.Try(0, CTX_FN(ctx_with_signal), root, &signal, 1, made.ctx.out(), made.canceler.out());
    } else if (i == 5) {
      run.Try(0, CTX_FN(ctx_import), text, root, made.ctx.out(), made.canceler.out());
    } else if (kind == CTX_LOOP_MANUAL && i == 6) {
      run.Try(Run::kAny, CTX_FN(ctx_loop_fd), loop);
    } else if (kind == CTX_LOOP_MANUAL) {
      run.Try(0, CTX_FN(ctx_loop_dispatch), loop);
    }
    if (made.canceler) run.Cancel(made);
  }
  run.Sure(1, CTX_FN(ctx_watch_stop), watch);
}

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

}  // namespace ctxtest::scenarios
