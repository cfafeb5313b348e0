// SPDX-License-Identifier: MIT
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

#include "core/system/clock.h"
#include "core/system/futex.h"

namespace ctxcore {

int futex_wait(const Atomic<uint32_t>& word, uint32_t expected, int64_t until_ns) {
  // After a handler with SA_RESTART the kernel restarts a wait without a time limit, but never one with a
  // limit. So "for ever" is passed as a limit of 292 years.
  const timespec until = to_timespec(until_ns);
  const int saved = errno;
  const long result = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                              &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  const int error = result < 0 ? -errno : 0;
  errno = saved;
  return error;
}

void futex_wake(const Atomic<uint32_t>* word, int count) {
  const int saved = errno;
  syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count);
  errno = saved;
}

}  // namespace ctxcore
