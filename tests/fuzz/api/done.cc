// SPDX-License-Identifier: MIT
//
// Callbacks, descriptors and waits.
#include <algorithm>

#include "fuzz/api/session.h"

namespace fuzz {

int Session::NewWatch() {
  const int watch = static_cast<int>(model_.watches.size());
  model_.watches.push_back({});
  watches_.push_back(nullptr);
  armed_.push_back({this, watch});
  drops_.push_back(0);
  return watch;
}

void Session::Arm() {
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
  REQUIRE(!model_.watches[watch].held || watches_[watch] != nullptr);
  if (!held && model_.watches[watch].state == Watch::kIdle) {
    model_.watches[watch].state = Watch::kOver;  // nothing was armed
  }
}

void Session::Stop() {
  const int watch = AnyWatch();
  if (watch == kNone) return;
  const bool waits = in_.Pick(2) == 1;
  Say("ctx_watch_stop%s(w%d)", waits ? "_wait" : "", watch);
  const bool expected = model_.Stop(watch);
  const int result = waits ? ctx_watch_stop_wait(watches_[watch]) : ctx_watch_stop(watches_[watch]);
  FUZZ_EQ(result, expected ? 1 : 0);
  if (expected && model_.watches[watch].queue == kNone) FUZZ_EQ(drops_[watch], 1);
}

void Session::DropWatch() {
  const int watch = AnyWatch();
  if (watch == kNone) return;
  Say("ctx_watch_unref(w%d)", watch);
  Watch& w = model_.watches[watch];
  if (w.state == Watch::kArmed && w.queue == kNone && model_.NodeOf(w.ctx).loop == 0) return;
  w.held = false;
  if (w.state == Watch::kIdle) w.state = Watch::kOver;
  if (in_.Pick(2) == 0) {
    REQUIRE(ctx_watch_unref(watches_[watch]) == nullptr);
  } else {
    ctx_watch_unrefp(&watches_[watch]);
    REQUIRE(watches_[watch] == nullptr);
  }
}

void Session::AskDoneFd() {
  const int i = AnyContext();
  if (model_.NodeOf(i).is_root()) {
    FUZZ_EQ(ctx_done_fd(contexts_[i].ctx), -ENOTSUP);
    FUZZ_EQ(ctx_done_fd_dup(contexts_[i].ctx), -ENOTSUP);
    return;
  }
  Say("ctx_done_fd(c%d)", i);
  const int fd = ctx_done_fd(contexts_[i].ctx);
  REQUIRE(fd >= 0);
  const int node = model_.contexts[i].node;
  int& known = contexts_[node].done_fd;
  REQUIRE(known == -1 || known == fd);
  known = fd;
  const int copy = ctx_done_fd_dup(contexts_[i].ctx);
  REQUIRE(copy >= 0 && copy != fd);
  FUZZ_EQ(Readable(copy) ? 1 : 0, model_.contexts[node].err != 0 ? 1 : 0);
  close(copy);
}

// The thread has waited for these, and so has fired what was due on their manual loops, as time went on.
void Session::Waited(const std::vector<int>& waited) {
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
      // An idle context may end somewhat after its time.
      const int64_t timer = model_.NextTimer(loop, model_.Now(loop));
      if (timer != CTX_FOREVER) next = std::min(next, timer - model_.loops[loop].ahead);
    }
    now_ = std::max(now_, next);
  }
}

void Session::Wait() {
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
  while (done < waited.size() && model_.NodeOf(waited[done]).err == 0) ++done;
  FUZZ_EQ(result, done < waited.size() ? 1 : 0);
  if (result == 1) FUZZ_EQ(index, done);
}

void Session::Poll() {
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

}  // namespace fuzz
