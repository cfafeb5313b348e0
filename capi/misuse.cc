// SPDX-License-Identifier: MIT
#include "capi/misuse.h"

#if defined(CTX_CHECKED)

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "capi/handles.h"
#include "core/base/text.h"
#include "core/system/io.h"

namespace ctxcapi {

namespace {

namespace stamp = ctxcore::stamp;

const char* name_of(uint32_t type) {
  switch (type) {
    case stamp::kContext:
      return "context";
    case stamp::kCause:
      return "cause";
    case stamp::kWatch:
      return "watch";
    case stamp::kQueue:
      return "queue";
    case stamp::kLoop:
      return "loop";
    case stamp::kGroup:
      return "group";
    case kCancelerType:
      return "canceler";
    default:
      return nullptr;
  }
}

// A stamp, or the word of a canceler's phase, which other threads may be advancing.
uint32_t word_of(const void* handle) {
  return __atomic_load_n(static_cast<const uint32_t*>(handle), __ATOMIC_RELAXED);
}

bool is_canceler(uint32_t word) { return (word & 0xFFFFFF00) == ctxcore::Phase::kMark; }

// The stamp of a watch stands behind its links; that of any other object comes first.
uint32_t watch_stamp_of(const void* handle) {
  return word_of(static_cast<const char*>(handle) + kWatchStampOffset);
}

bool is_of(uint32_t stamp, uint32_t type) { return (stamp & stamp::kTypeBits) == type; }

// What a handle seems to be. If its type is `wanted`, that is the answer, whichever copy or process its stamp names. Of
// a released object only its own stamp may be read. The first word of a watch is a link, which other threads may be
// writing: it is not read if a watch is wanted and found.
uint32_t type_found(const void* handle, uint32_t wanted) {
  if (wanted == stamp::kWatch && is_of(watch_stamp_of(handle) | stamp::kAlive, stamp::kWatch)) {
    return stamp::kWatch;
  }
  const uint32_t word = word_of(handle);
  const uint32_t first =
      is_canceler(word) ? kCancelerType : (word & stamp::kTypeBits) | stamp::kAlive;
  if (first == wanted || (word | stamp::kAlive) == stamp::make(first)) return first;
  const bool watch = (watch_stamp_of(handle) | stamp::kAlive) == stamp::make(stamp::kWatch);
  return watch ? stamp::kWatch : first;
}

// Whether nobody has a reference to the object behind the handle.
bool is_released(const void* handle, uint32_t type) {
  const void* object = handle;
  if (type == kCancelerType) object = static_cast<const char*>(handle) - kCancelerOffset;
  const uint32_t word = type == stamp::kWatch ? watch_stamp_of(object) : word_of(object);
  if ((word & stamp::kAlive) == 0) return true;
  if ((word & stamp::kTypeBits) != stamp::kContext) return false;
  // Children keep a context in memory that nobody holds.
  const auto* const context = static_cast<const Context*>(object);
  return context->parent != nullptr && context->refs.load(std::memory_order_relaxed) == 0;
}

void add_address(ctxcore::Text& text, const void* handle) {
  text.add("0x");
  const auto address = reinterpret_cast<uintptr_t>(handle);
  unsigned shift = sizeof address * 8;
  while (shift > 4 && (address >> (shift - 4)) == 0) shift -= 4;
  while (shift > 0) {
    shift -= 4;
    const auto digit = static_cast<unsigned>(address >> shift & 15);
    text.add({&"0123456789abcdef"[digit], 1});
  }
}

}  // namespace

int look_closer(int result, const void* handle, uint32_t type, const char* call) {
  if (handle == nullptr) return result;
  const uint32_t found = type_found(handle, type);
  const bool released = found == type && is_released(handle, type);
  if (result == 0 && !released) return 0;
  char line[200];
  ctxcore::Text text(line, sizeof line - 1);
  text.add("libctx: ").add(call).add(": the handle ");
  add_address(text, handle);
  if (found != type) {
    const char* const name = name_of(found);
    if (name != nullptr) text.add(" is of a ").add(name).add(", and");
    text.add(" is not of a ").add(name_of(type));
  } else {
    text.add(" of a ").add(name_of(type));
    if (released) {
      const bool again = std::strstr(call, "_unref") != nullptr;
      text.add(again ? " is released once more than it was held" : " is used after its release");
    } else {
      text.add(result == -EREMOTE ? " was made by another copy of the library"
                                  : " was made before a fork, by the parent process");
    }
  }
  text.add("\n").end();
  [[maybe_unused]] const ssize_t written = ctxcore::io::write(STDERR_FILENO, line, text.length());
  if (released) __builtin_trap();
  return result;
}

}  // namespace ctxcapi

#endif
