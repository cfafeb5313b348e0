// SPDX-License-Identifier: MIT
// Calls of libc that are cancellation points of pthread_cancel, as the library makes them: they end no thread,
// for that would leave locks taken and a family half woken. Nothing else in the library may call them, and
// a check of what it is built of holds that.
//
// Each answers a negative errno where libc answers -1, and leaves errno as it was. (They go through libc, not
// to the system itself, so that sanitizers see which descriptors are open.)
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
int close(int fd);
int poll(pollfd* fds, nfds_t count, int64_t timeout_ns);  // INT64_MAX: no limit
nfds_t most_polled();                                     // how many descriptors poll() takes
int epoll_wait(int fd, epoll_event* events, int most, bool sleep);
void join(pthread_t thread);

}  // namespace ctxcore::io

#endif
