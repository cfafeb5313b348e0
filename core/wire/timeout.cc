// SPDX-License-Identifier: MIT
#include "core/wire/timeout.h"

#include "core/base/text.h"
#include "core/system/clock.h"
#include "core/wire/chars.h"

namespace ctxcore {

namespace {

constexpr int64_t kMillisecond = 1'000'000;
constexpr size_t kGrpcDigits = 8;
constexpr size_t kMillisecondDigits = 10;

struct TimeUnit {
  char letter;
  int64_t ns;
};
constexpr TimeUnit kTimeUnits[] = {{'n', 1},       {'u', 1'000},        {'m', kMillisecond},
                                   {'S', kSecond}, {'M', 60 * kSecond}, {'H', 3'600 * kSecond}};

// Digits, at least one and at most so many, times a unit.
int64_t read_number(std::string_view digits, size_t most, int64_t unit) {
  if (digits.empty() || digits.size() > most || !all_of(kDigitChar, digits)) {
    return kMalformedTimeout;
  }
  int64_t number = 0;
  for (const char digit : digits) number = 10 * number + (digit - '0');
  int64_t ns = 0;
  return __builtin_mul_overflow(number, unit, &ns) ? kForever : ns;
}

uint64_t units_of(int64_t ns, int64_t unit) { return static_cast<uint64_t>((ns - 1) / unit + 1); }

}  // namespace

int64_t read_grpc_timeout(std::string_view text) {
  text = trim(text);
  if (text.empty()) return kMalformedTimeout;
  for (const TimeUnit& unit : kTimeUnits) {
    if (unit.letter != text.back()) continue;
    return read_number(part(text, 0, text.size() - 1), kGrpcDigits, unit.ns);
  }
  return kMalformedTimeout;
}

int64_t read_milliseconds(std::string_view text) {
  return read_number(trim(text), kMillisecondDigits, kMillisecond);
}

void write_grpc_timeout(int64_t ns, char* at) {
  const TimeUnit* unit = kTimeUnits;  // hours suffice for every int64_t
  while (units_of(ns, unit->ns) > 99'999'999) ++unit;
  Text text(at, kTimeoutText - 1);
  text.add(units_of(ns, unit->ns)).add({&unit->letter, 1}).end();
}

bool write_milliseconds(int64_t ns, char* at) {
  const uint64_t ms = units_of(ns, kMillisecond);
  if (ms > 9'999'999'999) return false;
  Text(at, kTimeoutText - 1).add(ms).end();
  return true;
}

}  // namespace ctxcore
