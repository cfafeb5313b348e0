// SPDX-License-Identifier: MIT
//
// P23: a request that comes in and goes on: a deadline, a traceparent and 8 members of baggage, read from a map of
// headers into a context and written from it into another. The maps are as cheap as maps can be, since they are the
// caller's.
#include <benchmark/benchmark.h>
#include <ctx/ctx.h>

#include <cstdint>
#include <cstring>

namespace ctxbench {
namespace {

struct Header {
  const char* name;
  const char* text;
};

constexpr Header kHeaders[] = {
    {"grpc-timeout", "1500m"},
    {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
    {"baggage",
     "user-id=5723,tenant=north,region=eu-central-1,plan=gold;since=2019,experiment=b%20side,"
     "session=8f2c1d77,canary=false,origin=mobile"}};

int64_t Get(const char* name, const char** text, void*) {
  for (const Header& header : kHeaders) {
    if (std::strcmp(header.name, name) != 0) continue;
    *text = header.text;
    return static_cast<int64_t>(std::strlen(header.text));
  }
  return -1;
}

struct Sent {
  size_t headers = 0;
  char texts[3][256];
};

int Set(const char*, const char* text, void* arg) {
  auto* const sent = static_cast<Sent*>(arg);
  std::strncpy(sent->texts[sent->headers++], text, sizeof sent->texts[0]);
  return 0;
}

constexpr ctx_formats_t kFormats = {sizeof kFormats,
                                    CTX_FORMAT_GRPC_TIMEOUT | CTX_FORMAT_TRACE | CTX_FORMAT_BAGGAGE,
                                    nullptr, 0, 0};

// With the release of what was made: canceled, as the context of a request is.
void ExtractOne(benchmark::State& state) {
  for (auto _ : state) {
    ctx_t* ctx = nullptr;
    ctx_canceler_t* canceler = nullptr;
    if (ctx_extract(ctx_background(), &kFormats, Get, nullptr, &ctx, &canceler) < 0) {
      state.SkipWithError("extract has failed");
      break;
    }
    ctx_cancel(canceler);
    ctx_canceler_unref(canceler);
    ctx_unref(ctx);
  }
}

void InjectOne(benchmark::State& state) {
  ctx_t* ctx = nullptr;
  ctx_extract(ctx_background(), &kFormats, Get, nullptr, &ctx, nullptr);
  ctx_t* request = nullptr;  // 1.5 s are over too soon
  ctx_t* detached = nullptr;
  ctx_without_cancel(ctx, &detached);
  ctx_with_timeout(detached, INT64_C(3600'000'000'000), &request, nullptr);
  Sent sent;
  for (auto _ : state) {
    sent.headers = 0;
    if (ctx_inject(request, &kFormats, Set, &sent) < 0 || sent.headers != 3) {
      state.SkipWithError("inject has failed");
      break;
    }
    benchmark::DoNotOptimize(sent);
  }
  ctx_unref(request), ctx_unref(detached), ctx_unref(ctx);
}

BENCHMARK(ExtractOne)->Name("P23/extract/ours");
BENCHMARK(InjectOne)->Name("P23/inject/ours");

}  // namespace
}  // namespace ctxbench
