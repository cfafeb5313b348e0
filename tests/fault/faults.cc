// SPDX-License-Identifier: MIT
//
// The functions that stand before those of libc, for this program and for what it is linked with.
// Memory goes on to glibc's second names, since finding the next malloc() may itself need memory.
#include "fault/faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>

#include "support/handles.h"

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);
}

namespace ctxtest {
namespace {

constinit std::atomic<long> live_blocks{0};

// The result of one of libc's, or the refusal.
void* Given(void* memory) {
  if (memory != nullptr) live_blocks.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

bool Refused(Resource resource) {
  const int error = Faults::Ask(resource);
  if (error != 0) errno = error;
  return error != 0;
}

template <class Function>
Function* Next(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

int Faults::Next(Resource resource) {
  const int number = counts_[static_cast<int>(resource)]++;
  if (resource != resource_ || number < first_ || number - first_ >= times_) return 0;
  ++refused_;
  return error_;
}

long LiveBlocks() { return live_blocks.load(std::memory_order_relaxed); }

}  // namespace ctxtest

using ctxtest::Resource;

// libctx.so must ask this very program, or every test here would pass for nothing.
TEST(Faults, TheLibraryAsksHere) {
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  int descriptors = 0, memory = 0;
  std::vector<ctxtest::Ctx> kept(1000);  // more than the library may keep for later
  {
    ctxtest::Faults faults;
    for (ctxtest::Ctx& one : kept) ctx_without_cancel(ctx_background(), one.out());
    ctx_with_cancel(ctx_background(), &ctx, &canceler);
    ctx_done_fd(ctx);
    memory = faults.count(Resource::kMemory);
    descriptors = faults.count(Resource::kDescriptor);
  }
  EXPECT_GE(memory, 1);
  EXPECT_EQ(descriptors, 1);
  ctx_canceler_unref(canceler);
  ctx_unref(ctx);
}

extern "C" {

void* malloc(size_t size) {
  return ctxtest::Refused(Resource::kMemory) ? nullptr : ctxtest::Given(__libc_malloc(size));
}

void* calloc(size_t n, size_t size) {
  return ctxtest::Refused(Resource::kMemory) ? nullptr : ctxtest::Given(__libc_calloc(n, size));
}

void* realloc(void* memory, size_t size) {
  if (ctxtest::Refused(Resource::kMemory)) return nullptr;
  return memory == nullptr ? ctxtest::Given(__libc_malloc(size)) : __libc_realloc(memory, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  if (ctxtest::Refused(Resource::kMemory)) return nullptr;
  return ctxtest::Given(__libc_memalign(alignment, size));
}

int posix_memalign(void** ret, size_t alignment, size_t size) {
  const int error = ctxtest::Faults::Ask(Resource::kMemory);
  if (error != 0) return error;
  *ret = ctxtest::Given(__libc_memalign(alignment, size));
  return *ret == nullptr ? ENOMEM : 0;
}

void free(void* memory) {
  if (memory != nullptr) ctxtest::live_blocks.fetch_sub(1, std::memory_order_relaxed);
  __libc_free(memory);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attr, void* (*run)(void*), void* arg) {
  const int error = ctxtest::Faults::Ask(Resource::kThread);
  if (error != 0) return error;
  if (ctxtest::NoThreads::Refuse()) return EAGAIN;
  return ctxtest::Next(&pthread_create, "pthread_create")(thread, attr, run, arg);
}

int eventfd(unsigned count, int flags) {
  if (ctxtest::Refused(Resource::kDescriptor) || ctxtest::Refused(Resource::kEventfd)) return -1;
  return ctxtest::Next(&eventfd, "eventfd")(count, flags);
}

int pipe2(int* ends, int flags) {
  if (ctxtest::Refused(Resource::kDescriptor)) return -1;
  return ctxtest::Next(&pipe2, "pipe2")(ends, flags);
}

int epoll_create1(int flags) {
  if (ctxtest::Refused(Resource::kDescriptor)) return -1;
  return ctxtest::Next(&epoll_create1, "epoll_create1")(flags);
}

int timerfd_create(clockid_t clock, int flags) {
  if (ctxtest::Refused(Resource::kDescriptor)) return -1;
  return ctxtest::Next(&timerfd_create, "timerfd_create")(clock, flags);
}

int signalfd(int fd, const sigset_t* signals, int flags) {
  if (fd < 0 && ctxtest::Refused(Resource::kDescriptor)) return -1;
  return ctxtest::Next(&signalfd, "signalfd")(fd, signals, flags);
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  if (operation == EPOLL_CTL_ADD && ctxtest::Refused(Resource::kWatch)) return -1;
  return ctxtest::Next(&epoll_ctl, "epoll_ctl")(epoll, operation, fd, event);
}

int dup(int fd) {
  if (ctxtest::Refused(Resource::kDescriptor)) return -1;
  return ctxtest::Next(&dup, "dup")(fd);
}

int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  const bool makes_one = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
  if (makes_one && ctxtest::Refused(Resource::kDescriptor)) return -1;
  return ctxtest::Next(&fcntl, "fcntl")(fd, command, argument);
}

}  // extern "C"
