// SPDX-License-Identifier: MIT
// What a context carries from one process to the next: its deadline, as a duration, and the strings `traceparent`,
// `tracestate` and `baggage`, which hold the text of the wire.
//
// Invariants
//  1. Nothing goes out, and nothing becomes a string, that core/wire/ has not found well formed.
//  2. What comes in replaces all three strings of the formats asked for: a request has no trace of the context that it
//     was extracted below.
#ifndef CTX_CORE_LIFE_PROPAGATE_H
#define CTX_CORE_LIFE_PROPAGATE_H

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/text.h"
#include "core/life/value.h"
#include "core/tree/context.h"

namespace ctxcore {

struct Formats {
  bool grpc_timeout = false;
  bool trace = false;
  bool baggage = false;
  bool environment = false;            // the names are those of environment variables
  const char* milliseconds = nullptr;  // the name under which they travel; nullptr: they do not
  int64_t maximum = 0;                 // of a timeout that comes in; 0: none
  int64_t ordinary = 0;                // the timeout where none comes in; 0: none
};

// The names of the strings, and in a map of headers or of environment variables. kTraceparentString and so on number
// them.
struct CarriedName {
  const char* header;
  const char* variable;
};
inline constexpr CarriedName kCarriedNames[] = {
    {"traceparent", "TRACEPARENT"}, {"tracestate", "TRACESTATE"}, {"baggage", "BAGGAGE"}};
constexpr size_t kTraceparentString = 0, kTracestateString = 1, kBaggageString = 2;

inline const char* name_in(const Formats& formats, size_t which) {
  return formats.environment ? kCarriedNames[which].variable : kCarriedNames[which].header;
}

// Adds what is well formed of a text; 0 if that is nothing.
using Keep = int (*)(std::string_view text, Text& kept);

// Gives set() one header after the other, until it answers something other than 0. That; 0; the error of a context
// that is done; -ENOMEM, before the first; or -ECHILD in a child that set() has forked.
int inject(const Context* context, const Formats& formats, StringFunction set, void* arg);

// The length of what a map has under a name, negative if there is none.
using GetFunction = int64_t (*)(const char* name, const char** text, void* arg);

// A context below the parent with what the map says. 0; -EBADMSG for a timeout that is none; -ECHILD in a child that
// get() has forked; or as derive_deadline().
int extract(Context* parent, const Formats& formats, GetFunction get, void* arg, uint32_t refs,
            Node** ret);

// The value of a member of the baggage, decoded, as snprintf; negative if there is no such member.
int64_t read_baggage(const Context* context, const char* name, char* buffer, size_t size);

// A context whose baggage has this member, as the last, or has none of this name if the value is nullptr. -E2BIG if
// that would be more than a baggage may be.
int derive_baggage(Context* parent, const char* name, const char* value, Context** ret);

}  // namespace ctxcore

#endif
