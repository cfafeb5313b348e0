// SPDX-License-Identifier: MIT
// A duration on the wire: of gRPC, `8 digits and a unit`, and plain milliseconds.
//
// Invariants
//  1. What is written is never shorter than the duration, and longer by less than one unit.
#ifndef CTX_CORE_WIRE_TIMEOUT_H
#define CTX_CORE_WIRE_TIMEOUT_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ctxcore {

constexpr int64_t kMalformedTimeout = -1;

// In nanoseconds, kForever at most; kMalformedTimeout if the text is none.
int64_t read_grpc_timeout(std::string_view text);
int64_t read_milliseconds(std::string_view text);

// A duration of at least 1 ns. The text has room for kTimeoutText.
constexpr size_t kTimeoutText = 12;
void write_grpc_timeout(int64_t ns, char* at);
bool write_milliseconds(int64_t ns, char* at);  // false: it takes more than ten digits

}  // namespace ctxcore

#endif
