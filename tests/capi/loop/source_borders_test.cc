// SPDX-License-Identifier: MIT
//
// Descriptors with numbers at the end of the table that they are kept in, and as many ready ones as a loop takes at a
// time; one less and one more.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <vector>

#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

TEST(SourceBorders, Rule34_ADescriptorOfAnyNumber) {
  const Pipe pipe;
  pipe.Write();
  for (const int least : {62, 63, 64, 65, 126, 127, 128, 129, 255, 256, 500, 1000}) {
    const ManualLoop manual;
    const VirtualLoop time;
    const Fd number(fcntl(pipe.read_end, F_DUPFD_CLOEXEC, least));
    const Scope scope = WithFd(manual.root, number, POLLIN),
                other = WithFd(time.root, number, POLLIN);
    EXPECT_EQ(manual.Dispatch(), 1) << number;
    EXPECT_EQ(time.Advance(0), 1) << number;
    EXPECT_EQ(ctx_err(scope), CTX_CANCELED);
    EXPECT_EQ(ctx_err(other), CTX_CANCELED);
  }
}

// The loop's own descriptor for signals has the number behind the table's last.
TEST(SourceBorders, Rule35_SignalsOfALoopWhoseTableIsFull) {
  const BlockSignals blocked = {SIGUSR1};
  const Pipe pipe;
  for (const int last : {63, 64, 100, 127, 200}) {
    const ManualLoop manual;
    const Fd number(fcntl(pipe.read_end, F_DUPFD_CLOEXEC, last));
    const Scope scope = WithFd(manual.root, number, POLLIN);
    std::vector<Fd> lower;
    do {
      lower.emplace_back(fcntl(pipe.read_end, F_DUPFD_CLOEXEC, 0));
    } while (lower.back() < number);
    lower.pop_back();
    const Scope by_signal = WithSignal(manual.root, {SIGUSR1});
    Send(SIGUSR1);
    EXPECT_GE(manual.DriveUntilDone(by_signal), 0);
    EXPECT_EQ(ctx_err(scope), 0);
  }
}

TEST(SourceBorders, Rule34_AnyNumberThatIsReadyAtOnce) {
  for (const size_t many : {1u, 62u, 63u, 64u, 65u, 126u, 127u, 128u, 129u, 200u}) {
    for (const bool timed : {false, true}) {
      const ManualLoop manual;
      const Pipe pipe;
      std::vector<Fd> fds;
      std::vector<Scope> scopes;
      for (size_t i = 0; i < many; ++i) {
        fds.emplace_back(fcntl(pipe.read_end, F_DUPFD_CLOEXEC, 0));
        scopes.push_back(WithFd(manual.root, fds.back(), POLLIN));
      }
      const Scope deadline = timed ? WithTimeout(manual.root, kMillisecond) : Scope();
      if (timed) SleepUntil(Deadline(deadline));  // the alarm is ready, too
      pipe.Write();
      EXPECT_EQ(manual.Dispatch(), static_cast<int>(many) + (timed ? 1 : 0)) << many;
      for (const Scope& scope : scopes) ASSERT_EQ(ctx_err(scope), CTX_CANCELED) << many;
      EXPECT_TRUE(manual.Settles());
    }
  }
}

}  // namespace
}  // namespace ctxtest
