// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

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

#if defined(CTX_CHECKED)
// The number of the file that a descriptor is open on; 0 if it is closed.
uint64_t file_of(int fd) {
  struct stat file {};
  const int saved = errno;
  const bool open = fstat(fd, &file) == 0;
  errno = saved;
  return open ? file.st_ino : 0;
}
#endif

}  // namespace

#if defined(CTX_CHECKED)
void Event::expect_open() const {
  if (file_of(read_end) == file) return;
  char text[] =
      "libctx: the program has closed descriptor 0000000000, which the library lent to it\n";
  char* digit = std::strstr(text, "0,");
  for (int rest = read_end; rest > 0; rest /= 10) *digit-- = static_cast<char>('0' + rest % 10);
  [[maybe_unused]] ssize_t written = io::write(STDERR_FILENO, text, sizeof text - 1);
  __builtin_trap();
}
#endif

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
#if defined(CTX_CHECKED)
  if (result == 0) file = file_of(read_end);
#endif
  return result;
}

void Event::raise() {
  expect_open();
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
  expect_open();
  constexpr uint64_t kOne = 1;
  [[maybe_unused]] ssize_t written = io::write(write_end, &kOne, sizeof kOne);
}

void Event::clear() {
  expect_open();
  uint64_t taken = 0;
  [[maybe_unused]] ssize_t size = io::read(read_end, &taken, sizeof taken);
}

void Event::close() {
  expect_open();
  io::close(read_end);
  if (write_end >= 0 && write_end != read_end) io::close(write_end);
}

}  // namespace ctxcore
