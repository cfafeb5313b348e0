// SPDX-License-Identifier: MIT
#include <ctx/process.h>
#include <stdlib.h>

#include "capi/handles.h"
#include "core/life/derive.h"
#include "core/life/import.h"
#include "core/tree/exported.h"
#include "core/watch/export.h"

using namespace ctxcapi;  // NOLINT: the shims do nothing else

static_assert(CTX_EXPORT_SIZE == ctxcore::kExportedText);

int ctx_export(ctx_t* ctx, char* buf, size_t size, ctx_watch_t** ret) {
  if (buf == nullptr || size < CTX_EXPORT_SIZE) return -EINVAL;
  if (const int result = check(ctx); result < 0) return result;
  return ctxcore::Export::make(from(ctx), buf, reinterpret_cast<Watch**>(ret));
}

int ctx_import(const char* text, ctx_t* parent, ctx_t** ret, ctx_canceler_t** ret_canceler) {
  if (const int result = check_derive(parent, ret); result < 0) return result;
  if (text == nullptr) text = secure_getenv("LIBCTX");
  const uint32_t refs = handles(ret_canceler);
  Node* node = nullptr;
  const int result = text == nullptr ? ctxcore::derive_cancel(from(parent), refs, &node)
                                     : ctxcore::derive_import(from(parent), text, refs, &node);
  return result < 0 ? result : hand_out(node, ret, ret_canceler);
}
