// SPDX-License-Identifier: MIT
//
// Rule 60, for traceparent and tracestate: W3C Trace Context. What comes in and what goes out are held to the same.
#include <string>
#include <vector>

#include "support/header_map.h"

namespace ctxtest {
namespace {

// What becomes of a text on its way in, and on its way out if a program has set it.
std::string Passed(const char* name, const std::string& text) {
  const HeaderMap map = name == std::string("traceparent")
                            ? HeaderMap{{name, text}}
                            : HeaderMap{{"traceparent", kTraceparent}, {name, text}};
  const Scope in = Extract(ctx_background(), Formats(CTX_FORMAT_TRACE), map);
  const std::string received = StringOf(in, name);
  if (text.find('\0') != std::string::npos) return received;  // no string has one
  const Ctx out =
      WithString(WithString(ctx_background(), "traceparent", kTraceparent), name, text.c_str());
  EXPECT_EQ(Inject(out, Formats(CTX_FORMAT_TRACE))[name], received) << text;
  return received;
}
std::string Parent(const std::string& text) { return Passed("traceparent", text); }
std::string State(const std::string& text) { return Passed("tracestate", text); }

std::string Members(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += (i == 0 ? "k" : ",k") + std::to_string(i) + "=v";
  return text;
}

TEST(Traceparent, Rule60_OfVersion00AsItIs) {
  for (const char* flags : {"00", "01", "02", "03", "04", "ff", "a5"}) {
    const std::string text = std::string(kTraceparent).substr(0, 53) + flags;
    EXPECT_EQ(Parent(text), text);
  }
  EXPECT_EQ(Parent(std::string(" \t") + kTraceparent + "\t "), kTraceparent);
}

TEST(Traceparent, Rule60_MalformedIsLeftOut) {
  const std::string good = kTraceparent;
  for (size_t i = 0; i < good.size(); ++i) {
    for (const char bad : {'g', 'A', 'F', '/', ':', '`', ' ', '\n', '\r', '\x7F', '\x80', '\0'}) {
      std::string text = good;
      text[i] = bad;
      if (i > 0 && i + 1 < good.size()) {
        EXPECT_EQ(Parent(text), "none") << text;
      }
    }
    EXPECT_EQ(Parent(good.substr(0, i)), "none") << "cut at " << i;
    std::string dash = good;
    dash[i] = good[i] == '-' ? '0' : '-';
    EXPECT_EQ(Parent(dash), "none") << dash;
  }
  EXPECT_EQ(Parent("ff" + good.substr(2)), "none") << "a version that is forbidden";
  EXPECT_EQ(Parent(good + "-00"), "none") << "version 00 ends there";
  EXPECT_EQ(Parent(good + "x"), "none");
  EXPECT_EQ(Parent(good + "," + good), "none") << "sent twice";
  EXPECT_EQ(Parent("00-" + std::string(32, '0') + good.substr(35)), "none");
  EXPECT_EQ(Parent(good.substr(0, 36) + std::string(16, '0') + "-01"), "none");
  EXPECT_EQ(Parent("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"), "none");
  EXPECT_EQ(Parent(std::string(1'000'000, '0')), "none");
}

// Its ids and the flags that version 00 has go on, as version 00.
TEST(Traceparent, Rule60_OfAHigherVersionAsVersion00) {
  const std::string ids = std::string(kTraceparent).substr(2, 51);
  EXPECT_EQ(Parent("01" + ids + "01"), "00" + ids + "01");
  EXPECT_EQ(Parent("cc" + ids + "00-what-comes-then"), "00" + ids + "00");
  EXPECT_EQ(Parent("fe" + ids + "ff-"), "00" + ids + "03");
  EXPECT_EQ(Parent("01" + ids + "0a"), "00" + ids + "02");
  EXPECT_EQ(Parent("01" + ids + "01" + "." + "what"), "none") << "no dash behind the flags";
  EXPECT_EQ(Parent("01" + ids + "0"), "none");
  EXPECT_EQ(Parent("0A" + ids + "01"), "none");
  const Scope made = Extract(ctx_background(), Formats(CTX_FORMAT_TRACE),
                             {{"traceparent", "01" + ids + "01"}, {"tracestate", "a=1"}});
  EXPECT_EQ(StringOf(made, "tracestate"), "a=1");
}

TEST(Tracestate, Rule60_MembersInTheirOrder) {
  for (const char* text :
       {"a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "b=2,a=1,c=3", "a=1,a=2", "0a=1",
        "tenant@system=1", "a_-*/@z=1", "a= leading", "a= !\"#$%&'()*+-./:;<>?@[]^_`{|}~"}) {
    EXPECT_EQ(State(text), text);
  }
  EXPECT_EQ(State(std::string(256, 'k') + "=" + std::string(256, 'v')),
            std::string(256, 'k') + "=" + std::string(256, 'v'));
  EXPECT_EQ(State(Members(32)), Members(32));
}

TEST(Tracestate, Rule60_WhiteSpaceAndEmptyMembersGo) {
  EXPECT_EQ(State(" a=1 ,\tb=2\t"), "a=1,b=2");
  EXPECT_EQ(State("a=1,,b=2,"), "a=1,b=2");
  EXPECT_EQ(State(", ,a= 1 ,"), "a= 1") << "a leading space is part of a value";
  EXPECT_EQ(State(Members(32) + ",,,,"), Members(32)) << "an empty member is none";
  for (const char* text : {"", " ", ",", ", ,\t"}) EXPECT_EQ(State(text), "none");
}

TEST(Tracestate, Rule60_MalformedIsLeftOutAlone) {
  for (const char* text : {"a", "a=", "=1", "a=1,b", "a=1,b=,c=3", "A=1", "a =1", "_a=1", "@a=1",
                           "-a=1", "a=1=2", "a.b=1", "a=b\tc", "a=\x7F", "a=\xC3\xA9", "a=1\n",
                           "a=1\r\nset-cookie: x=1", "a\xC3\xA9=1", "a=1;b=2\x01"}) {
    EXPECT_EQ(State(text), "none") << text;
  }
  EXPECT_EQ(State(std::string("a=1\0", 4)), "none");
  EXPECT_EQ(State(std::string(257, 'k') + "=v"), "none");
  EXPECT_EQ(State("k=" + std::string(257, 'v')), "none");
  EXPECT_EQ(State(Members(33)), "none");
  EXPECT_EQ(State("a=1," + std::string(1'000'000, ' ')), "none");
  EXPECT_EQ(State("a=1" + std::string(1'000'000, ',')), "none");
  EXPECT_EQ(State("a=1" + std::string(20'000, ' ') + "x"), "none");
  const Scope made = Extract(ctx_background(), Formats(CTX_FORMAT_TRACE),
                             {{"traceparent", kTraceparent}, {"tracestate", "a"}});
  EXPECT_EQ(StringOf(made, "traceparent"), kTraceparent);
}

// What 32 members of full length take goes through; more than that can only be white space.
TEST(Tracestate, Rule60_TheLongest) {
  std::string text;
  for (int i = 0; i < 32; ++i) {
    if (i > 0) text += ",";
    text += std::string(254, 'k') + std::to_string(10 + i) + "=" + std::string(256, 'v');
  }
  EXPECT_EQ(State(text), text);
  EXPECT_EQ(State(" " + text), "none");
}

TEST(Tracestate, Rule60_GoesOutOnlyBesideATraceparent) {
  const Ctx alone = WithString(ctx_background(), "tracestate", "a=1");
  EXPECT_EQ(Inject(alone, Formats(CTX_FORMAT_TRACE)).size(), 0u);
  EXPECT_EQ(Inject(WithString(alone, "traceparent", "what"), Formats(CTX_FORMAT_TRACE)).size(), 0u);
  EXPECT_EQ(
      Inject(WithString(alone, "traceparent", kTraceparent), Formats(CTX_FORMAT_TRACE)).size(), 2u);
}

}  // namespace
}  // namespace ctxtest
