// SPDX-License-Identifier: MIT
#include "core/wire/cause_text.h"

#include <charconv>
#include <cstdint>
#include <cstring>

#include "core/base/text.h"
#include "core/wire/chars.h"
#include "core/wire/percent.h"

namespace ctxcore {

namespace {

constexpr size_t kLongestBy = 128;  // encoded: more than half of the room stays for the message

// Adds a pair of which the value ends, at a whole character, when the text has `end` characters.
void add_pair(Text& text, std::string_view name, const char* value, size_t end) {
  text.add("&").add(name).add("=");
  std::string_view rest(value, strnlen(value, kCauseText));
  while (!rest.empty()) {
    const Character character = first_character(rest);
    const std::string_view bytes = character.valid ? part(rest, 0, character.bytes) : kReplacement;
    Text counted(nullptr, 0);
    add_encoded(counted, bytes);
    if (text.length() + counted.length() > end) return;
    add_encoded(text, bytes);
    rest.remove_prefix(character.bytes);
  }
}

bool read_int(std::string_view text, int least, int most, int* ret) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *ret);
  return error == std::errc() && end == text.data() + text.size() && *ret >= least && *ret <= most;
}

// Decodes a text to `at`, and returns where it ends. It takes no more room than the encoded one.
char* read_text(std::string_view encoded, char* at) {
  Text text(at, encoded.size());
  add_decoded(text, encoded);
  text.end();
  return at + text.length() + 1;
}

}  // namespace

size_t write_cause(const CauseText& cause, char* at) {
  Text text(at, kCauseText - 1);
  text.add("v=1&code=").add(cause.code < 0 ? "-" : "");
  text.add(magnitude(cause.code)).add("&origin=").add(static_cast<uint64_t>(cause.origin));
  if (cause.by != nullptr) add_pair(text, "by", cause.by, text.length() + 4 + kLongestBy);
  if (cause.message != nullptr) add_pair(text, "message", cause.message, kCauseText - 1);
  text.end();
  return text.length();
}

// Later versions may add pairs, and must not change what these mean.
bool read_cause(std::string_view text, char* room, CauseText* ret) {
  constexpr std::string_view kNames[] = {"v", "code", "origin", "by", "message"};
  if (text.empty() || text.size() >= kCauseText || !is_encoded_well(text)) return false;
  std::string_view by, message;
  unsigned seen = 0;
  int version = 0;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = text.find('&', at);
    const std::string_view pair = part(text, at, (end < text.size() ? end : text.size()) - at);
    at += pair.size() + 1;
    const size_t equals = pair.find('=');
    if (!all_of(kBaggageChar, pair) || equals == 0 || equals > pair.size()) return false;
    const std::string_view name = part(pair, 0, equals), value = part(pair, equals + 1);
    unsigned which = 0;
    while (which < 5 && kNames[which] != name) ++which;
    if (which < 5 && (seen >> which & 1) != 0) return false;
    if (seen == 0 && which != 0) return false;  // the version comes first
    seen |= 1u << which;
    if (which == 0 && !read_int(value, 1, INT32_MAX, &version)) return false;
    if (which == 1 && !read_int(value, INT32_MIN, INT32_MAX, &ret->code)) return false;
    if (which == 2 && !read_int(value, 1, UINT8_MAX, &ret->origin)) return false;
    if (which == 3) by = value;
    if (which == 4) message = value;
  }
  if ((seen & 3) != 3) return false;
  char* const behind = read_text(by, room);
  ret->by = room;
  if ((seen >> 4 & 1) != 0) {
    read_text(message, behind);
    ret->message = behind;
  }
  return true;
}

}  // namespace ctxcore
