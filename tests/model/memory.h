// SPDX-License-Identifier: MIT
// What a load may see. Without `weak` a load sees the newest store. With it a load sees any store that C++'s memory
// model lets it see: each thread knows, for every other, up to which of its stores it has come (a vector clock), and
// learns that of another thread when an acquire load sees a release store. A load may see a store unless the thread
// knows of a later one to the same place, or has seen one there itself.
//
// So a missing release or acquire shows as an old value that is read. Sequentially consistent operations are taken
// for acquire and release ones: the core uses none. A read-modify-write sees the newest store. Consume is acquire.
#ifndef CTX_TESTS_MODEL_MEMORY_H_
#define CTX_TESTS_MODEL_MEMORY_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace model {

constexpr size_t kMostThreads = 16;  // of a weak schedule
using VectorClock = std::array<uint32_t, kMostThreads>;

void memory_reset(bool weak);
bool is_weak();
void memory_thread_started(int parent, int child);

// The atomic at this address has just been made, or has this value since before anybody looked.
void memory_made(const void* at, uint64_t value);
uint64_t memory_load(const void* at, uint64_t newest, std::memory_order order);
void memory_store(const void* at, uint64_t before, uint64_t value, std::memory_order order);
void memory_modify(const void* at, uint64_t before, uint64_t value, std::memory_order order);

// What the system orders: who reads a descriptor knows what its writers knew; so does who joins a thread.
void memory_release(VectorClock* clock);
void memory_acquire(const VectorClock& clock);
void memory_join(int thread);

}  // namespace model

#endif
