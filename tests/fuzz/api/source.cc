// SPDX-License-Identifier: MIT
//
// Descriptors and signals that end contexts.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "fuzz/api/session.h"

namespace fuzz {

void Session::NewPipe() {
  if (pipes_.size() >= 4) return;
  Pipe made{};
  FUZZ_EQ(pipe2(made.ends, O_CLOEXEC | O_NONBLOCK), 0);
  pipes_.push_back(made);
  Say("pipe %d, %d", made.ends[0], made.ends[1]);
}

void Session::Descriptors() {
  if (pipes_.empty() || in_.Pick(6) == 5) return NewPipe();
  Pipe& pipe = pipes_[in_.Pick(pipes_.size())];
  switch (in_.Pick(5)) {
    case 0:
    case 1:
    case 2:
      if (pipe.ends[1] >= 0 && pipe.ends[0] >= 0) {
        Say("write to %d", pipe.ends[1]);
        [[maybe_unused]] const ssize_t n = write(pipe.ends[1], "x", 1);
      }
      return;
    case 3:
      if (pipe.ends[0] >= 0) {
        Say("read from %d", pipe.ends[0]);
        char bytes[64];
        [[maybe_unused]] const ssize_t n = read(pipe.ends[0], bytes, sizeof bytes);
      }
      return;
    default:
      return ClosePipe(pipe, in_.Pick(2));
  }
}

void Session::ClosePipe(Pipe& pipe, size_t end) {
  if (pipe.ends[end] < 0) return;
  Say("close(%d)", pipe.ends[end]);
  for (Context& c : model_.contexts) {
    if (c.fd == pipe.ends[end]) c.fd = -1;  // it no longer ends them
  }
  close(pipe.ends[end]);
  pipe.ends[end] = -1;
}

// And a loop that waits for it takes a turn at once, so that it is known which contexts it ends.
void Session::SendSignal() {
  if (model_.InWaker()) return;
  model_.Collect();
  std::vector<int> waiting;
  for (size_t i = 0; i < model_.contexts.size(); ++i) {
    const Context& c = model_.contexts[i];
    if (!c.signals.empty() && c.kept && c.err == 0 && !c.posted && !model_.loops[c.loop].driven &&
        model_.loops[c.loop].handles > 0) {
      waiting.push_back(static_cast<int>(i));
    }
  }
  if (waiting.empty()) return;
  const Context& c = model_.contexts[waiting[in_.Pick(waiting.size())]];
  const int signal = *c.signals.begin();
  Say("kill(%d)", signal);
  kill(getpid(), signal);
  model_.SignalCame(signal);
  DriveLoop(c.loop);
}

}  // namespace fuzz
