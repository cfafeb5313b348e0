// SPDX-License-Identifier: MIT
// Why a context was cancelled: an immutable, counted object.
//
// Invariants
//  1. Nothing but the count changes after it is made.
//  2. The two plain causes, one for each error, are static and are not counted.
#ifndef CTX_CORE_CAUSE_H
#define CTX_CORE_CAUSE_H

#include <atomic>
#include <cstdint>

#include "core/handle.h"

namespace ctxcore {

struct Cause {
  uint32_t stamp;
  mutable std::atomic<uint32_t> refs;
  int code;
  const char* message;  // static text, or what stands behind this object
  const void* key;      // whose eyes the data is for; nullptr: there is none
  void* data;
  void (*drop)(void*);
};

// nullptr if there is no memory. A null message is the text of the code.
Cause* make_cause(int code, const char* message, const void* key, void* data, void (*drop)(void*));

const Cause* plain_cause(int error);
void stamp_plain_causes();  // at load, and after a fork

const Cause* ref(const Cause* cause);  // nullptr stays nullptr
void unref(const Cause* cause);        // runs the user's drop with the last reference

}  // namespace ctxcore

#endif
