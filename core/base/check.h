// SPDX-License-Identifier: MIT
// Internal checks. capi has checked the arguments, so a check that fails here is a bug of the library. They
// are compiled only into the checked build (CTX_CHECKED); every build with a sanitizer is one.
#ifndef CTX_CORE_BASE_CHECK_H
#define CTX_CORE_BASE_CHECK_H

#if defined(CTX_CHECKED)
#define CTX_ASSERT(condition) ((condition) ? static_cast<void>(0) : __builtin_trap())
#else
#define CTX_ASSERT(condition) static_cast<void>(sizeof(condition))
#endif

#endif
