// SPDX-License-Identifier: MIT
//
// Chains of a million contexts of each kind, each link below the one before.
#ifndef CTX_TESTS_SCALE_CHAINS_H_
#define CTX_TESTS_SCALE_CHAINS_H_

#include <ctx/ctx.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <random>
#include <vector>

#include "scale/measure.h"
#include "support/descriptor.h"
#include "support/handles.h"

namespace ctxtest {

// How one link is derived. Some need more than the link before.
struct Link {
  ctx_t* before;
  ctx_t* side;  // another context above all of the chain
  int fd;       // nothing comes on it
  size_t number;
};

struct ChainKind {
  const char* name;
  int (*derive)(const Link& link, ctx_t** ret);
  bool ends;            // whether it ends with what is above it
  const char* in_text;  // how ctx_describe() shows a link
};

inline const ChainKind kChainKinds[] = {
    {"Cancel",
     [](const Link& link, ctx_t** ret) {
       ctx_canceler_t* canceler = nullptr;
       const int result = ctx_with_cancel(link.before, ret, &canceler);
       ctx_canceler_unref(canceler);
       return result;
     },
     true, ".WithCancel"},
    {"Timeout",  // each earlier than the one before, so that each has a timer
     [](const Link& link, ctx_t** ret) {
       int64_t deadline = 0;
       if (ctx_deadline(link.before, &deadline) == 0) deadline = ctx_now(link.before) + 2 * kHour;
       return ctx_with_deadline(link.before, deadline - 1, ret, nullptr);
     },
     true, ".WithDeadline"},
    {"Grace",
     [](const Link& link, ctx_t** ret) { return ctx_with_grace(link.before, kHour, ret, nullptr); },
     false, ".WithGrace"},
    {"Idle",
     [](const Link& link, ctx_t** ret) {
       return ctx_with_idle(link.before, kHour, nullptr, ret, nullptr);
     },
     true, ".WithIdle"},
    {"Merge",
     [](const Link& link, ctx_t** ret) {
       ctx_t* const parents[] = {link.before, link.side};
       return ctx_merge(parents, 2, ret, nullptr);
     },
     true, ".Merge"},
    {"Value",
     [](const Link& link, ctx_t** ret) {
       static const ctx_key_t other = {"other"};
       return ctx_with_value(link.before, &other, nullptr, nullptr, ret);
     },
     true, ".WithValue"},
    {"String",
     [](const Link& link, ctx_t** ret) { return ctx_with_string(link.before, "other", "", ret); },
     true, ".WithString"},
    {"Name", [](const Link& link, ctx_t** ret) { return ctx_with_name(link.before, "link", ret); },
     true, ".WithName"},
    {"Detached", [](const Link& link, ctx_t** ret) { return ctx_without_cancel(link.before, ret); },
     false, ".WithoutCancel"},
    {"Fd",
     [](const Link& link, ctx_t** ret) {
       return ctx_with_fd(link.before, link.fd, POLLIN, ret, nullptr);
     },
     true, ".WithFD"},
    {"Signal",
     [](const Link& link, ctx_t** ret) {
       const int signal = SIGUSR1;
       return ctx_with_signal(link.before, &signal, 1, ret, nullptr);
     },
     true, ".WithSignal"},
};

enum class Order { kLeafFirst, kRootFirst, kRandom };
inline constexpr Order kOrders[] = {Order::kLeafFirst, Order::kRootFirst, Order::kRandom};

// The handles of many contexts; they are given back in the order that is asked for.
class Many {
 public:
  Many() = default;
  Many(const Many&) = delete;
  ~Many() { Release(Order::kLeafFirst); }

  void Reserve(size_t n) { contexts_.reserve(n); }
  void Add(ctx_t* ctx) { contexts_.push_back(ctx); }
  size_t size() const { return contexts_.size(); }
  ctx_t* operator[](size_t i) const { return contexts_[i]; }
  ctx_t* back() const { return contexts_.back(); }
  const std::vector<ctx_t*>& all() const { return contexts_; }

  // How many of them have another error than this.
  size_t CountNot(int err) const {
    return static_cast<size_t>(std::count_if(contexts_.begin(), contexts_.end(),
                                             [err](ctx_t* ctx) { return ctx_err(ctx) != err; }));
  }

  void Release(Order order) {
    if (order == Order::kLeafFirst) std::reverse(contexts_.begin(), contexts_.end());
    if (order == Order::kRandom) {
      std::shuffle(contexts_.begin(), contexts_.end(), std::mt19937(1));
    }
    for (ctx_t* ctx : contexts_) ctx_unref(ctx);
    contexts_.clear();
    contexts_.shrink_to_fit();
  }

 private:
  std::vector<ctx_t*> contexts_;
};

// Makes so many links below parent. False, with a failure, if one could not be made.
inline bool MakeChain(const ChainKind& kind, ctx_t* parent, ctx_t* side, int fd, size_t n,
                      Many* made) {
  made->Reserve(n);
  ctx_t* before = parent;
  for (size_t i = 0; i < n; ++i) {
    ctx_t* next = nullptr;
    const int result = kind.derive({before, side, fd, i}, &next);
    if (result != 0) {
      ADD_FAILURE() << kind.name << " " << i << ": " << ctx_strerror(result);
      return false;
    }
    made->Add(next);
    before = next;
  }
  return true;
}

}  // namespace ctxtest

#endif  // CTX_TESTS_SCALE_CHAINS_H_
