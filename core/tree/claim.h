// SPDX-License-Identifier: MIT
// Causes that go to other processes, and come from them, as text (wire/cause_text.h).
#ifndef CTX_CORE_TREE_CLAIM_H
#define CTX_CORE_TREE_CLAIM_H

#include <string_view>

#include "core/tree/cause.h"
#include "core/wire/cause_text.h"

namespace ctxcore {

// Writes a cause into room for kCauseText and returns the length of the text. A cause that is a claim keeps its
// claimant; of any other one `who` says it, or nobody if that is nullptr or empty.
size_t write_claim(const Cause* cause, const char* who, char* at);

// Fills in what a text says, into a blank cause with room for kCauseText. False if it is malformed: then the cause is
// as it was.
bool read_claim(std::string_view text, Cause* blank);

}  // namespace ctxcore

#endif
