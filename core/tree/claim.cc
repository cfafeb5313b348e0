// SPDX-License-Identifier: MIT
#include "core/tree/claim.h"

namespace ctxcore {

size_t write_claim(const Cause* cause, const char* who, char* at) {
  const char* const claimant = claimant_of(cause);
  const char* const by = claimant != nullptr ? claimant : who;
  CauseText text;
  text.code = cause->code;
  text.origin = origin_of(cause);
  text.by = by != nullptr && *by != '\0' ? by : nullptr;
  text.message = cause->message != error_text(cause->code) ? cause->message : nullptr;
  return write_cause(text, at);
}

bool read_claim(std::string_view text, Cause* blank) {
  CauseText read;
  if (!read_cause(text, blank_text(blank), &read)) return false;
  blank->code = read.code;
  blank->origin.store(static_cast<uint8_t>(read.origin), std::memory_order_relaxed);
  blank->message = read.message != nullptr ? read.message : error_text(read.code);
  blank->behind = Cause::Behind::claimant;
  return true;
}

}  // namespace ctxcore
