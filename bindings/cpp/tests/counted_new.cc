// SPDX-License-Identifier: MIT
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "counted.h"

namespace {
thread_local long calls = 0;
std::atomic<long> live{0};

void* Take(std::size_t size, std::size_t alignment) {
  ++calls;
  if (size == 0) size = 1;
  void* taken = alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
                    ? std::malloc(size)
                    : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (taken == nullptr) std::abort();
  live.fetch_add(1, std::memory_order_relaxed);
  return taken;
}
void Give(void* taken) {
  if (taken == nullptr) return;
  live.fetch_sub(1, std::memory_order_relaxed);
  std::memset(taken, 0xA5, malloc_usable_size(taken));  // whoever still looks sees nonsense
  asm volatile("" : : "r"(taken) : "memory");           // or a compiler leaves that out
  std::free(taken);
}
}  // namespace

namespace ctxtest {
long NewCalls() { return calls; }
long LiveNews() { return live.load(std::memory_order_relaxed); }
}  // namespace ctxtest

void* operator new(std::size_t size) { return Take(size, 0); }
void* operator new[](std::size_t size) { return Take(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return Take(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return Take(size, 0); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return Take(size, 0); }
void operator delete(void* taken) noexcept { Give(taken); }
void operator delete[](void* taken) noexcept { Give(taken); }
void operator delete(void* taken, std::size_t) noexcept { Give(taken); }
void operator delete[](void* taken, std::size_t) noexcept { Give(taken); }
void operator delete(void* taken, std::align_val_t) noexcept { Give(taken); }
void operator delete(void* taken, std::size_t, std::align_val_t) noexcept { Give(taken); }
