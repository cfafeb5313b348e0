// SPDX-License-Identifier: MIT
#include <ctx/version.h>

#define CTX_TEXT_OF(x) #x
#define CTX_TEXT(x) CTX_TEXT_OF(x)

uint32_t ctx_version(void) { return CTX_VERSION; }

const char* ctx_version_string(void) {
  return CTX_TEXT(CTX_VERSION_MAJOR) "." CTX_TEXT(CTX_VERSION_MINOR) "." CTX_TEXT(
      CTX_VERSION_PATCH);
}
