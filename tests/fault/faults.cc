// SPDX-License-Identifier: MIT
//
// The functions that stand before those of libc, for this program and for what it is linked with.
// Memory goes on to glibc's second names, since finding the next malloc() may itself need memory.
#include "fault/faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <mutex>
#include <unordered_set>

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

// Memory that nobody counts.
template <class T>
struct Uncounted {
  using value_type = T;
  Uncounted() = default;
  template <class Other>
  Uncounted(const Uncounted<Other>&) {}  // NOLINT: as allocators are
  T* allocate(size_t n) { return static_cast<T*>(__libc_malloc(n * sizeof(T))); }
  void deallocate(T* at, size_t) { __libc_free(at); }
  bool operator==(const Uncounted&) const { return true; }
};

// The blocks that the library asked for and has not given back.
struct Ledger {
  std::mutex mutex;
  std::unordered_set<void*, std::hash<void*>, std::equal_to<>, Uncounted<void*>> blocks;
};
Ledger& TheLedger() {
  alignas(Ledger) static char place[sizeof(Ledger)];
  static auto* const ledger = new (place) Ledger;  // for threads that outlive the tests
  return *ledger;
}

// Where the library's code is. Looked up once, before there is any other thread.
struct Range {
  const char* begin = nullptr;
  const char* end = nullptr;
};
constinit Range library;

int FindLibrary(dl_phdr_info* info, size_t, void*) {
  const auto wanted = reinterpret_cast<ElfW(Addr)>(&ctx_background);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Addr) begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    const ElfW(Addr) end = begin + info->dlpi_phdr[i].p_memsz;
    if (info->dlpi_phdr[i].p_type != PT_LOAD || wanted < begin || wanted >= end) continue;
    library = {reinterpret_cast<const char*>(begin), reinterpret_cast<const char*>(end)};
    return 1;
  }
  return 0;
}
[[maybe_unused]] const int kFound = dl_iterate_phdr(FindLibrary, nullptr);

void* Given(void* memory, const void* caller) {
  if (memory == nullptr) return nullptr;
  live_blocks.fetch_add(1, std::memory_order_relaxed);
  if (IsInLibrary(caller)) {
    Ledger& ledger = TheLedger();
    const std::lock_guard<std::mutex> lock(ledger.mutex);
    ledger.blocks.insert(memory);
  }
  return memory;
}

void Taken(void* memory) {
  live_blocks.fetch_sub(1, std::memory_order_relaxed);
  Ledger& ledger = TheLedger();
  const std::lock_guard<std::mutex> lock(ledger.mutex);
  ledger.blocks.erase(memory);
}

bool Refused(Resource resource, const void* caller) {
  const int error = Faults::Ask(resource, caller);
  if (error > 0) errno = error;
  return error > 0;
}

template <class Function>
Function* Next(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

Faults::Faults(Resource resource, int error, int first, int times)
    : state_(new State(resource, error, first, times)), of_library_(false) {
  current_ = state_;
}

Faults::Faults(OfLibrary, Resource resource, int error, int first, int times)
    : state_(new State(resource, error, first, times)), of_library_(true) {
  library_ = state_;
}

Faults::~Faults() {
  if (of_library_) {
    library_ = nullptr;
  } else {
    current_ = nullptr;
    delete state_;
  }
}

int Faults::Ask(Resource resource, const void* caller) {
  if (current_ != nullptr) return current_->Next(resource);
  State* const of_library = library_.load(std::memory_order_acquire);
  return of_library != nullptr && IsInLibrary(caller) ? of_library->Next(resource) : 0;
}

int Faults::State::Next(Resource asked) {
  if (paused) return 0;
  const int number = counts[static_cast<int>(asked)]++;
  if (asked != resource || error == 0 || number < first || number - first >= times) return 0;
  ++refused;
  return error;
}

long LiveBlocks() { return live_blocks.load(std::memory_order_relaxed); }

long LibraryBlocks() {
  Ledger& ledger = TheLedger();
  const std::lock_guard<std::mutex> lock(ledger.mutex);
  return static_cast<long>(ledger.blocks.size());
}

void FillReleased() {
  for (int i = 0; i < 1100; ++i) WithCancel(ctx_background());
}

bool IsInLibrary(const void* address) { return address >= library.begin && address < library.end; }

}  // namespace ctxtest

using ctxtest::Resource;

#define CTX_CALLER __builtin_return_address(0)

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
  const void* const caller = CTX_CALLER;
  if (ctxtest::Refused(Resource::kMemory, caller)) return nullptr;
  return ctxtest::Given(__libc_malloc(size), caller);
}

void* calloc(size_t n, size_t size) {
  const void* const caller = CTX_CALLER;
  if (ctxtest::Refused(Resource::kMemory, caller)) return nullptr;
  return ctxtest::Given(__libc_calloc(n, size), caller);
}

void* realloc(void* memory, size_t size) {
  const void* const caller = CTX_CALLER;
  if (ctxtest::Refused(Resource::kMemory, caller)) return nullptr;
  if (memory != nullptr) ctxtest::Taken(memory);
  return ctxtest::Given(__libc_realloc(memory, size), caller);
}

void* aligned_alloc(size_t alignment, size_t size) {
  const void* const caller = CTX_CALLER;
  if (ctxtest::Refused(Resource::kMemory, caller)) return nullptr;
  return ctxtest::Given(__libc_memalign(alignment, size), caller);
}

int posix_memalign(void** ret, size_t alignment, size_t size) {
  const void* const caller = CTX_CALLER;
  const int error = ctxtest::Faults::Ask(Resource::kMemory, caller);
  if (error != 0) return error;
  *ret = ctxtest::Given(__libc_memalign(alignment, size), caller);
  return *ret == nullptr ? ENOMEM : 0;
}

void free(void* memory) {
  if (memory != nullptr) ctxtest::Taken(memory);
  __libc_free(memory);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attr, void* (*run)(void*), void* arg) {
  const int error = ctxtest::Faults::Ask(Resource::kThread, CTX_CALLER);
  if (error != 0) return error;
  return ctxtest::Next(&pthread_create, "pthread_create")(thread, attr, run, arg);
}

int pthread_setname_np(pthread_t thread, const char* name) {
  const int error = ctxtest::Faults::Ask(Resource::kName, CTX_CALLER);
  if (error != 0) return error;
  return ctxtest::Next(&pthread_setname_np, "pthread_setname_np")(thread, name);
}

int sched_getcpu() {
  if (ctxtest::Refused(Resource::kProcessor, CTX_CALLER)) return -1;
  return ctxtest::Next(&sched_getcpu, "sched_getcpu")();
}

int eventfd(unsigned count, int flags) {
  const void* const caller = CTX_CALLER;
  if (ctxtest::Refused(Resource::kDescriptor, caller)) return -1;
  if (ctxtest::Refused(Resource::kEventfd, caller)) return -1;
  return ctxtest::Next(&eventfd, "eventfd")(count, flags);
}

int pipe2(int* ends, int flags) {
  if (ctxtest::Refused(Resource::kDescriptor, CTX_CALLER)) return -1;
  return ctxtest::Next(&pipe2, "pipe2")(ends, flags);
}

int memfd_create(const char* name, unsigned flags) {
  if (ctxtest::Refused(Resource::kDescriptor, CTX_CALLER)) return -1;
  return ctxtest::Next(&memfd_create, "memfd_create")(name, flags);
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const bool makes_one = (flags & (O_CREAT | O_TMPFILE)) != 0;
  const auto mode = makes_one ? va_arg(arguments, mode_t) : mode_t{0};
  va_end(arguments);
  if (ctxtest::Refused(Resource::kDescriptor, CTX_CALLER)) return -1;
  return ctxtest::Next(&open, "open")(path, flags, mode);
}

int ftruncate(int fd, off_t size) {
  if (ctxtest::Refused(Resource::kMemory, CTX_CALLER)) return -1;
  return ctxtest::Next(&ftruncate, "ftruncate")(fd, size);
}

void* mmap(void* at, size_t size, int rights, int flags, int fd, off_t offset) {
  if (ctxtest::Refused(Resource::kMemory, CTX_CALLER)) return MAP_FAILED;
  return ctxtest::Next(&mmap, "mmap")(at, size, rights, flags, fd, offset);
}

int epoll_create1(int flags) {
  if (ctxtest::Refused(Resource::kDescriptor, CTX_CALLER)) return -1;
  return ctxtest::Next(&epoll_create1, "epoll_create1")(flags);
}

int timerfd_create(clockid_t clock, int flags) {
  if (ctxtest::Refused(Resource::kDescriptor, CTX_CALLER)) return -1;
  return ctxtest::Next(&timerfd_create, "timerfd_create")(clock, flags);
}

int signalfd(int fd, const sigset_t* signals, int flags) {
  if (fd < 0 && ctxtest::Refused(Resource::kDescriptor, CTX_CALLER)) return -1;
  return ctxtest::Next(&signalfd, "signalfd")(fd, signals, flags);
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  if (operation == EPOLL_CTL_ADD && ctxtest::Refused(Resource::kWatch, CTX_CALLER)) return -1;
  return ctxtest::Next(&epoll_ctl, "epoll_ctl")(epoll, operation, fd, event);
}

int dup(int fd) {
  if (ctxtest::Refused(Resource::kDescriptor, CTX_CALLER)) return -1;
  return ctxtest::Next(&dup, "dup")(fd);
}

int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  const bool makes_one = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
  if (makes_one && ctxtest::Refused(Resource::kDescriptor, CTX_CALLER)) return -1;
  return ctxtest::Next(&fcntl, "fcntl")(fd, command, argument);
}

// The system looks before it says that a signal came.
int epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
  static auto* const next = ctxtest::Next(&epoll_wait, "epoll_wait");
  const int error = ctxtest::Faults::Ask(Resource::kPoll, CTX_CALLER);
  const int ready = next(epoll, events, most, error == 0 ? timeout : 0);
  if (error == 0 || ready != 0) return ready;
  errno = error;
  return -1;
}

int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  static auto* const next = ctxtest::Next(&ppoll, "ppoll");
  const int error = ctxtest::Faults::Ask(Resource::kPoll, CTX_CALLER);
  const timespec at_once = {0, 0};
  const int ready = next(fds, count, error == 0 ? timeout : &at_once, mask);
  if (error == 0 || ready != 0) return ready;
  errno = error;
  return -1;
}

ssize_t read(int fd, void* at, size_t size) {
  static auto* const next = ctxtest::Next(&read, "read");
  if (ctxtest::Refused(Resource::kRead, CTX_CALLER)) return -1;
  return next(fd, at, size);
}

ssize_t pread(int fd, void* at, size_t size, off_t offset) {
  if (ctxtest::Refused(Resource::kRead, CTX_CALLER)) return -1;
  return ctxtest::Next(&pread, "pread")(fd, at, size, offset);
}

ssize_t write(int fd, const void* from, size_t size) {
  static auto* const next = ctxtest::Next(&write, "write");
  const int error = ctxtest::Faults::Ask(Resource::kWrite, CTX_CALLER);
  if (error == ctxtest::kShort && size > sizeof(uint64_t)) return next(fd, from, 1);
  if (error <= 0) return next(fd, from, size);
  errno = error;
  return -1;
}

int close(int fd) {
  const int error = ctxtest::Faults::Ask(Resource::kClose, CTX_CALLER);
  const int result = ctxtest::Next(&close, "close")(fd);  // it has closed it, whatever it says
  if (error == 0) return result;
  errno = error;
  return -1;
}

// Whoever sleeps on a futex comes here.
long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long arguments[6];
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_futex && (arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET) {
    const int error = ctxtest::Faults::Ask(Resource::kFutex, CTX_CALLER);
    if (error == ctxtest::kForNothing) return 0;
    if (error != 0) {
      errno = error;
      return -1;
    }
  }
  // No guard: a thread that waits for one calls this.
  static constinit std::atomic<decltype(&syscall)> known{nullptr};
  auto* next = known.load();
  if (next == nullptr) {
    next = ctxtest::Next(&syscall, "syscall");
    known.store(next);
  }
  return next(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
              arguments[5]);
}

}  // extern "C"
