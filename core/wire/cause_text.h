// SPDX-License-Identifier: MIT
// A cause as text: `v=1&code=-110&origin=2&by=payments&message=no%20answer`, pairs as in the query of a URL. Only plain
// characters, `%`, `&` and `=` occur, so no header, JSON string or environment variable needs more encoding.
#ifndef CTX_CORE_WIRE_CAUSE_TEXT_H
#define CTX_CORE_WIRE_CAUSE_TEXT_H

#include <cstddef>
#include <string_view>

namespace ctxcore {

constexpr size_t kCauseText = 512;  // the longest, with its NUL

// What travels of a cause. Without `by` nobody knows who says so; without `message` it is the text of the code.
struct CauseText {
  int code = 0;
  int origin = 0;
  const char* by = nullptr;
  const char* message = nullptr;
};

// Writes the text, and a NUL, into room for kCauseText, and returns its length. What does not fit of the message, or
// of who says so, is cut off between two characters.
size_t write_cause(const CauseText& cause, char* at);

// Whether a text is well formed; else nothing is written. `room` is for kCauseText and begins with who says so, empty
// for nobody; the message follows.
bool read_cause(std::string_view text, char* room, CauseText* ret);

}  // namespace ctxcore

#endif
