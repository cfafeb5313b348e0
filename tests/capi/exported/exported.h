// SPDX-License-Identifier: MIT
//
// An export that ends with the test, and its import.
#ifndef CTX_TESTS_CAPI_EXPORTED_EXPORTED_H_
#define CTX_TESTS_CAPI_EXPORTED_EXPORTED_H_

#include <gtest/gtest.h>
#include <string.h>

#include <cstdlib>
#include <string>

#include "support/handles.h"

namespace ctxtest {

// A context as other processes find it.
struct Exported {
  explicit Exported(ctx_t* ctx) { EXPECT_EQ(ctx_export(ctx, text, sizeof text, watch.out()), 0); }
  Exported(const Exported&) = delete;
  ~Exported() {
    if (watch != nullptr) ctx_watch_stop(watch);
  }

  // The number at this place of the text: 1 the process, 2 and 3 the descriptors, and so on.
  uint64_t Field(int index) const {
    const char* at = text;
    for (; index > 0; --index) at = strchr(at, ':') + 1;
    return std::strtoull(at, nullptr, 10);
  }
  // The text with another number at this place.
  std::string With(int index, uint64_t number) const {
    std::string made;
    for (int i = 0; i < 7; ++i) {
      if (i > 0) made += ':';
      made += std::to_string(i == index ? number : Field(i));
    }
    return made;
  }

  char text[CTX_EXPORT_SIZE] = "";
  Watch watch;
};

inline Scope Import(const char* text, ctx_t* parent = ctx_background()) {
  Scope made;
  EXPECT_EQ(ctx_import(text, parent, made.ctx.out(), made.canceler.out()), 0);
  return made;
}

}  // namespace ctxtest

#endif  // CTX_TESTS_CAPI_EXPORTED_EXPORTED_H_
