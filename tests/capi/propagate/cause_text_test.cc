// SPDX-License-Identifier: MIT
//
// Rule 63: a cause as text, and one that another process claims.
#include <cstring>
#include <string>

#include "support/callback.h"
#include "support/handles.h"

namespace ctxtest {
namespace {

std::string Encoded(const ctx_cause_t* cause, const char* who = nullptr) {
  char text[CTX_CAUSE_TEXT];
  const int64_t length = ctx_cause_encode(cause, who, text, sizeof text);
  EXPECT_EQ(length, static_cast<int64_t>(std::strlen(text)));
  EXPECT_LT(length, CTX_CAUSE_TEXT);
  return text;
}

int TryDecode(const std::string& text, ctx_cause_t** ret) {
  const std::vector<char> exact(text.begin(), text.end());  // a byte behind it is not the text's
  return ctx_cause_decode(exact.empty() ? "" : exact.data(), exact.size(), ret);
}

Cause Decoded(const std::string& text) {
  ctx_cause_t* made = nullptr;
  EXPECT_EQ(TryDecode(text, &made), 0) << text;
  return Cause(made);
}

Cause Of(int origin, int code, const char* message) {
  ctx_cause_t* made = nullptr;
  EXPECT_EQ(
      ctx_cause_new_at(code, message, origin, "secret.c", 7, "f", nullptr, nullptr, nullptr, &made),
      0);
  return Cause(made);
}

TEST(CauseText, Rule63_WhatTravels) {
  EXPECT_EQ(Encoded(Of(CTX_ORIGIN_PEER, -5, "no answer"), "payments"),
            "v=1&code=-5&origin=6&by=payments&message=no%20answer");
  EXPECT_EQ(Encoded(Of(255, INT32_MIN, ""), ""), "v=1&code=-2147483648&origin=255&message=");
  EXPECT_EQ(Encoded(NewCause(INT32_MAX, nullptr)), "v=1&code=2147483647&origin=1")
      << "the message is the code's";
  const Scope canceled = WithCancel(ctx_background());
  canceled.Cancel();
  EXPECT_EQ(Encoded(ctx_cause(canceled)), "v=1&code=-125&origin=1");
  EXPECT_EQ(Encoded(ctx_cause(WithTimeout(ctx_background(), 0)), "me"),
            "v=1&code=-110&origin=2&by=me");
}

TEST(CauseText, Rule63_ReadsBackAsAClaim) {
  for (const char* message :
       {"", "no answer", "100% \"sure\"; a,b\\c&d=e\r\n", "\xC3\xA9\xF0\x9F\x98\x80"}) {
    const Cause read = Decoded(Encoded(Of(8, -75, message), "pay & ments, \xE2\x82\xAC"));
    EXPECT_EQ(ctx_cause_code(read), -75);
    EXPECT_EQ(ctx_cause_origin(read), CTX_ORIGIN_OVERLOAD);
    EXPECT_STREQ(ctx_cause_message(read), message);
    EXPECT_STREQ(ctx_cause_peer(read), "pay & ments, \xE2\x82\xAC");
    EXPECT_EQ(ctx_cause_file(read), nullptr);
    EXPECT_EQ(ctx_cause_line(read), 0);
    EXPECT_EQ(ctx_cause_function(read), nullptr);
    EXPECT_EQ(ctx_cause_data(read, &kKey), nullptr);
  }
}

TEST(CauseText, Rule63_ThePlainCausesStayPlain) {
  for (int error : {CTX_CANCELED, CTX_DEADLINE_EXCEEDED}) {
    const Cause read = Decoded(Encoded(NewCause(error, nullptr), "peer"));
    EXPECT_STREQ(ctx_cause_message(read), ctx_strerror(error));
    EXPECT_EQ(ctx_cause_given(read), 0);
    EXPECT_STREQ(ctx_cause_peer(read), "peer");
  }
}

TEST(CauseText, Rule63_WhoClaimsIt) {
  EXPECT_EQ(ctx_cause_peer(NewCause(1, "mine")), nullptr);
  EXPECT_EQ(ctx_cause_peer(Of(CTX_ORIGIN_PEER, 1, "mine, too")), nullptr);
  EXPECT_EQ(ctx_cause_peer(nullptr), nullptr);
  EXPECT_STREQ(ctx_cause_peer(Decoded("v=1&code=1")), "");
  EXPECT_STREQ(ctx_cause_peer(Decoded("v=1&code=1&by=")), "");
  const Scope scope = WithCancel(ctx_background());
  ctx_cancel_with(scope.canceler, CTX_CANCELED, Decoded("v=1&code=1&by=a"));
  EXPECT_STREQ(ctx_cause_peer(ctx_cause(WithCancel(scope))), "a");
}

// Whoever passes a claim on does not become the one who made it.
TEST(CauseText, Rule63_TheFirstClaimantIsKept) {
  EXPECT_EQ(Encoded(Decoded("v=1&code=1&origin=1&by=first&message=x"), "second"),
            "v=1&code=1&origin=1&by=first&message=x");
  EXPECT_EQ(Encoded(Decoded("v=1&code=1&origin=1&message=x"), "second"),
            "v=1&code=1&origin=1&message=x");
}

TEST(CauseText, Rule63_OnlyCharactersThatMeanNothingAnywhere) {
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  for (size_t begin = 0; begin < all.size(); begin += 20) {
    const std::string some = all.substr(begin, 20);
    const std::string text = Encoded(NewCause(1, some.c_str()), some.c_str());
    EXPECT_EQ(text.find_first_not_of(
                  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%&="),
              std::string::npos)
        << text;
  }
}

TEST(CauseText, Rule63_CutBetweenCharacters) {
  const std::string euro = "\xE2\x82\xAC";
  std::string euros;
  for (int i = 0; i < 1'000; ++i) euros += euro;
  for (const std::string before :
       {"", "x", "xx", "xxx", "xxxx", "xxxxx", "xxxxxx", "xxxxxxx", "xxxxxxxx"}) {
    const std::string text =
        Encoded(NewCause(1, (before + euros).c_str()), (before + euros).c_str());
    const Cause read = Decoded(text);
    const std::string by = ctx_cause_peer(read), message = ctx_cause_message(read);
    EXPECT_GT(text.size(), 511u - 9);
    EXPECT_EQ(message, before + euros.substr(0, message.size() - before.size()));
    EXPECT_EQ((message.size() - before.size()) % 3, 0u);
    EXPECT_EQ(by, before + euros.substr(0, by.size() - before.size()));
    EXPECT_EQ((by.size() - before.size()) % 3, 0u);
    EXPECT_EQ(by.size() - before.size(), (128 - before.size()) / 9 * 3);
  }
  EXPECT_EQ(Encoded(NewCause(1, std::string(10'000, 'x').c_str())).size(), 511u);
}

TEST(CauseText, Rule63_WhatIsNoUtf8IsReplaced) {
  EXPECT_EQ(Encoded(NewCause(1,
                             "a\xFF\xE2\x82"
                             "b")),
            "v=1&code=1&origin=1&message=a%EF%BF%BD%EF%BF%BDb");
  EXPECT_STREQ(ctx_cause_message(Decoded("v=1&code=1&message=a%FF%00b")),
               "a\xEF\xBF\xBD\xEF\xBF\xBD"
               "b");
}

TEST(CauseText, Rule63_LaterVersionsMayAdd) {
  const Cause read = Decoded("v=2&trace=x%20y&code=7&origin=200&by=b&n=&message=m&z=:!()[]=");
  EXPECT_EQ(ctx_cause_code(read), 7);
  EXPECT_EQ(ctx_cause_origin(read), 200);
  EXPECT_STREQ(ctx_cause_peer(read), "b");
  EXPECT_STREQ(ctx_cause_message(read), "m");
  const Cause other_order = Decoded("v=1&message=m&code=7");
  EXPECT_STREQ(ctx_cause_message(other_order), "m");
  EXPECT_EQ(ctx_cause_origin(other_order), CTX_ORIGIN_CANCELED) << "none is stated";
}

TEST(CauseText, Rule63_MalformedMakesNothing) {
  for (const char* text : {"",
                           "v",
                           "v=",
                           "v=1",
                           "v=0&code=1",
                           "v=-1&code=1",
                           "v=x&code=1",
                           "code=1",
                           "code=1&v=1",
                           "v=1&code=",
                           "v=1&code=x",
                           "v=1&code=2147483648",
                           "v=1&code=-2147483649",
                           "v=1&code=1 ",
                           " v=1&code=1",
                           "v=1&code=+1",
                           "v=1&code=1&code=2",
                           "v=1&v=1&code=1",
                           "v=1&code=1&origin=0",
                           "v=1&code=1&origin=256",
                           "v=1&code=1&origin=-1",
                           "v=1&code=1&origin=1&origin=1",
                           "v=1&code=1&",
                           "v=1&&code=1",
                           "v=1&code=1&by",
                           "v=1&code=1&=x",
                           "v=1&code=1&message=%",
                           "v=1&code=1&message=%4",
                           "v=1&code=1&message=%4g",
                           "v=1&code=1&x=%",
                           "v=1&code=1&message=a,b",
                           "v=1&code=1&message=a;b",
                           "v=1&code=1&message=a b",
                           "v=1&code=1&message=\"",
                           "v=1&code=1&message=\\",
                           "v=1&code=1&message=\xC3\xA9",
                           "v=1&code=1\n",
                           "v=1&code=1&by=a&by=b",
                           "v=1&code=1&message=a&message=b"}) {
    ctx_cause_t* made = nullptr;
    EXPECT_EQ(TryDecode(text, &made), -EBADMSG) << text;
    EXPECT_EQ(made, nullptr);
  }
  ctx_cause_t* made = nullptr;
  EXPECT_EQ(TryDecode(std::string("v=1&code=1\0", 11), &made), -EBADMSG);
  EXPECT_EQ(TryDecode("v=1&code=1&message=" + std::string(1'000'000, 'x'), &made), -EBADMSG);
  EXPECT_EQ(TryDecode("v=1&code=1&message=" + std::string(511 - 19 + 1, 'x'), &made), -EBADMSG);
  EXPECT_EQ(made, nullptr);
  EXPECT_EQ(
      std::strlen(ctx_cause_message(Decoded("v=1&code=1&message=" + std::string(511 - 19, 'x')))),
      511u - 19);
}

TEST(CauseText, Rule63_WrittenAsSnprintfDoes) {
  const Cause cause = NewCause(7, "m");
  const std::string whole = "v=1&code=7&origin=1&message=m";
  char buf[40];
  for (size_t size = 0; size <= sizeof buf; ++size) {
    std::memset(buf, '#', sizeof buf);
    EXPECT_EQ(ctx_cause_encode(cause, nullptr, buf, size), static_cast<int64_t>(whole.size()));
    if (size > 0) {
      EXPECT_EQ(std::string(buf), whole.substr(0, size - 1));
    }
    for (size_t i = size; i < sizeof buf; ++i) EXPECT_EQ(buf[i], '#');
  }
  EXPECT_EQ(ctx_cause_encode(cause, nullptr, nullptr, 0), static_cast<int64_t>(whole.size()));
}

TEST(CauseText, BadArgumentsOfCausesAreEINVAL) {
  char buf[8];
  ctx_cause_t* made = nullptr;
  EXPECT_EQ(ctx_cause_encode(nullptr, "who", buf, sizeof buf), -EINVAL);
  EXPECT_EQ(ctx_cause_encode(NewCause(1, "x"), "who", nullptr, 1), -EINVAL);
  EXPECT_EQ(ctx_cause_decode(nullptr, 0, &made), -EINVAL);
  EXPECT_EQ(ctx_cause_decode(nullptr, 7, &made), -EINVAL);
  EXPECT_EQ(ctx_cause_decode("v=1&code=1", 10, nullptr), -EINVAL);
  EXPECT_EQ(made, nullptr);
}

}  // namespace
}  // namespace ctxtest
