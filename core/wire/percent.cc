// SPDX-License-Identifier: MIT
#include "core/wire/percent.h"

#include <cstdint>

#include "core/wire/chars.h"

namespace ctxcore {

namespace {

// -1 for what is no digit.
int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// The byte that a percent sign and two digits stand for; -1 if these are not there.
int escape_at(std::string_view text, size_t at) {
  if (text.size() - at < 3 || text[at] != '%') return -1;
  const int high = digit_of(text[at + 1]), low = digit_of(text[at + 2]);
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

// Takes one byte from the beginning of an encoded text.
char take_byte(std::string_view* encoded) {
  const int escape = escape_at(*encoded, 0);
  const char byte = escape < 0 ? encoded->front() : static_cast<char>(escape);
  encoded->remove_prefix(escape < 0 ? 1 : 3);
  return byte;
}

}  // namespace

// Which bytes may follow the first is in table 3-7 of the Unicode standard; of a sequence that breaks off, the bytes
// up to there are one character, as the standard advises.
Character first_character(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {1, first != 0};
  if (first < 0xC2 || first > 0xF4) return {1, false};
  const size_t bytes = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  uint8_t least = 0x80, most = 0xBF;
  if (first == 0xE0) least = 0xA0;  // else two bytes would do
  if (first == 0xED) most = 0x9F;   // else it is a surrogate
  if (first == 0xF0) least = 0x90;
  if (first == 0xF4) most = 0x8F;  // beyond is no code point
  for (size_t i = 1; i < bytes; ++i) {
    if (i >= text.size() || byte(i) < least || byte(i) > most) return {i, false};
    least = 0x80, most = 0xBF;
  }
  return {bytes, true};
}

void add_encoded(Text& text, std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  while (!bytes.empty()) {
    const size_t plain = count_of(kPlainChar, bytes);
    text.add(part(bytes, 0, plain));
    bytes.remove_prefix(plain);
    if (bytes.empty()) return;
    const auto byte = static_cast<uint8_t>(bytes.front());
    const char escape[] = {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    text.add({escape, sizeof escape});
    bytes.remove_prefix(1);
  }
}

void add_decoded(Text& text, std::string_view encoded) {
  while (!encoded.empty()) {
    char bytes[4];  // of one character, or as many as there are
    std::string_view rest = encoded;
    size_t n = 0;
    do {
      bytes[n++] = take_byte(&rest);
    } while (n < sizeof bytes && !rest.empty() && (bytes[0] & 0x80) != 0);
    const Character character = first_character({bytes, n});
    text.add(character.valid ? std::string_view(bytes, character.bytes) : kReplacement);
    for (size_t i = 0; i < character.bytes; ++i) take_byte(&encoded);
  }
}

bool is_encoded_well(std::string_view encoded) {
  for (size_t at = 0; (at = encoded.find('%', at)) != std::string_view::npos; at += 3) {
    if (escape_at(encoded, at) < 0) return false;
  }
  return true;
}

}  // namespace ctxcore
