// SPDX-License-Identifier: MIT
// How long a thread sleeps that may have lost its wake-up: a nap, after which it looks again.
//
// A plain store that frees a word loses, now and then, the wake-up of a thread that is about to sleep on it (Lock,
// Phase). The first nap of a wait is short, since that delays one who has just come. Naps grow: thousands of threads
// that look every millisecond leave no processor to the one that they wait for.
#ifndef CTX_CORE_BASE_NAP_H
#define CTX_CORE_BASE_NAP_H

#include <cstdint>

namespace ctxcore {

constexpr int64_t kNap = 1'000'000;  // ns
constexpr int64_t longer(int64_t nap) { return nap < 64 * kNap ? 2 * nap : nap; }

}  // namespace ctxcore

#endif
