// SPDX-License-Identifier: MIT
//
// A map of headers, as a program has one, for ctx_inject() and ctx_extract().
#ifndef CTX_TESTS_SUPPORT_HEADER_MAP_H_
#define CTX_TESTS_SUPPORT_HEADER_MAP_H_

#include <ctx/ctx.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/handles.h"

namespace ctxtest {

inline constexpr uint32_t kW3C = CTX_FORMAT_TRACE | CTX_FORMAT_BAGGAGE;

inline constexpr char kTraceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

inline ctx_formats_t Formats(uint32_t flags, const char* timeout_ms = nullptr) {
  ctx_formats_t formats{};
  formats.size = sizeof formats;
  formats.flags = flags;
  formats.timeout_ms = timeout_ms;
  return formats;
}

class HeaderMap {
 public:
  HeaderMap() = default;
  HeaderMap(std::initializer_list<std::pair<const std::string, std::string>> headers)
      : headers_(headers) {}

  static int Set(const char* name, const char* text, void* self) {
    auto* const map = static_cast<HeaderMap*>(self);
    EXPECT_TRUE(map->headers_.emplace(name, text).second) << name << " twice";
    map->names_.emplace_back(name);
    return 0;
  }

  // The text ends with no NUL, and is gone with the next call.
  static int64_t Get(const char* name, const char** text, void* self) {
    auto* const map = static_cast<HeaderMap*>(self);
    map->names_.emplace_back(name);
    map->lent_ = {};
    const auto found = map->headers_.find(name);
    if (found == map->headers_.end()) return -1;
    map->lent_ = std::vector<char>(found->second.begin(), found->second.end());
    *text = map->lent_.empty() ? "" : map->lent_.data();
    return static_cast<int64_t>(found->second.size());
  }

  bool has(const std::string& name) const { return headers_.count(name) == 1; }
  std::string operator[](const std::string& name) const {
    return has(name) ? headers_.at(name) : "none";
  }
  size_t size() const { return headers_.size(); }
  const std::vector<std::string>& names() const { return names_; }  // in the order of the calls

 private:
  std::map<std::string, std::string> headers_;
  std::vector<char> lent_;
  std::vector<std::string> names_;
};

inline HeaderMap Inject(const ctx_t* ctx, const ctx_formats_t& formats) {
  HeaderMap map;
  EXPECT_EQ(ctx_inject(ctx, &formats, HeaderMap::Set, &map), 0);
  return map;
}

inline Scope Extract(ctx_t* parent, const ctx_formats_t& formats, HeaderMap map) {
  Scope made;
  EXPECT_EQ(
      ctx_extract(parent, &formats, HeaderMap::Get, &map, made.ctx.out(), made.canceler.out()), 0);
  return made;
}

// A string of a context, or "none".
inline std::string StringOf(const ctx_t* ctx, const char* name) {
  const char* const text = ctx_string(ctx, name);
  return text == nullptr ? "none" : text;
}

// A member of the baggage, or "none".
inline std::string MemberOf(const ctx_t* ctx, const char* name) {
  const int64_t length = ctx_baggage(ctx, name, nullptr, 0);
  if (length == -ENOENT) return "none";
  EXPECT_GE(length, 0);
  std::string value(static_cast<size_t>(length) + 1, '#');
  EXPECT_EQ(ctx_baggage(ctx, name, value.data(), value.size()), length);
  EXPECT_EQ(value.back(), '\0');
  value.pop_back();
  return value;
}

}  // namespace ctxtest

#endif  // CTX_TESTS_SUPPORT_HEADER_MAP_H_
