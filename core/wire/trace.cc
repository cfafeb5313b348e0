// SPDX-License-Identifier: MIT
#include "core/wire/trace.h"

#include <algorithm>
#include <cstring>

#include "core/wire/chars.h"

namespace ctxcore {

namespace {

// Whether so many hexadecimal digits, not all of them 0, and a dash stand there.
bool has_id(std::string_view text, size_t at, size_t digits) {
  const std::string_view id = part(text, at, digits);
  return all_of(kHexChar, id) && id.find_first_not_of('0') != std::string_view::npos &&
         text[at + digits] == '-';
}

bool is_state_member(std::string_view member) {
  constexpr size_t kLongest = 256;
  const size_t key = count_of(kStateKeyChar, member);
  if (key == 0 || key > kLongest || key == member.size() || member[key] != '=') return false;
  if (!is_of(kLowerChar | kDigitChar, member[0])) return false;
  const std::string_view value = part(member, key + 1);
  return !value.empty() && value.size() <= kLongest && all_of(kStateValueChar, value);
}

}  // namespace

bool read_traceparent(std::string_view text, char* at) {
  constexpr size_t kTraceId = 3, kParentId = 36, kFlags = 53;
  text = trim(text);
  if (text.size() < kTraceparent || text[2] != '-') return false;
  const std::string_view version = part(text, 0, 2);
  if (!all_of(kHexChar, version) || version == "ff") return false;
  const bool known = version == "00";
  if (text.size() > kTraceparent && (known || text[kTraceparent] != '-')) return false;
  if (!has_id(text, kTraceId, 32) || !has_id(text, kParentId, 16)) return false;
  if (!all_of(kHexChar, part(text, kFlags, 2))) return false;
  std::memcpy(at, text.data(), kTraceparent);
  at[kTraceparent] = '\0';
  if (known) return true;
  // Of the flags version 00 knows two: that the trace is sampled, and that its id is random.
  const char last = at[kFlags + 1];
  const int flags = (last <= '9' ? last - '0' : last - 'a' + 10) & 3;
  at[0] = at[1] = at[kFlags] = '0';
  at[kFlags + 1] = static_cast<char>('0' + flags);
  return true;
}

int keep_tracestate(std::string_view text, Text& kept) {
  constexpr int kMost = 32;
  if (text.size() > kLongestTracestate) return 0;
  int members = 0;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string_view member = trim(part(text, at, end - at));
    at = end + 1;
    if (member.empty()) continue;
    if (members++ == kMost || !is_state_member(member)) return 0;
    kept.add(members == 1 ? "" : ",").add(member);
  }
  return members;
}

}  // namespace ctxcore
