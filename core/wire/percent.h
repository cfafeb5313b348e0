// SPDX-License-Identifier: MIT
// Percent-encoding, and what is done about texts that are not UTF-8.
#ifndef CTX_CORE_WIRE_PERCENT_H
#define CTX_CORE_WIRE_PERCENT_H

#include <cstddef>
#include <string_view>

#include "core/base/text.h"

namespace ctxcore {

// How many bytes the character at the beginning of a text has. If they are no character, they become one of U+FFFD.
struct Character {
  size_t bytes;
  bool valid;
};
Character first_character(std::string_view text);  // of a text that is not empty

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

void add_encoded(Text& text, std::string_view bytes);  // all but plain characters (chars.h)

// What is no UTF-8, and a NUL, becomes U+FFFD. A percent sign without two digits stays as it is.
void add_decoded(Text& text, std::string_view encoded);

// Whether two digits follow every percent sign.
bool is_encoded_well(std::string_view encoded);

}  // namespace ctxcore

#endif
