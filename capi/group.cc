// SPDX-License-Identifier: MIT
#include <ctx/group.h>

#include "capi/handles.h"
#include "core/watch/work_group.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else
using ctxcore::WorkGroup;

namespace {

WorkGroup* group_of(ctx_group_t* handle) { return reinterpret_cast<WorkGroup*>(handle); }

int check_group(ctx_group_t* handle) {
  return check_object(group_of(handle), ctxcore::stamp::kGroup);
}

bool is_readable(ctx_group_t* handle) {
  const int result = check_group(handle);
  return result == 0 || result == -ECHILD;
}

ctx_group_t* to_handle(WorkGroup* group) { return reinterpret_cast<ctx_group_t*>(group); }

}  // namespace

int ctx_group_new(ctx_t* parent, ctx_group_t** ret) {
  if (ret == nullptr) return -EINVAL;
  if (const int result = ctxcapi::check(parent); result < 0) return result;
  WorkGroup* group = nullptr;
  const int result = WorkGroup::create(from(parent), &group);
  if (result == 0) *ret = to_handle(group);
  return result;
}

int ctx_group_new_below(ctx_group_t* outer, ctx_group_t** ret) {
  if (ret == nullptr) return -EINVAL;
  if (const int result = check_group(outer); result < 0) return result;
  WorkGroup* group = nullptr;
  const int result = WorkGroup::create_below(group_of(outer), &group);
  if (result == 0) *ret = to_handle(group);
  return result;
}

ctx_group_t* ctx_group_ref(ctx_group_t* group) {
  const int result = check_group(group);
  if (result == -ECHILD) return group;  // never freed in this process
  if (result < 0) return nullptr;
  group_of(group)->ref();
  return group;
}

ctx_group_t* ctx_group_unref(ctx_group_t* group) {
  if (check_group(group) == 0) group_of(group)->unref();
  return nullptr;
}

void ctx_group_unrefp(ctx_group_t** group) { unref_variable(group, ctx_group_unref); }

ctx_t* ctx_group_context(ctx_group_t* group) {
  return is_readable(group) ? ctxcapi::to_handle(group_of(group)->node()) : nullptr;
}

ctx_canceler_t* ctx_group_canceler(ctx_group_t* group) {
  return is_readable(group) ? to_canceler(group_of(group)->node()) : nullptr;
}

int ctx_group_begin(ctx_group_t* group) {
  const int result = check_group(group);
  return result < 0 ? result : group_of(group)->begin();
}

int ctx_group_end(ctx_group_t* group, const ctx_cause_t* cause) {
  if (const int result = check_group(group); result < 0) return result;
  if (cause != nullptr) {
    if (const int result = check_readable(cause); result < 0) return result;
  }
  return group_of(group)->end(from(cause));
}

const ctx_cause_t* ctx_group_cause(ctx_group_t* group) {
  return is_readable(group) ? ctxcapi::to_handle(group_of(group)->cause()) : nullptr;
}

int ctx_group_wait(ctx_group_t* group, int64_t timeout_ns) {
  if (timeout_ns < 0) return -EINVAL;
  const int result = check_group(group);
  return result < 0 ? result : group_of(group)->wait(until(timeout_ns));
}

int ctx_group_over(ctx_group_t* group, ctx_t** ret) {
  if (ret == nullptr) return -EINVAL;
  if (const int result = check_group(group); result < 0) return result;
  Context* context = nullptr;
  const int result = group_of(group)->over(&context);
  if (result == 0) *ret = ctxcapi::to_handle(context);
  return result;
}

int ctx_group_fd(ctx_group_t* group) {
  const int result = check_group(group);
  return result < 0 ? result : group_of(group)->descriptor();
}
