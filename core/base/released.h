// SPDX-License-Identifier: MIT
// Freeing the object behind a handle. The checked build keeps the last objects in memory for a while, with stamps that
// say that they were released. So a handle that is used after its release is seen (capi/misuse.h), and is not taken for
// that of a new object in the same place. Other builds free at once.
//
// Invariants
//  1. The library keeps the last kKept blocks; a block that comes pushes the oldest out, which is freed.
//  2. Under AddressSanitizer a block is poisoned while it is kept, except for what check() of capi reads. So the
//     library's own uses after free are still found.
//
// Lock order: a leaf.
#ifndef CTX_CORE_BASE_RELEASED_H
#define CTX_CORE_BASE_RELEASED_H

#include <cstdint>

#include "core/base/alloc.h"
#include "core/base/handle.h"

namespace ctxcore {

#if defined(CTX_CHECKED)

// The stamp, another word (or nullptr) and the beginning of the object may still be read.
void keep_released(void* memory, const void* stamp, const void* word);
void keep_released_whole(void* memory);  // a block of several objects
void forget_released();                  // in a forked child: another thread may have held the lock

inline void mark_released(uint32_t& stamp) { stamp &= ~stamp::kAlive; }

template <typename Object>
void free_object(Object* object, const void* word = nullptr) {
  mark_released(object->stamp);
  keep_released(object, &object->stamp, word);
}

#else

inline void keep_released_whole(void* memory) { deallocate(memory); }
inline void forget_released() {}
inline void mark_released(uint32_t&) {}

template <typename Object>
void free_object(Object* object, const void* = nullptr) {
  deallocate(object);
}

#endif

}  // namespace ctxcore

#endif
