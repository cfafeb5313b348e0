// SPDX-License-Identifier: MIT
#include "core/base/text.h"

#include <poll.h>
#include <signal.h>
#include <string.h>

#include <algorithm>

#include "core/system/clock.h"

namespace ctxcore {

Text& Text::add(std::string_view text) {
  if (length_ < room_)
    std::copy_n(text.data(), std::min(text.size(), room_ - length_), at_ + length_);
  length_ += text.size();
  return *this;
}

Text& Text::add(uint64_t number, unsigned digits) {
  char text[20];  // the largest number has that many digits
  char* const end = text + sizeof text;
  char* first = end;
  for (; first > text && (number != 0 || first > end - digits); number /= 10) {
    *--first = static_cast<char>('0' + number % 10);
  }
  return add({first, static_cast<size_t>(end - first)});
}

// value / unit with `places` decimals, without trailing zeros.
Text& Text::add_decimal(uint64_t value, uint64_t unit, unsigned places) {
  add(value / unit);
  uint64_t fraction = value % unit;
  if (fraction == 0) return *this;
  for (; fraction % 10 == 0; fraction /= 10) --places;
  return add(".").add(fraction, places);
}

Text& Text::add_duration(int64_t ns) {
  constexpr uint64_t kMinute = 60 * uint64_t{kSecond};
  const uint64_t size = magnitude(ns);
  if (ns < 0) add("-");
  if (size == 0) return add("0s");
  if (size < 1'000) return add(size).add("ns");
  if (size < 1'000'000) return add_decimal(size, 1'000, 3).add("\u00b5s");
  if (size < kSecond) return add_decimal(size, 1'000'000, 6).add("ms");
  const uint64_t minutes = size / kMinute;
  if (minutes >= 60) add(minutes / 60).add("h");
  if (minutes > 0) add(minutes % 60).add("m");
  return add_decimal(size % kMinute, kSecond, 9).add("s");
}

void Text::end() { at_[std::min(length_, room_)] = '\0'; }

void add_signal(Text& text, int signal) {
  const char* const name = sigabbrev_np(signal);
  if (name != nullptr) {
    text.add("SIG").add(name);
  } else {
    text.add("signal ").add(static_cast<uint64_t>(signal));
  }
}

void write_events(char* at, int fd, uint32_t events) {
  struct Name {
    uint32_t event;
    std::string_view text;
  };
  constexpr Name kNames[] = {
      {POLLIN, "POLLIN"},         {POLLPRI, "POLLPRI"},       {POLLOUT, "POLLOUT"},
      {POLLERR, "POLLERR"},       {POLLHUP, "POLLHUP"},       {POLLRDNORM, "POLLRDNORM"},
      {POLLRDBAND, "POLLRDBAND"}, {POLLWRNORM, "POLLWRNORM"}, {POLLWRBAND, "POLLWRBAND"},
      {POLLMSG, "POLLMSG"},       {POLLRDHUP, "POLLRDHUP"}};
  Text text(at, kEventsText - 1);
  std::string_view between;
  for (const Name& name : kNames) {
    if ((events & name.event) == 0) continue;
    text.add(between).add(name.text);
    between = "|";
  }
  text.add(" on descriptor ").add(static_cast<uint64_t>(fd)).end();
}

void write_signal(char* at, int signal, bool sent, uint32_t process, uint32_t user) {
  Text text(at, kSignalText - 1);
  add_signal(text, signal);
  if (sent) {
    text.add(" from process ").add(process).add(" of user ").add(user);
  } else {
    text.add(" from the system");
  }
  text.end();
}

}  // namespace ctxcore
