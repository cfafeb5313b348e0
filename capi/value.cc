// SPDX-License-Identifier: MIT
#include "core/life/value.h"

#include <ctx/value.h>

#include "capi/handles.h"
#include "core/life/derive.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else

namespace {

const ctxcore::Key* from_key(const ctx_key_t* key) {
  return reinterpret_cast<const ctxcore::Key*>(key);
}

}  // namespace

int ctx_with_value(ctx_t* parent, const ctx_key_t* key, void* value, ctx_drop_fn drop,
                   ctx_t** ret) {
  if (key == nullptr || ret == nullptr) return -EINVAL;
  if (const int result = check(parent); result < 0) return result;
  Context* context = nullptr;
  const int result = ctxcore::derive_value(from(parent), from_key(key), value, drop, &context);
  if (result == 0) *ret = to_handle(context);
  return result;
}

void* ctx_value(const ctx_t* ctx, const ctx_key_t* key) {
  if (key == nullptr || check_readable(ctx) < 0) return nullptr;
  return ctxcore::find_value(from(ctx), from_key(key));
}

int ctx_with_string(ctx_t* parent, const char* name, const char* value, ctx_t** ret) {
  if (name == nullptr || ret == nullptr) return -EINVAL;
  if (const int result = check(parent); result < 0) return result;
  Context* context = nullptr;
  const int result = ctxcore::derive_string(from(parent), name, value, &context);
  if (result == 0) *ret = to_handle(context);
  return result;
}

const char* ctx_string(const ctx_t* ctx, const char* name) {
  if (name == nullptr || check_readable(ctx) < 0) return nullptr;
  return ctxcore::find_string(from(ctx), name);
}

int ctx_strings(const ctx_t* ctx, ctx_string_fn fn, void* arg) {
  if (fn == nullptr) return -EINVAL;
  if (const int result = check_readable(ctx); result < 0) return result;
  return ctxcore::each_string(from(ctx), fn, arg);
}
