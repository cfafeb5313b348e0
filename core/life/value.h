// SPDX-License-Identifier: MIT
// Look-up of request values. It goes from one context that carries a value to the next above it, and visits no
// others.
#ifndef CTX_CORE_LIFE_VALUE_H
#define CTX_CORE_LIFE_VALUE_H

#include "core/tree/context.h"

namespace ctxcore {

void* find_value(const Context* context, const Key* key);
const char* find_string(const Context* context, const char* name);

// Calls fn for each name that find_string() finds, the nearest first, until fn answers something other than 0;
// returns that.
using StringFunction = int (*)(const char* name, const char* value, void* arg);
int each_string(const Context* context, StringFunction fn, void* arg);

}  // namespace ctxcore

#endif
