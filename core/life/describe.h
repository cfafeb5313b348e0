// SPDX-License-Identifier: MIT
// How a context came to be, as text.
#ifndef CTX_CORE_LIFE_DESCRIBE_H
#define CTX_CORE_LIFE_DESCRIBE_H

#include <cstddef>

#include "core/tree/context.h"

namespace ctxcore {

// As snprintf: writes at most size - 1 characters and a NUL, and returns the length of the whole text. For a text
// longer than INT_MAX it writes only the NUL, and returns some length beyond INT_MAX.
size_t describe(const Context* context, char* buffer, size_t size);

}  // namespace ctxcore

#endif
