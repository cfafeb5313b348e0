// SPDX-License-Identifier: MIT
#include "core/tree/exported.h"

#include <cerrno>
#include <climits>

#include "core/base/text.h"
#include "core/tree/claim.h"
#include "core/wire/chars.h"

namespace ctxcore {

namespace {

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

void write(const Cause* cause, char* at) {
  if (cause != nullptr && is_given(cause)) write_claim(cause, nullptr, at);
}

}  // namespace

void ExportedState::write_deadline(int64_t when, const Cause* cause) {
  deadline = when;
  write(cause, at_deadline);
}

void ExportedState::end_with(int with, const Cause* cause) {
  write(cause, end);
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
