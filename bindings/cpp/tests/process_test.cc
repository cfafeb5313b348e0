// SPDX-License-Identifier: MIT
//
// A context for other processes, with both ends in one: what goes over, and what ends the export.
#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "calls.h"
#include "cases.h"

namespace ctxtest {
namespace {

TEST(Process, AContextGoesOverAndEndsThere) {
  const auto [ctx, cancel] =
      ctx::with_timeout(ctx::with_string(ctx::background(), "trace-id", "8f2c"), 1h);
  const auto exported = ctx::export_context(ctx);
  const auto [imported, own] = ctx::import_context(ctx::background(), exported.text());
  EXPECT_EQ(imported.string("trace-id"), "8f2c");
  EXPECT_EQ(imported.deadline(), ctx.deadline());
  EXPECT_FALSE(imported.is_done());
  cancel(ctx::cause(7, "gone"));
  ASSERT_TRUE(imported.wait_for(kWatchdog));
  EXPECT_EQ(imported.err(), std::errc::operation_canceled);
  EXPECT_EQ(imported.cause().code(), 7);
  EXPECT_EQ(imported.cause().message(), "gone");
  EXPECT_EQ(ctx::import_context({}, std::string(exported.text())).first.cause().message(), "gone")
      << "born done";
}

TEST(Process, TheVariableIsTheDefaultAndTheParentEndsItToo) {
  unsetenv("LIBCTX");
  EXPECT_FALSE(ctx::import_context().first.deadline()) << "nobody has exported";
  const ctx::context ctx = ctx::with_timeout(ctx::background(), 1h).first;
  const auto exported = ctx::export_context(ctx);
  setenv("LIBCTX", exported.text(), 1);
  const auto [parent, cancel] = ctx::with_cancel(ctx::background());
  const auto [imported, own] = ctx::import_context(parent);
  unsetenv("LIBCTX");
  EXPECT_EQ(imported.deadline(), ctx.deadline());
  cancel();
  EXPECT_TRUE(imported.is_done());
  EXPECT_FALSE(ctx.is_done());
}

TEST(Process, TheEndOfTheObjectStopsTheExportAndAMoveDoesNot) {
  static_assert(!std::is_copy_constructible_v<ctx::exported_context>);
  ctx::context imported;
  std::string text;
  {
    auto first = ctx::export_context(ctx::background());
    text = first.text();
    imported = ctx::import_context({}, text).first;
    const auto moved = std::move(first);
    EXPECT_EQ(moved.text(), text);
    EXPECT_FALSE(ctx::import_context({}, text).first.is_done());
  }
  ASSERT_TRUE(imported.wait_for(kWatchdog));
  EXPECT_EQ(imported.err(), std::errc::operation_canceled);
  EXPECT_EQ(imported.cause().message(), "export stopped");
}

TEST(Process, AStopIsOneCall) {
  const auto exported = ctx::export_context(ctx::background());
  const ctx::context imported = ctx::import_context({}, exported.text()).first;
  EXPECT_TRUE(exported.stop());
  EXPECT_FALSE(exported.stop());
  EXPECT_TRUE(imported.wait_for(kWatchdog));
}

TEST(Process, WhatIsWrongIsRefused) {
  ExpectThrows(std::errc::bad_message, [] { (void)ctx::import_context({}, "no export"); });
  ExpectThrows(std::errc::bad_message, [] { (void)ctx::import_context({}, std::string_view()); });
  ctx::context empty;
  static_cast<void>(empty.release());
  ExpectThrows(std::errc::invalid_argument, [&] { (void)ctx::export_context(empty); });
  ExpectThrows(std::errc::invalid_argument, [&] { (void)ctx::import_context(empty); });
}

}  // namespace
}  // namespace ctxtest
