// SPDX-License-Identifier: MIT
// How a context came to be, as text.
#ifndef CTX_CORE_LIFE_DESCRIBE_H
#define CTX_CORE_LIFE_DESCRIBE_H

#include <cstddef>

#include "core/tree/context.h"

namespace ctxcore {

// As snprintf: writes at most size - 1 characters and a NUL, and returns the length of the whole text. Of
// one longer than INT_MAX it writes nothing but the NUL, and tells no more than that.
size_t describe(const Context* context, char* buffer, size_t size);

}  // namespace ctxcore

#endif
