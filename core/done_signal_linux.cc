// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "core/done_signal.h"

namespace ctxcore {

namespace {

#if !defined(CTX_DONE_PIPE)
#define CTX_DONE_PIPE 0
#endif

// What a signal of the pipe writes: a page, which is what the kernel keeps for a single byte too.
constexpr char kPage[4096] = {};

int open_pipe(DoneSignal* signal) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return -errno;
  signal->read_end = ends[0];
  signal->write_end = ends[1];
  return 0;
}

}  // namespace

int DoneSignal::open() {
  const int saved = errno;
  int result = 0;
  if (CTX_DONE_PIPE) {
    result = open_pipe(this);
  } else {
    read_end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    if (read_end < 0) {
      result = errno == ENOSYS || errno == EPERM ? open_pipe(this) : -errno;
    }
  }
  errno = saved;
  return result;
}

void DoneSignal::raise() {
  const int saved = errno;
  if (write_end < 0) {
    constexpr uint64_t kAll = UINT64_MAX - 1;  // the most that an eventfd counts
    [[maybe_unused]] ssize_t written = write(read_end, &kAll, sizeof kAll);
  } else {
    // The pipe is empty and takes a page; were it not so, its end would still be readable.
    [[maybe_unused]] ssize_t written = write(write_end, kPage, sizeof kPage);
    ::close(write_end);
    write_end = -1;
  }
  errno = saved;
}

void DoneSignal::close() {
  const int saved = errno;
  ::close(read_end);
  if (write_end >= 0) ::close(write_end);
  errno = saved;
}

}  // namespace ctxcore
