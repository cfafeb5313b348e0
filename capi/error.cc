// SPDX-License-Identifier: MIT
#include <ctx/error.h>

#include "core/error.h"

const char* ctx_strerror(int err) { return ctxcore::error_text(err); }
