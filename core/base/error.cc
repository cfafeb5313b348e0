// SPDX-License-Identifier: MIT
#include "core/base/error.h"

#include <climits>
#include <cstring>

namespace ctxcore {

const char* error_text(int error) {
  if (error == kCanceled || error == -kCanceled) return kCanceledText;
  if (error == kDeadlineExceeded || error == -kDeadlineExceeded) return kDeadlineExceededText;
  // strerrordesc_np is a look-up in a static table: no locale, no buffer, no lock.
  const char* text = error == INT_MIN ? nullptr : strerrordesc_np(error < 0 ? -error : error);
  return text != nullptr ? text : "unknown error";
}

}  // namespace ctxcore
