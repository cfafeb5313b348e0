// SPDX-License-Identifier: MIT
// What the checked build says, on standard error, of a handle that a call cannot use. If the headers name an error for
// it, the call then answers with that error. They name none for a released handle, whose use is undefined in other
// builds: there the process ends. NULL is no mistake: the headers say what it gives.
#ifndef CTX_CAPI_MISUSE_H
#define CTX_CAPI_MISUSE_H

#include <cstdint>

#include "core/base/handle.h"
#include "core/base/phase.h"

namespace ctxcapi {

// A canceler has no stamp of its own; its first word identifies it.
constexpr uint32_t kCancelerType = ctxcore::Phase::kMark & ctxcore::stamp::kTypeBits;

#if defined(CTX_CHECKED)

// `result` is what the call is about to answer. Returns it.
int look_closer(int result, const void* handle, uint32_t type, const char* call);

#else

inline int look_closer(int result, const void*, uint32_t, const char*) { return result; }

#endif

}  // namespace ctxcapi

#endif
