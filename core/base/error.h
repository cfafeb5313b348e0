// SPDX-License-Identifier: MIT
// The two errors of a context, and the text of errors.
#ifndef CTX_CORE_BASE_ERROR_H
#define CTX_CORE_BASE_ERROR_H

#include <cerrno>

namespace ctxcore {

constexpr int kCanceled = -ECANCELED;
constexpr int kDeadlineExceeded = -ETIMEDOUT;

inline constexpr char kCanceledText[] = "context canceled";
inline constexpr char kDeadlineExceededText[] = "context deadline exceeded";

// Static text; for one error always the same pointer. An errno reads the same with either sign.
const char* error_text(int error);

}  // namespace ctxcore

#endif
