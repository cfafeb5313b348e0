// SPDX-License-Identifier: MIT
//
// What the exception of a call that failed says.
#include <gmock/gmock.h>

#include <cerrno>
#include <cstdint>
#include <exception>
#include <string>
#include <system_error>

#include "calls.h"
#include "cases.h"

namespace ctxtest {
namespace {

// What a call that fails says.
template <class Call>
std::string Said(Call call) {
  try {
    call();
  } catch (const std::system_error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST(Failures, NameTheFunction) {
  ctx::context empty;
  static_cast<void>(empty.release());
  static const ctx::key<int> key("key");
  const auto expect = [](const std::string& name, auto call) {
    EXPECT_EQ(Said(call), name + ": Invalid argument");
  };
  expect("ctx::with_cancel", [&] { (void)ctx::with_cancel(empty); });
  expect("ctx::with_timeout", [&] { (void)ctx::with_timeout(empty, 1s); });
  expect("ctx::with_deadline", [&] { (void)ctx::with_deadline(empty, ctx::time_point()); });
  expect("ctx::without_cancel", [&] { (void)ctx::without_cancel(empty); });
  expect("ctx::with_grace", [&] { (void)ctx::with_grace(empty, 1s); });
  expect("ctx::with_idle", [&] { (void)ctx::with_idle(empty, 1s); });
  expect("ctx::merge", [&] { (void)ctx::merge({empty}); });
  expect("ctx::with_fd", [&] { (void)ctx::with_fd(empty, 0, 1); });
  expect("ctx::with_value", [&] { (void)ctx::with_value(empty, key, 1); });
  expect("ctx::without_value", [&] { (void)ctx::without_value(empty, key); });
  expect("ctx::with_name", [&] { (void)ctx::with_name(empty, "name"); });
  expect("ctx::with_string", [&] { (void)ctx::with_string(empty, "name", "text"); });
  expect("ctx::after_func", [&] { ctx::after_func(empty, [] {}); });
  expect("ctx::after_func", [&] { ctx::after_func(empty, [s = std::string()] { (void)s; }); });
  expect("ctx::done_callback", [&] { (void)ctx::done_callback(ctx::done_token(empty), [] {}); });
  expect("ctx::wait_any", [&] { ctx::wait_any({empty}); });
  expect("ctx::group", [&] { ctx::group g(empty); });
  expect("ctx::cause", [&] { (void)ctx::cause(std::exception_ptr{}); });
  expect("ctx_queue_add", [&] { ctx::queue().add(empty, 1); });
  expect("ctx_queue_add", [&] { (void)ctx::queue().add_watch(empty, 1); });
  expect("ctx_watch_stop", [] { ctx::watch().stop(); });
  expect("ctx_watch_stop_wait", [] { ctx::watch().stop_wait(); });
  expect("ctx_cancel", [] { ctx::canceler().cancel(); });
  expect("ctx_wait", [&] { empty.wait(); });
  expect("ctx_deadline", [&] { (void)empty.deadline(); });
}

TEST(Failures, ExplainWhatTheSystemLeavesOut) {
  const auto said = [](int error) { return Said([=] { ctx::detail::check(error, "a call"); }); };
  EXPECT_THAT(said(-ECHILD), testing::StartsWith("a call: made before this process was forked: "));
  EXPECT_THAT(said(-EREMOTE),
              testing::StartsWith("a call: the handle belongs to another copy of libctx: "));
  EXPECT_THAT(said(-EPERM), testing::StartsWith("a call: Operation not permitted"));
  EXPECT_EQ(ctx::detail::check(0, "a call"), 0);
  EXPECT_EQ(ctx::detail::check(std::int64_t{5'000'000'000}, "a call"), 5'000'000'000);
  EXPECT_THROW(ctx::detail::check(std::int64_t{-EPERM}, "a call"), std::system_error);
}

}  // namespace
}  // namespace ctxtest
