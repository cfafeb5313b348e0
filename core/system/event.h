// SPDX-License-Identifier: MIT
// A descriptor that polls readable when there is something to know. The one file that knows how this
// system does it: by eventfd, or by a pipe where CTX_DONE_PIPE is set or the kernel refuses eventfd.
//
// It is used in one of two ways. A lasting one is raised once, and then polls readable for ever, whoever
// reads it: an eventfd in semaphore mode gives up 1 a read of all that it holds; a pipe is filled with a
// page and its write end closed, so that after the page the end is read, for ever. (Not by a reader that
// empties it while a forked child, which never ran another program, keeps the write end open.) Any
// other is set, and cleared by its owner's read.
#ifndef CTX_CORE_SYSTEM_EVENT_H
#define CTX_CORE_SYSTEM_EVENT_H

namespace ctxcore {

struct Event {
  enum class Use { lasting, resettable };

  int open(Use use);  // 0 or a negative errno
  void close();

  void raise();  // for a lasting one; at most once

  void set();  // for the others; set and cleared in turn
  void clear();

  int read_end = -1;
  int write_end = -1;  // the same number for an eventfd; -1 for a pipe that was raised
};

}  // namespace ctxcore

#endif
