// SPDX-License-Identifier: MIT
// W3C Trace Context: which traceparent and tracestate are well formed, and how they are passed on.
#ifndef CTX_CORE_WIRE_TRACE_H
#define CTX_CORE_WIRE_TRACE_H

#include <cstddef>
#include <string_view>

#include "core/base/text.h"

namespace ctxcore {

// Writes a traceparent of version 00 and a NUL. One of a higher version is read as the recommendation says, and
// becomes one of version 00, since nobody here knows what else it holds. False if it is malformed.
constexpr size_t kTraceparent = 55;
bool read_traceparent(std::string_view text, char* at);

// Adds the members of a tracestate, without the white space around them and without empty ones. How many these are;
// 0 if one of them is malformed, or if there are more than 32: then what was added is of no use.
constexpr size_t kLongestTracestate = 32 * (256 + 1 + 256) + 31;  // longer ones count as malformed
int keep_tracestate(std::string_view text, Text& kept);

}  // namespace ctxcore

#endif
