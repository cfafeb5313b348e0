// SPDX-License-Identifier: MIT
// In place of core/system/atomic.h: each access is a step of the model.
#ifndef CTX_CORE_SYSTEM_ATOMIC_H
#define CTX_CORE_SYSTEM_ATOMIC_H

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "model/memory.h"
#include "model/step.h"

namespace ctxcore {

template <typename T>
class Atomic {
 public:
  constexpr Atomic() : Atomic(T{}) {}
  constexpr Atomic(T value) : value_(value) {  // NOLINT: as std::atomic
    if (!std::is_constant_evaluated()) model::memory_made(this, bits(value));
  }
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(std::memory_order order = std::memory_order_seq_cst,
         model::Where where = MODEL_WHERE) const {
    model::step("load", this, where);
    const T seen = model::is_weak() ? value(model::memory_load(this, bits(value_), order)) : value_;
    model::note_value(bits(seen));
    return seen;
  }

  void store(T wanted, std::memory_order order = std::memory_order_seq_cst,
             model::Where where = MODEL_WHERE) {
    model::step("store", this, where);
    if (model::is_weak()) model::memory_store(this, bits(value_), bits(wanted), order);
    value_ = wanted;
    model::note_value(bits(wanted));
  }

  T exchange(T wanted, std::memory_order order = std::memory_order_seq_cst,
             model::Where where = MODEL_WHERE) {
    return modify("exchange", order, where, [wanted](T) { return wanted; });
  }
  T fetch_add(T by, std::memory_order order = std::memory_order_seq_cst,
              model::Where where = MODEL_WHERE) {
    return modify("add", order, where, [by](T seen) { return static_cast<T>(seen + by); });
  }
  T fetch_sub(T by, std::memory_order order = std::memory_order_seq_cst,
              model::Where where = MODEL_WHERE) {
    return modify("sub", order, where, [by](T seen) { return static_cast<T>(seen - by); });
  }
  T fetch_or(T with, std::memory_order order = std::memory_order_seq_cst,
             model::Where where = MODEL_WHERE) {
    return modify("or", order, where, [with](T seen) { return static_cast<T>(seen | with); });
  }
  T fetch_and(T with, std::memory_order order = std::memory_order_seq_cst,
              model::Where where = MODEL_WHERE) {
    return modify("and", order, where, [with](T seen) { return static_cast<T>(seen & with); });
  }

  bool compare_exchange_strong(T& expected, T wanted, std::memory_order order,
                               std::memory_order failed, model::Where where = MODEL_WHERE) {
    model::step("compare", this, where);
    if (value_ != expected) {
      // What a failed one sees may be old, as with a load; but an old value that is as expected would not fail.
      const T seen =
          model::is_weak() ? value(model::memory_load(this, bits(value_), failed)) : value_;
      expected = seen != expected ? seen : value_;
      return false;
    }
    if (model::is_weak()) model::memory_modify(this, bits(value_), bits(wanted), order);
    value_ = wanted;
    model::note_value(bits(wanted));
    return true;
  }
  bool compare_exchange_strong(T& expected, T wanted, std::memory_order order,
                               model::Where where = MODEL_WHERE) {
    const std::memory_order failed = order == std::memory_order_acq_rel ? std::memory_order_acquire
                                     : order == std::memory_order_release
                                         ? std::memory_order_relaxed
                                         : order;
    return compare_exchange_strong(expected, wanted, order, failed, where);
  }
  template <typename... More>
  bool compare_exchange_weak(T& expected, T wanted, More... more) {
    return compare_exchange_strong(expected, wanted, more...);
  }

  T latest() const { return value_; }  // for the model: no step

 private:
  template <typename Change>
  T modify(const char* what, std::memory_order order, model::Where where, Change change) {
    model::step(what, this, where);
    const T seen = value_;
    const T wanted = change(seen);
    if (model::is_weak()) model::memory_modify(this, bits(seen), bits(wanted), order);
    value_ = wanted;
    model::note_value(bits(wanted));
    return seen;
  }

  static uint64_t bits(T value) {
    uint64_t all = 0;
    std::memcpy(&all, &value, sizeof value);
    return all;
  }
  static T value(uint64_t bits) {
    T value{};
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  T value_;
};

}  // namespace ctxcore

#endif
