// SPDX-License-Identifier: MIT
#include "core/base/released.h"

#if defined(CTX_CHECKED)

#include <malloc.h>

#include <new>
#include <utility>

#include "core/base/lock.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CTX_POISONS 1
#endif
#endif
#if defined(CTX_POISONS) || defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) \
  (static_cast<void>(address), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) \
  (static_cast<void>(address), static_cast<void>(size))
#endif

namespace ctxcore {

namespace {

constexpr unsigned kKept = 1024;

struct LastReleased {
  Lock lock;
  unsigned next CTX_GUARDED_BY(lock) = 0;
  void* blocks[kKept] CTX_GUARDED_BY(lock) = {};
};
constinit LastReleased last_released;

}  // namespace

void keep_released_whole(void* memory) {
  void* oldest = memory;
  {
    Guard guard(last_released.lock);
    std::swap(oldest, last_released.blocks[last_released.next]);
    last_released.next = (last_released.next + 1) % kKept;
  }
  if (oldest == nullptr) return;
  ASAN_UNPOISON_MEMORY_REGION(oldest, malloc_usable_size(oldest));
  deallocate(oldest);
}

void keep_released(void* memory, const void* stamp, const void* word) {
  ASAN_POISON_MEMORY_REGION(memory, malloc_usable_size(memory));
  for (const void* readable : {static_cast<const void*>(memory), stamp, word}) {
    constexpr uintptr_t kUnit = 8;  // of what AddressSanitizer poisons
    const auto address = reinterpret_cast<uintptr_t>(readable) & ~(kUnit - 1);
    if (address != 0) ASAN_UNPOISON_MEMORY_REGION(reinterpret_cast<void*>(address), kUnit);
  }
  keep_released_whole(memory);
}

void forget_released() { ::new (&last_released.lock) Lock; }

}  // namespace ctxcore

#endif
