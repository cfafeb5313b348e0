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

#include "core/error.h"
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

// One for CTX_CANCELED, one for CTX_DEADLINE_EXCEEDED.
extern Cause plain_causes[2];

inline const Cause* plain_cause(int error) { return &plain_causes[error == kCanceled ? 0 : 1]; }
void stamp_plain_causes();  // at load, and after a fork

inline bool is_counted(const Cause* cause) {
  return cause != nullptr && cause != &plain_causes[0] && cause != &plain_causes[1];
}

// nullptr stays nullptr.
inline const Cause* ref(const Cause* cause) {
  if (is_counted(cause)) cause->refs.fetch_add(1, std::memory_order_relaxed);
  return cause;
}

void unref_counted(const Cause* cause);

// The last reference runs the user's drop: hold no lock.
inline void unref(const Cause* cause) {
  if (is_counted(cause)) unref_counted(cause);
}

}  // namespace ctxcore

#endif
