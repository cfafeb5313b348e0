// SPDX-License-Identifier: MIT
// One member of a context's baggage: read, set and removed.
#include <cerrno>
#include <cstring>
#include <string_view>

#include "core/base/text.h"
#include "core/life/derive.h"
#include "core/life/propagate.h"
#include "core/wire/baggage.h"
#include "core/wire/percent.h"

namespace ctxcore {

namespace {

std::string_view baggage_of(const Context* context) {
  const char* const text = find_string(context, kCarriedNames[kBaggageString].header);
  if (text == nullptr) return {};
  return {text, strnlen(text, kBaggageBytes + 1)};
}

}  // namespace

int64_t read_baggage(const Context* context, const char* name, char* buffer, size_t size) {
  std::string_view value;
  if (!find_member(baggage_of(context), name, &value)) return -ENOENT;
  Text text(buffer, size == 0 ? 0 : size - 1);
  add_decoded(text, value);
  if (size > 0) text.end();
  return static_cast<int64_t>(text.length());
}

int derive_baggage(Context* parent, const char* name, const char* value, Context** ret) {
  const std::string_view before = baggage_of(parent);
  const auto add_all = [&](Text& text) {
    int members = keep_others(before, name, text);
    if (value == nullptr) return members;
    text.add(members == 0 ? "" : ",").add(name).add("=");
    add_encoded(text, value);
    return members + 1;
  };
  Text counted(nullptr, 0);
  const int members = add_all(counted);
  if (members > kBaggageMembers || counted.length() > kBaggageBytes) return -E2BIG;
  char* at = nullptr;
  Value* const made = make_string(parent, kCarriedNames[kBaggageString].header,
                                  members == 0 ? 0 : counted.length() + 1, &at);
  if (made == nullptr) return -ENOMEM;
  *ret = made;
  if (members == 0) return 0;
  Text text(at, counted.length());
  add_all(text);
  text.end();
  return 0;
}

}  // namespace ctxcore
