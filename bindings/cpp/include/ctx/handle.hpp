// SPDX-License-Identifier: MIT
//
// ctx/handle.hpp - owners: a counted handle of the C API, a descriptor, and text for C.
#ifndef CTX_HANDLE_HPP
#define CTX_HANDLE_HPP

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctx/error.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace ctx {

/// A descriptor that its owner closes. context::done_fd_dup() and canceler::cancel_fd() return it.
class unique_fd {
 public:
  /// None.
  unique_fd() noexcept = default;
  /// Takes over a descriptor that the caller owns; a negative one is none.
  explicit unique_fd(int fd) noexcept : fd_(fd) {}
  /// Moves the descriptor; the other has none then.
  unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
  /// The same; closes the descriptor that this one held.
  unique_fd& operator=(unique_fd&& other) noexcept {
    unique_fd(std::move(other)).swap(*this);
    return *this;
  }
  ~unique_fd() {
    if (fd_ >= 0) ::close(fd_);
  }

  /// Borrowed; negative for none.
  int get() const noexcept { return fd_; }
  /// Whether there is one.
  explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Hands the descriptor over, such as to a boost::asio::posix::stream_descriptor.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  /// Exchanges the two.
  void swap(unique_fd& other) noexcept { std::swap(fd_, other.fd_); }

 private:
  int fd_ = -1;
};

namespace detail {

// One reference to an object of the C API, or none.
template <class T, T* (*Ref)(T*), T* (*Unref)(T*)>
class handle {
 public:
  handle() noexcept = default;
  explicit handle(T* adopted) noexcept : raw_(adopted) {}
  handle(const handle& other) noexcept : raw_(other.raw_ != nullptr ? Ref(other.raw_) : nullptr) {}
  handle(handle&& other) noexcept : raw_(other.release()) {}
  handle& operator=(const handle& other) noexcept {
    handle(other).swap(*this);
    return *this;
  }
  handle& operator=(handle&& other) noexcept {
    handle(std::move(other)).swap(*this);
    return *this;
  }
  ~handle() {
    if (raw_ != nullptr) Unref(raw_);
  }

  T* get() const noexcept { return raw_; }
  T* release() noexcept { return std::exchange(raw_, nullptr); }
  void swap(handle& other) noexcept { std::swap(raw_, other.raw_); }

 private:
  T* raw_ = nullptr;
};

// Text on its way to a C function, which reads up to the first NUL, so none may be inside. A string_view is
// copied, as it may not end in one.
class text {
 public:
  text(const char* chars) noexcept : chars_(chars) {}         // NOLINT: wants no name at the call
  text(const std::string& string) : chars_(string.c_str()) {  // NOLINT
    check_size(string.size());
  }
  text(std::string_view view) : copy_(view), chars_(copy_.c_str()) {  // NOLINT
    check_size(view.size());
  }
  text(const text&) = delete;
  const char* c_str() const noexcept { return chars_; }

 private:
  void check_size(std::size_t size) const {
    if (std::strlen(chars_) != size) fail(-EINVAL, "ctx: a NUL inside a text");
  }

  std::string copy_;
  const char* chars_;
};

// The same for text that people read: a NUL inside becomes U+FFFD.
class shown_text {
 public:
  shown_text(const char* chars) noexcept : chars_(chars) {}         // NOLINT
  shown_text(const std::string& string) : chars_(string.c_str()) {  // NOLINT
    if (std::strlen(chars_) != string.size()) copy(string);
  }
  shown_text(std::string_view view) : chars_("") { copy(view); }  // NOLINT
  shown_text(shown_text&&) = default;
  const char* c_str() const noexcept { return copy_.empty() ? chars_ : copy_.c_str(); }

 private:
  void copy(std::string_view view) {
    for (const char each : view) {
      if (each == '\0') {
        copy_ += "\xEF\xBF\xBD";
      } else {
        copy_ += each;
      }
    }
  }

  const char* chars_;
  std::string copy_;
};

}  // namespace detail
}  // namespace ctx

#endif  // CTX_HANDLE_HPP
