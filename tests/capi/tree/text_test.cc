// SPDX-License-Identifier: MIT
//
// Rules 32, 33 and 44: what contexts and errors read as.
#include <gmock/gmock.h>

#include <climits>
#include <cstring>
#include <regex>
#include <string>
#include <vector>

#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

using testing::MatchesRegex;

const ctx_key_t kUser = {"user"}, kNoName = {nullptr}, kEmptyName = {""};

std::string Describe(ctx_t* ctx) {
  std::vector<char> buf(4096);
  const int length = ctx_describe(ctx, buf.data(), buf.size());
  EXPECT_GE(length, 0);
  EXPECT_LT(length, static_cast<int>(buf.size()));
  EXPECT_EQ(strlen(buf.data()), static_cast<size_t>(length));
  return buf.data();
}

TEST(Text, Rule32_TheClockThatGoesOnMeanwhileGarblesNothing) {
  const Scope timed = WithDeadline(WithDeadline(ctx_background(), Now() + kHour), Now() + kSecond);
  const std::string deadline = "\\.WithDeadline\\([0-9]+\\.[0-9]{9}s \\[-?[0-9.hmsµ]+s\\]\\)";
  const std::regex whole("context\\.Background(" + deadline + "){2}");
  for (int i = 0; i < 2'000; ++i) {
    const std::string text = Describe(timed);
    ASSERT_TRUE(std::regex_match(text, whole)) << text;
  }
}

TEST(Text, Rule32_Roots) {
  EXPECT_EQ(Describe(ctx_background()), "context.Background");
  EXPECT_EQ(Describe(ctx_todo()), "context.TODO");
}

TEST(Text, Rule32_WhatOfTheSystemItWaitsFor) {
  const BlockSignals blocked{SIGUSR1, SIGUSR2};
  const Pipe pipe;
  const VirtualLoop time;
  EXPECT_EQ(Describe(WithFd(WithCancel(time.root), pipe.read_end, POLLIN)),
            "context.Background.WithCancel.WithFD(" + std::to_string(pipe.read_end) + ")");
  EXPECT_EQ(Describe(WithSignal(time.root, {SIGUSR2})), "context.Background.WithSignal(SIGUSR2)");
  EXPECT_EQ(Describe(WithSignal(time.root, {SIGUSR2, SIGUSR1})),
            "context.Background.WithSignal(SIGUSR1, SIGUSR2)");
}

TEST(Text, Rule32_HowAContextCameToBe) {
  const Scope cancel = WithCancel(ctx_background());
  EXPECT_EQ(Describe(cancel), "context.Background.WithCancel");
  EXPECT_EQ(Describe(WithIdle(ctx_todo(), 90 * kSecond)), "context.TODO.WithIdle(1m30s)");
  const Ctx value = WithValue(cancel, &kUser, nullptr);
  EXPECT_EQ(Describe(value), "context.Background.WithCancel.WithValue(user)");
  const Ctx detached = WithoutCancel(value);
  EXPECT_EQ(Describe(detached), "context.Background.WithCancel.WithValue(user).WithoutCancel");
  const Scope again = WithCancel(WithCancel(detached));
  EXPECT_EQ(Describe(again),
            "context.Background.WithCancel.WithValue(user).WithoutCancel.WithCancel.WithCancel");
}

TEST(Text, Rule32_ADeadlineAndWhatRemains) {
  const Scope timed = WithDeadline(WithCancel(ctx_background()), 8123500000000);
  EXPECT_THAT(Describe(timed),
              MatchesRegex("context\\.Background\\.WithCancel"
                           "\\.WithDeadline\\(8123\\.500000000s \\[-?[0-9].*s\\]\\)"));
  const Scope below = WithCancel(WithValue(timed, &kUser, nullptr));
  EXPECT_THAT(Describe(below), MatchesRegex(".*\\.WithDeadline\\(8123\\.500000000s \\[.*\\]\\)"
                                            "\\.WithValue\\(user\\)\\.WithCancel"));
  const Scope timeout = WithTimeout(ctx_background(), kHour);
  EXPECT_THAT(
      Describe(timeout),
      MatchesRegex("context\\.Background\\.WithDeadline\\([0-9]+\\.[0-9]{9}s \\[[0-9]+.*s\\]\\)"));
}

TEST(Text, Rule32_WhatRemainsReadsAsADurationOfGos) {
  const Scope past = WithDeadline(ctx_background(), ctx_now(ctx_background()) - 1000 * kHour - 1);
  EXPECT_THAT(Describe(past), MatchesRegex(".* \\[-1000h[0-9]+m[0-9]+(\\.[0-9]*[1-9])?s\\]\\)"));
  const Scope far = WithTimeout(ctx_background(), 1000 * kHour + kHour / 2);
  EXPECT_THAT(Describe(far), MatchesRegex(".* \\[1000h[0-9]+m[0-9]+(\\.[0-9]*[1-9])?s\\]\\)"));
}

TEST(Text, Rule32_EachDeadlineThatCountsIsTold) {
  const Scope late = WithDeadline(ctx_background(), CTX_FOREVER - 1);
  const Scope past = WithDeadline(late, 3);
  EXPECT_THAT(
      Describe(past),
      MatchesRegex("context\\.Background\\.WithDeadline\\(9223372036\\.854775806s \\[.*\\]\\)"
                   "\\.WithDeadline\\(0\\.000000003s \\[-.*\\]\\)"));
  // As in Go, where the parent's deadline covers it.
  EXPECT_THAT(Describe(WithDeadline(past, 4)),
              MatchesRegex(".*\\(0\\.000000003s \\[-.*\\]\\)\\.WithCancel"));
}

TEST(Text, Rule32_MergesTellHowManyAndHowTheFirstCameToBe) {
  const Scope first = WithCancel(ctx_background()), second = WithTimeout(ctx_todo(), kHour);
  EXPECT_EQ(Describe(Merge({first, second})), "context.Background.WithCancel.Merge(2)");
  EXPECT_EQ(Describe(Merge({ctx_todo()})), "context.TODO.Merge(1)");
  const Scope merged = Merge({first, first, second, ctx_background()});
  EXPECT_EQ(Describe(WithCancel(Merge({WithValue(merged, &kUser, nullptr), second}))),
            "context.Background.WithCancel.Merge(4).WithValue(user).Merge(2).WithCancel");
  first.Cancel();
  EXPECT_EQ(Describe(merged), "context.Background.WithCancel.Merge(4)");
  EXPECT_EQ(Describe(Merge({first, second})), "context.Background.WithCancel.Merge(2)")
      << "born done, too";
}

TEST(Text, Rule32_GracesTellHowLongTheyAre) {
  const Scope parent = WithCancel(ctx_background());
  const Scope graceful = WithGrace(parent, 5 * kSecond);
  EXPECT_EQ(Describe(graceful), "context.Background.WithCancel.WithGrace(5s)");
  EXPECT_EQ(Describe(WithCancel(WithGrace(graceful, 90 * kSecond + 1))),
            "context.Background.WithCancel.WithGrace(5s).WithGrace(1m30.000000001s).WithCancel");
  parent.Cancel();
  EXPECT_EQ(Describe(graceful), "context.Background.WithCancel.WithGrace(5s)");
  const Ctx value = WithValue(ctx_todo(), &kUser, nullptr);
  EXPECT_EQ(Describe(WithGrace(value, 1)), "context.TODO.WithValue(user).WithGrace(1ns)");
}

TEST(Text, Rule32_OfALoopsRootAndOnAVirtualClock) {
  const VirtualLoop time;
  EXPECT_EQ(Describe(time.root), "context.Background");
  const Scope timed = WithTimeout(time.root, 90 * kSecond);
  EXPECT_EQ(Describe(timed), "context.Background.WithDeadline(90.000000000s [1m30s])");
  time.Advance(kSecond + 1);
  EXPECT_EQ(Describe(WithCancel(timed)),
            "context.Background.WithDeadline(90.000000000s [1m28.999999999s]).WithCancel");
  time.Advance(100 * kSecond);
  EXPECT_EQ(Describe(timed), "context.Background.WithDeadline(90.000000000s [-11.000000001s])");
  EXPECT_EQ(Describe(WithGrace(timed, kMillisecond)),
            "context.Background.WithDeadline(90.000000000s [-11.000000001s]).WithGrace(1ms)");
}

TEST(Text, Rule32_DeadlinesAndDurationsAtTheBordersOfTheirForms) {
  const VirtualLoop time;
  const std::pair<int64_t, const char*> deadlines[] = {
      {INT64_MIN, "-9223372036.854775808s [-2562047h47m16.854775808s]"},
      {-3'600'000'000'000, "-3600.000000000s [-1h0m0s]"},
      {-1'000'000'000, "-1.000000000s [-1s]"},
      {-1'000, "-0.000001000s [-1\u00b5s]"},
      {-1, "-0.000000001s [-1ns]"},
      {0, "0.000000000s [0s]"},
      {999, "0.000000999s [999ns]"},
      {999'999, "0.000999999s [999.999\u00b5s]"},
      {1'000'000, "0.001000000s [1ms]"},
      {999'999'999, "0.999999999s [999.999999ms]"},
      {1'000'000'000, "1.000000000s [1s]"},
      {59'999'999'999, "59.999999999s [59.999999999s]"},
      {60'000'000'000, "60.000000000s [1m0s]"},
      {3'599'900'000'000, "3599.900000000s [59m59.9s]"},
      {3'600'000'000'000, "3600.000000000s [1h0m0s]"},
      {INT64_MAX - 1, "9223372036.854775806s [2562047h47m16.854775806s]"}};
  for (const auto& [deadline, text] : deadlines) {
    EXPECT_EQ(Describe(WithDeadline(time.root, deadline)),
              std::string("context.Background.WithDeadline(") + text + ")");
  }
}

TEST(Text, Rule32_AnyDeadlineCanBeTold) {
  for (int64_t deadline : {INT64_MIN, int64_t{-1}, int64_t{0}, CTX_FOREVER - 1, CTX_FOREVER}) {
    const Scope timed = WithDeadline(ctx_background(), deadline);
    EXPECT_EQ(Describe(timed).find("context.Background.With"), 0u);
  }
}

TEST(Text, Rule32_KeysWithoutANameAndStrings) {
  EXPECT_EQ(Describe(WithValue(ctx_background(), &kNoName, nullptr))
                .find("context.Background.WithValue("),
            0u);
  EXPECT_EQ(Describe(WithValue(ctx_background(), &kEmptyName, nullptr)),
            "context.Background.WithValue()");
  const std::string text = Describe(WithString(ctx_background(), "trace", "abc"));
  EXPECT_EQ(text.find("context.Background.With"), 0u);
  EXPECT_NE(text.find("trace"), std::string::npos);
}

TEST(Text, Rule32_NamesAreNotFormats) {
  const ctx_key_t odd = {"%s%n{}{0}"};
  EXPECT_EQ(Describe(WithValue(ctx_background(), &odd, nullptr)),
            "context.Background.WithValue(%s%n{}{0})");
}

TEST(Text, Rule32_ANameIsShownWhereItWasGiven) {
  const Ctx request = WithName(ctx_background(), "request 7");
  EXPECT_EQ(Describe(request), "context.Background.WithName(request 7)");
  const Scope cancel = WithCancel(request);
  const Ctx step = WithName(WithValue(cancel, &kUser, nullptr), "fetch user");
  EXPECT_EQ(Describe(WithoutCancel(step)),
            "context.Background.WithName(request 7).WithCancel.WithValue(user).WithName(fetch user)"
            ".WithoutCancel");
  EXPECT_EQ(Describe(cancel), "context.Background.WithName(request 7).WithCancel");
}

TEST(Text, Rule32_ANameIsACopyOfAnyText) {
  std::string text = "%s%n{}{0}) \xc3\xbc";
  const Ctx named = WithName(ctx_background(), text.c_str());
  const std::string expected = "context.Background.WithName(" + text + ")";
  text.assign(text.size(), '#');
  EXPECT_EQ(Describe(named), expected);
  EXPECT_EQ(Describe(WithName(ctx_todo(), "")), "context.TODO.WithName()");
}

TEST(Text, Rule32_ANameIsNoStringAndNoValue) {
  int user = 0;
  const Ctx below = WithString(WithValue(ctx_background(), &kUser, &user), "name", "value");
  const Ctx named = WithName(below, "name of a step");
  EXPECT_STREQ(ctx_string(named, "name"), "value");
  EXPECT_EQ(ctx_value(named, &kUser), &user);
  EXPECT_EQ(ctx_string(named, "name of a step"), nullptr);
  int strings = 0;
  const auto count = [](const char*, const char*, void* arg) {
    ++*static_cast<int*>(arg);
    return 0;
  };
  EXPECT_EQ(ctx_strings(named, count, &strings), 0);
  EXPECT_EQ(strings, 1);
}

TEST(Text, Rule32_ANamedContextIsItsParentInAllElse) {
  const Scope parent = WithTimeout(ctx_background(), kHour);
  const Ctx named = WithName(parent, "step");
  const Scope child = WithCancel(named);
  EXPECT_EQ(Deadline(named), Deadline(parent));
  EXPECT_EQ(ctx_done_fd(named), ctx_done_fd(parent));
  parent.Cancel();
  EXPECT_EQ(ctx_err(named), CTX_CANCELED);
  EXPECT_EQ(ctx_err(child), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(named), ctx_cause(parent));
  EXPECT_EQ(ctx_cancelable(WithName(ctx_background(), "root")), 0);
}

TEST(Text, Rule32_StaysTheSameOnceDone) {
  const Scope scope = WithCancel(ctx_background());
  scope.Cancel();
  EXPECT_EQ(Describe(scope), "context.Background.WithCancel");
}

TEST(Text, Rule32_WorksAsSnprintf) {
  const Scope scope = WithCancel(ctx_background());
  const std::string whole = Describe(scope);
  const int length = static_cast<int>(whole.size());
  EXPECT_EQ(ctx_describe(scope, nullptr, 0), length);
  for (size_t size = 0; size <= whole.size() + 2; ++size) {
    std::string buf(whole.size() + 8, '#');
    EXPECT_EQ(ctx_describe(scope, buf.data(), size), length);
    const size_t written = size == 0 ? 0 : std::min(size - 1, whole.size());
    EXPECT_EQ(buf.substr(0, written), whole.substr(0, written));
    if (size > 0) {
      EXPECT_EQ(buf[written], '\0');
    }
    const size_t touched = size == 0 ? 0 : written + 1;
    EXPECT_EQ(buf.substr(touched), std::string(buf.size() - touched, '#')) << "of size " << size;
  }
}

TEST(Text, Rule32_ASizeMayBeLargerThanAnything) {
  char buf[64];
  EXPECT_EQ(ctx_describe(ctx_background(), buf, SIZE_MAX), 18);
  EXPECT_STREQ(buf, "context.Background");
}

TEST(Text, Rule32_ANullBufferWithASizeIsEINVAL) {
  EXPECT_EQ(ctx_describe(ctx_background(), nullptr, 1), -EINVAL);
  EXPECT_EQ(ctx_describe(nullptr, nullptr, 0), -EINVAL);
}

TEST(Text, Rule32_BeyondIntMaxIsEOVERFLOW) {
  const std::string name(size_t{32} << 20, 'n');
  const ctx_key_t key = {name.c_str()};
  Ctx ctx(ctx_ref(ctx_background()));
  for (int i = 0; i < 64; ++i) ctx = WithValue(ctx, &key, nullptr);
  EXPECT_EQ(ctx_describe(ctx, nullptr, 0), -EOVERFLOW);
  char buf[64] = "as it was";
  EXPECT_EQ(ctx_describe(ctx, buf, sizeof buf), -EOVERFLOW);
  EXPECT_STREQ(buf, "");
}

TEST(Text, Rule44_TheTextHasWhatRemainsSoItsLengthMayChange) {
  const Scope timed = WithTimeout(ctx_background(), kHour);
  const std::string first = Describe(timed);
  while (Describe(timed) == first) {
  }
  SUCCEED() << "the remaining time was counted down";
}

TEST(Text, Rule33_TheTwoErrors) {
  EXPECT_STREQ(ctx_strerror(CTX_CANCELED), "context canceled");
  EXPECT_STREQ(ctx_strerror(CTX_DEADLINE_EXCEEDED), "context deadline exceeded");
}

TEST(Text, Rule33_APositiveErrnoReadsAsItsNegative) {
  EXPECT_STREQ(ctx_strerror(ECANCELED), "context canceled");
  EXPECT_STREQ(ctx_strerror(ETIMEDOUT), "context deadline exceeded");
  EXPECT_STREQ(ctx_strerror(ENOENT), ctx_strerror(-ENOENT));
}

TEST(Text, OtherErrorsReadAsTheSystemsInEnglish) {
  EXPECT_STREQ(ctx_strerror(-EINVAL), "Invalid argument");
  EXPECT_STREQ(ctx_strerror(-ENOMEM), "Cannot allocate memory");
  EXPECT_STREQ(ctx_strerror(-EMFILE), "Too many open files");
  EXPECT_STREQ(ctx_strerror(-ENOENT), "No such file or directory");
  EXPECT_STREQ(ctx_strerror(0), "Success");
}

TEST(Text, AnUnknownErrorIsTextToo) {
  for (int err : {-4095, 4095, -100000, 100000, INT_MAX, INT_MIN, INT_MIN + 1}) {
    EXPECT_STREQ(ctx_strerror(err), "unknown error") << err;
  }
}

TEST(Text, EveryNumberHasAText) {
  for (int err = -600; err <= 600; ++err) {
    ASSERT_NE(ctx_strerror(err), nullptr);
    EXPECT_NE(*ctx_strerror(err), '\0') << err;
  }
}

}  // namespace
}  // namespace ctxtest
