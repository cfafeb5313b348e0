// SPDX-License-Identifier: MIT
// A C++17 program: owns handles by unique_ptr and is called back when the context is done.
#include <ctx/ctx.h>

#include <iostream>
#include <memory>
#include <string_view>

template <auto Unref>
struct Unrefs {
  template <class T>
  void operator()(T* handle) const {
    Unref(handle);
  }
};
using Context = std::unique_ptr<ctx_t, Unrefs<ctx_unref>>;
using Canceler = std::unique_ptr<ctx_canceler_t, Unrefs<ctx_canceler_unref>>;

// The library is ready before the program's globals, also if it is a static one.
int derive(ctx_t** ctx) {
  ctx_canceler_t* canceler = nullptr;
  const int result = ctx_with_cancel(ctx_background(), ctx, &canceler);
  ctx_canceler_unref(canceler);
  return result;
}
ctx_t* early = nullptr;
const int derived_early = derive(&early);

int main() {
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  if (ctx_with_cancel(ctx_background(), &ctx, &canceler) < 0) return 1;
  const Context context(ctx);
  const Canceler right(canceler);

  int seen = 0;
  const auto note = [](ctx_t* done, void* arg) { *static_cast<int*>(arg) = ctx_err(done); };
  if (ctx_after_func(context.get(), note, &seen, nullptr, 0, nullptr) != 0) return 2;
  if (ctx_cancel(right.get()) != 1 || seen != CTX_CANCELED) return 3;
  if (ctx_strerror(seen) != std::string_view("context canceled")) return 4;
  const Context global(early);
  if (derived_early != 0 || ctx_err(early) != 0) return 5;
  std::cout << ctx_strerror(seen) << '\n';
}
