// SPDX-License-Identifier: MIT
// Building text: numbers, durations, the events of a descriptor, a signal. It needs no memory, no lock and
// no locale.
//
// Invariants
//  1. It never writes beyond its room, but counts the characters that do not fit, as snprintf does.
#ifndef CTX_CORE_BASE_TEXT_H
#define CTX_CORE_BASE_TEXT_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ctxcore {

class Text {
 public:
  Text(char* at, size_t room) : at_(at), room_(room) {}

  Text& add(std::string_view text);
  Text& add(uint64_t number, unsigned digits = 1);  // with leading zeros, if it has fewer digits
  Text& add_duration(int64_t ns);  // as Go prints one: 1h2m3.5s, 1.2s, 20ms, 1.5µs, 7ns, 0s

  size_t length() const { return length_; }
  void end();  // a NUL; the room has one character more for it

 private:
  Text& add_decimal(uint64_t value, uint64_t unit, unsigned places);

  char* const at_;
  const size_t room_;
  size_t length_ = 0;
};

// The absolute value of a negative number, also of INT64_MIN.
inline uint64_t magnitude(int64_t number) {
  return number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
}

// "SIGTERM", or "signal 40" for one that has no name.
void add_signal(Text& text, int signal);

// The events of a descriptor: "POLLIN|POLLHUP on descriptor 7". The text has room for kEventsText.
constexpr size_t kEventsText = 160;
void write_events(char* at, int fd, uint32_t events);

// Which signal came, and from whom: "SIGTERM from process 4711 of user 1000", or "SIGALRM from the
// system". The text has room for kSignalText.
constexpr size_t kSignalText = 80;
void write_signal(char* at, int signal, bool sent, uint32_t process, uint32_t user);

}  // namespace ctxcore

#endif
