// SPDX-License-Identifier: MIT
// Freeing the object behind a handle. The checked build keeps the memory of the last ones for a while, and their
// stamps say that they were released: so a handle that is used after that is seen (capi/misuse.h), and not taken for
// another object's in the same place. Other builds free at once.
//
// Invariants
//  1. The library keeps the last kKept blocks; a block that comes pushes the oldest out, which is freed.
//  2. Under AddressSanitizer all of a block but what check() of capi reads is poisoned while it is kept: the
//     library's own uses after free are found as ever.
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
void forget_released();                  // in a forked child: another thread may have been at it

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
