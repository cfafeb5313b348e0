// SPDX-License-Identifier: MIT
// Which characters may stand where in a text that comes from another process. All are of ASCII: no locale has a part
// in it.
#ifndef CTX_CORE_WIRE_CHARS_H
#define CTX_CORE_WIRE_CHARS_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ctxcore {

constexpr uint8_t kTokenChar = 1;       // of a name in HTTP: a token of RFC 9110
constexpr uint8_t kBaggageChar = 2;     // of a value in W3C Baggage
constexpr uint8_t kStateKeyChar = 4;    // of a key in tracestate
constexpr uint8_t kStateValueChar = 8;  // of a value there
constexpr uint8_t kHexChar = 16;        // a hexadecimal digit, in lower case
constexpr uint8_t kPlainChar = 32;      // one that no format gives a meaning
constexpr uint8_t kDigitChar = 64;
constexpr uint8_t kLowerChar = 128;

constexpr std::array<uint8_t, 256> sort_chars() {
  std::array<uint8_t, 256> classes{};
  const auto have = [&classes](std::string_view chars, uint8_t bits) {
    for (const char c : chars) classes[static_cast<unsigned char>(c)] |= bits;
  };
  have("0123456789", kDigitChar | kHexChar | kStateKeyChar | kPlainChar | kTokenChar);
  have("abcdefghijklmnopqrstuvwxyz", kLowerChar | kStateKeyChar | kPlainChar | kTokenChar);
  have("ABCDEFGHIJKLMNOPQRSTUVWXYZ", kPlainChar | kTokenChar);
  have("abcdef", kHexChar);
  have("!#$%&'*+-.^_`|~", kTokenChar);
  have("-._~", kPlainChar);
  have("_-*/@", kStateKeyChar);
  for (int c = 0x20; c < 0x7F; ++c) {
    uint8_t& bits = classes[static_cast<size_t>(c)];
    if (c != ',' && c != '=') bits |= kStateValueChar;
    if (c != ' ' && c != '"' && c != ',' && c != ';' && c != '\\') bits |= kBaggageChar;
  }
  return classes;
}

inline constexpr std::array<uint8_t, 256> kCharClasses = sort_chars();

inline bool is_of(uint8_t classes, char c) {
  return (kCharClasses[static_cast<unsigned char>(c)] & classes) != 0;
}

// How many characters at the beginning are of these classes.
inline size_t count_of(uint8_t classes, std::string_view text) {
  size_t n = 0;
  while (n < text.size() && is_of(classes, text[n])) ++n;
  return n;
}

inline bool all_of(uint8_t classes, std::string_view text) {
  return count_of(classes, text) == text.size();
}

// The part of a text that begins there, at most n characters of it. (string_view::substr() throws, so it needs
// libstdc++.)
constexpr std::string_view part(std::string_view text, size_t at, size_t n = SIZE_MAX) {
  text.remove_prefix(at);
  return {text.data(), n < text.size() ? n : text.size()};
}

// White space in HTTP.
inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

inline void skip_blanks(std::string_view* text) {
  size_t n = 0;
  while (n < text->size() && is_blank((*text)[n])) ++n;
  text->remove_prefix(n);
}

inline std::string_view trim(std::string_view text) {
  skip_blanks(&text);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace ctxcore

#endif
