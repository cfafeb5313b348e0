// SPDX-License-Identifier: MIT
//
// ctx/key.hpp - typed keys, and how a value of any type travels in one void pointer: in the pointer
// itself if it fits and is trivially copyable, else in one allocation.
//
// To the C library a null pointer means "no value", so a value kept in the pointer must not look like one.
// Smaller values carry a mark in the spare bytes. If a value as large as a pointer has only zero bytes, the
// address of a byte inside the key stands for it. A null pointer as a value is no value, as in C.
#ifndef CTX_KEY_HPP
#define CTX_KEY_HPP

#include <ctx/types.h>

#include <cerrno>
#include <cstring>
#include <ctx/error.hpp>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace ctx {

template <class T>
class found;

namespace detail {

template <class T>
inline constexpr bool fits_pointer =
    sizeof(T) <= sizeof(void*) && alignof(T) <= alignof(void*) && std::is_trivially_copyable_v<T>;

// Whether there is a T(U): asked for, since for pointers that would be any C cast.
template <class T, class U>
using made_of = std::enable_if_t<std::is_constructible_v<T, U>>;

// Room for a T that is made of its bytes.
template <class T>
union bytes_of {
  bytes_of() noexcept : none() {}
  explicit bytes_of(void* const& pointer) noexcept : none() {
    std::memcpy(static_cast<void*>(std::addressof(value)), &pointer, sizeof(T));
  }
  char none;
  T value;
};

template <class T>
void* to_bytes(const T& value) noexcept {
  void* pointer = nullptr;
  std::memcpy(&pointer, static_cast<const void*>(std::addressof(value)), sizeof(T));
  return pointer;
}

// The drop function of a T that was allocated. The destructor is user code, too.
template <class T>
void drop(void* object) {
  guarded("the destructor of a value or callback", [&] { delete static_cast<T*>(object); });
}

}  // namespace detail

/// The name of a kind of value: give each kind one key that lives as long as the program, such as
/// `inline constexpr ctx::key<user> user_key{"user"};`. Two keys are the same if they are one object. An
/// inline variable is one object in all files of a program, and across its shared libraries if it is
/// visible there (a program that opens some by dlopen() must be linked with -rdynamic). The name is only
/// for context::describe().
template <class T>
class key {
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_volatile_v<T>);

 public:
  /// The name is borrowed for good; null for none.
  constexpr explicit key(const char* name = nullptr) noexcept : key_{name} {}
  key(const key&) = delete;
  key& operator=(const key&) = delete;

  /// For the C functions.
  const ctx_key_t* get() const noexcept { return &key_; }

  /// Not for users: hands a value to a C function that takes a pointer and a drop function, and keeps it
  /// if that fails.
  template <class Take>
  void give(T&& value, const char* what, Take take) const {
    if constexpr (detail::fits_pointer<T>) {
      detail::check(take(pack(value), nullptr), what);
    } else {
      auto object = std::make_unique<T>(std::move(value));
      detail::check(take(static_cast<void*>(object.get()), &detail::drop<T>), what);
      static_cast<void>(object.release());
    }
  }

  /// Not for users: a value that a C function found.
  found<T> unpack(void* pointer) const noexcept;

 private:
  void* pack(const T& value) const {
    void* pointer = detail::to_bytes(value);
    if constexpr (sizeof(T) < sizeof(void*)) {
      reinterpret_cast<unsigned char*>(&pointer)[sizeof(void*) - 1] = 1;
    } else if constexpr (!std::is_pointer_v<T>) {
      if (pointer == zero()) detail::fail(-EINVAL, "ctx::key: a value that only the key may have");
      if (pointer == nullptr) pointer = zero();
    }
    return pointer;
  }
  void* zero() const noexcept { return const_cast<char*>(&zero_); }

  ctx_key_t key_;
  char zero_ = 0;
};

/// A value that was looked up, or none; use it as a pointer to the value. The context or the cause owns
/// the value; it is valid as long as that is held.
template <class T>
class found {
 public:
  /// None.
  found() noexcept = default;

  /// Whether there is a value.
  explicit operator bool() const noexcept { return get() != nullptr; }
  /// The same.
  bool has_value() const noexcept { return get() != nullptr; }
  /// The value; there must be one.
  const T& operator*() const noexcept { return *get(); }
  /// The same.
  const T* operator->() const noexcept { return get(); }
  /// The same, or null.
  const T* get() const noexcept {
    if constexpr (detail::fits_pointer<T>) {
      return pointer_ != nullptr ? std::addressof(bytes_.value) : nullptr;
    } else {
      return static_cast<const T*>(pointer_);
    }
  }
  /// A copy of the value, or of the given one if there is none.
  template <class U>
  T value_or(U&& otherwise) const {
    return get() != nullptr ? *get() : static_cast<T>(std::forward<U>(otherwise));
  }

 private:
  friend class key<T>;
  struct nothing {
    nothing() noexcept = default;
    explicit nothing(void*) noexcept {}
  };
  found(void* pointer, void* bytes) noexcept : pointer_(pointer), bytes_(bytes) {}

  void* pointer_ = nullptr;
  std::conditional_t<detail::fits_pointer<T>, detail::bytes_of<T>, nothing> bytes_;
};

template <class T>
found<T> key<T>::unpack(void* pointer) const noexcept {
  void* bytes = pointer;
  if constexpr (sizeof(T) == sizeof(void*) && !std::is_pointer_v<T>) {
    if (pointer == zero()) bytes = nullptr;
  }
  return found<T>(pointer, bytes);
}

}  // namespace ctx

#endif  // CTX_KEY_HPP
