// SPDX-License-Identifier: MIT
//
// A request handler: its deadline and its trace id go down through every call, to a worker thread and to
// somebody else's function that knows only the C API; the reason of its end comes back up.
#include <chrono>
#include <ctx/ctx.hpp>
#include <future>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

namespace {

struct user {
  std::string name;
};
inline constexpr ctx::key<user> user_key{"user"};

// In C: reads, waits, and cannot cancel.
int c_kernel(ctx_t* ctx, int64_t needs_ns) {
  const int done = ctx_wait(ctx, needs_ns);
  return done == 1 ? ctx_err(ctx) : done;
}

std::string fetch(const ctx::context& ctx, std::chrono::milliseconds needs) {
  const auto work = [ctx, needs] {
    c_kernel(ctx.get(), std::chrono::nanoseconds(needs).count());
    ctx.throw_if_done();
    return std::string("1 kB");
  };
  return std::async(std::launch::async, work).get();
}

void handle(const ctx::context& request, std::chrono::milliseconds needs) {
  try {
    const std::string size = fetch(request, needs);
    std::cout << "fetch: " << size << '\n';
  } catch (const ctx::context_error& e) {
    std::cout << "fetch: " << ctx_strerror(-e.code().value()) << ": " << e.cause().message()
              << '\n';
  }
}

}  // namespace

int main() {
  const ctx::context root = ctx::with_value(ctx::background(), user_key, user{"red"});
  const ctx::context traced = ctx::with_string(root, "trace-id", "4711");
  const auto [client, cancel] = ctx::with_cancel(traced);
  const ctx::cancel_guard guard(cancel);
  handle(client, 1ms);

  const auto [request, unused] =
      ctx::with_timeout(client, 100ms, ctx::cause(std::errc::timed_out, "the budget is spent"));
  const ctx::watch_guard log(ctx::after_func(request, [](const ctx::context& ended) {
    std::cerr << ended.value(user_key)->name << ", trace " << *ended.string("trace-id") << ": "
              << ended.cause().message() << '\n';
  }));

  handle(request, 1h);
  return request.err() == std::errc::timed_out ? 0 : 1;
}
