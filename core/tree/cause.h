// SPDX-License-Identifier: MIT
// Why a context was canceled: an immutable, counted object.
//
// Invariants
//  1. Nothing but the count changes once a context has it.
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
  const char* message;  // the very text of the code, other static text, or what stands behind this
  const void* key;      // whose eyes the data is for; nullptr: there is none
  void* data;
  void (*drop)(void*);
};

// nullptr if there is no memory. A null message is the text of the code.
Cause* make_cause(int code, const char* message, const void* key, void* data, void (*drop)(void*));

// One whose code and text, of at most `room` bytes, are to be written before a context gets it: what
// will end a context has its cause ready, for it cannot fail then.
Cause* make_blank_cause(size_t room);
inline char* blank_text(Cause* cause) { return reinterpret_cast<char*>(cause + 1); }

// Whether it says more than one of the two errors does. A text that nobody gave is the very text of the
// code, so addresses tell.
inline bool is_given(const Cause* cause) {
  return (cause->code != kCanceled && cause->code != kDeadlineExceeded) || cause->key != nullptr ||
         cause->message != error_text(cause->code);
}

// For CTX_CANCELED, for CTX_DEADLINE_EXCEEDED, and for what ends with its loop.
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
