// SPDX-License-Identifier: MIT
#include "core/watch/export.h"

#include <cerrno>
#include <cstring>

#include "core/base/alloc.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/list.h"
#include "core/base/released.h"
#include "core/life/derive.h"
#include "core/life/value.h"
#include "core/loop/loop.h"

namespace ctxcore {

// The write ends of all exports of this process.
struct WriteEnds {
  void close_all() CTX_UNCHECKED_LOCKING {
    listed.each([](Export::WriteEnd& end) { end.of->lent_.hang_up(); });
  }

  Lock lock;
  Ring<Export::WriteEnd> listed CTX_GUARDED_BY(lock);
};

namespace {

constinit WriteEnds write_ends;

// Nobody gets a handle to it.
constinit Cause stopped{
    0,       1,       kCanceled, kOriginParentProcess, Cause::Behind::texts, "export stopped",
    nullptr, nullptr, nullptr};

struct Size {
  size_t strings = 0;
  size_t bytes = 0;
};

int add_size(const char* name, const char* value, void* size) {
  auto* const all = static_cast<Size*>(size);
  all->bytes += std::strlen(name) + std::strlen(value) + 2;
  ++all->strings;
  return 0;
}

// The nearest string comes last: so it is the nearest of those that are made from them, too.
int add_string(const char* name, const char* value, void* place) {
  char*& end = *static_cast<char**>(place);
  for (const char* text : {value, name}) {
    const size_t size = std::strlen(text) + 1;
    end -= size;
    std::memcpy(end, text, size);
  }
  return 0;
}

// On CLOCK_MONOTONIC; kForever if there is none, or one of a clock that is not real.
int64_t real_deadline(const Node* node) {
  const Loop* const loop = loop_of(node);
  if (node->deadline == kForever || loop->is_monotonic()) return node->deadline;
  if (loop->drive() == Drive::virtual_time) return kForever;
  return saturating_add(monotonic_now(), saturating_sub(node->deadline, loop->now()));
}

}  // namespace

int Export::make(Context* context, char* text, Watch** ret) {
  Size size;
  each_string(context, add_size, &size);
  if (size.bytes > ExportedState::kMostBytes || size.strings > ExportedState::kMostStrings) {
    return -E2BIG;
  }
  auto* const made = ctxcore::make<Export>(0);
  if (made == nullptr) return -ENOMEM;
  if (const int result = made->open(size.bytes); result < 0) {
    made->lent_.close();
    deallocate(made);
    return result;
  }
  made->stamp = stamp::make(stamp::kWatch);
  made->write_state(context, size.bytes);
  write_exported(text, made->lent_.name());
  if (ret != nullptr) {
    made->refs_.store(2, std::memory_order_relaxed);
    *ret = made;
  }
  made->arm(node_of(context));
  return 0;
}

int Export::open(size_t strings) {
  if (const int result = lent_.open_memory(sizeof(ExportedState) + strings); result < 0) {
    return result;
  }
  write_end_.of = this;
  Guard guard(write_ends.lock);
  const int result = lent_.open_pipe();
  if (result == 0) write_ends.listed.push_back(&write_end_);
  return result;
}

void Export::write_state(Context* context, size_t strings) {
  Node* const node = node_of(context);
  ExportedState* const to = state();
  to->magic = ExportedState::kMagic;
  to->version = ExportedState::kVersion;
  to->strings = static_cast<uint32_t>(strings);
  const int64_t deadline = real_deadline(node);
  const TimerNode* const owner = deadline != kForever ? deadline_to_pass_on(node) : nullptr;
  to->write_deadline(deadline, owner != nullptr ? owner->reason : nullptr);
  char* end = reinterpret_cast<char*>(to + 1) + strings;
  each_string(context, add_string, &end);
  CTX_ASSERT(end == reinterpret_cast<char*>(to + 1));
}

void Export::arm(Node* node) {
  if (is_root(node)) return;
  node_ = node;
  add_ref(node);
  set_family(node);
  {
    Guard guard(observers_lock(node));
    if (error_of(node) == 0) {
      node->observers.push_back(this);
      return;
    }
  }
  await(node, Phase::kMarked);
  claim();
  tell(error_of(node), cause_of(node));
  ctxcore::release(node);
  release();
}

void Export::tell(int error, const Cause* cause) {
  state()->end_with(error, cause);
  lent_.wake();
  Guard guard(write_ends.lock);
  write_ends.listed.remove(&write_end_);
  lent_.hang_up();
}

void Export::end() {
  if (!claim()) return;
  Node* const node = node_;
  tell(error_of(node), cause_of(node));
  // The walk holds the node, too.
  [[maybe_unused]] const bool shared = release_shared(node);
  CTX_ASSERT(shared);
  release();
}

bool Export::stop() {
  if (!claim()) return false;
  if (node_ != nullptr) {
    Guard guard(observers_lock(node_));
    if (linked()) node_->observers.remove(this);
  }
  tell(kCanceled, &stopped);
  if (node_ != nullptr) ctxcore::release(node_);
  release();
  return true;
}

void Export::release() {
  // acq_rel: all uses of the export come before its destruction.
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  lent_.close();
  free_object(this);
}

void hold_exports() CTX_UNCHECKED_LOCKING { write_ends.lock.lock(); }

void release_exports() CTX_UNCHECKED_LOCKING { write_ends.lock.unlock(); }

void forget_exports() CTX_UNCHECKED_LOCKING {
  write_ends.close_all();
  ::new (&write_ends) WriteEnds;
}

}  // namespace ctxcore
