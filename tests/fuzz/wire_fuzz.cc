// SPDX-License-Identifier: MIT
//
// Texts that another process sends: timeouts, traceparent, tracestate, baggage and causes. Each is read once more by
// plain code, which keeps every rule of the formats but knows nothing of speed. What comes in equals what a program
// may set as a string and send; what goes out never holds more than a header may; and what was read is read the same
// once it was written again.
//
// The first byte says what the text is, the second how often it is repeated; so short inputs reach the limits.
#include <ctx/ctx.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/input.h"

namespace fuzz {
namespace {

using Headers = std::map<std::string, std::string>;
using MaybeText = std::optional<std::string>;

constexpr char kDigits[] = "0123456789";
constexpr char kLowerHex[] = "0123456789abcdef";
constexpr char kLower[] = "abcdefghijklmnopqrstuvwxyz";
constexpr char kUpper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const std::string kToken = std::string(kDigits) + kLower + kUpper + "!#$%&'*+-.^_`|~";
const std::string kStateKey = std::string(kDigits) + kLower + "_-*/@";

bool OnlyOf(const std::string& text, const std::string& chars) {
  return text.find_first_not_of(chars) == std::string::npos;
}

bool Printable(const std::string& text, const std::string& except) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return c >= ' ' && c <= '~' && except.find(c) == std::string::npos;
  });
}

std::string Trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string> Split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string Joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

// The plain readings: nothing if the text is malformed.

std::optional<int64_t> PlainNumber(const std::string& digits, size_t most, int64_t unit) {
  if (digits.empty() || digits.size() > most || !OnlyOf(digits, kDigits)) return std::nullopt;
  const auto ns = static_cast<__int128>(std::stoll(digits)) * unit;
  return ns > INT64_MAX ? INT64_MAX : static_cast<int64_t>(ns);
}

std::optional<int64_t> PlainGrpcTimeout(std::string text) {
  static const std::map<char, int64_t> kUnits = {
      {'H', 3'600'000'000'000}, {'M', 60'000'000'000}, {'S', 1'000'000'000},
      {'m', 1'000'000},         {'u', 1'000},          {'n', 1}};
  text = Trimmed(text);
  if (text.empty() || kUnits.count(text.back()) == 0) return std::nullopt;
  return PlainNumber(text.substr(0, text.size() - 1), 8, kUnits.at(text.back()));
}

MaybeText PlainTraceparent(std::string text) {
  text = Trimmed(text);
  if (text.size() < 55) return std::nullopt;
  const bool more = text.size() > 55;
  const std::string version = text.substr(0, 2), trace = text.substr(3, 32);
  const std::string parent = text.substr(36, 16), flags = text.substr(53, 2);
  if (!OnlyOf(version + trace + parent + flags, kLowerHex) || version == "ff") return std::nullopt;
  if (text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  if (OnlyOf(trace, "0") || OnlyOf(parent, "0")) return std::nullopt;
  if (more && (version == "00" || text[55] != '-')) return std::nullopt;
  if (version == "00") return text;
  const int known = std::stoi(flags, nullptr, 16) & 3;
  return "00-" + trace + "-" + parent + "-0" + std::to_string(known);
}

MaybeText PlainTracestate(const std::string& text) {
  if (text.size() > 32 * 513 + 31) return std::nullopt;
  std::vector<std::string> members;
  for (const std::string& part : Split(text, ',')) {
    const std::string member = Trimmed(part);
    if (member.empty()) continue;
    const size_t equals = member.find('=');
    if (equals == std::string::npos) return std::nullopt;
    const std::string key = member.substr(0, equals), value = member.substr(equals + 1);
    if (key.empty() || key.size() > 256 || !OnlyOf(key, kStateKey)) return std::nullopt;
    if (!OnlyOf(key.substr(0, 1), std::string(kDigits) + kLower)) return std::nullopt;
    if (value.empty() || value.size() > 256 || !Printable(value, ",=")) return std::nullopt;
    members.push_back(member);
  }
  if (members.empty() || members.size() > 32) return std::nullopt;
  return Joined(members);
}

bool IsPair(const std::string& text, std::string* name, std::string* value) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return false;
  *name = Trimmed(text.substr(0, equals));
  *value = Trimmed(text.substr(equals + 1));
  // White space before the name was not trimmed by whoever cut the text.
  return !name->empty() && OnlyOf(*name, kToken) && Printable(*value, " \",;\\");
}

struct PlainMember {
  std::string whole, name, value;
};

std::optional<PlainMember> ReadMember(const std::string& text) {
  PlainMember member{Trimmed(text), "", ""};
  const std::vector<std::string> parts = Split(member.whole, ';');
  if (!IsPair(parts[0], &member.name, &member.value)) return std::nullopt;
  member.whole = member.name + "=" + member.value;
  for (size_t i = 1; i < parts.size(); ++i) {
    std::string name = Trimmed(parts[i]), value;
    const bool alone = !name.empty() && OnlyOf(name, kToken);
    if (!alone && !IsPair(parts[i], &name, &value)) return std::nullopt;
    member.whole += ";" + name + (alone ? "" : "=" + value);
  }
  return member;
}

std::vector<PlainMember> PlainMembers(std::string text) {
  if (text.size() > 8192) {
    const size_t comma = text.substr(0, 8193).rfind(',');
    text = comma == std::string::npos ? "" : text.substr(0, comma);
  }
  std::vector<PlainMember> members;
  for (const std::string& part : Split(text, ',')) {
    const auto member = ReadMember(part);
    if (member && members.size() < 64) members.push_back(*member);
  }
  return members;
}

MaybeText PlainBaggage(const std::string& text) {
  std::vector<std::string> wholes;
  for (const PlainMember& member : PlainMembers(text)) wholes.push_back(member.whole);
  if (wholes.empty()) return std::nullopt;
  return Joined(wholes);
}

int Hex(char c) {
  const size_t at = std::string("0123456789abcdefABCDEF").find(c);
  return at == std::string::npos ? -1 : static_cast<int>(at < 16 ? at : at - 6);
}

// Percent signs without two digits stay, unless there must be none.
MaybeText Unescaped(const std::string& text, bool strict) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && Hex(text[i + 1]) >= 0 && Hex(text[i + 2]) >= 0;
    if (text[i] == '%' && !escape && strict) return std::nullopt;
    bytes += escape ? static_cast<char>(Hex(text[i + 1]) * 16 + Hex(text[i + 2])) : text[i];
    if (escape) i += 2;
  }
  return bytes;
}

// Of the bytes from `at` on: the code point, if they begin with one; and how many bytes that, or what broke off, has.
struct Decoded {
  bool valid;
  size_t bytes;
};
Decoded DecodeUtf8(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : 0u;
  };
  if (byte(0) < 0x80) return {byte(0) != 0, 1};
  const size_t bytes = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  if (byte(0) < 0xC0 || byte(0) > 0xF7) return {false, 1};
  // The longest beginning that some code point has.
  static constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  uint32_t low = byte(0) & (0xFFu >> (bytes + 1)), high = low;
  for (size_t i = 1; i < bytes; ++i) low = low << 6, high = high << 6 | 63;
  const auto possible = [&] {
    return high >= kLeast[bytes] && low <= 0x10FFFF && !(low >= 0xD800 && high <= 0xDFFF);
  };
  if (!possible()) return {false, 1};
  for (size_t i = 1; i < bytes; ++i) {
    const uint32_t shift = 6 * static_cast<uint32_t>(bytes - 1 - i);
    if (byte(i) < 0x80 || byte(i) > 0xBF) return {false, i};
    const uint32_t bits = (byte(i) & 63u) << shift;
    low |= bits;
    high = (high & ~(63u << shift)) | bits;
    if (!possible()) return {false, i};
  }
  return {true, bytes};
}

std::string Utf8(const std::string& bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const Decoded one = DecodeUtf8(bytes, at);
    text += one.valid ? bytes.substr(at, one.bytes) : "\xEF\xBF\xBD";
    at += one.bytes;
  }
  return text;
}

struct PlainCause {
  int code = 0, origin = 0;
  std::string by;
  MaybeText message;
};

std::optional<long long> PlainInt(const std::string& text) {
  const std::string digits = text.substr(!text.empty() && text[0] == '-' ? 1 : 0);
  if (digits.empty() || !OnlyOf(digits, kDigits)) return std::nullopt;
  const std::string significant =
      digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
  if (significant.size() > 15) return std::nullopt;
  return std::stoll("0" + significant) * (text[0] == '-' ? -1 : 1);
}

std::optional<PlainCause> PlainCauseOf(const std::string& text) {
  if (text.empty() || text.size() > 511 || !Unescaped(text, true)) return std::nullopt;
  std::map<std::string, std::string> known;
  bool first = true;
  for (const std::string& pair : Split(text, '&')) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0 || !Printable(pair, " \",;\\"))
      return std::nullopt;
    const std::string name = pair.substr(0, equals);
    if (first && name != "v") return std::nullopt;
    first = false;
    const bool mine =
        name == "v" || name == "code" || name == "origin" || name == "by" || name == "message";
    if (mine && !known.emplace(name, pair.substr(equals + 1)).second) return std::nullopt;
  }
  const auto version = PlainInt(known["v"]), code = PlainInt(known["code"]);
  if (!version || *version < 1 || *version > INT32_MAX) return std::nullopt;
  if (!code || *code < INT32_MIN || *code > INT32_MAX) return std::nullopt;
  PlainCause cause;
  cause.code = static_cast<int>(*code);
  if (known.count("origin") != 0) {
    const auto origin = PlainInt(known["origin"]);
    if (!origin || *origin < 1 || *origin > 255) return std::nullopt;
    cause.origin = static_cast<int>(*origin);
  }
  if (known.count("by") != 0) cause.by = Utf8(*Unescaped(known["by"], true));
  if (known.count("message") != 0) cause.message = Utf8(*Unescaped(known["message"], true));
  return cause;
}

// The library's reading. The text that it is given ends where memory does.

struct Sent {
  Headers headers;
  std::vector<char> lent;
};

int64_t Get(const char* name, const char** text, void* arg) {
  auto* const sent = static_cast<Sent*>(arg);
  const auto found = sent->headers.find(name);
  if (found == sent->headers.end()) return -1;
  sent->lent = std::vector<char>(found->second.begin(), found->second.end());
  *text = sent->lent.empty() ? "" : sent->lent.data();
  return static_cast<int64_t>(found->second.size());
}

int Set(const char* name, const char* text, void* arg) {
  // Nothing that begins another header, or that a header must not have.
  REQUIRE(Printable(text, ""));
  REQUIRE(Trimmed(text) == text && text[0] != '\0');
  REQUIRE(static_cast<Headers*>(arg)->emplace(name, text).second);
  return 0;
}

constexpr ctx_formats_t kAll = {sizeof kAll,
                                CTX_FORMAT_GRPC_TIMEOUT | CTX_FORMAT_TRACE | CTX_FORMAT_BAGGAGE,
                                "timeout-ms", 0, 0};

ctx_loop_t* loop;
ctx_t* root;  // of a virtual loop, whose clock stands at 0

Headers Injected(const ctx_t* ctx) {
  Headers headers;
  FUZZ_EQ(ctx_inject(ctx, &kAll, Set, &headers), 0);
  return headers;
}

MaybeText Of(const ctx_t* ctx, const char* name) {
  const char* const text = ctx_string(ctx, name);
  return text == nullptr ? MaybeText() : MaybeText(text);
}

void Timeout(const std::string& text, const char* name, std::optional<int64_t> expected) {
  Sent sent{{{name, text}}, {}};
  ctx_t* ctx = nullptr;
  FUZZ_EQ(ctx_extract(root, &kAll, Get, &sent, &ctx, nullptr), expected ? 0 : -EBADMSG);
  REQUIRE((ctx == nullptr) == !expected);
  if (!expected) return;
  FUZZ_EQ(ctx_remaining(ctx), *expected);
  FUZZ_EQ(ctx_err(ctx), *expected == 0 ? CTX_DEADLINE_EXCEEDED : 0);
  if (ctx_err(ctx) == 0) {
    Sent again{Injected(ctx), {}};
    FUZZ_EQ(again.headers.count("grpc-timeout"), *expected == CTX_FOREVER ? 0 : 1);
    ctx_t* other = nullptr;
    FUZZ_EQ(ctx_extract(root, &kAll, Get, &again, &other, nullptr), 0);
    REQUIRE(ctx_remaining(other) >= *expected);
    REQUIRE(ctx_remaining(other) - *expected <= *expected / 1000 + 1'000'000);
    ctx_unref(other);
  }
  ctx_unref(ctx);
}

// In, out, and set by a program and out.
void Carried(const char* name, const std::string& text, const MaybeText& expected) {
  static const std::string kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  Sent sent{{{"traceparent", kParent}}, {}};
  sent.headers[name] = text;
  ctx_t *ctx = nullptr, *traced = nullptr, *set = nullptr;
  FUZZ_EQ(ctx_extract(root, &kAll, Get, &sent, &ctx, nullptr), 0);
  if (Of(ctx, name) != expected) {
    std::fprintf(stderr, "is      %s\nmust be %s\n", Of(ctx, name).value_or("(none)").c_str(),
                 expected.value_or("(none)").c_str());
    BROKEN("a text that came in");
  }
  Headers out = Injected(ctx);
  REQUIRE((out.count(name) == 1 ? MaybeText(out[name]) : MaybeText()) == expected);
  FUZZ_EQ(ctx_with_string(root, "traceparent", kParent.c_str(), &traced), 0);
  FUZZ_EQ(ctx_with_string(traced, name, text.c_str(), &set), 0);
  if (text.find('\0') == std::string::npos) {
    out = Injected(set);
    REQUIRE((out.count(name) == 1 ? MaybeText(out[name]) : MaybeText()) == expected);
  }
  ctx_unref(set);
  ctx_unref(traced);
  ctx_unref(ctx);
}

std::string Member(const ctx_t* ctx, const std::string& name) {
  const int64_t length = ctx_baggage(ctx, name.c_str(), nullptr, 0);
  REQUIRE(length >= 0);
  std::vector<char> value(static_cast<size_t>(length) + 1, '#');
  FUZZ_EQ(ctx_baggage(ctx, name.c_str(), value.data(), value.size()), length);
  REQUIRE(std::strlen(value.data()) == static_cast<size_t>(length));
  return value.data();
}

void Baggage(const std::string& text) {
  Carried("baggage", text, PlainBaggage(text));
  Sent sent{{{"baggage", text}}, {}};
  ctx_t *ctx = nullptr, *more = nullptr;
  FUZZ_EQ(ctx_extract(root, &kAll, Get, &sent, &ctx, nullptr), 0);
  std::map<std::string, std::string> last;
  const std::vector<PlainMember> members = PlainMembers(text);
  for (const PlainMember& member : members) last[member.name] = member.value;
  for (const auto& [name, value] : last)
    REQUIRE(Member(ctx, name) == Utf8(*Unescaped(value, false)));
  // What a program sets reads back, whatever it is; the others stay.
  const std::string value = text.c_str();
  const std::string name = members.empty() ? "name" : members[members.size() / 2].name;
  std::vector<std::string> others;
  for (const PlainMember& member : members) {
    if (member.name != name) others.push_back(member.whole);
  }
  const int result = ctx_with_baggage(ctx, name.c_str(), value.c_str(), &more);
  if (result == 0) {
    REQUIRE(Member(more, name) == Utf8(value));
    const std::string all = ctx_string(more, "baggage");
    REQUIRE(all.size() <= 8192 && PlainMembers(all).size() == others.size() + 1);
    REQUIRE(all.compare(0, Joined(others).size(), Joined(others)) == 0);
    ctx_unref(more);
  } else {
    FUZZ_EQ(result, -E2BIG);
    REQUIRE(others.size() == 64 ||
            Joined(others).size() + name.size() + 2 + 3 * value.size() > 8192);
  }
  FUZZ_EQ(ctx_with_baggage(ctx, name.c_str(), nullptr, &more), 0);
  REQUIRE(Of(more, "baggage") == (others.empty() ? MaybeText() : MaybeText(Joined(others))));
  ctx_unref(more);
  ctx_unref(ctx);
}

std::string Encoded(const ctx_cause_t* cause, const char* who) {
  char text[CTX_CAUSE_TEXT];
  const int64_t length = ctx_cause_encode(cause, who, text, sizeof text);
  REQUIRE(length > 0 && length < CTX_CAUSE_TEXT &&
          std::strlen(text) == static_cast<size_t>(length));
  REQUIRE(OnlyOf(text, std::string(kDigits) + kLower + kUpper + "-._~%&="));
  return text;
}

void CauseRead(const std::string& text) {
  const std::vector<char> exact(text.begin(), text.end());
  const auto expected = PlainCauseOf(text);
  ctx_cause_t* cause = nullptr;
  FUZZ_EQ(ctx_cause_decode(exact.empty() ? "" : exact.data(), exact.size(), &cause),
          expected ? 0 : -EBADMSG);
  REQUIRE((cause == nullptr) == !expected);
  if (!expected) return;
  FUZZ_EQ(ctx_cause_code(cause), expected->code);
  if (expected->origin != 0) FUZZ_EQ(ctx_cause_origin(cause), expected->origin);
  REQUIRE(expected->by == ctx_cause_peer(cause));
  REQUIRE(expected->message.value_or(ctx_strerror(expected->code)) == ctx_cause_message(cause));
  // Written and read once more, it is the same, if it is not too long.
  const std::string again = Encoded(cause, "somebody else");
  ctx_cause_t* second = nullptr;
  FUZZ_EQ(ctx_cause_decode(again.data(), again.size(), &second), 0);
  REQUIRE(std::string(ctx_cause_message(cause)).rfind(ctx_cause_message(second), 0) == 0);
  REQUIRE(std::string(ctx_cause_peer(cause)).rfind(ctx_cause_peer(second), 0) == 0);
  REQUIRE(Encoded(second, nullptr) == again);
  ctx_cause_unref(second);
  ctx_cause_unref(cause);
}

void CauseWritten(const std::string& text) {
  const std::string message = text.c_str(), who = message.substr(message.size() / 2);
  ctx_cause_t *cause = nullptr, *read = nullptr;
  FUZZ_EQ(ctx_cause_new(static_cast<int>(text.size()), message.c_str(), &cause), 0);
  const std::string written = Encoded(cause, who.c_str());
  FUZZ_EQ(ctx_cause_decode(written.data(), written.size(), &read), 0);
  // So many bytes fit even if each becomes a U+FFFD, encoded.
  const auto is_beginning = [](const char* of, const std::string& whole, size_t fit) {
    const std::string wanted = Utf8(whole);
    return wanted.rfind(of, 0) == 0 && (whole.size() > fit || wanted == of);
  };
  REQUIRE(is_beginning(ctx_cause_message(read), message, 37));
  REQUIRE(is_beginning(ctx_cause_peer(read), who, 14));
  ctx_cause_unref(read);
  ctx_cause_unref(cause);
}

}  // namespace
}  // namespace fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  REQUIRE(ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &fuzz::loop) == 0);
  REQUIRE(ctx_loop_background(fuzz::loop, &fuzz::root) == 0);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string once(data + 2, data + size);
  std::string text;
  const size_t times = data[1] < 128 ? 1 : data[1] - 126u;
  for (size_t i = 0; i < times; ++i) text += once;
  fuzz::Say("kind %d, %zu times: %s", data[0] % 7, times, once.c_str());
  switch (data[0] % 7) {
    case 0:
      fuzz::Timeout(text, "grpc-timeout", fuzz::PlainGrpcTimeout(text));
      break;
    case 1:
      fuzz::Timeout(text, "timeout-ms", fuzz::PlainNumber(fuzz::Trimmed(text), 10, 1'000'000));
      break;
    case 2:
      fuzz::Carried("traceparent", text, fuzz::PlainTraceparent(text));
      break;
    case 3:
      fuzz::Carried("tracestate", text, fuzz::PlainTracestate(text));
      break;
    case 4:
      fuzz::Baggage(text);
      break;
    case 5:
      fuzz::CauseRead(text);
      break;
    default:
      fuzz::CauseWritten(text);
  }
  return 0;
}
