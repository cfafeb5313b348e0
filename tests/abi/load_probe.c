/* SPDX-License-Identifier: MIT */
/*
 * load_probe LIBRARY: loads it and tells which threads, descriptors and memory it took for itself
 * while it was loaded; exits 0 if none. The allocation functions here come before those of libc, for
 * the library and for the loader; what the loader takes for its own records does not count.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

enum { MOST_CALLS = 1000 };
static int watching;
static int calls;
static void *callers[MOST_CALLS];

static void note(void *caller) {
  if (watching && calls < MOST_CALLS) callers[calls++] = caller;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size) {
  note(CALLER);
  return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
  note(CALLER);
  return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) {
  note(CALLER);
  return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  note(CALLER);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size) {
  note(CALLER);
  *ret = __libc_memalign(alignment, size);
  return *ret ? 0 : 12;
}

void *mmap(void *address, size_t size, int rights, int flags, int fd, off_t offset) {
  note(CALLER);
  return (void *)syscall(SYS_mmap, address, size, rights, flags, fd, offset);
}

static int by_loader(void *caller) {
  Dl_info info;
  const char *file;
  if (!dladdr(caller, &info) || !info.dli_fname) return 0;
  file = strrchr(info.dli_fname, '/');
  return strncmp(file ? file + 1 : info.dli_fname, "ld-linux", 8) == 0;
}

static int entries(const char *folder) {
  int n = 0;
  DIR *dir = opendir(folder);
  if (!dir) return -1;
  while (readdir(dir)) ++n;
  closedir(dir);
  return n;
}

int main(int argc, char **argv) {
  int threads, descriptors, allocations = 0, i;
  if (argc != 2) return 2;

  threads = entries("/proc/self/task");
  descriptors = entries("/proc/self/fd");
  watching = 1;
  if (!dlopen(argv[1], RTLD_NOW)) {
    watching = 0;
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  watching = 0;
  threads = entries("/proc/self/task") - threads;
  descriptors = entries("/proc/self/fd") - descriptors;
  for (i = 0; i < calls; ++i) allocations += !by_loader(callers[i]);

  printf("threads %d, descriptors %d, allocations %d (and %d of the loader)\n", threads,
         descriptors, allocations, calls - allocations);
  return threads || descriptors || allocations || calls == MOST_CALLS;
}
