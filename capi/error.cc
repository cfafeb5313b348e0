// SPDX-License-Identifier: MIT
#include "core/base/error.h"

#include <ctx/error.h>

const char* ctx_strerror(int err) { return ctxcore::error_text(err); }
