// SPDX-License-Identifier: MIT
//
// A system without eventfd: linked into a test program, this eventfd() comes before that of libc,
// also for libctx.so.
#include <sys/eventfd.h>

#include <cerrno>

extern "C" int eventfd(unsigned, int) noexcept {
  errno = ENOSYS;
  return -1;
}
