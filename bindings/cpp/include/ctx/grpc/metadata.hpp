// SPDX-License-Identifier: MIT
//
// ctx/grpc/metadata.hpp - what docs/calls.md says of metadata and deadlines, for both sides of a call.
#ifndef CTX_GRPC_METADATA_HPP
#define CTX_GRPC_METADATA_HPP

#include <grpcpp/support/string_ref.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctx/cause.hpp>
#include <ctx/error.hpp>
#include <ctx/propagate.hpp>
#include <ctx/time.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace ctx {
namespace detail {

inline constexpr char cause_key[] = "ctx-cause";
inline constexpr char companion[] = "/libctx.Causes/Tell";

using received = std::multimap<::grpc::string_ref, ::grpc::string_ref>;

inline std::optional<std::string_view> find(const received& metadata, const char* name) {
  const auto found = metadata.find(name);
  if (found == metadata.end()) return std::nullopt;
  return std::string_view(found->second.data(), found->second.size());
}

// What the other side claims; none if it says nothing, or what is malformed.
inline cause find_cause(const received& metadata) {
  const auto text = find(metadata, cause_key);
  ctx_cause_t* made = nullptr;
  if (!text || ctx_cause_decode(text->data(), text->size(), &made) < 0) return {};
  return cause::adopt(made);
}

// gRPC ends the process of a client that sends anything else.
inline bool is_ascii_metadata(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}
inline void check_name(std::string_view name) {
  const auto legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  if (name.empty() || !std::all_of(name.begin(), name.end(), legal))
    fail(-EINVAL, "ctx::grpc: a name of metadata has a-z, 0-9, -, _ and . only");
}

// The number of a call, by which its client tells of it.
class call_number {
 public:
  static constexpr char key[] = "ctx-call";

  static call_number random() {
    call_number made;
    if (getentropy(made.parts_, sizeof made.parts_) != 0) fail(-errno, "ctx::grpc: a number");
    return made;
  }
  static std::optional<call_number> find(const received& metadata) {
    const auto text = detail::find(metadata, key);
    if (!text || text->size() != digits) return std::nullopt;
    call_number made;
    for (std::size_t i = 0; i < 2; ++i) {
      const char* const from = text->data() + i * digits / 2;
      const auto [end, error] = std::from_chars(from, from + digits / 2, made.parts_[i], 16);
      if (error != std::errc() || end != from + digits / 2) return std::nullopt;
    }
    return made;
  }
  std::string text() const {
    std::string made;
    for (const std::uint64_t part : parts_) {
      for (int shift = 60; shift >= 0; shift -= 4) made += "0123456789abcdef"[part >> shift & 15];
    }
    return made;
  }
  friend bool operator<(const call_number& a, const call_number& b) noexcept {
    return a.parts_[0] != b.parts_[0] ? a.parts_[0] < b.parts_[0] : a.parts_[1] < b.parts_[1];
  }

 private:
  static constexpr std::size_t digits = 32;
  std::uint64_t parts_[2]{};
};

// Longer is no deadline: the system's clock cannot count it.
inline constexpr std::chrono::hours longest_timeout{24 * 365 * 100};

// When a call ends by itself, and whether what ended it now was that: no two clocks agree.
class call_deadline {
 public:
  call_deadline() = default;
  explicit call_deadline(std::chrono::nanoseconds timeout)
      : end_(clock::now() + timeout),
        near_(std::max<std::chrono::nanoseconds>(std::chrono::milliseconds(5), timeout / 100)) {}
  bool is_near() const noexcept { return end_ && *end_ - clock::now() <= near_; }
  // It says no more than the error.
  static cause why() { return cause(origin::deadline, CTX_DEADLINE_EXCEEDED); }

 private:
  std::optional<time_point> end_;
  std::chrono::nanoseconds near_{0};
};

}  // namespace detail
}  // namespace ctx

#endif  // CTX_GRPC_METADATA_HPP
