// SPDX-License-Identifier: MIT
//
// ctx/key.hpp - typed keys. A value of any type travels in a void pointer to a copy of it that was allocated.
#ifndef CTX_KEY_HPP
#define CTX_KEY_HPP

#include <ctx/types.h>

#include <ctx/error.hpp>
#include <memory>
#include <type_traits>
#include <utility>

namespace ctx {

namespace detail {

// Whether there is a T(U): asked for, since for pointers that would be any C cast.
template <class T, class U>
using made_of = std::enable_if_t<std::is_constructible_v<T, U>>;

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
    auto object = std::make_unique<T>(std::move(value));
    detail::check(take(static_cast<void*>(object.get()), &detail::drop<T>), what);
    static_cast<void>(object.release());
  }

 private:
  ctx_key_t key_;
};

}  // namespace ctx

#endif  // CTX_KEY_HPP
