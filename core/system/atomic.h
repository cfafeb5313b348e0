// SPDX-License-Identifier: MIT
// What the threads of the library share without a lock. The core names no other atomic type, so the model of
// tests/model puts its own in this place, where every access is a point at which another thread may go on.
#ifndef CTX_CORE_SYSTEM_ATOMIC_H
#define CTX_CORE_SYSTEM_ATOMIC_H

#include <atomic>

namespace ctxcore {

template <typename T>
using Atomic = std::atomic<T>;

}  // namespace ctxcore

#endif
