// SPDX-License-Identifier: MIT
//
// Headers: carriers of every kind, the formats, what a carrier throws; baggage; and causes as text.
#include <array>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "calls.h"
#include "cases.h"
#include "support/header_map.h"

namespace ctxtest {
namespace {

using Map = std::map<std::string, std::string>;

ctx::context Traced() {
  const ctx::context ctx = ctx::with_string(ctx::background(), "traceparent", kTraceparent);
  return ctx::with_baggage(ctx, "user", "red");
}

ctx::formats Only(std::string timeout_ms) {
  ctx::formats formats;
  formats.timeout_ms = std::move(timeout_ms);
  return formats;
}

void ExpectTraced(const ctx::context& ctx) {
  EXPECT_EQ(ctx.string("traceparent"), kTraceparent);
  EXPECT_EQ(ctx.baggage("user"), "red");
}

template <class Headers>
void ExpectThereAndBack() {
  Headers headers;
  headers.emplace("other", "stays");
  headers.emplace("traceparent", "of another request");
  ctx::inject(Traced(), headers);
  EXPECT_EQ(headers.size(), 3u) << "in place of what was there";
  EXPECT_EQ(headers.find("other")->second, "stays");
  EXPECT_EQ(headers.find("traceparent")->second, kTraceparent);
  ExpectTraced(ctx::extract(ctx::background(), headers).first);
  ExpectTraced(ctx::extract(ctx::background(), std::as_const(headers)).first);
  ExpectTraced(ctx::extract(ctx::background(), std::move(headers)).first);
}
TEST(Propagate, MapsOfEveryKindCarryHeaders) {
  ExpectThereAndBack<std::map<std::string, std::string>>();
  ExpectThereAndBack<std::map<std::string, std::string, std::less<>>>();
  ExpectThereAndBack<std::unordered_map<std::string, std::string>>();
  ExpectThereAndBack<std::multimap<std::string, std::string>>();
  ExpectThereAndBack<std::unordered_multimap<std::string, std::string>>();
}
TEST(Propagate, MapsOfViewsAreRead) {
  const std::map<std::string_view, std::string_view> headers{{"traceparent", kTraceparent},
                                                             {"baggage", "user=red"}};
  ExpectTraced(ctx::extract(ctx::background(), headers).first);
}
TEST(Propagate, EntriesOfOneNameAreJoined) {
  const std::multimap<std::string, std::string> headers{
      {"baggage", "a=1"}, {"baggage", "b=2"}, {"baggage", "c=3"}};
  const ctx::context ctx = ctx::extract(ctx::background(), headers).first;
  EXPECT_EQ(ctx.string("baggage"), "a=1,b=2,c=3");
}

TEST(Propagate, CallablesCarryHeaders) {
  std::vector<std::pair<std::string, std::string>> lines;
  ctx::inject(Traced(), [&](const std::string& name, std::string_view text) {
    lines.emplace_back(name, text);
    return 1;  // means nothing
  });
  ASSERT_EQ(lines.size(), 2u);
  const auto find = [&](std::string_view name) -> const std::string* {
    for (const auto& line : lines) {
      if (line.first == name) return &line.second;
    }
    return nullptr;
  };
  const auto read = [](auto&& get) { ExpectTraced(ctx::extract(ctx::background(), get).first); };
  read(find);
  read([&](const char* name) { return find(name) != nullptr ? find(name)->c_str() : nullptr; });
  read([&](const std::string& name) -> std::optional<std::string> {
    if (find(name) == nullptr) return std::nullopt;
    return *find(name);  // a copy, which the binding keeps
  });
  read([&, calls = 0](std::string_view name) mutable -> std::optional<std::string_view> {
    ++calls;
    if (find(name) == nullptr) return std::nullopt;
    return *find(name);
  });
  read(std::function<const std::string*(std::string)>(find));
}
TEST(Propagate, AnEmptyTextIsThereAndNoneIsNot) {
  const auto empty = [](const char*) {
    return std::optional<std::string_view>(std::string_view());
  };
  ExpectThrows(std::errc::bad_message,
               [&] { (void)ctx::extract(ctx::background(), empty, Only("t")); });
  const auto none = [](const char*) { return std::optional<std::string_view>(); };
  EXPECT_FALSE(ctx::extract(ctx::background(), none, Only("t")).first.deadline());
  const auto null = [](const char*) -> const char* { return nullptr; };
  EXPECT_FALSE(ctx::extract(ctx::background(), null, Only("t")).first.deadline());
}

TEST(Propagate, TheEnvironmentIsACarrier) {
  ctx::formats formats;
  formats.environment = true;
  Map variables;
  ctx::inject(Traced(), variables, formats);
  EXPECT_EQ(variables.size(), 2u);
  EXPECT_EQ(variables["TRACEPARENT"], kTraceparent);
  ctx::inject(
      Traced(), [](const char* name, const char* text) { setenv(name, text, 1); }, formats);
  ExpectTraced(ctx::extract(ctx::background(), std::getenv, formats).first);
  unsetenv("TRACEPARENT"), unsetenv("BAGGAGE");
  const auto [ctx, cancel] = ctx::extract(ctx::background(), std::getenv, formats);
  EXPECT_FALSE(ctx.string("traceparent"));
  EXPECT_TRUE(cancel.cancel());
  EXPECT_TRUE(ctx.is_done());
}

// Each member says what goes, in both directions.
TEST(Propagate, TheFormatsSayWhatGoes) {
  const ctx::virtual_loop loop;
  const ctx::context ctx =
      ctx::with_timeout(
          ctx::with_baggage(ctx::with_string(loop.background(), "traceparent", kTraceparent), "a",
                            "b"),
          1500ms)
          .first;
  const auto names = [&](const ctx::formats& formats) {
    std::string all;
    Map headers;
    ctx::inject(ctx, headers, formats);
    for (const auto& [name, text] : headers) all += name + " ";
    std::string asked;
    (void)ctx::extract(
        loop.background(),
        [&](const char* name) {
          if (headers.count(name) != 0) asked += std::string(name) + " ";
          return std::optional<std::string>();
        },
        formats);
    EXPECT_EQ(std::multiset<char>(asked.begin(), asked.end()),
              std::multiset<char>(all.begin(), all.end()));
    return all;
  };
  ctx::formats formats;
  EXPECT_EQ(names(formats), "baggage traceparent ");
  formats.trace = false;
  EXPECT_EQ(names(formats), "baggage ");
  formats.baggage = false;
  EXPECT_EQ(names(formats), "");
  formats.grpc_timeout = true;
  EXPECT_EQ(names(formats), "grpc-timeout ");
  formats.timeout_ms = "x-timeout-ms";
  EXPECT_EQ(names(formats), "grpc-timeout x-timeout-ms ");
  formats.grpc_timeout = false;
  EXPECT_EQ(names(formats), "x-timeout-ms ");
  Map headers;
  ctx::inject(ctx, headers, formats);
  EXPECT_EQ(headers["x-timeout-ms"], "1500");
}

TEST(Propagate, TimeoutsHaveAMaximumAndADefault) {
  const ctx::virtual_loop loop;
  ctx::formats formats = Only("t");
  const auto timeout = [&](const Map& headers) {
    return ctx::extract(loop.background(), headers, formats).first.remaining();
  };
  EXPECT_EQ(timeout({}), std::chrono::nanoseconds::max());
  EXPECT_EQ(timeout({{"t", "5000"}}), 5s);
  formats.maximum_timeout = 2s;
  EXPECT_EQ(timeout({}), 2s);
  EXPECT_EQ(timeout({{"t", "5000"}}), 2s);
  formats.default_timeout = 3ms;
  EXPECT_EQ(timeout({}), 3ms);
  EXPECT_EQ(timeout({{"t", "5"}}), 5ms);
}

TEST(Propagate, WhatIsWrongIsRefused) {
  Map headers;
  const auto refused = [&](const ctx::formats& formats) {
    ExpectThrows(std::errc::invalid_argument, [&] { ctx::inject(Traced(), headers, formats); });
    ExpectThrows(std::errc::invalid_argument,
                 [&] { (void)ctx::extract(ctx::background(), headers, formats); });
  };
  ctx::formats formats;
  refused(Only("no token"));
  refused(Only(std::string("t\0t", 3)));
  formats.maximum_timeout = -1ns;
  refused(formats);
  formats.maximum_timeout = 0ns, formats.default_timeout = -1ns;
  refused(formats);
  EXPECT_TRUE(headers.empty());
  ctx::context empty;
  static_cast<void>(empty.release());
  ExpectThrows(std::errc::invalid_argument, [&] { ctx::inject(empty, headers); });
  ExpectThrows(std::errc::invalid_argument, [&] { (void)ctx::extract(empty, headers); });
  for (const char* text : {"", "x", "-1", "1.5", "12345678901"}) {
    ExpectThrows(std::errc::bad_message, [&] {
      (void)ctx::extract(ctx::background(), Map{{"t", text}}, Only("t"));
    });
  }
}

TEST(Propagate, OfADoneContextNothingGoesOut) {
  const auto [ctx, cancel] = ctx::with_cancel(Traced());
  cancel(ctx::cause("not wanted"));
  Map headers;
  try {
    ctx::inject(ctx, headers);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
    EXPECT_EQ(e.cause().message(), "not wanted");
  }
  std::error_code error;
  ctx::inject(ctx, headers, {}, error);
  EXPECT_EQ(error, std::errc::operation_canceled);
  ctx::inject(ctx::with_timeout(ctx::background(), 0s).first, headers, {}, error);
  EXPECT_EQ(error, std::errc::timed_out);
  EXPECT_TRUE(headers.empty());
  ctx::inject(Traced(), headers, {}, error);
  EXPECT_FALSE(error);
  EXPECT_EQ(headers.size(), 2u);
}
TEST(Propagate, ATimeoutOfZeroIsBornDone) {
  const ctx::context ctx = ctx::extract(ctx::background(), Map{{"t", "0"}}, Only("t")).first;
  EXPECT_EQ(ctx.err(), std::errc::timed_out);
}

// The handles that C has handed out meanwhile are given back: calls.cc counts them.
TEST(Propagate, WhatACarrierThrowsComesOut) {
  for (int good = 0; good < 2; ++good) {
    int calls = 0;
    const auto fails = [&] {
      if (calls++ == good) throw std::out_of_range("it is full");
    };
    EXPECT_THROW(ctx::inject(Traced(), [&](const char*, const char*) { fails(); }),
                 std::out_of_range);
    EXPECT_EQ(calls, good + 1) << "it was called again";
    calls = 0;
    const auto get = [&](const char*) {
      fails();
      return std::optional<std::string>(kTraceparent);
    };
    EXPECT_THROW((void)ctx::extract(ctx::background(), get), std::out_of_range);
    EXPECT_EQ(calls, good + 1) << "it was called again";
  }
}

TEST(Propagate, RequireSaysWhetherTimeIsEnough) {
  const ctx::virtual_loop loop;
  const auto [ctx, cancel] = ctx::with_timeout(loop.background(), 2s);
  std::error_code error;
  ctx.require(2s);
  ctx.require(2s, error);
  EXPECT_FALSE(error);
  ctx.require(2001ms, error);
  EXPECT_EQ(error, std::errc::timed_out);
  try {
    ctx.require(std::chrono::duration<double>(2.5));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ctx::context_error& e) {
    EXPECT_STREQ(e.what(), "context deadline exceeded");
    EXPECT_FALSE(e.cause());
  }
  EXPECT_FALSE(ctx.is_done());
  ctx::background().require(std::chrono::hours(24 * 365));
  ExpectThrows(std::errc::invalid_argument, [&, c = ctx] { c.require(-1ns); });
  cancel(ctx::cause("not wanted"));
  try {
    ctx.require(0s);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
    EXPECT_EQ(e.cause().message(), "not wanted");
  }
}

TEST(Propagate, BaggageOfEveryLengthIsWhole) {
  std::string value;
  for (int length = 0; length < 300; ++length) {
    ASSERT_EQ(ctx::with_baggage(ctx::background(), "name", value).baggage("name"), value);
    value += static_cast<char>('a' + length % 26);
  }
  value = "ä, \"b\"; c=%";
  const ctx::context ctx = ctx::with_baggage(Traced(), std::string("other"), value);
  EXPECT_EQ(ctx.baggage("other"), value);
  EXPECT_EQ(ctx.baggage(std::string_view("user")), "red");
  EXPECT_FALSE(ctx.baggage("none"));
  EXPECT_FALSE(ctx.baggage(nullptr)) << "as string()";
  const ctx::context without = ctx::without_baggage(ctx, "other");
  EXPECT_FALSE(without.baggage("other"));
  EXPECT_EQ(without.string("baggage"), "user=red");
  ctx::context empty;
  static_cast<void>(empty.release());
  EXPECT_FALSE(empty.baggage("user"));
  ExpectThrows(std::errc::invalid_argument, [] { (void)ctx::with_baggage({}, "a b", "c"); });
  ExpectThrows(std::errc::invalid_argument,
               [] { (void)ctx::with_baggage({}, "a", std::string("b\0", 2)); });
  ExpectThrows(std::errc::argument_list_too_long,
               [] { (void)ctx::with_baggage({}, "a", std::string(9000, 'x')); });
}

TEST(Propagate, CausesGoAsText) {
  const ctx::cause own(ctx::origin::overload, -ETIMEDOUT, "no answer & no %");
  EXPECT_FALSE(own.peer()) << "this process made it";
  const std::string text = ctx::encode_cause(own, std::string_view("payments"));
  const ctx::cause theirs = ctx::decode_cause(text);
  EXPECT_EQ(theirs.code(), -ETIMEDOUT);
  EXPECT_EQ(theirs.origin(), ctx::origin::overload);
  EXPECT_EQ(theirs.message(), "no answer & no %");
  EXPECT_EQ(theirs.peer(), "payments");
  EXPECT_EQ(ctx::encode_cause(theirs, "somebody else"), text) << "it keeps what it came with";
  EXPECT_EQ(ctx::decode_cause(ctx::encode_cause(own)).peer(), "") << "nobody is named";
  EXPECT_FALSE(ctx::cause().peer());

  const std::string is_long = ctx::encode_cause(ctx::cause(std::string(2000, 'x')));
  EXPECT_EQ(is_long.size(), static_cast<std::size_t>(CTX_CAUSE_TEXT - 1));
  EXPECT_GT(ctx::decode_cause(is_long).message().size(), 400u);
  for (const std::string_view wrong :
       {std::string_view(), std::string_view("v=1"), std::string_view(text).substr(1)}) {
    ExpectThrows(std::errc::bad_message, [&] { (void)ctx::decode_cause(wrong); });
  }
  ExpectThrows(std::errc::invalid_argument, [] { (void)ctx::encode_cause({}); });
}

#if __cplusplus >= 202002L
TEST(Propagate, FormatsAreWrittenInPlace) {
  Map headers;
  ctx::inject(ctx::with_timeout(Traced(), 1h).first, headers,
              {.grpc_timeout = true, .baggage = false, .timeout_ms = "t"});
  EXPECT_EQ(headers.size(), 3u);
  EXPECT_LE(
      ctx::extract({}, headers, {.timeout_ms = "t", .maximum_timeout = 2min}).first.remaining(),
      2min);
}
#endif

}  // namespace
}  // namespace ctxtest
