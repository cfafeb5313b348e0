// SPDX-License-Identifier: MIT
#include "core/life/import.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/life/cancel.h"
#include "core/life/derive.h"
#include "core/life/make_node.h"
#include "core/loop/import_node.h"
#include "core/loop/loop.h"
#include "core/tree/claim.h"
#include "core/tree/exported.h"

namespace ctxcore {

namespace {

constexpr char kGone[] = "parent process gone";

Cause* make_reason() { return make_blank_cause(kCauseText, kOriginParentProcess); }

// What is not well formed says nothing. A text without an end is too long.
bool read_reason(const char* text, Cause* blank) {
  return read_claim({text, strnlen(text, kCauseText)}, blank);
}

// Fills in how a state says that its context has ended. One that says nothing is that of an exporter that is gone.
int read_end(const ExportedState& state, Cause* reason, const Cause** cause) {
  *cause = reason;
  if (state.error == kCanceled || state.error == kDeadlineExceeded) {
    if (!read_reason(state.end, reason)) *cause = nullptr;
    return state.error;
  }
  std::memcpy(blank_text(reason), kGone, sizeof kGone);
  return kCanceled;
}

// A copy of a state, with its strings.
class Copy {
 public:
  Copy() = default;
  ~Copy() { deallocate(memory_); }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;

  // 0; -EBADMSG; -EPROTONOSUPPORT; -ENOMEM.
  int read(const Borrowed& from) {
    const size_t size = from.size();
    if (size < sizeof state_ || size > sizeof state_ + ExportedState::kMostBytes) return -EBADMSG;
    if (!from.read(&state_, sizeof state_, 0) || state_.magic != ExportedState::kMagic) {
      return -EBADMSG;
    }
    if (state_.version != ExportedState::kVersion) return -EPROTONOSUPPORT;
    if (state_.strings > size - sizeof state_) return -EBADMSG;
    if (state_.strings == 0) return 0;
    memory_ = static_cast<char*>(allocate(state_.strings));
    if (memory_ == nullptr) return -ENOMEM;
    if (!from.read(memory_, state_.strings, sizeof state_)) return -EBADMSG;
    // Names and values in turn: an even number of texts, and the last one ends with a NUL, too.
    const auto texts = std::count(memory_, memory_ + state_.strings, '\0');
    if (texts % 2 != 0 || memory_[state_.strings - 1] != '\0') return -EBADMSG;
    return texts / 2 <= ExportedState::kMostStrings ? 0 : -EBADMSG;
  }

  // Again, now that an end shows: all of it was written before.
  void read_again(const Borrowed& from) {
    std::atomic_thread_fence(std::memory_order_acquire);  // pairs with the release in end_with()
    if (!from.read(&state_, sizeof state_, 0)) state_.error = 0;
  }

  const ExportedState& state() const { return state_; }
  const char* strings() const { return memory_; }

 private:
  ExportedState state_{};
  char* memory_ = nullptr;
};

// The deadline on the clock of a loop.
int64_t deadline_on(const Loop& loop, int64_t deadline) {
  if (deadline == kForever || loop.is_monotonic()) return deadline;
  return saturating_add(loop.now(), saturating_sub(deadline, monotonic_now()));
}

// Carriers below the parent. *at begins with a reference, and ends with one to the last of them.
int add_strings(const Copy& copy, Context** at) {
  const char* name = copy.strings();
  const char* const end = name + copy.state().strings;
  while (name < end) {
    const char* const value = name + std::strlen(name) + 1;
    Context* below = nullptr;
    const int result = derive_string(*at, name, value, &below);
    if (result < 0) return result;
    release(*at);
    *at = below;
    name = value + std::strlen(value) + 1;
  }
  return 0;
}

int add_deadline(const Copy& copy, Context** at) {
  Loop* const loop = family_loop(node_of(*at));
  const int64_t deadline = deadline_on(*loop, copy.state().deadline);
  if (deadline == kForever) return 0;
  Cause* const reason = make_reason();
  if (reason == nullptr) return -ENOMEM;
  const Cause* const cause = read_reason(copy.state().at_deadline, reason) ? reason : nullptr;
  Node* below = nullptr;
  const int result = derive_deadline(*at, deadline, loop->now(), cause, 1, &below);
  unref(reason);
  if (result < 0) return result;
  release(*at);
  *at = below;
  return 0;
}

// A node that is done. Its deadline never ended it, whether it has passed or not.
int make_ended(Context* at, int64_t deadline, int error, const Cause* cause, uint32_t refs,
               Node** ret) {
  Node* node = nullptr;
  deadline = std::min(deadline, node_of(at)->deadline);
  if (const int result = make_node(at, Kind::cancel, refs, &node, deadline); result < 0) {
    return result;
  }
  cancel(node, error, cause, Callbacks::here);
  *ret = node;
  return 0;
}

int make_gone(Context* parent, uint32_t refs, Node** ret) {
  const Cause* const cause = make_cause(kCanceled, kGone, {}, kOriginParentProcess);
  if (cause == nullptr) return -ENOMEM;
  const int result = make_ended(parent, kForever, kCanceled, cause, refs, ret);
  unref(cause);
  return result;
}

// A node for an exporter that has not hung up. Takes the cause, and once it has succeeded the descriptors.
int make_live(Context* at, const Borrowed& borrowed, Cause* reason, uint32_t refs, Node** ret) {
  Node* const above = node_of(at);
  Loop* const loop = family_loop(above);
  ImportNode* node = nullptr;
  int result = loop->start_watching();
  if (result == 0) {
    result = make_node(at, Kind::imported, refs, &node, above->deadline, borrowed, reason);
  }
  if (result < 0) {
    unref(reason);
    return result;
  }
  result = loop->watch(node);
  if (result < 0) {
    node->borrowed = {};  // they stay the caller's
    give_up(node, refs);
    return result;
  }
  *ret = node;
  return 0;
}

// Below the parent, or a carrier or deadline that is below it. *at as in add_strings().
int make_below(Copy& copy, const Borrowed& borrowed, bool* taken, Context** at, uint32_t refs,
               Node** ret) {
  if (const int result = add_strings(copy, at); result < 0) return result;
  Cause* const reason = make_reason();
  if (reason == nullptr) return -ENOMEM;
  if (copy.state().error != 0 || borrowed.hung_up()) {
    const Cause* cause = nullptr;
    copy.read_again(borrowed);
    const int error = read_end(copy.state(), reason, &cause);
    const int64_t deadline = deadline_on(*family_loop(node_of(*at)), copy.state().deadline);
    const int result = make_ended(*at, deadline, error, cause, refs, ret);
    unref(reason);
    return result;
  }
  if (const int result = add_deadline(copy, at); result < 0) {
    unref(reason);
    return result;
  }
  const int result = make_live(*at, borrowed, reason, refs, ret);
  *taken = result == 0;
  return result;
}

}  // namespace

int derive_import(Context* parent, const char* text, uint32_t refs, Node** ret) {
  LentName name;
  if (const int result = read_exported(text, &name); result < 0) return result;
  Borrowed borrowed;
  int result = borrowed.open(name);
  if (result == -ESRCH) return make_gone(parent, refs, ret);
  if (result < 0) return result;
  bool taken = false;
  {
    Copy copy;
    result = copy.read(borrowed);
    if (result == 0) {
      Context* at = parent;
      if (!is_static(at)) add_ref(at);
      result = make_below(copy, borrowed, &taken, &at, refs, ret);
      release(at);  // the node holds it
    }
  }
  if (!taken) borrowed.close();
  return result;
}

int take_end(ImportNode* node, const Cause** cause) {
  ExportedState state;
  if (!node->borrowed.read(&state, sizeof state, 0)) state.error = 0;
  return read_end(state, node->reason, cause);
}

}  // namespace ctxcore
