// SPDX-License-Identifier: MIT
// Internal checks: arguments were checked in capi, so what fails here is a bug of the library's own.
// They are compiled into the checked build (CTX_CHECKED) alone, which every build with a sanitizer is.
#ifndef CTX_CORE_BASE_CHECK_H
#define CTX_CORE_BASE_CHECK_H

#if defined(CTX_CHECKED)
#define CTX_ASSERT(condition) ((condition) ? static_cast<void>(0) : __builtin_trap())
#else
#define CTX_ASSERT(condition) static_cast<void>(sizeof(condition))
#endif

#endif
