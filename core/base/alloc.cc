// SPDX-License-Identifier: MIT
#include "core/base/alloc.h"

#include <cstdlib>

namespace ctxcore {

void* allocate(size_t size) { return std::malloc(size); }

void* allocate_lines(size_t size) { return std::aligned_alloc(64, size); }

void* reallocate(void* memory, size_t size) { return std::realloc(memory, size); }

void deallocate(void* memory) {
  if (memory != nullptr) std::free(memory);  // it often is nullptr: then this saves the call
}

}  // namespace ctxcore
