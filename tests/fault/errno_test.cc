// SPDX-License-Identifier: MIT
//
// errno is the program's: whatever the system answers to the library, errno is as it was.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/few_descriptors.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

constexpr int kMine = 77;

// Expects a result, and that the call has left errno alone.
void ExpectKept(const std::string& what, int64_t expected, const std::function<int64_t()>& call) {
  errno = kMine;
  const int64_t result = call();
  const int after = errno;
  EXPECT_EQ(result, expected) << what;
  EXPECT_EQ(after, kMine) << what;
}

TEST(Errno, IsKeptWhereADescriptorCannotBeWatched) {
  for (const On on : {On::kDefault, On::kThread, On::kManual, On::kVirtual}) {
    const Host host(on);
    const auto with_fd = [&](int fd) {
      Ctx ctx;
      return ctx_with_fd(host.root(), fd, POLLIN, ctx.out(), nullptr);
    };
    const Fd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    ExpectKept("closed", -EBADF, [&] { return with_fd(999); });
    ExpectKept("a regular file", -EPERM, [&] { return with_fd(file); });

    Pipe pipe;
    Scope scope = WithFd(host.root(), pipe.read_end, POLLIN);
    pipe.read_end.Close();
    ExpectKept("released when closed", 0, [&] {
      scope.reset();
      return 0;
    });

    const Pipe other, third;
    const Fd number(fcntl(other.read_end, F_DUPFD_CLOEXEC, 0));
    const Scope first = WithFd(host.root(), number, POLLIN);
    ASSERT_EQ(dup3(third.read_end, number, O_CLOEXEC), number);
    ExpectKept("another file by that number", 0, [&] { return with_fd(number); });
  }
}

TEST(Errno, IsKeptWhereATimeIsOver) {
  const ManualLoop manual;
  const VirtualLoop time;
  for (ctx_t* root : {ctx_background(), manual.root.get(), time.root.get()}) {
    const Scope scope = WithCancel(root), other = WithCancel(root);
    ctx_t* const both[] = {scope, other};
    const Queue queue = NewQueue();
    const Group group = NewGroup(root);
    EXPECT_EQ(ctx_group_begin(group), 0);
    ctx_event_t event;
    ExpectKept("wait", 0, [&] { return ctx_wait(scope, kMillisecond); });
    ExpectKept("any", 0, [&] { return ctx_wait_any(both, 2, kMillisecond, nullptr); });
    ExpectKept("poll", 0, [&] { return ctx_poll(scope, nullptr, 0, kMillisecond); });
    ExpectKept("queue", 0, [&] { return ctx_queue_wait(queue, &event, 1, kMillisecond); });
    ExpectKept("group", 0, [&] { return ctx_group_wait(group, kMillisecond); });
    EXPECT_EQ(ctx_group_end(group, nullptr), 0);
  }
}

TEST(Errno, IsKeptWhereThereIsNothingToDo) {
  const BlockSignals blocked({SIGUSR1});
  const ManualLoop manual;
  const Scope signal = WithSignal(manual.root, {SIGUSR1}),
              same = WithSignal(manual.root, {SIGUSR1});
  const Scope timed = WithTimeout(manual.root, kHour);
  ExpectKept("dispatch", 0, [&] { return manual.Dispatch(); });
  Send(SIGUSR1);
  ExpectKept("a signal", 2, [&] { return manual.Dispatch(); });
  ExpectKept("cancel", 1, [&] { return timed.Cancel(); });
  ExpectKept("next", CTX_FOREVER, [&] { return manual.Next(); });
}

// Each where the system refuses it a descriptor.
void KeepWhereThereIsNone() {
  const BlockSignals blocked({SIGUSR1, SIGUSR2});
  const Host thread(On::kThread), fresh(On::kThread), manual(On::kManual), begun(On::kManual);
  ASSERT_GE(ctx_loop_fd(begun.loop()), 0);
  const Scope scope = WithCancel(begun.root());
  const Queue queue = NewQueue();
  const Group group = NewGroup(begun.root());
  Ctx ctx;
  const int usr1 = SIGUSR1;
  const NoDescriptors none;
  ExpectKept("done", -EMFILE, [&] { return ctx_done_fd(scope); });
  ExpectKept("dup", -EMFILE, [&] { return ctx_done_fd_dup(scope); });
  ExpectKept("cancel", -EMFILE, [&] { return ctx_cancel_fd(scope.canceler); });
  ExpectKept("poll", -EMFILE, [&] { return ctx_poll(scope, nullptr, 0, 0); });
  ExpectKept("queue", -EMFILE, [&] { return ctx_queue_fd(queue); });
  ExpectKept("group", -EMFILE, [&] { return ctx_group_fd(group); });
  ExpectKept("loop", -EMFILE, [&] { return ctx_loop_fd(manual.loop()); });
  ExpectKept("timeout", -EMFILE,
             [&] { return ctx_with_timeout(thread.root(), kHour, ctx.out(), nullptr); });
  ExpectKept("signal", -EMFILE,
             [&] { return ctx_with_signal(begun.root(), &usr1, 1, ctx.out(), nullptr); });
  ExpectKept("signal, first", -EMFILE,
             [&] { return ctx_with_signal(fresh.root(), &usr1, 1, ctx.out(), nullptr); });
}

TEST(Errno, IsKeptWhereThereIsNoDescriptor) { CTX_IN_NEW_PROCESS(KeepWhereThereIsNone()); }

}  // namespace
}  // namespace ctxtest
