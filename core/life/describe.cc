// SPDX-License-Identifier: MIT
// The one file that uses fmt: integers and text, compiled formats, into a buffer of the caller's.
//
// The text runs from the root to the context, and the tree is linked the other way. So the length is
// found first, and the parts are then written from the last to the first, each at its own place.
#include "core/life/describe.h"

#include <fmt/compile.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include <algorithm>
#include <string_view>

#include "core/life/grace.h"
#include "core/life/merge.h"
#include "core/loop/loop.h"
#include "core/loop/signals.h"
#include "core/loop/sources.h"
#include "core/system/clock.h"

// What fmt's templates would take from libfmt and libstdc++, which this library does not link. None of it
// can be reached from here: no format is parsed at run time, no buffer grows, nothing is printed with
// a locale or escaped. Where the optimizer drops the references by itself, the linker drops these
// answers; in other builds they stand in, hidden, and trap.
#define CTX_ANSWER(name, symbol)                       \
  extern "C" [[noreturn]] void name() __asm__(symbol); \
  extern "C" void name() { __builtin_trap(); }

#if FMT_VERSION < 100000
#define CTX_FMT "_ZN3fmt2v9"
#elif FMT_VERSION < 110000
#define CTX_FMT "_ZN3fmt3v10"
#else
#define CTX_FMT "_ZN3fmt3v11"
#endif

CTX_ANSWER(ctx_no_assert, CTX_FMT "6detail11assert_failEPKciS3_")
CTX_ANSWER(ctx_no_escape, CTX_FMT "6detail12is_printableEj")
CTX_ANSWER(ctx_no_format_error, CTX_FMT "6detail18throw_format_errorEPKc")
CTX_ANSWER(ctx_no_locale, CTX_FMT
           "6detail18thousands_sep_implIcEENS1_20thousands_sep_resultIT_EENS1_10locale_refE")
CTX_ANSWER(ctx_no_bad_alloc, "_ZSt17__throw_bad_allocv")
CTX_ANSWER(ctx_no_length_error, "_ZSt20__throw_length_errorPKc")
CTX_ANSWER(ctx_no_bad_length, "_ZSt28__throw_bad_array_new_lengthv")
CTX_ANSWER(ctx_no_new, "_Znwm")
CTX_ANSWER(ctx_no_delete, "_ZdlPv")
CTX_ANSWER(ctx_no_sized_delete, "_ZdlPvm")

namespace ctxcore {

namespace {

// A piece of text that is cut at `room` and counted whole.
struct Part {
  char* at;
  size_t room;
  size_t length = 0;

  template <typename Format, typename... Args>
  void add(const Format& format, const Args&... args) {
    const size_t written = std::min(length, room);
    length += fmt::format_to_n(at + written, room - written, format, args...).size;
  }
};

struct Digits {
  char text[24];
  size_t size;
};

// whole.fraction with `places` decimals, less the zeros at its end.
Digits decimal(uint64_t whole, uint64_t fraction, unsigned places) {
  Digits digits{};
  auto* end = fmt::format_to(digits.text, FMT_COMPILE("{}"), whole);
  if (fraction != 0) {
    *end++ = '.';
    for (unsigned i = places; i-- > 0; fraction /= 10) {
      end[i] = static_cast<char>('0' + fraction % 10);
    }
    end += places;
    while (end[-1] == '0') --end;
  }
  digits.size = static_cast<size_t>(end - digits.text);
  return digits;
}

void add_decimal(Part& part, uint64_t value, uint64_t unit, unsigned places,
                 std::string_view name) {
  const Digits digits = decimal(value / unit, value % unit, places);
  part.add(FMT_COMPILE("{}{}"), std::string_view(digits.text, digits.size), name);
}

void add_text(Part& part, std::string_view text) { part.add(FMT_COMPILE("{}"), text); }

// As Go prints a duration: 1h2m3.5s, 1.2s, 20ms, 1.5µs, 7ns, 0s.
void add_duration(Part& part, int64_t ns) {
  constexpr uint64_t kMinute = 60 * uint64_t{kSecond};
  const uint64_t size = ns < 0 ? 0 - static_cast<uint64_t>(ns) : static_cast<uint64_t>(ns);
  if (ns < 0) add_text(part, "-");
  if (size == 0) return add_decimal(part, 0, 1, 0, "s");
  if (size < 1'000) return add_decimal(part, size, 1, 0, "ns");
  if (size < 1'000'000) return add_decimal(part, size, 1'000, 3, "\u00b5s");
  if (size < kSecond) return add_decimal(part, size, 1'000'000, 6, "ms");
  const uint64_t minutes = size / kMinute;
  if (minutes >= 60) part.add(FMT_COMPILE("{}{}"), minutes / 60, std::string_view("h"));
  if (minutes > 0) part.add(FMT_COMPILE("{}{}"), minutes % 60, std::string_view("m"));
  add_decimal(part, size % kMinute, kSecond, 9, "s");
}

void add_deadline(Part& part, int64_t deadline, int64_t now) {
  add_text(part, ".WithDeadline(");
  if (deadline < 0) add_text(part, "-");
  const uint64_t size =
      deadline < 0 ? 0 - static_cast<uint64_t>(deadline) : static_cast<uint64_t>(deadline);
  part.add(FMT_COMPILE("{}.{:09}s ["), size / kSecond, size % kSecond);
  add_duration(part, saturating_sub(deadline, now));
  add_text(part, "])");
}

void add_named(Part& part, std::string_view call, const char* name) {
  part.add(FMT_COMPILE("{}{}{}"), call, std::string_view(name != nullptr ? name : "unnamed"),
           std::string_view(")"));
}

// "SIGTERM", or the number of one that has no name.
void add_signal(Part& part, int signal) {
  const char* const name = sigabbrev_np(signal);
  if (name != nullptr) return part.add(FMT_COMPILE("SIG{}"), std::string_view(name));
  part.add(FMT_COMPILE("signal {}"), static_cast<uint64_t>(signal));
}

void add_signals(Part& part, uint64_t signals) {
  std::string_view before = ".WithSignal(";
  for (int i = 0; i < 64; ++i) {
    if ((signals >> i & 1) == 0) continue;
    add_text(part, before);
    add_signal(part, i + 1);
    before = ", ";
  }
  add_text(part, ")");
}

void add_events(Part& part, uint32_t events) {
  struct Name {
    uint32_t event;
    std::string_view text;
  };
  constexpr Name kNames[] = {
      {POLLIN, "POLLIN"},         {POLLPRI, "POLLPRI"},       {POLLOUT, "POLLOUT"},
      {POLLERR, "POLLERR"},       {POLLHUP, "POLLHUP"},       {POLLRDNORM, "POLLRDNORM"},
      {POLLRDBAND, "POLLRDBAND"}, {POLLWRNORM, "POLLWRNORM"}, {POLLWRBAND, "POLLWRBAND"},
      {POLLMSG, "POLLMSG"},       {POLLRDHUP, "POLLRDHUP"}};
  std::string_view between;
  for (const Name& name : kNames) {
    if ((events & name.event) == 0) continue;
    part.add(FMT_COMPILE("{}{}"), between, name.text);
    between = "|";
  }
}

// What this context adds to its parent's text.
size_t write_part(const Context* context, int64_t now, char* at, size_t room) {
  Part part{at, room};
  switch (context->kind) {
    case Kind::background:
      add_text(part, "context.Background");
      break;
    case Kind::todo:
      add_text(part, "context.TODO");
      break;
    case Kind::cancel:
      add_text(part, ".WithCancel");
      break;
    case Kind::deadline:
      add_deadline(part, static_cast<const Node*>(context)->deadline, now);
      break;
    case Kind::value:
      add_named(part, ".WithValue(",
                static_cast<const Key*>(static_cast<const Value*>(context)->key)->name);
      break;
    case Kind::string:
      add_named(part, ".WithString(",
                static_cast<const char*>(static_cast<const Value*>(context)->key));
      break;
    case Kind::detached:
      add_text(part, ".WithoutCancel");
      break;
    case Kind::grace:
      add_text(part, ".WithGrace(");
      add_duration(part, static_cast<const GraceNode*>(context)->grace);
      add_text(part, ")");
      break;
    case Kind::fd:
      part.add(FMT_COMPILE(".WithFD({})"),
               static_cast<uint64_t>(static_cast<const FdNode*>(context)->fd));
      break;
    case Kind::signal:
      add_signals(part, static_cast<const SignalNode*>(context)->signals);
      break;
    case Kind::merged:
      part.add(FMT_COMPILE(".Merge({})"), uint64_t{static_cast<const MergedNode*>(context)->count});
      break;
    case Kind::aside:
    case Kind::link:
      break;
  }
  return part.length;
}

}  // namespace

size_t describe(const Context* context, char* buffer, size_t size) {
  const int64_t now = loop_of(node_of(context))->now();  // once, so that both rounds agree
  size_t total = 0;
  for (const Context* c = context; c != nullptr; c = c->parent) {
    total += write_part(c, now, nullptr, 0);
  }
  if (size == 0) return total;
  const size_t last = size - 1;
  size_t start = total;
  for (const Context* c = context; c != nullptr; c = c->parent) {
    start -= write_part(c, now, nullptr, 0);
    if (start < last) write_part(c, now, buffer + start, last - start);
  }
  buffer[std::min(total, last)] = '\0';
  return total;
}

void describe_events(char* text, int fd, uint32_t events) {
  Part part{text, kEventsText - 1};
  add_events(part, events);
  part.add(FMT_COMPILE(" on descriptor {}"), static_cast<uint64_t>(fd));
  text[std::min(part.length, part.room)] = '\0';
}

void describe_signal(char* text, int signal, bool sent, uint32_t process, uint32_t user) {
  Part part{text, kSignalText - 1};
  add_signal(part, signal);
  if (sent) {
    part.add(FMT_COMPILE(" from process {} of user {}"), uint64_t{process}, uint64_t{user});
  } else {
    add_text(part, " from the system");
  }
  text[std::min(part.length, part.room)] = '\0';
}

}  // namespace ctxcore
