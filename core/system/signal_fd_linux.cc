// SPDX-License-Identifier: MIT
#include <signal.h>
#include <sys/signalfd.h>

#include <cerrno>

#include "core/system/io.h"
#include "core/system/signal_fd.h"

namespace ctxcore {

int SignalFd::take(uint64_t signals) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < 64; ++i) {
    if ((signals >> i & 1) != 0) sigaddset(&set, i + 1);
  }
  const int saved = errno;
  int result = 0;
  if (signals != 0) {
    const int fd = signalfd(fd_, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
      result = -errno;
    } else {
      fd_ = fd;
    }
  } else if (fd_ >= 0) {
    // If a child has a copy of it, the pollers keep it, too: it must report no signal any more.
    signalfd(fd_, &set, 0);
    close();
  }
  errno = saved;
  return result;
}

bool SignalFd::read(Signal* signal) {
  signalfd_siginfo info;
  if (fd_ < 0 || io::read(fd_, &info, sizeof info) != sizeof info) return false;
  // A positive code means that the system sent it.
  const bool sent = info.ssi_code <= 0 && info.ssi_pid != 0;
  *signal = {static_cast<int>(info.ssi_signo), sent, info.ssi_pid, info.ssi_uid};
  return true;
}

void SignalFd::close() {
  if (fd_ >= 0) io::close(fd_);
  fd_ = -1;
}

}  // namespace ctxcore
