// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "core/system/event.h"
#include "core/system/io.h"

namespace ctxcore {

namespace {

#if !defined(CTX_DONE_PIPE)
#define CTX_DONE_PIPE 0
#endif

// Raising a pipe writes a page: the kernel keeps as much for a single byte.
constexpr char kPage[4096] = {};

int open_pipe(Event* event) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return -errno;
  event->read_end = ends[0];
  event->write_end = ends[1];
  return 0;
}

}  // namespace

int Event::open(Use use) {
  const int saved = errno;
  int result = 0;
  if (CTX_DONE_PIPE) {
    result = open_pipe(this);
  } else {
    const int semaphore = use == Use::lasting ? EFD_SEMAPHORE : 0;
    read_end = write_end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | semaphore);
    if (read_end < 0) {
      result = errno == ENOSYS || errno == EPERM ? open_pipe(this) : -errno;
    }
  }
  errno = saved;
  return result;
}

void Event::raise() {
  if (write_end == read_end) {
    constexpr uint64_t kAll = UINT64_MAX - 1;  // the most that an eventfd counts
    [[maybe_unused]] ssize_t written = io::write(write_end, &kAll, sizeof kAll);
  } else {
    // The pipe is empty and takes a page; if it did not, its end of file would still be readable.
    [[maybe_unused]] ssize_t written = io::write(write_end, kPage, sizeof kPage);
    io::close(write_end);
    write_end = -1;
  }
}

void Event::set() {
  constexpr uint64_t kOne = 1;
  [[maybe_unused]] ssize_t written = io::write(write_end, &kOne, sizeof kOne);
}

void Event::clear() {
  uint64_t taken = 0;
  [[maybe_unused]] ssize_t size = io::read(read_end, &taken, sizeof taken);
}

void Event::close() {
  io::close(read_end);
  if (write_end >= 0 && write_end != read_end) io::close(write_end);
}

}  // namespace ctxcore
