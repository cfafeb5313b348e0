// SPDX-License-Identifier: MIT
// A descriptor that polls readable when something has happened. Only this file knows how the system does it:
// by eventfd, or by a pipe if CTX_DONE_PIPE is set or the kernel refuses eventfd.
//
// It is used in one of two ways. A lasting event is raised once, and then polls readable for ever, whoever
// reads it. An eventfd in semaphore mode holds a practically endless count, of which each read takes 1. A pipe is
// filled with a page and its write end closed; readers find the page and then end of file, for ever. (One
// exception: while a forked child that has not run another program keeps the write end open, an emptied pipe is
// not readable.) A resettable event is set, and its owner's read clears it.
#ifndef CTX_CORE_SYSTEM_EVENT_H
#define CTX_CORE_SYSTEM_EVENT_H

#include <cstdint>

namespace ctxcore {

struct Event {
  enum class Use { lasting, resettable };

  int open(Use use);  // 0 or a negative errno
  void close();

  void raise();  // a lasting event; at most once

  void set();  // a resettable event; set and cleared in turn
  void clear();

  // The library lends the descriptor to the program. If the program has closed it, the checked build says so and ends
  // the process when the library next uses it: by then the number may be another file's.
#if defined(CTX_CHECKED)
  void expect_open() const;
  uint64_t file = 0;  // the number of the file that it was opened on
#else
  void expect_open() const {}
#endif

  int read_end = -1;
  int write_end = -1;  // the same number for an eventfd; -1 for a pipe that was raised
};

}  // namespace ctxcore

#endif
