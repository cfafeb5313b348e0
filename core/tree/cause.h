// SPDX-License-Identifier: MIT
// Why a context was canceled: an immutable, counted object.
//
// Invariants
//  1. Once a context has it, only the count changes.
//  2. The plain causes are static and are not counted.
#ifndef CTX_CORE_TREE_CAUSE_H
#define CTX_CORE_TREE_CAUSE_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/base/handle.h"

namespace ctxcore {

struct Cause {
  uint32_t stamp;
  mutable std::atomic<uint32_t> refs;
  int code;
  const char* message;  // the code's own text, another static text, or the one behind this
  const void* key;      // who may see the data; nullptr: there is none
  void* data;
  void (*drop)(void*);
};

// nullptr if there is no memory. A null message is the text of the code.
Cause* make_cause(int code, const char* message, const void* key, void* data, void (*drop)(void*));

// A cause whose code and text, of at most `room` bytes, are written later, before a context gets it. A source
// makes its cause in advance, since ending a context must not fail.
Cause* make_blank_cause(size_t room);
inline char* blank_text(Cause* cause) { return reinterpret_cast<char*>(cause + 1); }

// Whether it says more than one of the two errors. Without a given text, the message is the code's own static
// text, so comparing addresses suffices.
inline bool is_given(const Cause* cause) {
  return (cause->code != kCanceled && cause->code != kDeadlineExceeded) || cause->key != nullptr ||
         cause->message != error_text(cause->code);
}

// For CTX_CANCELED, for CTX_DEADLINE_EXCEEDED, and for contexts that end with their loop.
extern Cause plain_causes[3];

inline const Cause* plain_cause(int error) { return &plain_causes[error == kCanceled ? 0 : 1]; }
inline const Cause* closed_cause() { return &plain_causes[2]; }
void stamp_plain_causes();  // at load, and after a fork

inline bool is_counted(const Cause* cause) {
  return cause != nullptr && (cause < plain_causes || cause >= plain_causes + 3);
}

// nullptr stays nullptr.
inline const Cause* ref(const Cause* cause) {
  if (is_counted(cause)) count_up(cause->refs);
  return cause;
}

void unref_counted(const Cause* cause);

// The last reference runs the user's drop: hold no lock.
inline void unref(const Cause* cause) {
  if (is_counted(cause)) unref_counted(cause);
}

}  // namespace ctxcore

#endif
