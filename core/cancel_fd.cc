// SPDX-License-Identifier: MIT
#include "core/cancel_fd.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "core/alloc.h"
#include "core/event.h"
#include "core/loop.h"

namespace ctxcore {

namespace {

// Makes the two ends: one to watch, one to hand out. An eventfd is one descriptor, and its other end a
// second number for it.
int open_ends(Event* ends) {
  const int result = ends->open(Event::Use::resettable);
  if (result < 0 || ends->write_end != ends->read_end) return result;
  const int saved = errno;
  int failure = 0;
  ends->write_end = fcntl(ends->read_end, F_DUPFD_CLOEXEC, 0);
  if (ends->write_end < 0) {
    failure = -errno;
    ::close(ends->read_end);
  }
  errno = saved;
  return failure;
}

}  // namespace

CancelFd::CancelFd(Node* ends, int read_end)
    : Observer(Type::cancel_fd), Source(ends, read_end, POLLIN, nullptr) {}

void CancelFd::close() {
  const int saved = errno;
  ::close(fd);
  errno = saved;
}

int open_cancel_fd(Node* node) {
  if (const int result = node->loop->start_watching(); result < 0) return result;
  Event ends;
  if (const int result = open_ends(&ends); result < 0) return result;
  auto* made = make<CancelFd>(0, node, ends.read_end);
  if (made == nullptr) {
    ends.close();
    return -ENOMEM;
  }
  set_family(node);
  Guard guard(observers_lock(node));
  const int result = node->loop->watch(made);
  if (result < 0) {
    deallocate(made);
    ends.close();
    return result;
  }
  Link* const link = static_cast<Observer*>(made);
  push_front(node->observers, link);
  return ends.write_end;
}

}  // namespace ctxcore
