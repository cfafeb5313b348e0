// SPDX-License-Identifier: MIT
//
// What a context carries to other processes: in, out, and changed on the way; and causes that travel.
#include <cstring>

#include "fault/scenarios/scenarios.h"

namespace ctxtest::scenarios {

namespace {

// A map that needs no memory.
int64_t GetHeader(const char* name, const char** text, void*) {
  constexpr const char* kHeaders[][2] = {
      {"grpc-timeout", "1H"},
      {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
      {"tracestate", "a=1 , b=2"},
      {"baggage", "user=x, bad, k=v"}};
  for (const auto& header : kHeaders) {
    if (std::strcmp(header[0], name) != 0) continue;
    *text = header[1];
    return static_cast<int64_t>(std::strlen(header[1]));
  }
  return -1;
}

int CountHeader(const char*, const char*, void* count) {
  ++*static_cast<int*>(count);
  return 0;
}

}  // namespace

void Propagation(Run& run) {
  ctx_formats_t formats{};
  formats.size = sizeof formats;
  formats.flags = CTX_FORMAT_GRPC_TIMEOUT | CTX_FORMAT_TRACE | CTX_FORMAT_BAGGAGE;
  const Scope parent = run.WithCancel(run.root());
  const Spent spent(run);
  Scope request, hidden;
  run.Try(0, CTX_FN(ctx_extract), parent, &formats, GetHeader, nullptr, request.ctx.out(),
          request.canceler.out());
  Ctx member, less, untidy;
  run.Try(0, CTX_FN(ctx_with_baggage), request, "more", "1 2", member.out());
  run.Try(0, CTX_FN(ctx_with_baggage), member, "user", nullptr, less.out());
  run.Try(0, CTX_FN(ctx_with_string), less, "tracestate", "a=1 ,b=2", untidy.out());
  int count = 0;
  run.Sure(0, CTX_FN(ctx_inject), less, &formats, CountHeader, &count);
  EXPECT_EQ(count, 4) << "what is tidy needs no copy";
  count = 0;
  run.Try(0, CTX_FN(ctx_inject), untidy, &formats, CountHeader, &count);
  EXPECT_EQ(count, 4) << "without memory it sets nothing";
  char text[CTX_CAUSE_TEXT];
  run.Sure(3, CTX_FN(ctx_baggage), less, "more", text, sizeof text);
  run.Sure(-ENOENT, CTX_FN(ctx_baggage), less, "user", text, sizeof text);
  run.Sure(0, CTX_FN(ctx_require), request, kSecond);

  const auto nothing = [](const char*, const char**, void*) { return int64_t{-1}; };
  run.Try(0, CTX_FN(ctx_extract), less, &formats, nothing, nullptr, hidden.ctx.out(), nullptr);
  run.Sure(nullptr, CTX_FN(ctx_string), hidden, "baggage");

  const Cause cause = NewCause(run, 7, "why");
  const int64_t length = run.Get(CTX_FN(ctx_cause_encode), cause, "me", text, sizeof text);
  EXPECT_STREQ(text, "v=1&code=7&origin=1&by=me&message=why");
  ctx_cause_t* read = nullptr;
  run.Try(0, CTX_FN(ctx_cause_decode), text, static_cast<size_t>(length), &read);
  const Cause claimed(read);
  EXPECT_STREQ(run.Get(CTX_FN(ctx_cause_peer), claimed), "me");
  run.Cancel(parent);
  run.ExpectErr(less, CTX_CANCELED);
  run.ExpectErr(hidden, CTX_CANCELED);
}

}  // namespace ctxtest::scenarios
