// SPDX-License-Identifier: MIT
// Signals that are read from a descriptor. Only this file knows how the system does it.
#ifndef CTX_CORE_SYSTEM_SIGNAL_FD_H
#define CTX_CORE_SYSTEM_SIGNAL_FD_H

#include <cstdint>

namespace ctxcore {

class SignalFd {
 public:
  struct Signal {
    int number;
    bool sent;  // by a process; else by the system
    uint32_t process;
    uint32_t user;
  };

  int fd() const { return fd_; }  // negative while it takes no signal

  // From now on it takes these signals (bit i - 1 for signal i) and no others. With none it closes. 0, or a
  // negative errno and nothing has changed; only opening can fail.
  int take(uint64_t signals);

  bool read(Signal* signal);  // false if none waits
  void close();

 private:
  int fd_ = -1;
};

}  // namespace ctxcore

#endif
