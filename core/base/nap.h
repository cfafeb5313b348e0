// SPDX-License-Identifier: MIT
// How long a thread sleeps if its wake-up may be lost: a nap, after which it looks again.
//
// A plain store that frees a word can lose the wake-up of a thread that is about to sleep on it (Lock, Phase). Such a
// thread then sleeps until its nap is over, so the first nap of a wait is short. The next ones grow: thousands of
// threads that look every millisecond would leave no processor to the one that they wait for.
#ifndef CTX_CORE_BASE_NAP_H
#define CTX_CORE_BASE_NAP_H

#include <cstdint>

namespace ctxcore {

constexpr int64_t kNap = 1'000'000;  // ns
constexpr int64_t longer(int64_t nap) { return nap < 64 * kNap ? 2 * nap : nap; }

}  // namespace ctxcore

#endif
