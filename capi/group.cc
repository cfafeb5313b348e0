// SPDX-License-Identifier: MIT
#include <ctx/group.h>

#include "capi/handles.h"
#include "core/watch/work_group.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else

int ctx_group_new(ctx_t* parent, ctx_group_t** ret) {
  if (ret == nullptr) return -EINVAL;
  if (const int result = check(parent); result < 0) return result;
  WorkGroup* group = nullptr;
  const int result = WorkGroup::create(from(parent), &group);
  if (result == 0) *ret = to_handle(group);
  return result;
}

int ctx_group_new_below(ctx_group_t* outer, ctx_group_t** ret) {
  if (ret == nullptr) return -EINVAL;
  if (const int result = check(outer); result < 0) return result;
  WorkGroup* group = nullptr;
  const int result = WorkGroup::create_below(from(outer), &group);
  if (result == 0) *ret = to_handle(group);
  return result;
}

ctx_group_t* ctx_group_ref(ctx_group_t* group) {
  const int result = check_held(group);
  if (result == -ECHILD) return group;  // never freed in this process
  if (result < 0) return nullptr;
  from(group)->ref();
  return group;
}

ctx_group_t* ctx_group_unref(ctx_group_t* group) {
  if (check_held(group) == 0) from(group)->unref();
  return nullptr;
}

void ctx_group_unrefp(ctx_group_t** group) { unref_variable(group, ctx_group_unref); }

ctx_t* ctx_group_context(ctx_group_t* group) {
  return check_readable(group) == 0 ? to_handle(from(group)->node()) : nullptr;
}

ctx_canceler_t* ctx_group_canceler(ctx_group_t* group) {
  return check_readable(group) == 0 ? to_canceler(from(group)->node()) : nullptr;
}

int ctx_group_begin(ctx_group_t* group) {
  const int result = check(group);
  return result < 0 ? result : from(group)->begin();
}

int ctx_group_end(ctx_group_t* group, const ctx_cause_t* cause) {
  if (const int result = check(group); result < 0) return result;
  if (const int result = check_cause(cause); result < 0) return result;
  return from(group)->end(from(cause));
}

const ctx_cause_t* ctx_group_cause(ctx_group_t* group) {
  return check_readable(group) == 0 ? to_handle(from(group)->cause()) : nullptr;
}

int ctx_group_wait(ctx_group_t* group, int64_t timeout_ns) {
  if (timeout_ns < 0) return -EINVAL;
  const int result = check(group);
  return result < 0 ? result : from(group)->wait(until(timeout_ns));
}

int ctx_group_over(ctx_group_t* group, ctx_t** ret) {
  if (ret == nullptr) return -EINVAL;
  if (const int result = check(group); result < 0) return result;
  Context* context = nullptr;
  const int result = from(group)->over(&context);
  if (result == 0) *ret = to_handle(context);
  return result;
}

int ctx_group_fd(ctx_group_t* group) {
  const int result = check(group);
  return result < 0 ? result : from(group)->descriptor();
}
