// SPDX-License-Identifier: MIT
// The stamp of a handle: it shows that the object belongs to this library, this copy of it and this process.
//
// Every object begins with its stamp (that of a watch follows its links): eight bits for its kind, twelve drawn from
// the address that this copy of the library is loaded at, and twelve that count forks. One comparison recognizes a
// handle of another kind, of another copy or from before a fork, before anything else of the object is read. (One or
// two of 4096 distances between copies collide.)
#ifndef CTX_CORE_BASE_HANDLE_H
#define CTX_CORE_BASE_HANDLE_H

#include <cerrno>
#include <cstdint>

#include "core/system/atomic.h"

namespace ctxcore {

namespace stamp {

constexpr uint32_t kContext = 0xC7000000;
constexpr uint32_t kCause = 0xC5000000;
constexpr uint32_t kWatch = 0xC3000000;
constexpr uint32_t kQueue = 0xC1000000;
constexpr uint32_t kLoop = 0xBF000000;
constexpr uint32_t kGroup = 0xBD000000;

constexpr uint32_t kTypeBits = 0xFF000000;
constexpr uint32_t kAlive = 0x01000000;  // of the type; cleared in a released object (released.h)
constexpr uint32_t kCopyBits = 0x00FFF000;
constexpr uint32_t kForkBits = 0x00000FFF;
static_assert((kTypeBits | kCopyBits | kForkBits) == UINT32_MAX);

// The lower bits of every stamp made now: set when the library is loaded, and again after a fork.
extern Atomic<uint32_t> current;

// The bits of a copy, from an address in it: the page number, mixed with the number of the 16 MiB block. Systems
// that place large files at multiples of 2 MiB leave few other bits that differ between copies.
constexpr uint32_t copy_bits(uintptr_t address) {
  const uint64_t page = address >> 12;
  return static_cast<uint32_t>((page + (page >> 12) * 2477) << 12) & kCopyBits;
}

// The value of `current` in a forked child. After 4096 forks, each in the child of the one before, the count
// carries into the bits of the copy: a handle of so long ago is a stranger's, and never taken for the child's.
constexpr uint32_t after_fork(uint32_t before) { return (before + 1) & ~kTypeBits; }

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

// The process in which this was made. Users' code may fork, and return in the child as well: a function that has
// run some asks whether it is still in the same process. (The stamp of a static object cannot tell: a fork renews it.)
class Process {
 public:
  bool is_ours() const { return stamp_ == stamp::current.load(std::memory_order_relaxed); }

 private:
  const uint32_t stamp_ = stamp::current.load(std::memory_order_relaxed);
};

}  // namespace ctxcore

#endif
