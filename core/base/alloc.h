// SPDX-License-Identifier: MIT
// All memory of the core comes from here. Nothing here throws or aborts: nullptr means no memory.
#ifndef CTX_CORE_BASE_ALLOC_H
#define CTX_CORE_BASE_ALLOC_H

#include <cstddef>
#include <new>
#include <utility>

namespace ctxcore {

// Whether a freed object's memory may be kept for the next one: not in builds where that would hide a use
// after free.
#if defined(CTX_CHECKED)
constexpr bool kKeepSpares = false;
#else
constexpr bool kKeepSpares = true;
#endif

void* allocate(size_t size);
void* allocate_lines(size_t size);  // whole cache lines: a multiple of 64 bytes
void* reallocate(void* memory, size_t size);
void deallocate(void* memory);

// Allocates and constructs a T, with `extra` bytes behind it; nullptr if there is no memory.
template <typename T, typename... Args>
T* make(size_t extra, Args&&... args) {
  void* memory = allocate(sizeof(T) + extra);
  return memory == nullptr ? nullptr : ::new (memory) T(std::forward<Args>(args)...);
}

}  // namespace ctxcore

#endif
