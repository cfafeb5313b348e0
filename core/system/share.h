// SPDX-License-Identifier: MIT
// What one process lends to others: memory that they may read and not write, and a pipe that hangs up when the lender
// says so or is gone. Only share_linux.cc knows how the system does it.
//
// The lender has both ends of the pipe. A borrower opens the memory and the read end once more, by the lender's
// numbers in /proc; where it may not, copies serve that it has inherited under the same numbers. Each is a file with a
// number of its own, which tells it from any other file that has the same descriptor by now.
//
// Invariants
//  1. Nobody but the lender has the memory mapped for writing, not even a child that it forks, and its size never
//     changes. Whoever has a descriptor of it can read it, and nothing else.
//  2. All descriptors are close-on-exec. So an exec leaves no write end behind; a fork does (watch/export.h).
#ifndef CTX_CORE_SYSTEM_SHARE_H
#define CTX_CORE_SYSTEM_SHARE_H

#include <cstddef>
#include <cstdint>

namespace ctxcore {

// How a borrower finds what is lent.
struct LentName {
  uint64_t space = 0;    // the lender's space of process numbers; 0: the system does not say
  uint64_t process = 0;  // its number there
  uint64_t memory = 0;   // descriptors
  uint64_t pipe = 0;     // the read end
  uint64_t memory_file = 0;
  uint64_t pipe_file = 0;
};

// The lender's side.
struct Lent {
  // Of zeros. 0 or a negative errno; -ENOTSUP where the system seals none; -EFBIG if no file may be so large.
  int open_memory(size_t size);
  int open_pipe();  // 0 or a negative errno
  void wake();      // the pipe is readable from now on, whoever else has a write end
  void hang_up();   // closes the write end
  void close();     // the rest of what was opened
  LentName name() const;

  void* memory = nullptr;
  size_t size = 0;
  int memory_fd = -1;
  int read_end = -1;
  int write_end = -1;
};

// The borrower's side: two descriptors of its own.
struct Borrowed {
  // 0; -ESRCH: the lender is gone, or lends no more; -EACCES: it may be there, but this process cannot look; or another
  // negative errno.
  int open(const LentName& name);
  void close();  // nothing, if there are none

  size_t size() const;  // of the memory
  bool read(void* at, size_t bytes, size_t offset) const;
  bool hung_up() const;  // or woken; false also if the system does not say

  int memory = -1;
  int pipe = -1;
};

}  // namespace ctxcore

#endif
