// SPDX-License-Identifier: MIT
// Why a context was canceled: an immutable, counted object.
//
// Invariants
//  1. Once a context has it, only the count changes, and an origin that nobody stated may become a deadline's.
//  2. The plain causes are static, have stated origins and are not counted.
//  3. A cause with a place has its Place right behind it, one that another process claims the name of who does. Its
//     other texts follow.
#ifndef CTX_CORE_TREE_CAUSE_H
#define CTX_CORE_TREE_CAUSE_H

#include <cstddef>
#include <cstdint>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/base/handle.h"
#include "core/system/atomic.h"

namespace ctxcore {

// Who ended the context: the numbers of CTX_ORIGIN_..., or any other up to 255 that a caller has stated.
constexpr uint8_t kOriginNotStated = 0;
constexpr uint8_t kOriginCanceled = 1;
constexpr uint8_t kOriginDeadline = 2;
constexpr uint8_t kOriginSignal = 3;
constexpr uint8_t kOriginDescriptor = 4;
constexpr uint8_t kOriginShutdown = 5;
constexpr uint8_t kOriginParentProcess = 7;

// Where a cause was made. Its maker gave the texts; function may be nullptr.
struct Place {
  const char* file;
  const char* function;
  int line;
};

struct Cause {
  uint32_t stamp;
  mutable Atomic<uint32_t> refs;
  int code;
  mutable Atomic<uint8_t> origin;
  enum class Behind : uint8_t { texts, place, claimant } behind;
  const char* message;  // the code's own text, another static text, or the one behind this
  const void* key;      // who may see the data; nullptr: there is none
  void* data;
  void (*drop)(void*);
};

// What only those see who have the key; a null key is no data.
struct CauseData {
  const void* key = nullptr;
  void* data = nullptr;
  void (*drop)(void*) = nullptr;
};

// nullptr if there is no memory. A null message is the text of the code. All texts are copied; a place without a
// file is none.
Cause* make_cause(int code, const char* message, const CauseData& data,
                  uint8_t origin = kOriginNotStated, const Place& place = {});

// A cause whose code and text, of at most `room` bytes, are written later, before a context gets it. A source
// makes its cause in advance, since ending a context must not fail.
Cause* make_blank_cause(size_t room, uint8_t origin);
inline char* blank_text(Cause* cause) { return reinterpret_cast<char*>(cause + 1); }

// nullptr if its maker gave none.
inline const Place* place_of(const Cause* cause) {
  if (cause->behind != Cause::Behind::place) return nullptr;
  return reinterpret_cast<const Place*>(cause + 1);
}

// nullptr if this process has made it.
inline const char* claimant_of(const Cause* cause) {
  if (cause->behind != Cause::Behind::claimant) return nullptr;
  return reinterpret_cast<const char*>(cause + 1);
}

inline uint8_t origin_of(const Cause* cause) {
  const uint8_t stated = cause->origin.load(std::memory_order_relaxed);
  if (stated != kOriginNotStated) return stated;
  return cause->code == kDeadlineExceeded ? kOriginDeadline : kOriginCanceled;
}

// Before a context can end with it, by a deadline. It orders nothing: who sees the context's error sees this.
inline void give_to_deadline(const Cause* cause) {
  if (cause == nullptr || cause->origin.load(std::memory_order_relaxed) != kOriginNotStated) return;
  cause->origin.store(kOriginDeadline, std::memory_order_relaxed);
}

// Whether it says more than one of the two errors. Without a given text, the message is the code's own static
// text, so comparing addresses suffices.
inline bool is_given(const Cause* cause) {
  return (cause->code != kCanceled && cause->code != kDeadlineExceeded) || cause->key != nullptr ||
         cause->behind == Cause::Behind::place || origin_of(cause) > kOriginDeadline ||
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
