// SPDX-License-Identifier: MIT
// A descriptor that polls readable for ever once it has been signalled, and that a stray read cannot
// make unreadable. The one file that knows how this system does it.
//
// By eventfd: in semaphore mode a read takes 1, and a signal adds all that the counter holds.
// By pipe: a signal writes a page and closes the write end, so that after the page the end is read,
// for ever. (Not by a reader that empties it while a forked child, which never ran another program, keeps
// the write end open.) The pipe is used where CTX_DONE_PIPE is set, and where the kernel refuses eventfd.
#ifndef CTX_CORE_DONE_SIGNAL_H
#define CTX_CORE_DONE_SIGNAL_H

namespace ctxcore {

struct DoneSignal {
  int open();    // 0 or a negative errno
  void raise();  // signals; at most once
  void close();

  int read_end = -1;
  int write_end = -1;  // -1 for an eventfd, and for a pipe that was signalled
};

}  // namespace ctxcore

#endif
