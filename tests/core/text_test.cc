// SPDX-License-Identifier: MIT
// Texts: cut at their room and counted whole, numbers and durations at the borders of their forms.
#include "core/base/text.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <cstring>
#include <string>

namespace ctxcore {
namespace {

// What a text reads, and that at every smaller room it is its beginning, counted whole.
template <typename Add>
std::string Read(const Add& add) {
  char whole[256];
  Text text(whole, sizeof whole - 1);
  add(text);
  text.end();
  const std::string expected(whole);
  EXPECT_EQ(text.length(), expected.size());
  for (size_t room = 0; room <= expected.size(); ++room) {
    std::string buffer(expected.size() + 2, '#');
    Text part(buffer.data(), room);
    add(part);
    EXPECT_EQ(part.length(), expected.size()) << "counted whole with room for " << room;
    part.end();
    EXPECT_EQ(buffer.substr(0, room), expected.substr(0, room));
    EXPECT_EQ(buffer[room], '\0');
    EXPECT_EQ(buffer.substr(room + 1), std::string(buffer.size() - room - 1, '#'));
  }
  Text counted(nullptr, 0);
  add(counted);
  EXPECT_EQ(counted.length(), expected.size());
  return expected;
}

std::string Number(uint64_t number, unsigned digits = 1) {
  return Read([=](Text& text) { text.add(number, digits); });
}

std::string Duration(int64_t ns) {
  return Read([=](Text& text) { text.add_duration(ns); });
}

TEST(TextWriter, PartsFollowEachOther) {
  EXPECT_EQ(Read([](Text& text) { text.add("").add("one ").add(2).add("").add(" three"); }),
            "one 2 three");
  EXPECT_EQ(Read([](Text&) {}), "");
}

TEST(TextWriter, NumbersFromTheSmallestToTheLargest) {
  EXPECT_EQ(Number(0), "0");
  EXPECT_EQ(Number(9), "9");
  EXPECT_EQ(Number(10), "10");
  EXPECT_EQ(Number(1'000'000'000), "1000000000");
  EXPECT_EQ(Number(UINT64_MAX), "18446744073709551615");
}

TEST(TextWriter, ZerosFillANumberUpToItsDigits) {
  EXPECT_EQ(Number(0, 9), "000000000");
  EXPECT_EQ(Number(7, 3), "007");
  EXPECT_EQ(Number(999, 3), "999");
  EXPECT_EQ(Number(1000, 3), "1000");
  EXPECT_EQ(Number(1, 20), "00000000000000000001");
  EXPECT_EQ(Number(UINT64_MAX, 20), "18446744073709551615");
}

TEST(TextWriter, DurationsReadAsGoPrintsThem) {
  EXPECT_EQ(Duration(0), "0s");
  EXPECT_EQ(Duration(1), "1ns");
  EXPECT_EQ(Duration(999), "999ns");
  EXPECT_EQ(Duration(1'000), "1µs");
  EXPECT_EQ(Duration(1'001), "1.001µs");
  EXPECT_EQ(Duration(1'100), "1.1µs");
  EXPECT_EQ(Duration(999'999), "999.999µs");
  EXPECT_EQ(Duration(1'000'000), "1ms");
  EXPECT_EQ(Duration(1'000'001), "1.000001ms");
  EXPECT_EQ(Duration(20'500'000), "20.5ms");
  EXPECT_EQ(Duration(999'999'999), "999.999999ms");
  EXPECT_EQ(Duration(1'000'000'000), "1s");
  EXPECT_EQ(Duration(1'000'000'001), "1.000000001s");
  EXPECT_EQ(Duration(10'000'000'000), "10s");
  EXPECT_EQ(Duration(59'999'999'999), "59.999999999s");
  EXPECT_EQ(Duration(60'000'000'000), "1m0s");
  EXPECT_EQ(Duration(60'500'000'000), "1m0.5s");
  EXPECT_EQ(Duration(3'599'999'999'999), "59m59.999999999s");
  EXPECT_EQ(Duration(3'600'000'000'000), "1h0m0s");
  EXPECT_EQ(Duration(3'723'500'000'000), "1h2m3.5s");
  EXPECT_EQ(Duration(INT64_MAX), "2562047h47m16.854775807s");
}

TEST(TextWriter, NegativeDurationsToo) {
  EXPECT_EQ(Duration(-1), "-1ns");
  EXPECT_EQ(Duration(-1'000'000), "-1ms");
  EXPECT_EQ(Duration(-60'000'000'000), "-1m0s");
  EXPECT_EQ(Duration(INT64_MIN + 1), "-2562047h47m16.854775807s");
  EXPECT_EQ(Duration(INT64_MIN), "-2562047h47m16.854775808s");
}

TEST(TextWriter, EventsByTheirNames) {
  char text[kEventsText];
  write_events(text, 7, POLLIN | POLLHUP);
  EXPECT_STREQ(text, "POLLIN|POLLHUP on descriptor 7");
  write_events(text, INT32_MAX, 0);
  EXPECT_STREQ(text, " on descriptor 2147483647");
}

TEST(TextWriter, AllEventsAtOnceHaveRoom) {
  char text[kEventsText + 1];
  text[kEventsText] = '#';
  write_events(text, INT32_MAX, UINT32_MAX);
  EXPECT_EQ(text[kEventsText], '#');
  EXPECT_STREQ(text,
               "POLLIN|POLLPRI|POLLOUT|POLLERR|POLLHUP|POLLRDNORM|POLLRDBAND|POLLWRNORM|"
               "POLLWRBAND|POLLMSG|POLLRDHUP on descriptor 2147483647");
}

TEST(TextWriter, SignalsByTheirNamesAndSenders) {
  char text[kSignalText];
  write_signal(text, SIGTERM, true, 4711, 1000);
  EXPECT_STREQ(text, "SIGTERM from process 4711 of user 1000");
  write_signal(text, SIGALRM, false, 4711, 1000);
  EXPECT_STREQ(text, "SIGALRM from the system");
  write_signal(text, 40, false, 0, 0);
  EXPECT_STREQ(text, "signal 40 from the system");
}

TEST(TextWriter, TheLongestSignalHasRoom) {
  char text[kSignalText + 1];
  text[kSignalText] = '#';
  write_signal(text, 64, true, UINT32_MAX, UINT32_MAX);
  EXPECT_EQ(text[kSignalText], '#');
  EXPECT_STREQ(text, "signal 64 from process 4294967295 of user 4294967295");
}

}  // namespace
}  // namespace ctxcore
