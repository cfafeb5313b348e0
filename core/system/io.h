// SPDX-License-Identifier: MIT
// What the library calls on descriptors of any kind. libc's versions are cancellation points of pthread_cancel. These
// end no thread: that would leave locks taken and a family half woken. Only this file may call libc's own; a test of
// the library's objects checks that.
//
// Each returns a negative errno where libc returns -1, and leaves errno as it was. (They call libc, not the
// system directly, so that sanitizers see which descriptors are open.)
#ifndef CTX_CORE_SYSTEM_IO_H
#define CTX_CORE_SYSTEM_IO_H

#include <poll.h>
#include <pthread.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

struct epoll_event;

namespace ctxcore::io {

ssize_t read(int fd, void* at, size_t size);
ssize_t write(int fd, const void* from, size_t size);
ssize_t read_at(int fd, void* at, size_t size, size_t offset);
int close(int fd);
int open_to_read(
    const char* path);  // a descriptor that an exec closes; it neither waits nor takes a terminal
int seal(int fd);       // memory: its size, and from now on new ways to write to it
int duplicate(int fd);  // a copy that an exec closes
bool is_open(int fd);
int poll(pollfd* fds, nfds_t count, int64_t timeout_ns);  // INT64_MAX: no limit
nfds_t most_polled();                                     // how many descriptors poll() takes
int epoll_wait(int fd, epoll_event* events, int most, bool sleep);
void join(pthread_t thread);

}  // namespace ctxcore::io

#endif
