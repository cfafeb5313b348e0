// SPDX-License-Identifier: MIT
// In place of core/base/lock.h: a lock that the model knows, so that a thread that waits for one is not asked again
// and again. scenarios/lock.cc has the core's own.
#ifndef CTX_CORE_BASE_LOCK_H
#define CTX_CORE_BASE_LOCK_H

#include <cstdint>

#include "core/base/annotations.h"
#include "core/system/atomic.h"
#include "core/system/futex.h"

namespace ctxcore {

class CTX_CAPABILITY("lock") Lock {
 public:
  constexpr Lock() = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  void lock(model::Where where = MODEL_WHERE) CTX_ACQUIRE() {
    while (!try_lock(where)) {
      model::block("lock", this, {is_free, this}, &model::kForever, where);
    }
  }

  bool try_lock(model::Where where = MODEL_WHERE) CTX_TRY_ACQUIRE(true) {
    uint32_t free = 0;
    const bool taken = word_.compare_exchange_strong(free, 1, std::memory_order_acquire,
                                                     std::memory_order_relaxed, where);
    if (taken) model::lock_taken();
    return taken;
  }

  void unlock(model::Where where = MODEL_WHERE) CTX_RELEASE() {
    if (word_.latest() == 0) model::fail("a lock is given back that nobody has");
    model::lock_given();
    word_.store(0, std::memory_order_release, where);
  }

  void assert_held() const CTX_ASSERT_CAPABILITY(this) {
    if (word_.latest() == 0) model::fail("a lock is not held");
  }

 private:
  static bool is_free(const void* self) {
    return static_cast<const Lock*>(self)->word_.latest() == 0;
  }

  Atomic<uint32_t> word_{0};
};

class CTX_SCOPED_CAPABILITY Guard {
 public:
  explicit Guard(Lock& lock, model::Where where = MODEL_WHERE) CTX_ACQUIRE(lock)
      : lock_(lock), where_(where) {
    lock_.lock(where);
  }
  ~Guard() CTX_RELEASE() { lock_.unlock(where_); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  Lock& lock_;
  const model::Where where_;
};

inline void relax(model::Where where = MODEL_WHERE) { model::yield(where); }

}  // namespace ctxcore

#endif
