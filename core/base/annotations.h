// SPDX-License-Identifier: MIT
// Clang's thread-safety annotations under short names; nothing for other compilers.
#ifndef CTX_CORE_BASE_ANNOTATIONS_H
#define CTX_CORE_BASE_ANNOTATIONS_H

#if defined(__clang__)
#define CTX_ANNOTATE(x) __attribute__((x))
#else
#define CTX_ANNOTATE(x)
#endif

#define CTX_CAPABILITY(name) CTX_ANNOTATE(capability(name))
#define CTX_SCOPED_CAPABILITY CTX_ANNOTATE(scoped_lockable)
#define CTX_GUARDED_BY(lock) CTX_ANNOTATE(guarded_by(lock))
#define CTX_REQUIRES(...) CTX_ANNOTATE(requires_capability(__VA_ARGS__))
#define CTX_ACQUIRE(...) CTX_ANNOTATE(acquire_capability(__VA_ARGS__))
#define CTX_TRY_ACQUIRE(...) CTX_ANNOTATE(try_acquire_capability(__VA_ARGS__))
#define CTX_RELEASE(...) CTX_ANNOTATE(release_capability(__VA_ARGS__))
#define CTX_ASSERT_CAPABILITY(lock) CTX_ANNOTATE(assert_capability(lock))
#define CTX_LOCK_RETURNED(lock) CTX_ANNOTATE(lock_returned(lock))
#define CTX_UNCHECKED_LOCKING CTX_ANNOTATE(no_thread_safety_analysis)

#endif
