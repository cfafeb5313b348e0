// SPDX-License-Identifier: MIT
// Descriptors, waits and polls.
#include <poll.h>

#include "model/scenarios/family.h"

using namespace model;  // NOLINT

// A descriptor made during the cancel: readable means that all below is done.
SCENARIO(descriptor_against_cancel) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  together({{"cancel",
             [&] {
               EXPECT(parent.cancel() == 1);
               EXPECT(is_readable(ctx_done_fd(parent.ctx)));
             }},
            {"descriptor", [&] {
               const int fd = ctx_done_fd(parent.ctx);
               EXPECT(fd >= 0);
               if (is_readable(fd)) EXPECT(parent.error() != 0 && child.error() != 0);
             }}});
  EXPECT(is_readable(ctx_done_fd(parent.ctx)));
}

SCENARIO(two_descriptors_against_cancel, .preemptions = 1) {
  Family family;
  Cancelable parent(family.root);
  int fds[2] = {-1, -1};
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"one", [&] { fds[0] = ctx_done_fd(parent.ctx); }},
            {"other", [&] { fds[1] = ctx_done_fd(parent.ctx); }}});
  EXPECT(fds[0] == fds[1] && is_readable(fds[0]));
}

SCENARIO(wait_against_cancel) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"wait", [&] {
               EXPECT(ctx_wait(parent.ctx, CTX_FOREVER) == 1);
               EXPECT(parent.error() != 0 && child.error() != 0);
             }}});
}

SCENARIO(two_waits_against_cancel, .preemptions = 1) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  const auto wait = [&] { EXPECT(ctx_wait(child.ctx, CTX_FOREVER) == 1 && child.error() != 0); };
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }}, {"wait", wait}, {"wait too", wait}});
}

SCENARIO(wait_any_against_two_cancels, .preemptions = 1) {
  Family family;
  Cancelable one(family.root), other(family.root);
  together({{"one", [&] { EXPECT(one.cancel() == 1); }},
            {"other", [&] { EXPECT(other.cancel() == 1); }},
            {"wait", [&] {
               ctx_t* const both[] = {one.ctx, other.ctx};
               size_t index = 9;
               EXPECT(ctx_wait_any(both, 2, CTX_FOREVER, &index) == 1);
               EXPECT(index < 2 && ctx_err(both[index]) != 0);
             }}});
}

// A wait with a limit ends by the cancel or by the limit, and leaves nothing behind.
SCENARIO(wait_with_limit_against_cancel, .timers = true) {
  Family family;
  Cancelable parent(family.root);
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"wait", [&] {
               const int result = ctx_wait(parent.ctx, kMillisecond);
               EXPECT(result == 0 || (result == 1 && parent.error() != 0));
             }}});
}

SCENARIO(wait_against_cancel_and_release) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx);
  together({{"cancel",
             [&] {
               EXPECT(parent.cancel() == 1);
               parent.release();
             }},
            {"wait", [&] {
               EXPECT(ctx_wait(child.ctx, CTX_FOREVER) == 1);
               child.release();
             }}});
}

SCENARIO(poll_against_cancel) {
  Family family;
  Cancelable parent(family.root);
  const int fd = open_descriptor();
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"poll", [&] {
               pollfd one = {fd, POLLIN, 0};
               EXPECT(ctx_poll(parent.ctx, &one, 1, CTX_FOREVER) == CTX_CANCELED);
             }}});
  close_descriptor(fd);
}

// Rule 6: who is told sees all below done, also one that asks during the cancel.
SCENARIO(poll_sees_all_below_done) {
  Family family;
  Cancelable parent(family.root), child(parent.ctx), grandchild(child.ctx);
  const int fd = open_descriptor();
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"poll", [&] {
               pollfd one = {fd, POLLIN, 0};
               EXPECT(ctx_poll(parent.ctx, &one, 1, CTX_FOREVER) == CTX_CANCELED);
               EXPECT(grandchild.error() != 0);
             }}});
  close_descriptor(fd);
}

SCENARIO(poll_against_cancel_and_data) {
  Family family;
  Cancelable parent(family.root);
  const int fd = open_descriptor();
  together({{"cancel", [&] { EXPECT(parent.cancel() == 1); }},
            {"data", [&] { make_readable(fd); }},
            {"poll", [&] {
               pollfd one = {fd, POLLIN, 0};
               const int result = ctx_poll(parent.ctx, &one, 1, CTX_FOREVER);
               EXPECT(result == CTX_CANCELED || (result == 1 && one.revents == POLLIN));
             }}});
  close_descriptor(fd);
}
