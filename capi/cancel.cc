// SPDX-License-Identifier: MIT
#include "core/life/cancel.h"

#include <ctx/cancel.h>

#include "capi/handles.h"
#include "core/base/error.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else

static_assert(ctxcore::kOriginCanceled == CTX_ORIGIN_CANCELED &&
              ctxcore::kOriginDeadline == CTX_ORIGIN_DEADLINE &&
              ctxcore::kOriginSignal == CTX_ORIGIN_SIGNAL &&
              ctxcore::kOriginDescriptor == CTX_ORIGIN_DESCRIPTOR &&
              ctxcore::kOriginShutdown == CTX_ORIGIN_SHUTDOWN);

namespace {

// nullptr for a bad handle, and for a cause without a place.
const ctxcore::Place* place_of(const ctx_cause_t* cause, const char* call = __builtin_FUNCTION()) {
  return check_readable(cause, call) < 0 ? nullptr : ctxcore::place_of(from(cause));
}

int check_cancel(ctx_canceler_t* canceler, int err, const ctx_cause_t* cause,
                 const char* call = __builtin_FUNCTION()) {
  if (err != ctxcore::kCanceled && err != ctxcore::kDeadlineExceeded) return -EINVAL;
  if (const int result = check(canceler, call); result < 0) return result;
  if (const int result = check_cause(cause, call); result < 0) return result;
  if (err == ctxcore::kDeadlineExceeded) ctxcore::give_to_deadline(from(cause));
  return 0;
}

}  // namespace

int ctx_cancel(ctx_canceler_t* canceler) {
  if (const int result = check(canceler); result < 0) return result;
  return ctxcore::cancel(from(canceler), ctxcore::kCanceled, nullptr, ctxcore::Callbacks::here);
}

int ctx_cancel_with(ctx_canceler_t* canceler, int err, const ctx_cause_t* cause) {
  if (const int result = check_cancel(canceler, err, cause); result < 0) return result;
  return ctxcore::cancel(from(canceler), err, from(cause), ctxcore::Callbacks::here);
}

int ctx_cancel_deferred(ctx_canceler_t* canceler, int err, const ctx_cause_t* cause) {
  if (const int result = check_cancel(canceler, err, cause); result < 0) return result;
  return ctxcore::cancel_deferred(from(canceler), err, from(cause));
}

ctx_canceler_t* ctx_canceler_ref(ctx_canceler_t* canceler) {
  const int result = check_held(canceler);
  if (result == -ECHILD) return canceler;  // never freed in this process
  if (result < 0) return nullptr;
  add_ref(from(canceler));
  return canceler;
}

ctx_canceler_t* ctx_canceler_unref(ctx_canceler_t* canceler) {
  if (check_held(canceler) == 0) release(from(canceler));
  return nullptr;
}

void ctx_canceler_unrefp(ctx_canceler_t** canceler) {
  unref_variable(canceler, ctx_canceler_unref);
}

int ctx_cause_new(int code, const char* message, ctx_cause_t** ret) {
  if (ret == nullptr) return -EINVAL;
  return hand_out_cause(ctxcore::make_cause(code, message, {}), ret);
}

int ctx_cause_new_data(int code, const char* message, const ctx_key_t* key, void* data,
                       ctx_drop_fn drop, ctx_cause_t** ret) {
  if (key == nullptr || ret == nullptr) return -EINVAL;
  return hand_out_cause(ctxcore::make_cause(code, message, {key, data, drop}), ret);
}

int ctx_cause_new_at(int code, const char* message, int origin, const char* file, int line,
                     const char* function, const ctx_key_t* key, void* data, ctx_drop_fn drop,
                     ctx_cause_t** ret) {
  if (ret == nullptr || origin < 0 || origin > UINT8_MAX || line < 0) return -EINVAL;
  if (key == nullptr && (data != nullptr || drop != nullptr)) return -EINVAL;
  return hand_out_cause(ctxcore::make_cause(code, message, {key, data, drop},
                                            static_cast<uint8_t>(origin), {file, function, line}),
                        ret);
}

const ctx_cause_t* ctx_cause(const ctx_t* ctx) {
  if (check_readable(ctx) < 0) return nullptr;
  return to_handle(cause_of(ctxcore::node_of(from(ctx))));
}

int ctx_cause_code(const ctx_cause_t* cause) {
  const int result = check_readable(cause);
  return result < 0 ? result : from(cause)->code;
}

const char* ctx_cause_message(const ctx_cause_t* cause) {
  return check_readable(cause) < 0 ? nullptr : from(cause)->message;
}

void* ctx_cause_data(const ctx_cause_t* cause, const ctx_key_t* key) {
  if (key == nullptr || check_readable(cause) < 0) return nullptr;
  return from(cause)->key == key ? from(cause)->data : nullptr;
}

int ctx_cause_given(const ctx_cause_t* cause) {
  const int result = check_readable(cause);
  return result < 0 ? result : ctxcore::is_given(from(cause));
}

int ctx_cause_origin(const ctx_cause_t* cause) {
  const int result = check_readable(cause);
  return result < 0 ? result : ctxcore::origin_of(from(cause));
}

const char* ctx_cause_file(const ctx_cause_t* cause) {
  const ctxcore::Place* const place = place_of(cause);
  return place == nullptr ? nullptr : place->file;
}

int ctx_cause_line(const ctx_cause_t* cause) {
  const int result = check_readable(cause);
  if (result < 0) return result;
  const ctxcore::Place* const place = ctxcore::place_of(from(cause));
  return place == nullptr ? 0 : place->line;
}

const char* ctx_cause_function(const ctx_cause_t* cause) {
  const ctxcore::Place* const place = place_of(cause);
  return place == nullptr ? nullptr : place->function;
}

const ctx_cause_t* ctx_cause_ref(const ctx_cause_t* cause) {
  if (check_readable(cause) < 0) return nullptr;
  ctxcore::ref(from(cause));
  return cause;
}

const ctx_cause_t* ctx_cause_unref(const ctx_cause_t* cause) {
  if (check_held(cause) == 0) ctxcore::unref(from(cause));
  return nullptr;
}

void ctx_cause_unrefp(const ctx_cause_t** cause) { unref_variable(cause, ctx_cause_unref); }
