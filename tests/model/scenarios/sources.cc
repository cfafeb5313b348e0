// SPDX-License-Identifier: MIT
// Descriptors and signals that end contexts.
#include "model/scenarios/family.h"

using namespace model;  // NOLINT

SCENARIO(source_against_cancel) {
  Family family;
  const int fd = open_descriptor();
  Cancelable source, below;
  source.with_fd(family.root, fd);
  below.derive(source.ctx);
  together({{"ready",
             [&] {
               make_readable(fd);
               EXPECT(ctx_loop_advance(family.loop, 0) >= 0);
               EXPECT(below.error() != 0);
             }},
            {"cancel", [&] { EXPECT(source.cancel() >= 0 && below.error() != 0); }}});
  EXPECT(ctx_cause_code(ctx_cause(source.ctx)) != 0);
  source.release();
  close_descriptor(fd);
}

// Once the last reference is given back, the caller may close the descriptor.
SCENARIO(source_against_release_and_close) {
  Family family;
  const int fd = open_descriptor();
  Cancelable source;
  source.with_fd(family.root, fd);
  make_readable(fd);
  together(
      {{"advance", [&] { EXPECT(ctx_loop_advance(family.loop, 0) >= 0); }}, {"release", [&] {
                                                                               source.release();
                                                                               close_descriptor(fd);
                                                                             }}});
}

// One that is done when it is made is not watched: what comes is no work for the loop.
SCENARIO(source_made_against_cancel) {
  Family family;
  const int fd = open_descriptor();
  make_readable(fd);
  Cancelable parent(family.root), source;
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"make", [&] { source.with_fd(parent.ctx, fd); }}});
  EXPECT(source.error() == CTX_CANCELED);
  EXPECT(ctx_loop_next(family.loop) == kForever);
  source.release();
  close_descriptor(fd);
}

// The number is used again at once, for another context.
SCENARIO(source_whose_number_is_used_again) {
  Family family;
  const int fd = open_descriptor();
  Cancelable source, next;
  source.with_fd(family.root, fd);
  make_readable(fd);
  int again = -1;
  together({{"advance", [&] { EXPECT(ctx_loop_advance(family.loop, 0) >= 0); }},
            {"again", [&] {
               source.release();
               close_descriptor(fd);
               again = open_descriptor();
               next.with_fd(family.root, again);
             }}});
  EXPECT(next.error() == 0);
  next.release();
  close_descriptor(again);
}

SCENARIO(two_sources_of_one_descriptor) {
  Family family;
  const int fd = open_descriptor();
  Cancelable one, other;
  one.with_fd(family.root, fd);
  together({{"derive", [&] { other.with_fd(family.root, fd); }},
            {"ready",
             [&] {
               make_readable(fd);
               EXPECT(ctx_loop_advance(family.loop, 0) >= 0);
             }},
            {"release", [&] { one.release(); }}});
  EXPECT(ctx_loop_advance(family.loop, 0) >= 0);
  EXPECT(other.error() != 0);
  other.release();
  close_descriptor(fd);
}

// On a loop with threads: its thread sleeps, and a source wakes it.
SCENARIO(source_on_a_threaded_loop, .preemptions = 1) {
  Family family(CTX_LOOP_THREAD);
  const int fd = open_descriptor();
  Cancelable source;
  together({{"wait",
             [&] {
               source.with_fd(family.root, fd);
               EXPECT(ctx_wait(source.ctx, CTX_FOREVER) == 1);
             }},
            {"ready", [&] { make_readable(fd); }}});
  source.release();
  close_descriptor(fd);
}

namespace {

// The context is given back while somebody writes to the descriptor that cancels it.
void write_against_release(const std::function<void()>& once_written, Family& family,
                           Cancelable& canceled) {
  const int fd = ctx_cancel_fd(canceled.canceler);
  EXPECT(fd >= 0);
  together({{"write",
             [&] {
               make_readable(fd);
               EXPECT(ctx_loop_advance(family.loop, 0) >= 0);
               once_written();
             }},
            {"release", [&] { canceled.release(); }}});
  close_descriptor(fd);
}

}  // namespace

SCENARIO(cancel_fd_against_release) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  write_against_release([&] { EXPECT(child.error() != 0); }, family, parent);
}

// Nothing keeps the context: a write to its descriptor comes too late, or ends it.
SCENARIO(cancel_fd_against_last_release) {
  Family family;
  Cancelable parent(family.root);
  write_against_release([] {}, family, parent);
}

SCENARIO(two_cancel_fds_against_cancel) {
  Family family;
  Cancelable parent(family.root);
  int fds[2] = {-1, -1};
  together({{"one", [&] { fds[0] = ctx_cancel_fd(parent.canceler); }},
            {"other", [&] { fds[1] = ctx_cancel_fd(parent.canceler); }},
            {"cancel", [&] { EXPECT(parent.cancel() == 1); }}});
  EXPECT(fds[0] >= 0 && fds[1] >= 0);
  close_descriptor(fds[0]);
  close_descriptor(fds[1]);
}

// One signal ends every context that waits for it, on all loops, whichever reads it.
SCENARIO(signal_on_two_loops) {
  Family here, there;
  const int number = 10;
  Cancelable one, other;
  EXPECT(ctx_with_signal(here.root, &number, 1, &one.ctx, &one.canceler) == 0);
  EXPECT(ctx_with_signal(there.root, &number, 1, &other.ctx, &other.canceler) == 0);
  send_signal(number);
  together({{"here", [&] { EXPECT(ctx_loop_advance(here.loop, 0) >= 0); }},
            {"there", [&] { EXPECT(ctx_loop_advance(there.loop, 0) >= 0); }}});
  EXPECT(ctx_loop_advance(here.loop, 0) >= 0 && ctx_loop_advance(there.loop, 0) >= 0);
  EXPECT(one.error() != 0 && other.error() != 0);
}

SCENARIO(signal_against_release_and_last_handle) {
  Family here;
  const int number = 10;
  ctx_loop_t* loop = nullptr;
  ctx_t* const root = new_loop(CTX_LOOP_VIRTUAL, &loop);
  Cancelable one, other;
  EXPECT(ctx_with_signal(here.root, &number, 1, &one.ctx, &one.canceler) == 0);
  EXPECT(ctx_with_signal(root, &number, 1, &other.ctx, &other.canceler) == 0);
  ctx_unref(root);
  send_signal(number);
  together({{"here", [&] { EXPECT(ctx_loop_advance(here.loop, 0) >= 0); }}, {"there", [&] {
                                                                               ctx_loop_unref(loop);
                                                                               other.release();
                                                                             }}});
  EXPECT(one.error() != 0);
}

// The reader takes a context for a signal while its last reference goes.
SCENARIO(signal_against_last_release) {
  Family family;
  const int number = 10;
  Cancelable signaled;
  EXPECT(ctx_with_signal(family.root, &number, 1, &signaled.ctx, &signaled.canceler) == 0);
  send_signal(number);
  together({{"advance", [&] { EXPECT(ctx_loop_advance(family.loop, 0) >= 0); }},
            {"release", [&] { signaled.release(); }}});
}

// A host that polls its loop alone learns of a signal that the other loop has read.
SCENARIO(signal_on_manual_loops) {
  Family here(CTX_LOOP_MANUAL), there(CTX_LOOP_MANUAL);
  const int number = 10;
  Cancelable contexts[2];
  Family* const families[] = {&here, &there};
  for (int i = 0; i < 2; ++i) {
    EXPECT(ctx_with_signal(families[i]->root, &number, 1, &contexts[i].ctx,
                           &contexts[i].canceler) == 0);
  }
  const auto host = [&](int i) {
    families[i]->drive_until([&] { return contexts[i].error() != 0; });
  };
  send_signal(number);
  together({{"here", [&] { host(0); }}, {"there", [&] { host(1); }}});
}

// A waiter settles the loop between the post of a signal and the host's dispatch.
SCENARIO(signal_against_waiter, .timers = true, .preemptions = 1) {
  Family here(CTX_LOOP_MANUAL), there(CTX_LOOP_MANUAL);
  const int number = 10;
  Cancelable one, other, timed;
  EXPECT(ctx_with_signal(here.root, &number, 1, &one.ctx, &one.canceler) == 0);
  EXPECT(ctx_with_signal(there.root, &number, 1, &other.ctx, &other.canceler) == 0);
  timed.with_timeout(there.root, kMillisecond);
  send_signal(number);
  EXPECT(ctx_loop_fd(here.loop) >= 0);
  together({{"here", [&] { EXPECT(ctx_loop_dispatch(here.loop) >= 0); }},
            {"there", [&] { there.drive_until([&] { return other.error() != 0; }); }},
            {"wait", [&] { EXPECT(ctx_wait(timed.ctx, CTX_FOREVER) == 1); }}});
}
