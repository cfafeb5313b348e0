// SPDX-License-Identifier: MIT
//
// Rules 58 and 62: a deadline that travels, and work for which too little time is left. On a virtual loop, so that what
// remains is known.
#include <cmath>
#include <random>
#include <string>

#include "support/header_map.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

constexpr int64_t kMinute = 60 * kSecond;
constexpr char kMs[] = "x-request-timeout-ms";

ctx_formats_t BothTimeouts() { return Formats(CTX_FORMAT_GRPC_TIMEOUT, kMs); }

// What a context sends of which so much remains.
HeaderMap SentWith(int64_t remaining) {
  const VirtualLoop loop;
  return Inject(WithTimeout(loop.root, remaining), BothTimeouts());
}
std::string GrpcOf(int64_t remaining) { return SentWith(remaining)["grpc-timeout"]; }
std::string MsOf(int64_t remaining) { return SentWith(remaining)[kMs]; }

// The timeout that a map gives, counted from now.
int64_t Received(const HeaderMap& map, const ctx_formats_t& formats = BothTimeouts()) {
  const VirtualLoop loop;
  loop.Advance(kHour);
  const Scope made = Extract(loop.root, formats, map);
  return ctx_remaining(made);
}
int64_t FromGrpc(const std::string& text) { return Received({{"grpc-timeout", text}}); }
int64_t FromMs(const std::string& text) { return Received({{kMs, text}}); }

void ExpectMalformed(HeaderMap map) {
  const ctx_formats_t formats = BothTimeouts();
  ctx_t* ctx = ctx_todo();
  ctx_canceler_t* canceler = nullptr;
  EXPECT_EQ(ctx_extract(ctx_background(), &formats, HeaderMap::Get, &map, &ctx, &canceler),
            -EBADMSG)
      << map["grpc-timeout"] << " " << map[kMs];
  EXPECT_EQ(ctx, ctx_todo());
  EXPECT_EQ(canceler, nullptr);
}

TEST(Timeout, Rule58_TheFinestUnitThatFitsAndNeverShortened) {
  EXPECT_EQ(GrpcOf(1), "1n");
  EXPECT_EQ(GrpcOf(99'999'999), "99999999n");
  EXPECT_EQ(GrpcOf(100'000'000), "100000u");
  EXPECT_EQ(GrpcOf(100'000'001), "100001u");
  EXPECT_EQ(GrpcOf(99'999'999'000), "99999999u");
  EXPECT_EQ(GrpcOf(99'999'999'001), "100000m");
  EXPECT_EQ(GrpcOf(99'999'999 * kMillisecond), "99999999m");
  EXPECT_EQ(GrpcOf(99'999'999 * kMillisecond + 1), "100000S");
  EXPECT_EQ(GrpcOf(99'999'999 * kSecond), "99999999S");
  EXPECT_EQ(GrpcOf(99'999'999 * kSecond + 1), "1666667M");
  EXPECT_EQ(GrpcOf(99'999'999 * kMinute), "99999999M");
  EXPECT_EQ(GrpcOf(99'999'999 * kMinute + 1), "1666667H");
  EXPECT_EQ(GrpcOf(CTX_FOREVER - 1), "2562048H");
}

TEST(Timeout, Rule58_MillisecondsUpToTenDigits) {
  EXPECT_EQ(MsOf(1), "1");
  EXPECT_EQ(MsOf(kMillisecond), "1");
  EXPECT_EQ(MsOf(kMillisecond + 1), "2");
  EXPECT_EQ(MsOf(9'999'999'999 * kMillisecond), "9999999999");
  EXPECT_EQ(MsOf(9'999'999'999 * kMillisecond + 1), "none");
  EXPECT_EQ(MsOf(CTX_FOREVER - 1), "none");
}

// Whatever remains, the other side gets at least as much, and at most 0.1 % and 1 ms more.
TEST(Timeout, Rule58_WhatComesInIsNotShorterThanWhatWentOut) {
  std::mt19937_64 random(58);
  for (int i = 0; i < 2'000; ++i) {
    const auto sent = static_cast<int64_t>((random() >> 1) >> (random() % 63)) | 1;
    const HeaderMap map = SentWith(sent);
    for (const char* name : {"grpc-timeout", kMs}) {
      if (!map.has(name)) continue;
      const int64_t received = Received({{name, map[name]}});
      if (received == CTX_FOREVER) continue;  // beyond what this clock can name
      ASSERT_GE(received, sent) << map[name];
      ASSERT_LE(received - sent, sent / 1000 + kMillisecond) << map[name];
    }
  }
}

TEST(Timeout, Rule58_NoDeadlineNoHeader) {
  EXPECT_EQ(Inject(ctx_background(), BothTimeouts()).size(), 0u);
  EXPECT_EQ(SentWith(CTX_FOREVER).size(), 0u);
  const VirtualLoop loop;
  const Scope timed = WithTimeout(loop.root, kSecond);
  EXPECT_EQ(Inject(WithoutCancel(timed), BothTimeouts()).size(), 0u);
  EXPECT_EQ(Inject(timed, Formats(0)).size(), 0u) << "nobody asked for one";
  EXPECT_EQ(Inject(timed, BothTimeouts()).size(), 2u);
}

// A manual loop that nobody has dispatched: the deadline has passed, and the context is not done.
TEST(Timeout, Rule58_ADeadlineThatHasPassedIsTheShortestTimeout) {
  const ManualLoop loop;
  const Scope timed = WithTimeout(loop.root, 1);
  while (ctx_remaining(timed) > 0) {
  }
  const HeaderMap map = Inject(timed, BothTimeouts());
  EXPECT_EQ(map["grpc-timeout"], "1n");
  EXPECT_EQ(map[kMs], "1");
}

TEST(Timeout, Rule58_ADoneContextSendsNothing) {
  const Scope canceled = WithCancel(ctx_background());
  canceled.Cancel();
  const ctx_formats_t formats = Formats(CTX_FORMAT_GRPC_TIMEOUT | kW3C, kMs);
  HeaderMap map;
  EXPECT_EQ(ctx_inject(canceled, &formats, HeaderMap::Set, &map), CTX_CANCELED);
  const Scope late = WithTimeout(WithString(ctx_background(), "baggage", "a=1"), 0);
  EXPECT_EQ(ctx_inject(late, &formats, HeaderMap::Set, &map), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(map.size(), 0u);
}

TEST(Timeout, Rule58_EveryUnitIsRead) {
  EXPECT_EQ(FromGrpc("7n"), 7);
  EXPECT_EQ(FromGrpc("7u"), 7 * kMicrosecond);
  EXPECT_EQ(FromGrpc("7m"), 7 * kMillisecond);
  EXPECT_EQ(FromGrpc("7S"), 7 * kSecond);
  EXPECT_EQ(FromGrpc("7M"), 7 * 60 * kSecond);
  EXPECT_EQ(FromGrpc("7H"), 7 * kHour);
  EXPECT_EQ(FromGrpc("00000007n"), 7);
  EXPECT_EQ(FromGrpc(" 99999999n\t"), 99'999'999);
  EXPECT_EQ(FromMs("7"), 7 * kMillisecond);
  EXPECT_EQ(FromMs("\t0000000007 "), 7 * kMillisecond);
  EXPECT_EQ(FromMs("9999999999"), 9'999'999'999 * kMillisecond);
}

TEST(Timeout, Rule58_BeyondTheClockThereIsNoDeadline) {
  EXPECT_EQ(FromGrpc("99999999H"), CTX_FOREVER);
  EXPECT_EQ(FromGrpc("2562048H"), CTX_FOREVER);
  ctx_formats_t limited = BothTimeouts();
  limited.maximum_ns = kSecond;
  EXPECT_EQ(Received({{"grpc-timeout", "99999999H"}}, limited), kSecond);
}

TEST(Timeout, Rule58_MalformedMakesNothing) {
  for (const char* text : {"",           " ",   "1",   "n",     "H",         "1x",   "1s",
                           "1h",         "-1n", "+1n", "1 n",   "1.5S",      "0x1n", "100000000n",
                           "000000001n", "1nn", "1n1", "1n,1n", "\xD9\xA1n", "1N"}) {
    ExpectMalformed({{"grpc-timeout", text}});
    ExpectMalformed({{"grpc-timeout", text}, {kMs, "5"}});
  }
  for (const char* text :
       {"", "-1", "+1", "1.0", "1 0", "10000000000", "00000000001", "1ms", "0x1", "1,1"}) {
    ExpectMalformed({{kMs, text}});
    ExpectMalformed({{"grpc-timeout", "5S"}, {kMs, text}});
  }
  ExpectMalformed({{kMs, std::string("1\0", 2)}});
  ExpectMalformed({{"grpc-timeout", std::string("1\0n", 3)}});
  ExpectMalformed({{kMs, std::string(1'000'000, '1')}});
}

TEST(Timeout, Rule58_TheEarlierOfBothCounts) {
  EXPECT_EQ(Received({{"grpc-timeout", "2S"}, {kMs, "1000"}}), kSecond);
  EXPECT_EQ(Received({{"grpc-timeout", "1S"}, {kMs, "2000"}}), kSecond);
  EXPECT_EQ(Received({{"grpc-timeout", "1S"}, {kMs, "2000"}}, Formats(0, kMs)), 2 * kSecond);
  EXPECT_EQ(Received({{"grpc-timeout", "1S"}, {kMs, "2000"}}, Formats(0)), CTX_FOREVER);
}

TEST(Timeout, Rule58_MaximumAndDefault) {
  ctx_formats_t formats = BothTimeouts();
  formats.maximum_ns = 5 * kSecond;
  EXPECT_EQ(Received({}, formats), 5 * kSecond) << "it limits no timeout at all, too";
  EXPECT_EQ(Received({{kMs, "9000"}}, formats), 5 * kSecond);
  EXPECT_EQ(Received({{kMs, "1000"}}, formats), kSecond);
  formats.default_ns = 3 * kSecond;
  EXPECT_EQ(Received({}, formats), 3 * kSecond);
  EXPECT_EQ(Received({{kMs, "4000"}}, formats), 4 * kSecond) << "the default is no limit";
  formats.default_ns = 9 * kSecond;
  EXPECT_EQ(Received({}, formats), 5 * kSecond);
  formats.maximum_ns = 0;
  EXPECT_EQ(Received({}, formats), 9 * kSecond);
  EXPECT_EQ(Received({{"grpc-timeout", "99999999H"}}, formats), CTX_FOREVER) << "it named one";
}

TEST(Timeout, Rule58_TheEarlierOfTheParentsAndThatOfTheMap) {
  const VirtualLoop loop;
  const Scope parent = WithTimeout(loop.root, 2 * kSecond);
  EXPECT_EQ(ctx_remaining(Extract(parent, BothTimeouts(), {{kMs, "3000"}})), 2 * kSecond);
  EXPECT_EQ(ctx_remaining(Extract(parent, BothTimeouts(), {{kMs, "1000"}})), kSecond);
  EXPECT_EQ(ctx_remaining(Extract(parent, BothTimeouts(), {})), 2 * kSecond);
}

TEST(Timeout, Rule58_ZeroIsBornDone) {
  const HeaderMap maps[] = {{{"grpc-timeout", "0n"}},
                            {{"grpc-timeout", "00H"}},
                            {{kMs, "0"}},
                            {{"grpc-timeout", "1S"}, {kMs, "0"}}};
  for (const HeaderMap& map : maps) {
    const Scope made = Extract(ctx_background(), BothTimeouts(), map);
    EXPECT_EQ(ctx_err(made), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(made.Cancel(), 0);
  }
}

TEST(Timeout, Rule58_TheContextEndsAtItsDeadlineWithItsParentAndByItsCanceler) {
  const VirtualLoop loop;
  const Scope parent = WithCancel(loop.root);
  const HeaderMap map = {{"grpc-timeout", "1S"}, {"traceparent", kTraceparent}};
  const ctx_formats_t formats = Formats(CTX_FORMAT_GRPC_TIMEOUT | CTX_FORMAT_TRACE);
  const auto extract = [&] { return Extract(parent, formats, map); };
  const Scope fires = extract(), canceled = extract();
  EXPECT_EQ(canceled.Cancel(), 1);
  EXPECT_EQ(ctx_err(canceled), CTX_CANCELED);
  EXPECT_EQ(ctx_err(parent), 0);
  loop.Advance(kSecond - 1);
  EXPECT_EQ(ctx_err(fires), 0);
  loop.Advance(1);
  EXPECT_EQ(ctx_err(fires), CTX_DEADLINE_EXCEEDED);
  const Scope with_parent = extract();
  EXPECT_EQ(parent.Cancel(), 1);
  EXPECT_EQ(ctx_err(with_parent), CTX_CANCELED);
  EXPECT_EQ(ctx_err(extract()), CTX_CANCELED) << "born done below a parent that is";
}

TEST(Timeout, Rule58_WithoutACancelerToo) {
  const ctx_formats_t formats = BothTimeouts();
  HeaderMap map{{kMs, "1000"}};
  Ctx made;
  EXPECT_EQ(ctx_extract(ctx_background(), &formats, HeaderMap::Get, &map, made.out(), nullptr), 0);
  EXPECT_EQ(ctx_err(made), 0);
}

TEST(Require, Rule62_LessTimeThanNeeded) {
  const VirtualLoop loop;
  const Scope timed = WithTimeout(loop.root, kSecond);
  EXPECT_EQ(ctx_require(timed, 0), 0);
  EXPECT_EQ(ctx_require(timed, kSecond), 0);
  EXPECT_EQ(ctx_require(timed, kSecond + 1), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_require(timed, CTX_FOREVER), CTX_DEADLINE_EXCEEDED);
  loop.Advance(1);
  EXPECT_EQ(ctx_require(timed, kSecond), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(ctx_err(timed), 0) << "it ends nothing";
  EXPECT_EQ(ctx_require(WithString(timed, "a", "b"), kSecond - 1), 0);
}

TEST(Require, Rule62_WithoutADeadlineThereIsTimeForAnything) {
  EXPECT_EQ(ctx_require(ctx_background(), CTX_FOREVER), 0);
  EXPECT_EQ(ctx_require(WithCancel(ctx_background()), CTX_FOREVER), 0);
}

TEST(Require, Rule62_ADoneContextHasItsError) {
  const VirtualLoop loop;
  const Scope canceled = WithTimeout(loop.root, kSecond), late = WithTimeout(loop.root, kSecond);
  canceled.Cancel();
  EXPECT_EQ(ctx_require(canceled, 0), CTX_CANCELED);
  loop.Advance(kSecond);
  EXPECT_EQ(ctx_require(late, 0), CTX_DEADLINE_EXCEEDED);
}

TEST(Require, BadArgumentsAreEINVAL) {
  EXPECT_EQ(ctx_require(nullptr, 0), -EINVAL);
  EXPECT_EQ(ctx_require(ctx_background(), -1), -EINVAL);
  EXPECT_EQ(ctx_require(ctx_background(), INT64_MIN), -EINVAL);
}

}  // namespace
}  // namespace ctxtest
