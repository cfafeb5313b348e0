// SPDX-License-Identifier: MIT
// W3C Baggage: the members of a list.
//
// Invariants
//  1. What is malformed is left out; what is not is kept as it came, with its properties and in its place. Only
//     white space goes: no name or value has any, and gRPC sends no tab.
//  2. Nothing is read beyond the limits, so the time that hostile text takes is limited, too.
#ifndef CTX_CORE_WIRE_BAGGAGE_H
#define CTX_CORE_WIRE_BAGGAGE_H

#include <cstddef>
#include <string_view>

#include "core/base/text.h"

namespace ctxcore {

// What the recommendation says must be propagated.
constexpr size_t kBaggageBytes = 8192;
constexpr int kBaggageMembers = 64;

// Adds the members that are well formed, as many as the limits allow, and only whole ones. How many these are.
int keep_baggage(std::string_view text, Text& kept);

// Whether there is a member of this name; its value is as it came, encoded. Of several, the last.
bool find_member(std::string_view text, std::string_view name, std::string_view* value);

// As keep_baggage(), but without members of this name.
int keep_others(std::string_view text, std::string_view name, Text& kept);

bool is_token(std::string_view name);  // what the name of a member may be

}  // namespace ctxcore

#endif
