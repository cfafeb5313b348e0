// SPDX-License-Identifier: MIT
#include "core/life/propagate.h"

#include <ctx/propagate.h>

#include <algorithm>
#include <cstring>

#include "capi/handles.h"
#include "core/tree/claim.h"
#include "core/wire/baggage.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else
using ctxcore::Formats;

static_assert(CTX_CAUSE_TEXT == ctxcore::kCauseText);

namespace {

constexpr uint32_t kAllFormats =
    CTX_FORMAT_GRPC_TIMEOUT | CTX_FORMAT_TRACE | CTX_FORMAT_BAGGAGE | CTX_FORMAT_ENVIRONMENT;

int read_formats(const ctx_formats_t* from, Formats* to) {
  if (from == nullptr) return -EINVAL;
  ctx_formats_t given{};
  if (const int result = read_sized(from, &given); result < 0) return result;
  if ((given.flags & ~kAllFormats) != 0 || given.maximum_ns < 0 || given.default_ns < 0) {
    return -EINVAL;
  }
  if (given.timeout_ms != nullptr && !ctxcore::is_token(given.timeout_ms)) return -EINVAL;
  *to = {(given.flags & CTX_FORMAT_GRPC_TIMEOUT) != 0,
         (given.flags & CTX_FORMAT_TRACE) != 0,
         (given.flags & CTX_FORMAT_BAGGAGE) != 0,
         (given.flags & CTX_FORMAT_ENVIRONMENT) != 0,
         given.timeout_ms,
         given.maximum_ns,
         given.default_ns};
  return 0;
}

}  // namespace

int ctx_inject(const ctx_t* ctx, const ctx_formats_t* formats, ctx_string_fn set, void* arg) {
  if (set == nullptr) return -EINVAL;
  if (const int result = check_readable(ctx); result < 0) return result;
  Formats chosen;
  const int result = read_formats(formats, &chosen);
  return result < 0 ? result : ctxcore::inject(from(ctx), chosen, set, arg);
}

int ctx_extract(ctx_t* parent, const ctx_formats_t* formats, ctx_get_fn get, void* arg, ctx_t** ret,
                ctx_canceler_t** ret_canceler) {
  if (get == nullptr) return -EINVAL;
  if (const int result = check_derive(parent, ret); result < 0) return result;
  Formats chosen;
  if (const int result = read_formats(formats, &chosen); result < 0) return result;
  Node* node = nullptr;
  const int result = ctxcore::extract(from(parent), chosen, get, arg, handles(ret_canceler), &node);
  return result < 0 ? result : hand_out(node, ret, ret_canceler);
}

int ctx_require(const ctx_t* ctx, int64_t need_ns) {
  if (need_ns < 0) return -EINVAL;
  if (const int result = check_readable(ctx); result < 0) return result;
  const Node* const node = ctxcore::node_of(from(ctx));
  if (const int error = error_of(node); error != 0) return error;
  if (node->deadline == ctxcore::kForever) return 0;
  const int64_t left = ctxcore::saturating_sub(node->deadline, loop_of(node)->now());
  return left >= need_ns ? 0 : ctxcore::kDeadlineExceeded;
}

int64_t ctx_baggage(const ctx_t* ctx, const char* name, char* buf, size_t size) {
  if (name == nullptr || (buf == nullptr && size != 0)) return -EINVAL;
  if (const int result = check_readable(ctx); result < 0) return result;
  return ctxcore::read_baggage(from(ctx), name, buf, size);
}

int ctx_with_baggage(ctx_t* parent, const char* name, const char* value, ctx_t** ret) {
  if (name == nullptr || !ctxcore::is_token(name)) return -EINVAL;
  if (const int result = check_derive(parent, ret); result < 0) return result;
  Context* context = nullptr;
  const int result = ctxcore::derive_baggage(from(parent), name, value, &context);
  if (result == 0) *ret = to_handle(context);
  return result;
}

int64_t ctx_cause_encode(const ctx_cause_t* cause, const char* who, char* buf, size_t size) {
  if (buf == nullptr && size != 0) return -EINVAL;
  if (const int result = check_readable(cause); result < 0) return result;
  char text[ctxcore::kCauseText];
  const size_t length = ctxcore::write_claim(from(cause), who, text);
  if (size > 0) {
    const size_t copied = std::min(length, size - 1);
    std::memcpy(buf, text, copied);
    buf[copied] = '\0';
  }
  return static_cast<int64_t>(length);
}

int ctx_cause_decode(const char* text, size_t length, ctx_cause_t** ret) {
  if (text == nullptr || ret == nullptr) return -EINVAL;
  Cause* const made = ctxcore::make_blank_cause(ctxcore::kCauseText, ctxcore::kOriginNotStated);
  if (made != nullptr && !ctxcore::read_claim({text, length}, made)) {
    ctxcore::unref(made);
    return -EBADMSG;
  }
  return hand_out_cause(made, ret);
}

const char* ctx_cause_peer(const ctx_cause_t* cause) {
  return check_readable(cause) < 0 ? nullptr : ctxcore::claimant_of(from(cause));
}
