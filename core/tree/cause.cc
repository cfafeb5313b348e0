// SPDX-License-Identifier: MIT
#include "core/tree/cause.h"

#include <cstring>

#include "core/base/alloc.h"
#include "core/base/error.h"

namespace ctxcore {

constinit Cause plain_causes[3] = {
    {0, 1, kCanceled, kCanceledText, nullptr, nullptr, nullptr},
    {0, 1, kDeadlineExceeded, kDeadlineExceededText, nullptr, nullptr, nullptr},
    {0, 1, kCanceled, "loop closed", nullptr, nullptr, nullptr}};

void stamp_plain_causes() {
  for (Cause& cause : plain_causes) cause.stamp = stamp::make(stamp::kCause);
}

Cause* make_cause(int code, const char* message, const void* key, void* data, void (*drop)(void*)) {
  const size_t length = message == nullptr ? 0 : std::strlen(message) + 1;
  auto* cause = static_cast<Cause*>(allocate(sizeof(Cause) + length));
  if (cause == nullptr) return nullptr;
  char* text = reinterpret_cast<char*>(cause + 1);
  if (message != nullptr) std::memcpy(text, message, length);
  return ::new (cause) Cause{stamp::make(stamp::kCause),
                             1,
                             code,
                             message != nullptr ? text : error_text(code),
                             key,
                             data,
                             drop};
}

Cause* make_blank_cause(size_t room) {
  void* memory = allocate(sizeof(Cause) + room);
  if (memory == nullptr) return nullptr;
  char* text = static_cast<char*>(memory) + sizeof(Cause);
  text[0] = '\0';
  return ::new (memory)
      Cause{stamp::make(stamp::kCause), 1, kCanceled, text, nullptr, nullptr, nullptr};
}

void unref_counted(const Cause* cause) {
  // A cause from before a fork belongs to the parent process: this one never frees it.
  if (stamp::check(cause->stamp, stamp::kCause) != 0) return;
  // acq_rel: all uses of the cause come before its destruction.
  if (cause->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (cause->drop != nullptr) cause->drop(cause->data);
  deallocate(const_cast<Cause*>(cause));
}

}  // namespace ctxcore
