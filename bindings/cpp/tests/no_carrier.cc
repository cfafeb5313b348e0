// SPDX-License-Identifier: MIT
//
// Must not compile: the compiler says what headers go to, and come from. The tests look for that.
#include <ctx/ctx.hpp>

void Carries(const ctx::context& ctx, std::vector<std::string>& lines) {
#if defined(TO)
  ctx::inject(ctx, lines);
#elif defined(FROM)
  static_cast<void>(ctx::extract(ctx, lines));
#elif defined(ANSWER)
  static_cast<void>(ctx::extract(ctx, [](const char*) { return std::string(); }));
#endif
}
