// SPDX-License-Identifier: MIT
#include "core/wire/baggage.h"

#include <algorithm>

#include "core/wire/chars.h"

namespace ctxcore {

namespace {

struct Member {
  std::string_view whole, name, value;
};

// Takes `name = value` from the beginning of a text, and the white space around its parts.
bool take_pair(std::string_view* text, std::string_view* name, std::string_view* value) {
  *name = part(*text, 0, count_of(kTokenChar, *text));
  text->remove_prefix(name->size());
  skip_blanks(text);
  if (name->empty() || text->empty() || text->front() != '=') return false;
  text->remove_prefix(1);
  skip_blanks(text);
  *value = part(*text, 0, count_of(kBaggageChar, *text));
  text->remove_prefix(value->size());
  skip_blanks(text);
  return true;
}

bool are_properties(std::string_view text) {
  while (!text.empty()) {
    if (text.front() != ';') return false;
    text.remove_prefix(1);
    skip_blanks(&text);
    std::string_view name, value;
    if (take_pair(&text, &name, &value)) continue;
    if (name.empty() || !(text.empty() || text.front() == ';')) return false;  // a name alone
  }
  return true;
}

bool read_member(std::string_view text, Member* member) {
  member->whole = text = trim(text);
  return take_pair(&text, &member->name, &member->value) && are_properties(text);
}

void add_without_blanks(Text& text, std::string_view member) {
  while (!member.empty()) {
    size_t n = 0;
    while (n < member.size() && !is_blank(member[n])) ++n;
    text.add(part(member, 0, n));
    member.remove_prefix(n);
    skip_blanks(&member);
  }
}

// Calls each(member) for those that are well formed.
template <typename Each>
void for_each_member(std::string_view text, Each each) {
  if (text.size() > kBaggageBytes) {
    const size_t end = text.rfind(',', kBaggageBytes);  // of the last that is whole
    text = part(text, 0, end == std::string_view::npos ? 0 : end);
  }
  int members = 0;
  for (size_t at = 0; at < text.size() && members < kBaggageMembers;) {
    const size_t end = std::min(text.find(',', at), text.size());
    Member member;
    if (read_member(part(text, at, end - at), &member)) {
      each(member);
      ++members;
    }
    at = end + 1;
  }
}

}  // namespace

int keep_baggage(std::string_view text, Text& kept) { return keep_others(text, {}, kept); }

bool find_member(std::string_view text, std::string_view name, std::string_view* value) {
  bool found = false;
  for_each_member(text, [&](const Member& member) {
    if (member.name != name) return;
    found = true;
    *value = member.value;
  });
  return found;
}

int keep_others(std::string_view text, std::string_view name, Text& kept) {
  int members = 0;
  for_each_member(text, [&](const Member& member) {
    if (member.name == name) return;
    kept.add(members++ == 0 ? "" : ",");
    add_without_blanks(kept, member.whole);
  });
  return members;
}

bool is_token(std::string_view name) { return !name.empty() && all_of(kTokenChar, name); }

}  // namespace ctxcore
