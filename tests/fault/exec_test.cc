// SPDX-License-Identifier: MIT
//
// What another program would inherit: no descriptor of the library, whatever it was made for.
#include <fcntl.h>
#include <signal.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "support/callback.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

// The kinds of all open descriptors that an exec does not close.
std::vector<std::string> Inherited() {
  std::vector<std::string> kinds;
  for (const std::string& name : ListFolder("/proc/self/fd")) {
    const int fd = std::atoi(name.c_str());
    const int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) kinds.push_back(name + " " + KindOf(fd));
  }
  return kinds;
}

// How many descriptors of a kind are open.
size_t Open(const std::string& kind) {
  size_t count = 0;
  for (const std::string& name : ListFolder("/proc/self/fd")) {
    count += KindOf(std::atoi(name.c_str())).rfind(kind, 0) == 0;
  }
  return count;
}

// One of everything that has a descriptor, on a loop.
struct Everything {
  explicit Everything(On on) : host(on) {
    EXPECT_EQ(ctx_export(scope, text, sizeof text, watch.out()), 0);
    EXPECT_EQ(ctx_import(text, host.root(), imported.ctx.out(), imported.canceler.out()), 0);
    fds = {ctx_done_fd(scope),     ctx_done_fd_dup(scope), ctx_cancel_fd(scope.canceler),
           ctx_done_fd(timed),     ctx_queue_fd(queue),    ctx_group_fd(group),
           ctx_done_fd(mirroring), ctx_done_fd(source),    ctx_done_fd(signal)};
    if (on == On::kManual) fds.push_back(ctx_loop_fd(host.loop()));
    for (const int fd : fds) EXPECT_GE(fd, 0);
    timed.Cancel();  // a pipe then has one end
    close(fds[1]);
    close(fds[2]);
  }

  ~Everything() { ctx_watch_stop(watch); }

  const Host host;
  std::vector<int> fds;
  const Pipe pipe;
  const VirtualLoop elsewhere;
  const Scope scope = WithCancel(host.root());
  const Scope timed = WithTimeout(host.root(), kHour);
  const Scope source = WithFd(host.root(), pipe.read_end, POLLIN);
  const Scope signal = WithSignal(host.root(), {SIGUSR1});
  const Scope there = WithCancel(elsewhere.root);
  const Scope mirroring = Merge({scope, there});
  const Queue queue = NewQueue();
  const Group group = NewGroup(host.root());
  char text[CTX_EXPORT_SIZE] = "";
  Watch watch;
  Scope imported;
};

void InheritNothing() {
  const std::vector<std::string> before = Inherited();
  const BlockSignals blocked({SIGUSR1});
  for (const On on : {On::kDefault, On::kThread, On::kManual, On::kVirtual}) {
    const Everything everything(on);
    EXPECT_EQ(Inherited(), before) << NameOf(on);
    for (const char* kind : {"anon_inode:[eventpoll]", "anon_inode:[timerfd]"}) {
      EXPECT_GT(Open(kind), 0u) << "nothing to look at";
    }
    EXPECT_GT(Open("anon_inode:[signalfd]"), 0u);
    EXPECT_EQ(Open("/memfd:libctx"), 2u) << "the export's, and the import's";
    EXPECT_GT(Open("anon_inode:[eventfd]") + Open("pipe:"), 0u);
  }
}

TEST(Exec, NothingOfTheLibraryIsInherited) { CTX_IN_NEW_PROCESS(InheritNothing()); }

// The copies that a caller gets to keep.
void InheritNoCopies() {
  const std::vector<std::string> before = Inherited();
  const Scope scope = WithCancel(ctx_background());
  const Fd done(ctx_done_fd_dup(scope)), cancels(ctx_cancel_fd(scope.canceler));
  EXPECT_EQ(Inherited(), before);
}

TEST(Exec, NoCopyThatACallerOwnsIsInherited) { CTX_IN_NEW_PROCESS(InheritNoCopies()); }

}  // namespace
}  // namespace ctxtest
