// SPDX-License-Identifier: MIT
#include "core/tree/cause.h"

#include <cstring>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/released.h"
#include "core/system/thread.h"

namespace ctxcore {

namespace {

constexpr auto kTexts = Cause::Behind::texts;

size_t size_of(const char* text) { return text == nullptr ? 0 : std::strlen(text) + 1; }

// Copies a text to *at and moves that behind it; nullptr stays nullptr.
const char* copy(const char* text, char** at) {
  if (text == nullptr) return nullptr;
  const size_t size = size_of(text);
  const auto* const copied = static_cast<const char*>(std::memcpy(*at, text, size));
  *at += size;
  return copied;
}

}  // namespace

constinit Cause plain_causes[3] = {
    {0, 1, kCanceled, kOriginCanceled, kTexts, kCanceledText, nullptr, nullptr, nullptr},
    {0, 1, kDeadlineExceeded, kOriginDeadline, kTexts, kDeadlineExceededText, nullptr, nullptr,
     nullptr},
    {0, 1, kCanceled, kOriginShutdown, kTexts, "loop closed", nullptr, nullptr, nullptr}};

void stamp_plain_causes() {
  for (Cause& cause : plain_causes) cause.stamp = stamp::make(stamp::kCause);
}

Cause* make_cause(int code, const char* message, const CauseData& data, uint8_t origin,
                  const Place& place) {
  const bool placed = place.file != nullptr;
  const char* const function = placed ? place.function : nullptr;
  const size_t room = size_of(message) + size_of(place.file) + size_of(function);
  auto* const memory =
      static_cast<char*>(allocate(sizeof(Cause) + (placed ? sizeof(Place) : 0) + room));
  if (memory == nullptr) return nullptr;
  char* at = memory + sizeof(Cause);
  if (placed) {
    auto* const kept = ::new (at) Place{};
    at += sizeof(Place);
    *kept = {copy(place.file, &at), copy(function, &at), place.line};
  }
  const char* const text = message != nullptr ? copy(message, &at) : error_text(code);
  const auto behind = placed ? Cause::Behind::place : kTexts;
  return ::new (memory) Cause{
      stamp::make(stamp::kCause), 1, code, origin, behind, text, data.key, data.data, data.drop};
}

Cause* make_blank_cause(size_t room, uint8_t origin) {
  void* memory = allocate(sizeof(Cause) + room);
  if (memory == nullptr) return nullptr;
  char* text = static_cast<char*>(memory) + sizeof(Cause);
  text[0] = '\0';
  return ::new (memory) Cause{
      stamp::make(stamp::kCause), 1, kCanceled, origin, kTexts, text, nullptr, nullptr, nullptr};
}

void unref_counted(const Cause* cause) {
  // A cause from before a fork belongs to the parent process: this one never frees it.
  if (stamp::check(cause->stamp, stamp::kCause) != 0) return;
  // acq_rel: all uses of the cause come before its destruction.
  if (cause->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  run_drop(cause->drop, cause->data);
  free_object(const_cast<Cause*>(cause));
}

}  // namespace ctxcore
