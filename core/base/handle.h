// SPDX-License-Identifier: MIT
// What marks a handle as one of this library's, of this copy of it, and of this process.
//
// Every object begins with a stamp: eight bits that tell its kind, twelve drawn from the address this
// copy of the library is loaded at, and twelve that count forks. A handle of another kind, of another
// copy or from before a fork is recognised by one comparison, before anything else of it is read. (Of
// 4096 distances between two copies one or two are such that they are not told from each other.)
#ifndef CTX_CORE_BASE_HANDLE_H
#define CTX_CORE_BASE_HANDLE_H

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace ctxcore {

namespace stamp {

constexpr uint32_t kContext = 0xC7000000;
constexpr uint32_t kCause = 0xC5000000;
constexpr uint32_t kWatch = 0xC3000000;
constexpr uint32_t kQueue = 0xC1000000;
constexpr uint32_t kLoop = 0xBF000000;

constexpr uint32_t kTypeBits = 0xFF000000;
constexpr uint32_t kCopyBits = 0x00FFF000;
constexpr uint32_t kForkBits = 0x00000FFF;

// The lower bits of every stamp made now: set when the library is loaded, and again after a fork.
extern std::atomic<uint32_t> current;

// The bits of a copy, of an address in it: the number of its page, and, for its place in a larger space,
// that of its 16 MiB times an odd number. Systems that place large files at multiples of 2 MiB leave few
// other bits to tell copies by.
constexpr uint32_t copy_bits(uintptr_t address) {
  const uint64_t page = address >> 12;
  return static_cast<uint32_t>((page + (page >> 12) * 2477) << 12) & kCopyBits;
}

inline uint32_t make(uint32_t type) { return type | current.load(std::memory_order_relaxed); }

// 0 for a handle of this type, copy and process; else -ECHILD (made before a fork), -EREMOTE (made by
// another copy of the library) or -EINVAL.
inline int check(uint32_t stamp, uint32_t type) {
  const uint32_t wanted = make(type);
  if (stamp == wanted) [[likely]]
    return 0;
  const uint32_t difference = stamp ^ wanted;
  if ((difference & kTypeBits) != 0) return -EINVAL;
  return (difference & kCopyBits) != 0 ? -EREMOTE : -ECHILD;
}

}  // namespace stamp

}  // namespace ctxcore

#endif
