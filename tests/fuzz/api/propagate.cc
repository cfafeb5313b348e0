// SPDX-License-Identifier: MIT
//
// What a context carries out and in, and its cause as text. tests/fuzz/wire_fuzz.cc has the texts that nobody would
// send.
#include <cstring>
#include <map>

#include "fuzz/api/session.h"

namespace fuzz {

namespace {

using Headers = std::map<std::string, std::string>;

int SetHeader(const char* name, const char* text, void* arg) {
  REQUIRE(static_cast<Headers*>(arg)->emplace(name, text).second);
  return 0;
}

int64_t GetHeader(const char* name, const char** text, void* arg) {
  const auto& headers = *static_cast<const Headers*>(arg);
  const auto found = headers.find(name);
  if (found == headers.end()) return -1;
  *text = found->second.data();
  return static_cast<int64_t>(found->second.size());
}

}  // namespace

// From this context to one of another loop, as to another process.
void Session::Travel(int i) {
  const Context& node = model_.NodeOf(i);
  ctx_t* const ctx = contexts_[i].ctx;
  const int64_t now = model_.Now(node.loop);
  const int64_t left = node.deadline == CTX_FOREVER ? CTX_FOREVER : Difference(node.deadline, now);
  for (const int64_t need : {int64_t{0}, int64_t{1}, kSecond, CTX_FOREVER}) {
    const bool late = node.deadline != CTX_FOREVER && left < need;
    FUZZ_EQ(ctx_require(ctx, need), node.err != 0 ? node.err : late ? CTX_DEADLINE_EXCEEDED : 0);
  }
  ctx_formats_t formats{};
  formats.size = sizeof formats;
  formats.flags = CTX_FORMAT_GRPC_TIMEOUT | CTX_FORMAT_TRACE | CTX_FORMAT_BAGGAGE;
  formats.timeout_ms = "timeout-ms";
  ctx_t* carrying = nullptr;
  FUZZ_EQ(ctx_with_baggage(ctx, "from", std::to_string(i).c_str(), &carrying), 0);
  Headers headers;
  FUZZ_EQ(ctx_inject(carrying, &formats, SetHeader, &headers), node.err);
  ctx_unref(carrying);
  if (node.err != 0) {
    REQUIRE(headers.empty());
    return TravelWhy(ctx_cause(ctx));
  }
  REQUIRE(headers["baggage"] == "from=" + std::to_string(i));
  REQUIRE(headers.count("grpc-timeout") == (node.deadline == CTX_FOREVER ? 0 : 1));
  ctx_loop_t* elsewhere = nullptr;
  ctx_t *root = nullptr, *request = nullptr;
  ctx_canceler_t* canceler = nullptr;
  FUZZ_EQ(ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &elsewhere), 0);
  FUZZ_EQ(ctx_loop_background(elsewhere, &root), 0);
  FUZZ_EQ(ctx_extract(root, &formats, GetHeader, &headers, &request, &canceler), 0);
  const int64_t received = ctx_remaining(request);
  const int64_t sent = std::max<int64_t>(left, 1);
  REQUIRE(received >= sent);
  REQUIRE(received == CTX_FOREVER || received - sent <= sent / 1000 + 1'000'000);
  char value[16];
  FUZZ_EQ(ctx_baggage(request, "from", value, sizeof value), std::to_string(i).size());
  REQUIRE(std::to_string(i) == value);
  FUZZ_EQ(ctx_cancel(canceler), 1);
  ctx_canceler_unref(canceler);
  ctx_unref(request);
  ctx_unref(root);
  ctx_loop_unref(elsewhere);
}

void Session::TravelWhy(const ctx_cause_t* cause) {
  char text[CTX_CAUSE_TEXT];
  const int64_t length = ctx_cause_encode(cause, "fuzzer", text, sizeof text);
  REQUIRE(length > 0 && length < CTX_CAUSE_TEXT);
  REQUIRE(ctx_cause_peer(cause) == nullptr);
  ctx_cause_t* read = nullptr;
  FUZZ_EQ(ctx_cause_decode(text, static_cast<size_t>(length), &read), 0);
  FUZZ_EQ(ctx_cause_code(read), ctx_cause_code(cause));
  FUZZ_EQ(ctx_cause_origin(read), ctx_cause_origin(cause));
  REQUIRE(std::strcmp(ctx_cause_message(read), ctx_cause_message(cause)) == 0);
  REQUIRE(std::strcmp(ctx_cause_peer(read), "fuzzer") == 0);
  ctx_cause_unref(read);
}

}  // namespace fuzz
