// SPDX-License-Identifier: MIT
//
// Rule 60, for baggage: W3C Baggage. And rule 61: one member read, set and removed.
#include <string>
#include <vector>

#include "support/header_map.h"

namespace ctxtest {
namespace {

// What becomes of a text on its way in, and on its way out if a program has set it.
std::string Passed(const std::string& text) {
  const Scope in = Extract(ctx_background(), Formats(CTX_FORMAT_BAGGAGE), {{"baggage", text}});
  const std::string received = StringOf(in, "baggage");
  if (text.find('\0') != std::string::npos) return received;  // no string has one
  const Ctx out = WithString(ctx_background(), "baggage", text.c_str());
  EXPECT_EQ(Inject(out, Formats(CTX_FORMAT_BAGGAGE))["baggage"], received) << text;
  return received;
}

Ctx WithBaggage(ctx_t* parent, const char* name, const char* value) {
  Ctx made;
  EXPECT_EQ(ctx_with_baggage(parent, name, value, made.out()), 0);
  return made;
}

// The value of a member k, which a list gives so.
std::string ValueOf(const std::string& value) {
  return MemberOf(WithString(ctx_background(), "baggage", ("k=" + value).c_str()), "k");
}

std::string List(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) text += (i == 0 ? "k" : ",k") + std::to_string(i) + "=v";
  return text;
}

TEST(Baggage, Rule60_KeptAsItCame) {
  for (const char* text :
       {"a=1", "a=", "b=2,a=1,c=3", "a=1,a=2", "userId=Am%C3%A9lie,serverNode=DF%2028", "a=b=c==",
        "a=1;p", "a=1;p;q=2;r=", "!#$%&'*+-.^_`|~=1", "a=%zz%", "a=!#$%&'()*+-./:<=>?@[]^_`{|}~"}) {
    EXPECT_EQ(Passed(text), text);
  }
  EXPECT_EQ(Passed(List(64)), List(64));
}

TEST(Baggage, Rule60_WhiteSpaceGoes) {
  EXPECT_EQ(Passed(" a=1 ,\tb = 2\t, c=3 "), "a=1,b=2,c=3");
  EXPECT_EQ(Passed("a = 1\t;\tp =  2 ;q ; r=,b=2"), "a=1;p=2;q;r=,b=2");
  for (const char* text : {"", " ", ",", ",,, ,\t"}) EXPECT_EQ(Passed(text), "none");
}

TEST(Baggage, Rule60_AMalformedMemberIsLeftOutAlone) {
  for (const char* bad : {"",           "b",        "=1",        "b c=1",
                          "b=1 2",      "b=\"1\"",  "b=\\",      "b=\xC3\xA9",
                          "\xC3\xA9=1", "b=1;",     "b=1;;p",    "b=1;p q",
                          "b=1;=2",     "b=1;p=\"", "b=1\n",     "b=1\r\nset-cookie: x=1",
                          "b=\x7F",     "b(=1",     "b=1;p=1 2", "b\t1=2",
                          ";p",         "b;p=1"}) {
    EXPECT_EQ(Passed(bad), "none") << bad;
    EXPECT_EQ(Passed(std::string(bad) + ",a=1"), "a=1") << bad;
    EXPECT_EQ(Passed("a=1," + std::string(bad) + ",c=3;p"), "a=1,c=3;p") << bad;
  }
  EXPECT_EQ(Passed(std::string("b=\0,a=1", 7)), "a=1");
}

TEST(Baggage, Rule60_TheFirst64Members) {
  EXPECT_EQ(Passed(List(65)), List(64));
  EXPECT_EQ(Passed("bad,,bad," + List(100'000)), "k0=v," + List(64).substr(5))
      << "a malformed one does not count";
}

TEST(Baggage, Rule60_WholeMembersOfTheFirst8192Bytes) {
  const std::string first = "a=" + std::string(8'000, 'x');
  const std::string full = first + ",b=" + std::string(8'192 - first.size() - 3, 'y');
  EXPECT_EQ(full.size(), 8'192u);
  EXPECT_EQ(Passed(full), full);
  EXPECT_EQ(Passed(full + ",c=3"), full) << "what comes then is cut off";
  EXPECT_EQ(Passed(full + "y"), first) << "one byte more, and the last member does not fit";
  EXPECT_EQ(Passed(full + " "), first) << "nobody looks further";
  EXPECT_EQ(Passed("a=" + std::string(8'191, 'x')), "none");
  EXPECT_EQ(Passed("a=" + std::string(1'000'000, 'x') + ",b=2"), "none");
  EXPECT_EQ(Passed("b=2," + std::string(1'000'000, 'x')), "b=2");
  EXPECT_EQ(Passed("b=2" + std::string(1'000'000, ',')), "b=2");
}

TEST(Baggage, Rule61_TheValueOfAMember) {
  const Ctx ctx = WithString(ctx_background(), "baggage", "a=1,b = 2 ;p=3, A=4 ,c=");
  EXPECT_EQ(MemberOf(ctx, "a"), "1");
  EXPECT_EQ(MemberOf(ctx, "b"), "2");
  EXPECT_EQ(MemberOf(ctx, "A"), "4");
  EXPECT_EQ(MemberOf(ctx, "c"), "");
  for (const char* name : {"p", "", "d", "a=1", "b = 2", "aa"})
    EXPECT_EQ(MemberOf(ctx, name), "none");
  EXPECT_EQ(MemberOf(ctx_background(), "a"), "none");
  EXPECT_EQ(MemberOf(WithString(ctx, "baggage", nullptr), "a"), "none");
}

TEST(Baggage, Rule61_OfSeveralTheLast) {
  EXPECT_EQ(MemberOf(WithString(ctx_background(), "baggage", "a=1,a=2,b=3,a=\""), "a"), "2");
}

TEST(Baggage, Rule61_Decoded) {
  EXPECT_EQ(ValueOf("DF%2028"), "DF 28");
  EXPECT_EQ(ValueOf("%C3%a9%e2%82%AC%F0%9F%98%80"), "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  EXPECT_EQ(ValueOf("a+b"), "a+b");
  EXPECT_EQ(ValueOf("100%"), "100%") << "no digits behind it";
  EXPECT_EQ(ValueOf("%4"), "%4");
  EXPECT_EQ(ValueOf("%4g%g4"), "%4g%g4");
  EXPECT_EQ(ValueOf("%2541"), "%41") << "once only";
}

TEST(Baggage, Rule61_WhatIsNoUtf8IsReplaced) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(ValueOf("%FF"), bad);
  EXPECT_EQ(ValueOf("a%80b"), "a" + bad + "b");
  EXPECT_EQ(ValueOf("%C3"), bad);
  EXPECT_EQ(ValueOf("%C3x"), bad + "x");
  EXPECT_EQ(ValueOf("%E2%82x"), bad + "x") << "what broke off is one character";
  EXPECT_EQ(ValueOf("%F0%9F%98"), bad);
  EXPECT_EQ(ValueOf("%C0%AF"), bad + bad) << "overlong";
  EXPECT_EQ(ValueOf("%E0%9F%BF"), bad + bad + bad);
  EXPECT_EQ(ValueOf("%ED%A0%80"), bad + bad + bad) << "a surrogate";
  EXPECT_EQ(ValueOf("%F4%90%80%80"), bad + bad + bad + bad) << "beyond Unicode";
  EXPECT_EQ(ValueOf("%F0%8F%BF%BF"), bad + bad + bad + bad);
  EXPECT_EQ(ValueOf("%F4%8F%BF%BF"), "\xF4\x8F\xBF\xBF");
  EXPECT_EQ(ValueOf("%00a"), bad + "a") << "it would end the text";
}

TEST(Baggage, Rule61_WrittenAsSnprintfDoes) {
  const Ctx ctx = WithString(ctx_background(), "baggage", "k=a%20%C3%A9");
  char buf[8];
  for (size_t size = 0; size <= sizeof buf; ++size) {
    std::fill(buf, buf + sizeof buf, '#');
    EXPECT_EQ(ctx_baggage(ctx, "k", buf, size), 4);
    const size_t written = size == 0 ? 0 : std::min<size_t>(size - 1, 4);
    EXPECT_EQ(std::string(buf, written), std::string("a \xC3\xA9").substr(0, written));
    if (size > 0) {
      EXPECT_EQ(buf[written], '\0');
    }
    for (size_t i = size; i < sizeof buf; ++i) EXPECT_EQ(buf[i], '#');
  }
  EXPECT_EQ(ctx_baggage(ctx, "k", nullptr, 0), 4);
  EXPECT_EQ(ctx_baggage(ctx, "k", nullptr, 1), -EINVAL);
  EXPECT_EQ(ctx_baggage(ctx, nullptr, buf, sizeof buf), -EINVAL);
  EXPECT_EQ(ctx_baggage(nullptr, "k", buf, sizeof buf), -EINVAL);
  EXPECT_EQ(ctx_baggage(ctx, "other", buf, sizeof buf), -ENOENT);
}

TEST(Baggage, Rule61_AMemberIsSet) {
  const Ctx one = WithBaggage(ctx_background(), "a", "1");
  EXPECT_EQ(StringOf(one, "baggage"), "a=1");
  const Ctx two = WithBaggage(one, "b", "2");
  EXPECT_EQ(StringOf(two, "baggage"), "a=1,b=2");
  EXPECT_EQ(StringOf(WithBaggage(two, "a", "3"), "baggage"), "b=2,a=3");
  EXPECT_EQ(StringOf(one, "baggage"), "a=1") << "the parent keeps its own";
  const Ctx several = WithString(ctx_background(), "baggage", "a=1;p, \" ,b=2;q=%20,a=3");
  EXPECT_EQ(StringOf(WithBaggage(several, "a", ""), "baggage"), "b=2;q=%20,a=");
}

TEST(Baggage, Rule61_EncodedSoThatItReadsBack) {
  std::string all;
  for (int c = 1; c < 128; ++c) all += static_cast<char>(c);
  all += "\xC3\xA9\xF0\x9F\x98\x80";
  const Ctx made = WithBaggage(ctx_background(), "k", all.c_str());
  EXPECT_EQ(MemberOf(made, "k"), all);
  const std::string sent = Inject(made, Formats(CTX_FORMAT_BAGGAGE))["baggage"];
  EXPECT_EQ(sent, StringOf(made, "baggage"));
  EXPECT_EQ(
      MemberOf(Extract(ctx_background(), Formats(CTX_FORMAT_BAGGAGE), {{"baggage", sent}}), "k"),
      all);
  EXPECT_EQ(StringOf(WithBaggage(ctx_background(), "k", "DF 28+%,\n"), "baggage"),
            "k=DF%2028%2B%25%2C%0A");
}

TEST(Baggage, Rule61_RemovedWithNull) {
  const Ctx two = WithString(ctx_background(), "baggage", "a=1,b=2,a=3");
  EXPECT_EQ(StringOf(WithBaggage(two, "a", nullptr), "baggage"), "b=2");
  EXPECT_EQ(StringOf(WithBaggage(two, "c", nullptr), "baggage"), "a=1,b=2,a=3");
  const Ctx none = WithBaggage(WithBaggage(two, "a", nullptr), "b", nullptr);
  EXPECT_EQ(StringOf(none, "baggage"), "none");
  EXPECT_EQ(Inject(none, Formats(CTX_FORMAT_BAGGAGE)).size(), 0u);
  EXPECT_EQ(StringOf(WithBaggage(ctx_background(), "a", nullptr), "baggage"), "none");
}

TEST(Baggage, Rule61_NoMoreThanFits) {
  ctx_t* none = ctx_todo();
  const Ctx full = WithString(ctx_background(), "baggage", List(64).c_str());
  EXPECT_EQ(ctx_with_baggage(full, "more", "1", &none), -E2BIG);
  EXPECT_EQ(MemberOf(WithBaggage(full, "k7", "other"), "k7"), "other") << "in place of another one";
  const std::string longest(8'190, 'x');
  EXPECT_EQ(ctx_with_baggage(ctx_background(), "k", (longest + "x").c_str(), &none), -E2BIG);
  EXPECT_EQ(ctx_with_baggage(ctx_background(), "k", std::string(2'731, ' ').c_str(), &none), -E2BIG)
      << "encoded";
  EXPECT_EQ(none, ctx_todo());
  EXPECT_EQ(MemberOf(WithBaggage(ctx_background(), "k", longest.c_str()), "k"), longest);
}

TEST(Baggage, Rule61_ANameIsAToken) {
  ctx_t* none = ctx_todo();
  for (const char* name : {"", " ", "a b", "a=", "a,", "a;", "\"a\"", "a\n", "\xC3\xA9", "a/b"}) {
    EXPECT_EQ(ctx_with_baggage(ctx_background(), name, "1", &none), -EINVAL) << name;
    EXPECT_EQ(ctx_with_baggage(ctx_background(), name, nullptr, &none), -EINVAL) << name;
  }
  EXPECT_EQ(ctx_with_baggage(ctx_background(), nullptr, "1", &none), -EINVAL);
  EXPECT_EQ(ctx_with_baggage(nullptr, "a", "1", &none), -EINVAL);
  EXPECT_EQ(ctx_with_baggage(ctx_background(), "a", "1", nullptr), -EINVAL);
  EXPECT_EQ(none, ctx_todo());
}

}  // namespace
}  // namespace ctxtest
