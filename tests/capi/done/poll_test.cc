// SPDX-License-Identifier: MIT
//
// ctx_poll: poll(2) that the context ends, with every outcome it has.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/signals.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

pollfd ForRead(const Pipe& pipe) { return {pipe.read_end, POLLIN, 0}; }
pollfd ForWrite(const Pipe& pipe) { return {pipe.write_end, POLLOUT, 0}; }

TEST(Poll, TellsHowManyDescriptorsAreReady) {
  const Scope scope = WithCancel(ctx_background());
  Pipe ready, idle;
  ready.Write();
  std::array<pollfd, 3> fds = {ForRead(idle), ForRead(ready), ForWrite(ready)};
  EXPECT_EQ(ctx_poll(scope, fds.data(), 3, kLimit), 2);
  EXPECT_EQ(fds[0].revents, 0);
  EXPECT_EQ(fds[1].revents, POLLIN);
  EXPECT_EQ(fds[2].revents, POLLOUT);
  EXPECT_EQ(ctx_poll(scope, fds.data(), 3, 0), 2);
}

TEST(Poll, LeavesTheArrayAsItWasButForRevents) {
  const Scope scope = WithCancel(ctx_background());
  Pipe pipe;
  pipe.Write();
  std::array<pollfd, 2> fds = {ForRead(pipe), pollfd{-1, POLLOUT, 77}};
  const int fd = fds[0].fd;
  EXPECT_EQ(ctx_poll(scope, fds.data(), 2, 0), 1);
  EXPECT_EQ(fds[0].fd, fd);
  EXPECT_EQ(fds[0].events, POLLIN);
  EXPECT_EQ(fds[1].fd, -1);
  EXPECT_EQ(fds[1].events, POLLOUT);
  EXPECT_EQ(fds[1].revents, 0) << "a negative descriptor is ignored";
}

TEST(Poll, Returns0WhenTheTimeIsOver) {
  const Scope scope = WithCancel(ctx_background());
  const Pipe idle;
  pollfd fd = ForRead(idle);
  EXPECT_EQ(ctx_poll(scope, &fd, 1, 0), 0);
  EXPECT_EQ(ctx_poll(scope, &fd, 1, 2 * kMillisecond), 0);
  EXPECT_EQ(ctx_poll(scope, nullptr, 0, kMillisecond), 0);
}

TEST(Poll, ADoneContextWinsOverReadyDescriptors) {
  const Scope canceled = WithCancel(ctx_background()), late = WithTimeout(ctx_background(), 0);
  canceled.Cancel();
  Pipe ready;
  ready.Write();
  pollfd fd = ForRead(ready);
  EXPECT_EQ(ctx_poll(canceled, &fd, 1, kLimit), CTX_CANCELED);
  EXPECT_EQ(ctx_poll(canceled, &fd, 1, 0), CTX_CANCELED);
  EXPECT_EQ(ctx_poll(late, &fd, 1, kLimit), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_poll(late, nullptr, 0, 0), CTX_DEADLINE_EXCEEDED);
}

TEST(Poll, ACancelMeanwhileEndsIt) {
  Scope scope;
  const Pipe idle;
  std::atomic<int> wrong{0};
  Race(
      kSanitized ? 200 : 1000, [&] { scope = WithCancel(ctx_background()); },
      {[&] { scope.Cancel(); },
       [&] {
         pollfd fd = ForRead(idle);
         wrong += ctx_poll(scope, &fd, 1, CTX_FOREVER) != CTX_CANCELED;
       }},
      [] {});
  EXPECT_EQ(wrong, 0);
}

TEST(Poll, ADeadlineMeanwhileEndsIt) {
  const Scope timed = WithTimeout(ctx_background(), 3 * kMillisecond);
  const Pipe idle;
  pollfd fd = ForRead(idle);
  EXPECT_EQ(ctx_poll(timed, &fd, 1, CTX_FOREVER), CTX_DEADLINE_EXCEEDED);
}

TEST(Poll, ADescriptorThatBecomesReadyMeanwhileEndsIt) {
  const Scope scope = WithCancel(ctx_background());
  Pipe pipe;
  pollfd fd = ForRead(pipe);
  std::thread writer([&] { pipe.Write(); });
  EXPECT_EQ(ctx_poll(scope, &fd, 1, CTX_FOREVER), 1);
  EXPECT_EQ(fd.revents, POLLIN);
  writer.join();
}

TEST(Poll, OnWhatIsNeverDoneItIsPollAlone) {
  Pipe ready, idle;
  ready.Write();
  for (ctx_t* ctx : {ctx_background(), ctx_todo()}) {
    pollfd fd = ForRead(ready);
    EXPECT_EQ(ctx_poll(ctx, &fd, 1, CTX_FOREVER), 1);
    fd = ForRead(idle);
    EXPECT_EQ(ctx_poll(ctx, &fd, 1, kMillisecond), 0);
    EXPECT_EQ(ctx_poll(ctx, nullptr, 0, 0), 0);
  }
}

TEST(Poll, AClosedDescriptorIsReportedAsPollDoes) {
  const Scope scope = WithCancel(ctx_background());
  pollfd fd = {1 << 20, POLLIN, 0};
  EXPECT_EQ(ctx_poll(scope, &fd, 1, kLimit), 1);
  EXPECT_EQ(fd.revents, POLLNVAL);
}

TEST(Poll, ManyDescriptors) {
  const Scope scope = WithCancel(ctx_background());
  Pipe ready, idle;
  ready.Write();
  std::vector<pollfd> fds(700, ForRead(idle));
  EXPECT_EQ(ctx_poll(scope, fds.data(), fds.size(), 0), 0);
  fds.back() = ForRead(ready);
  fds[13] = ForRead(ready);
  EXPECT_EQ(ctx_poll(scope, fds.data(), fds.size(), kLimit), 2);
  EXPECT_EQ(fds[13].revents, POLLIN);
  EXPECT_EQ(fds.back().revents, POLLIN);
  std::fill(fds.begin(), fds.end(), ForRead(idle));
  std::thread canceler([&] { scope.Cancel(); });
  EXPECT_EQ(ctx_poll(scope, fds.data(), fds.size(), CTX_FOREVER), CTX_CANCELED);
  canceler.join();
}

TEST(Poll, BadArgumentsAreEINVAL) {
  const Scope live = WithCancel(ctx_background()), done = WithTimeout(ctx_background(), 0);
  const Pipe idle;
  pollfd fd = ForRead(idle);
  fd.revents = 42;
  for (ctx_t* ctx : {live.ctx.get(), done.ctx.get(), ctx_background()}) {
    EXPECT_EQ(ctx_poll(ctx, nullptr, 1, 0), -EINVAL);
    EXPECT_EQ(ctx_poll(ctx, &fd, 1, -1), -EINVAL);
  }
  EXPECT_EQ(ctx_poll(nullptr, &fd, 1, 0), -EINVAL);
  EXPECT_EQ(fd.revents, 42);
}

TEST(Poll, AnAbsurdNumberOfDescriptorsIsAnError) {
  const Scope scope = WithCancel(ctx_background());
  const Pipe idle;
  pollfd fd = ForRead(idle);
  for (nfds_t n : {~nfds_t{0}, ~nfds_t{0} / sizeof(pollfd), ~nfds_t{0} / 2}) {
    const int result = ctx_poll(scope, &fd, n, 0);
    EXPECT_TRUE(result == -EINVAL || result == -ENOMEM) << result;
  }
}

// As poll(2), whose limit is RLIMIT_NOFILE, even if none of the descriptors is open, or all are the same one.
void AsManyAsTheSystemTakes() {
  constexpr nfds_t kMost = 64;
  const rlimit few = {kMost, kMost};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const Pipe pipe;
  std::vector<pollfd> none(kMost, pollfd{-1, POLLIN, 7}), same(kMost, ForRead(pipe)), one = none;
  one[40] = ForRead(pipe);
  const Loop manual = NewLoop(CTX_LOOP_MANUAL);
  for (std::vector<pollfd>* fds : {&none, &one, &same}) {
    const Scope scope = WithCancel(ctx_background());
    EXPECT_EQ(ctx_poll(scope, fds->data(), kMost, 0), 0);
    EXPECT_EQ(ctx_poll(scope, fds->data(), kMost, 30 * kMillisecond), 0);
    EXPECT_EQ(fds->front().revents, 0);
    pipe.Write();
    const int ready = fds == &none ? 0 : fds == &one ? 1 : kMost;
    EXPECT_EQ(ctx_poll(scope, fds->data(), kMost, fds == &none ? 0 : kLimit), ready);
    EXPECT_EQ((*fds)[40].revents, fds == &none ? 0 : POLLIN);
    EXPECT_EQ(fds->back().revents, fds == &same ? POLLIN : 0);
    pipe.Read();
    std::thread canceling([&] { scope.Cancel(); });
    EXPECT_EQ(ctx_poll(scope, fds->data(), kMost, CTX_FOREVER), CTX_CANCELED);
    canceling.join();
    const Scope timed = WithTimeout(LoopBackground(manual), kMillisecond);
    EXPECT_EQ(ctx_poll(timed, fds->data(), kMost, CTX_FOREVER), CTX_DEADLINE_EXCEEDED);

    const Scope live = WithCancel(ctx_background());
    fds->push_back(ForRead(pipe));
    EXPECT_EQ(poll(fds->data(), kMost + 1, 0), -1);
    EXPECT_EQ(ctx_poll(live, fds->data(), kMost + 1, 0), -EINVAL);
  }
}

TEST(Poll, TakesAsManyDescriptorsAsPollDoes) { CTX_IN_NEW_PROCESS(AsManyAsTheSystemTakes()); }

TEST(Poll, ASignalHandlerEndsIt) {
  const Scope scope = WithCancel(ctx_background());
  const Pipe idle;
  pollfd fd = ForRead(idle);
  for (int flags : {0, SA_RESTART}) {
    EXPECT_EQ(Interrupted(flags, [&] { return ctx_poll(scope, &fd, 1, CTX_FOREVER); }), -EINTR);
    EXPECT_EQ(Interrupted(flags, [&] { return ctx_poll(scope, nullptr, 0, kLimit); }), -EINTR);
    EXPECT_EQ(Interrupted(flags, [&] { return ctx_poll(ctx_background(), &fd, 1, CTX_FOREVER); }),
              -EINTR);
  }
}

TEST(Poll, LeavesNothingBehind) {
  Drop drop;
  const size_t before = OpenDescriptors();
  {
    const Scope scope = WithCancel(Watched(ctx_background(), &drop));
    const Pipe idle;
    pollfd fd = ForRead(idle);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(ctx_poll(scope, &fd, 1, 0), 0);
  }
  EXPECT_EQ(drop.count(), 1);
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace ctxtest
