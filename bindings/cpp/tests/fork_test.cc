// SPDX-License-Identifier: MIT
//
// Fork: in the child what was made before can be read, throws std::errc::no_child_process for all else
// and is let go of without effect; and what is new works at once.
#include <cstdlib>
#include <string>

#include "cases.h"
#include "support/forked.h"

namespace ctxtest {
namespace {

TEST(Fork, TheChildReadsWhatWasBeforeAndMakesItsOwn) {
  static const ctx::key<Tracked> key("tracked");
  Tracked::Log log;
  {
    ctx::context value = ctx::with_value(ctx::background(), key, Tracked(&log, 3));
    auto [ctx, cancel] = ctx::with_timeout(value, 1h, ctx::cause(1, "late"));
    const ctx::watch armed = ctx::after_func(ctx, [text = std::string("x")] {});
    InChild([&, c = &ctx, right = &cancel] {
      EXPECT_FALSE(c->err());
      EXPECT_TRUE(c->deadline());
      EXPECT_EQ(c->value(key)->number, 3);
      ExpectThrows(std::errc::no_child_process, [&] { right->cancel(); });
      ExpectThrows(std::errc::no_child_process, [&] { (void)ctx::with_cancel(*c); });
      ExpectThrows(std::errc::no_child_process, [&] { c->wait(); });
      ExpectThrows(std::errc::no_child_process, [&] { ctx::after_func(*c, [] {}); });
      ExpectThrows(std::errc::no_child_process, [&] { armed.stop(); });
      { const ctx::cancel_guard quiet(*right); }
      { const ctx::context copy = *c; }
      *c = {};
      *right = {};
      value = {};
      EXPECT_EQ(log.live, 1);  // it is the parent process's to drop

      const auto [own, own_cancel] = ctx::with_timeout(ctx::background(), 1ms);
      EXPECT_TRUE(own.wait_for(kWatchdog));
      EXPECT_EQ(own.err(), std::errc::timed_out);
    });
    EXPECT_FALSE(ctx.is_done());
    EXPECT_TRUE(cancel.cancel());
  }
  EXPECT_EQ(log.live, 0);
}

TEST(Fork, TheDestructorsOfTheChildDoNothing) {
  const auto [ctx, cancel] = ctx::with_cancel(ctx::background());
  static ctx::context kept;
  kept = ctx;
  InChild([] {}, std::exit);
  EXPECT_TRUE(cancel.cancel());
  EXPECT_TRUE(kept.is_done());
  kept = {};
}

}  // namespace
}  // namespace ctxtest
