// SPDX-License-Identifier: MIT
#include "core/tree/exported.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "core/base/text.h"
#include "core/wire/chars.h"

namespace ctxcore {

namespace {

// How much of a text there is room for.
size_t cut(const char* text, size_t length, size_t room) {
  if (length <= room) return length;
  while (room > 0 && (text[room] & 0xC0) == 0x80) --room;
  return room;
}

// Reads a number and moves *at behind it; false if there is none, or one that is too large.
bool read_number(const char** at, uint64_t most, uint64_t* number) {
  const char* c = *at;
  *number = 0;
  for (; is_of(kDigitChar, *c); ++c) {
    const auto digit = static_cast<uint64_t>(*c - '0');
    if (*number > (most - digit) / 10) return false;
    *number = *number * 10 + digit;
  }
  const bool some = c != *at;
  *at = c;
  return some;
}

// The numbers in the order of the text, and the least and the most that each may be.
struct Field {
  uint64_t LentName::*number;
  uint64_t least;
  uint64_t most;
};
constexpr Field kFields[] = {
    {&LentName::process, 1, INT_MAX},      {&LentName::memory, 0, INT_MAX},
    {&LentName::pipe, 0, INT_MAX},         {&LentName::memory_file, 1, UINT64_MAX},
    {&LentName::pipe_file, 1, UINT64_MAX}, {&LentName::space, 0, UINT64_MAX}};

}  // namespace

void ExportedCause::write(const Cause* cause) {
  given = cause != nullptr && is_given(cause) ? 1 : 0;
  if (given == 0) return;
  code = cause->code;
  origin = origin_of(cause);
  const size_t all = std::strlen(cause->message);
  length = static_cast<uint32_t>(cut(cause->message, all, sizeof text));
  std::memcpy(text, cause->message, length);
}

bool ExportedCause::fill(Cause* blank) const {
  if (given == 0) return false;
  char* const at = blank_text(blank);
  const size_t size = std::min<size_t>(length, sizeof text);
  std::memcpy(at, text, size);
  at[size] = '\0';
  blank->code = code;
  const bool known = origin > 0 && origin <= UINT8_MAX;
  blank->origin.store(known ? static_cast<uint8_t>(origin) : kOriginParentProcess,
                      std::memory_order_relaxed);
  return true;
}

const Cause* ExportedCause::make(bool* failed) const {
  if (given == 0) return nullptr;
  Cause* const blank = make_blank_cause(sizeof text + 1, kOriginParentProcess);
  *failed = blank == nullptr;
  if (blank != nullptr) fill(blank);
  return blank;
}

void ExportedState::end_with(int with, const Cause* cause) {
  end.write(cause);
  // Pairs with the acquire of an importer that sees the error before the pipe hangs up (life/import.cc). And an exporter
  // that is killed on the way has told no end.
  __atomic_store_n(&error, with, __ATOMIC_RELEASE);
}

void write_exported(char* at, const LentName& name) {
  Text text(at, kExportedText - 1);
  text.add(uint64_t{ExportedState::kVersion});
  for (const Field& field : kFields) text.add(":").add(name.*field.number);
  text.end();
}

int read_exported(const char* text, LentName* name) {
  uint64_t version = 0;
  if (!read_number(&text, UINT32_MAX, &version) || *text != ':') return -EBADMSG;
  if (version != ExportedState::kVersion) return -EPROTONOSUPPORT;
  for (const Field& field : kFields) {
    uint64_t& number = name->*field.number;
    if (*text++ != ':' || !read_number(&text, field.most, &number)) return -EBADMSG;
    if (number < field.least) return -EBADMSG;
  }
  return *text == '\0' ? 0 : -EBADMSG;
}

}  // namespace ctxcore
