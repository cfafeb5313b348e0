// SPDX-License-Identifier: MIT
// Calls of the system that libc makes cancellation points of pthread_cancel. A thread that ended inside one
// of ours would leave locks taken and a family half woken. So these go to the system itself.
//
// Each returns what the system does, or a negative errno, and leaves errno as it was.
#ifndef CTX_CORE_SYSTEM_RAW_CALL_H
#define CTX_CORE_SYSTEM_RAW_CALL_H

#include <poll.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

struct epoll_event;

namespace ctxcore::raw {

ssize_t read(int fd, void* at, size_t size);
ssize_t write(int fd, const void* from, size_t size);
int close(int fd);
int poll(pollfd* fds, nfds_t count, int64_t timeout_ns);  // INT64_MAX: no limit
int epoll_wait(int fd, epoll_event* events, int most, bool sleep);

}  // namespace ctxcore::raw

#endif
