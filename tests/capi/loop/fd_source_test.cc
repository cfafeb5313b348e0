// SPDX-License-Identifier: MIT
//
// Rule 34: contexts that descriptors end, on a loop of each kind: what ends them, with which cause, what
// does not, and what the library refuses to watch. Descriptors that go early are in fd_gone_test.cc.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

class FdSource : public ::testing::TestWithParam<On> {
 protected:
  // Ends a live context by making its descriptor ready, and looks at its error and its cause.
  void ExpectEndedBy(ctx_t* ctx, int fd, int events, const std::function<void()>& make_ready) {
    Settle();
    EXPECT_EQ(ctx_err(ctx), 0) << "not ready yet";
    make_ready();
    ASSERT_TRUE(host.Done(ctx));
    ExpectCause(ctx, fd, Polled(fd, events));
  }

  static void ExpectCause(ctx_t* ctx, int fd, int events) {
    EXPECT_EQ(ctx_err(ctx), CTX_CANCELED);
    EXPECT_EQ(ctx_cause_code(ctx_cause(ctx)), events);
    EXPECT_EQ(ctx_cause_given(ctx_cause(ctx)), 1);
    EXPECT_NE(events, 0);
    const std::string message = ctx_cause_message(ctx_cause(ctx));
    EXPECT_NE(message.find(std::to_string(fd)), std::string::npos) << message;
    const std::pair<int, const char*> names[] = {{POLLIN, "POLLIN"},   {POLLOUT, "POLLOUT"},
                                                 {POLLPRI, "POLLPRI"}, {POLLRDHUP, "POLLRDHUP"},
                                                 {POLLHUP, "POLLHUP"}, {POLLERR, "POLLERR"}};
    for (const auto& [bit, name] : names) {
      EXPECT_EQ(message.find(name) != std::string::npos, (events & bit) != 0) << message << name;
    }
  }

  void Settle() { host.Settle(); }

  const Host host{GetParam()};
};

TEST_P(FdSource, Rule34_APipeWithSomethingToRead) {
  const Pipe pipe;
  const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
  ExpectEndedBy(scope, pipe.read_end, POLLIN, [&] { pipe.Write(); });
  char byte = 0;
  EXPECT_EQ(read(pipe.read_end, &byte, 1), 1) << "nothing has been read";
  EXPECT_EQ(byte, 'x');
}

TEST_P(FdSource, Rule34_APipeThatIsReadyAlready) {
  const Pipe pipe;
  pipe.Write();
  const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
  ASSERT_TRUE(host.Done(scope));
  ExpectCause(scope, pipe.read_end, POLLIN);
}

TEST_P(FdSource, Rule34_APipeThatCanBeWrittenTo) {
  const Pipe pipe;
  char page[4096] = {};
  while (write(pipe.write_end, page, sizeof page) > 0) {
  }
  const Scope scope = WithFd(host.root(), pipe.write_end, POLLOUT);
  ExpectEndedBy(scope, pipe.write_end, POLLOUT, [&] {
    while (read(pipe.read_end, page, sizeof page) > 0) {
    }
  });
}

TEST_P(FdSource, Rule34_AClientThatHangsUp) {
  SocketPair sockets;
  const Scope scope = WithFd(host.root(), sockets.server, POLLRDHUP);
  EXPECT_EQ(write(sockets.client, "request", 7), 7) << "which is no reason to end";
  ExpectEndedBy(scope, sockets.server, POLLRDHUP, [&] { sockets.client.Close(); });
  EXPECT_NE(ctx_cause_code(ctx_cause(scope)) & POLLRDHUP, 0);
}

TEST_P(FdSource, Rule34_AClientThatHalfCloses) {
  const SocketPair sockets;
  const Scope scope = WithFd(host.root(), sockets.server, POLLRDHUP);
  ExpectEndedBy(scope, sockets.server, POLLRDHUP,
                [&] { EXPECT_EQ(shutdown(sockets.client, SHUT_WR), 0); });
  EXPECT_EQ(ctx_cause_code(ctx_cause(scope)), POLLRDHUP);
}

// POLLERR and POLLHUP end it unasked, as poll(2) reports them unasked.
TEST_P(FdSource, Rule34_AHangUpThatWasNotAskedFor) {
  Pipe pipe;
  const Scope hung_up = WithFd(host.root(), pipe.read_end, POLLPRI);
  ExpectEndedBy(hung_up, pipe.read_end, POLLPRI, [&] { pipe.write_end.Close(); });
  EXPECT_EQ(ctx_cause_code(ctx_cause(hung_up)), POLLHUP);
}

TEST_P(FdSource, Rule34_AnErrorThatWasNotAskedFor) {
  Pipe pipe;
  const Scope broken = WithFd(host.root(), pipe.write_end, POLLPRI);
  ExpectEndedBy(broken, pipe.write_end, POLLPRI, [&] { pipe.read_end.Close(); });
  EXPECT_EQ(ctx_cause_code(ctx_cause(broken)), POLLERR);
}

TEST_P(FdSource, Rule34_AChildThatExits) {
  const Pipe go_on;
  const pid_t pid = fork();
  if (pid == 0) {
    pollfd readable = {go_on.read_end, POLLIN, 0};
    poll(&readable, 1, kLimitMs);
    _exit(0);
  }
  ASSERT_GT(pid, 0);
  const int raw = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  ASSERT_GE(raw, 0);
  const Fd pidfd(raw);
  const Scope scope = WithFd(host.root(), pidfd, POLLIN);
  ExpectEndedBy(scope, pidfd, POLLIN, [&] { go_on.Write(); });
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid) << "the child is still the caller's to wait for";
  EXPECT_EQ(status, 0);
}

TEST_P(FdSource, Rule34_ATimerfd) {
  const Fd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const Scope scope = WithFd(host.root(), timer, POLLIN);
  ExpectEndedBy(scope, timer, POLLIN, [&] {
    const itimerspec soon = {{0, 0}, {0, kMillisecond}};
    EXPECT_EQ(timerfd_settime(timer, 0, &soon, nullptr), 0);
  });
  uint64_t expirations = 0;
  EXPECT_EQ(read(timer, &expirations, sizeof expirations),
            static_cast<ssize_t>(sizeof expirations));
}

TEST_P(FdSource, Rule34_AnInotifyDescriptor) {
  char folder[] = "/tmp/ctx-watched-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const Fd notify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(inotify_add_watch(notify, folder, IN_DELETE_SELF), 0);
  const Scope scope = WithFd(host.root(), notify, POLLIN);
  ExpectEndedBy(scope, notify, POLLIN, [&] { EXPECT_EQ(rmdir(folder), 0); });
}

TEST_P(FdSource, Rule34_AnEpollDescriptor) {
  const Pipe pipe;
  const Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe.read_end, &event), 0);
  const Scope scope = WithFd(host.root(), epoll, POLLIN);
  ExpectEndedBy(scope, epoll, POLLIN, [&] { pipe.Write(); });
}

// The library's own: one context ends another in a family of its own.
TEST_P(FdSource, Rule34_TheDoneDescriptorOfAnotherContext) {
  const Scope other = WithCancel(ctx_background());
  const int fd = ctx_done_fd(other);
  const Scope scope = WithFd(host.root(), fd, POLLIN);
  Settle();
  EXPECT_EQ(ctx_err(scope), 0);
  EXPECT_EQ(other.Cancel(), 1);
  EXPECT_TRUE(host.Done(scope));
}

TEST_P(FdSource, Rule34_OneDescriptorServesManyContexts) {
  const Pipe pipe;
  std::vector<Scope> scopes;
  for (int i = 0; i < 100; ++i) scopes.push_back(WithFd(host.root(), pipe.read_end, POLLIN));
  Settle();
  for (const Scope& scope : scopes) EXPECT_EQ(ctx_err(scope), 0);
  for (size_t i = 0; i < 100; i += 3) scopes[i].reset();
  pipe.Write();
  for (size_t i = 0; i < 100; ++i) {
    if (i % 3 == 0) continue;
    ASSERT_TRUE(host.Done(scopes[i])) << i;
    EXPECT_EQ(ctx_cause_code(ctx_cause(scopes[i])), POLLIN);
  }
  host.ExpectIdle();
}

TEST_P(FdSource, Rule34_OneDescriptorWithDifferentEvents) {
  SocketPair sockets;
  char page[4096] = {};
  while (write(sockets.server, page, sizeof page) > 0) {
  }
  const Scope in = WithFd(host.root(), sockets.server, POLLIN);
  const Scope out = WithFd(host.root(), sockets.server, POLLOUT);
  const Scope either = WithFd(host.root(), sockets.server, POLLIN | POLLOUT);
  const Scope hang_up = WithFd(host.root(), sockets.server, POLLRDHUP);
  const Scope out_too = WithFd(host.root(), sockets.server, POLLOUT);
  Settle();
  for (ctx_t* ctx : {in.ctx.get(), out.ctx.get(), either.ctx.get(), hang_up.ctx.get()}) {
    EXPECT_EQ(ctx_err(ctx), 0);
  }

  EXPECT_EQ(write(sockets.client, "x", 1), 1);
  ASSERT_TRUE(host.Done(in));
  ASSERT_TRUE(host.Done(either));
  ExpectCause(in, sockets.server, POLLIN);
  ExpectCause(either, sockets.server, POLLIN);
  Settle();
  EXPECT_EQ(ctx_err(out), 0);
  EXPECT_EQ(ctx_err(hang_up), 0);
  host.ExpectIdle();  // there is still something to read, and nobody asks

  while (read(sockets.client, page, sizeof page) > 0) {
  }
  ASSERT_TRUE(host.Done(out));
  ASSERT_TRUE(host.Done(out_too));
  ExpectCause(out, sockets.server, POLLOUT);
  Settle();
  EXPECT_EQ(ctx_err(hang_up), 0);
  host.ExpectIdle();

  EXPECT_EQ(shutdown(sockets.client, SHUT_WR), 0);
  ASSERT_TRUE(host.Done(hang_up));
  ExpectCause(hang_up, sockets.server, POLLRDHUP);
  host.ExpectIdle();
}

// Contexts that come one after the other on a descriptor that has been watched before.
TEST_P(FdSource, Rule34_ADescriptorThatHasServedServesAgain) {
  const Pipe pipe;
  for (int i = 0; i < 20; ++i) {
    const Scope canceled = WithFd(host.root(), pipe.read_end, POLLIN);
    const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
    EXPECT_EQ(canceled.Cancel(), 1);
    pipe.Write();
    ASSERT_TRUE(host.Done(scope));
    pipe.Read();
  }
  const Scope last = WithFd(host.root(), pipe.read_end, POLLIN);
  Settle();
  EXPECT_EQ(ctx_err(last), 0) << "nothing is left to read";
}

TEST_P(FdSource, Rule34_TheWholeSubtreeEndsAndCallbacksRun) {
  const Pipe pipe;
  const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
  const Scope child = WithCancel(scope);
  const Queue queue = NewQueue();
  Callback callback, deferred;
  callback.Arm(child);
  deferred.Arm(child, CTX_DEFER);
  ASSERT_EQ(ctx_queue_add(queue, child, 1, nullptr), 0);
  pipe.Write();
  ASSERT_TRUE(host.Done(child));
  EXPECT_EQ(ctx_cause(child), ctx_cause(scope));
  if (GetParam() == On::kManual || GetParam() == On::kVirtual) {
    // One more round, in case the callbacks were left to it.
    const Scope more = WithFd(host.root(), pipe.read_end, POLLIN);
    ASSERT_TRUE(host.Done(more));
    EXPECT_EQ(callback.thread(), std::this_thread::get_id());
    EXPECT_EQ(deferred.thread(), std::this_thread::get_id());
  }
  ASSERT_TRUE(callback.WaitRun());
  ASSERT_TRUE(deferred.WaitRun());
  EXPECT_EQ(Tokens(queue).size(), 1u);
}

TEST_P(FdSource, CanceledBeforeItIsReady) {
  const Pipe pipe;
  const Cause cause = NewCause(3, "mine");
  const Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
  EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, cause), 1);
  EXPECT_EQ(ctx_cause(scope), cause.get());
  pipe.Write();
  Settle();
  EXPECT_EQ(ctx_cause(scope), cause.get());
  host.ExpectIdle();
}

TEST_P(FdSource, EndedByItsParentBeforeItIsReady) {
  const Pipe pipe;
  const Scope parent = WithCancel(host.root());
  const Scope scope = WithFd(parent, pipe.read_end, POLLIN), below = WithCancel(scope);
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(ctx_err(below), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(scope), ctx_cause(parent));
  pipe.Write();
  Settle();
  EXPECT_EQ(ctx_cause(scope), ctx_cause(parent));
  host.ExpectIdle();
}

TEST_P(FdSource, Rule08_BelowADoneParentItIsDoneOnReturn) {
  const Pipe pipe;
  const Cause cause = NewCause(3, "above");
  const Scope parent = WithCancel(host.root());
  EXPECT_EQ(ctx_cancel_with(parent.canceler, CTX_DEADLINE_EXCEEDED, cause), 1);
  pipe.Write();
  const Scope scope = WithFd(parent, pipe.read_end, POLLIN);
  EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_cause(scope), cause.get());
  host.ExpectIdle();
}

TEST_P(FdSource, Rule11_ReleasedWhileLiveItIsGone) {
  Drop drop;
  Pipe pipe;
  Ctx watched = Watched(host.root(), &drop);
  {
    const Ctx parent(ctx_ref(watched));
    const Scope scope = WithFd(parent, pipe.read_end, POLLIN);
    ctx_t* without_canceler = nullptr;
    ASSERT_EQ(ctx_with_fd(parent, pipe.read_end, POLLIN, &without_canceler, nullptr), 0);
    ctx_unref(without_canceler);
  }
  pipe.Write();
  Settle();
  host.ExpectIdle();
  watched.reset();
  EXPECT_TRUE(drop.Wait());
  pipe.write_end.Close();
  pipe.read_end.Close();
  Settle();
}

TEST_P(FdSource, ADeadlineAboveStillEndsIt) {
  const Pipe pipe;
  if (GetParam() == On::kVirtual) {
    const Scope timed = WithTimeout(host.root(), kHour);
    const Scope scope = WithFd(timed, pipe.read_end, POLLIN);
    EXPECT_EQ(ctx_loop_advance(host.loop(), kHour), 1);
    EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
    return;
  }
  const Scope timed = WithTimeout(host.root(), 2 * kMillisecond);
  const Scope scope = WithFd(timed, pipe.read_end, POLLIN);
  int64_t ours = 0, above = 1;
  EXPECT_EQ(ctx_deadline(scope, &ours), 1);
  EXPECT_EQ(ctx_deadline(timed, &above), 1);
  EXPECT_EQ(ours, above);
  ASSERT_TRUE(host.Done(scope));
  EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
  host.Settle();  // the loop may still be letting go of the descriptor, which is closed now
}

TEST(FdSourceEvents, Rule34_TheCauseNamesOnlyWhatWasAskedFor) {
  const ManualLoop manual;
  const SocketPair sockets;
  const Scope reads = WithFd(manual.root, sockets.server, POLLIN);
  const Scope writes = WithFd(manual.root, sockets.server, POLLOUT);
  const Scope both = WithFd(manual.root, sockets.server, POLLIN | POLLOUT);
  EXPECT_EQ(write(sockets.client, "x", 1), 1);
  while (ctx_err(reads) == 0 || ctx_err(writes) == 0) {
    ASSERT_TRUE(Readable(manual.Fd(), kLimitMs));
    ASSERT_GE(manual.Dispatch(), 0);
  }
  EXPECT_EQ(ctx_cause_code(ctx_cause(reads)), POLLIN);
  EXPECT_EQ(ctx_cause_code(ctx_cause(writes)), POLLOUT);
  EXPECT_EQ(ctx_cause_code(ctx_cause(both)), POLLIN | POLLOUT);
}

INSTANTIATE_TEST_SUITE_P(, FdSource,
                         ::testing::Values(On::kDefault, On::kThread, On::kManual, On::kVirtual),
                         [](const auto& on) { return NameOf(on.param); });

}  // namespace
}  // namespace ctxtest
