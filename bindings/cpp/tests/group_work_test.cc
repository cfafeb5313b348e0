// SPDX-License-Identifier: MIT
//
// Work of a ctx::group: how it is called, when it and what it holds are gone, and what happens where it cannot begin.
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "calls.h"
#include "cases.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

// What work holds: when it is destroyed, the group still counts the work.
struct Held {
  Held(const ctx::group* in, int* times) : group(in), seen(times) {}
  Held(Held&& other) noexcept : group(std::exchange(other.group, nullptr)), seen(other.seen) {}
  ~Held() {
    if (group == nullptr) return;
    ++*seen;
    EXPECT_FALSE(group->wait_for(0s)) << "the work is over, and what it holds is not";
  }
  const ctx::group* group;
  int* seen;
};

TEST(GroupWork, IsDestroyedBeforeItCountsAsOver) {
  int destroyed = 0;
  const ctx::group group;
  std::vector<std::function<void()>> works;
  const auto later = [&](const std::function<void()>& work) { works.push_back(work); };
  EXPECT_TRUE(group.spawn(later, [held = Held(&group, &destroyed)] {}));
  works.at(0)();
  EXPECT_EQ(destroyed, 1);
  group.wait();
  EXPECT_TRUE(group.spawn([held = Held(&group, &destroyed)] {}));
  group.wait();
  EXPECT_EQ(destroyed, 2);
}

TEST(GroupWork, ThatIsDroppedIsDestroyedBeforeItCountsAsFailed) {
  int destroyed = 0;
  const ctx::group group;
  const auto drops = [](const std::function<void()>&) {};
  EXPECT_TRUE(group.spawn(drops, [held = Held(&group, &destroyed)] {}));
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(group.cause().message(), "the executor has dropped the work");
  EXPECT_EQ(group.get_context().cause(), group.cause());
}

TEST(GroupWork, ThatHasRunIsNoFailureWhenTheExecutorDropsIt) {
  const ctx::group group;
  int runs = 0;
  {
    std::vector<std::function<void()>> works;
    const auto later = [&](const std::function<void()>& work) { works.push_back(work); };
    EXPECT_TRUE(group.spawn(later, [&] { ++runs; }));
    works.at(0)();
    works.at(0)();
  }
  EXPECT_EQ(runs, 1);
  group.wait();
  EXPECT_FALSE(group.cause());
  EXPECT_FALSE(group.get_context().is_done());
}

// Work that an executor refuses is over, though the executor keeps it, and nothing of it runs.
TEST(GroupWork, ThatIsRefusedNeverRunsAndNeverFails) {
  const ctx::group group;
  std::vector<std::function<void()>> kept;
  const auto refuses = [&](const std::function<void()>& work) {
    kept.push_back(work);
    throw std::logic_error("closed");
  };
  EXPECT_THROW(group.spawn(refuses, [] { ADD_FAILURE() << "ran"; }), std::logic_error);
  EXPECT_TRUE(group.wait_for(0s));
  kept.at(0)();
  kept.clear();
  EXPECT_FALSE(group.cause());
  EXPECT_FALSE(group.get_context().is_done());
}

struct ThrowsIfCopied {
  ThrowsIfCopied() = default;
  ThrowsIfCopied(const ThrowsIfCopied&) { throw std::runtime_error("no copy"); }
  void operator()() const {}
};

TEST(GroupWork, ThatCannotBeCopiedHasNotBegun) {
  const ctx::group group;
  const ThrowsIfCopied work;
  EXPECT_THROW(group.spawn(work), std::runtime_error);
  EXPECT_TRUE(group.wait_for(0s));
  const auto later = [](const std::function<void()>&) { ADD_FAILURE() << "posted"; };
  EXPECT_THROW(group.spawn(later, work), std::runtime_error);
  EXPECT_TRUE(group.wait_for(0s));
  EXPECT_FALSE(group.get_context().is_done());
}

TEST(GroupWork, FailureOnAThreadIsToldByWait) {
  const ctx::group group;
  group.spawn([] { return ctx::cause(-EIO, "on a thread"); });
  EXPECT_THROW(group.wait(), ctx::context_error);
  EXPECT_EQ(group.cause().code(), -EIO);
  EXPECT_EQ(group.get_context().cause().message(), "on a thread");
}

TEST(GroupWork, OnlyACauseThatIsReturnedIsAFailure) {
  const ctx::group group;
  group.spawn([] { return 5; });
  group.spawn([] { return std::string("a text"); });
  group.spawn([](const ctx::context&) { return std::make_exception_ptr(std::runtime_error("")); });
  group.wait();
  EXPECT_FALSE(group.cause());
}

TEST(GroupWork, IsCalledWithTheContextIfItTakesOne) {
  struct Both {
    std::string* seen;
    void operator()() const { *seen += "nothing,"; }
    void operator()(const ctx::context&) const { *seen += "context,"; }
  };
  const ctx::group group;
  const auto now = [](const auto& work) { work(); };
  std::string seen;
  group.spawn(now, Both{&seen});
  group.spawn(now, [&](auto&&... args) { seen += std::to_string(sizeof...(args)) + ","; });
#if defined(CTX_HAS_STOP_TOKEN)
  struct Three : Both {
    using Both::operator();
    void operator()(std::stop_token) const { *seen += "token,"; }
  };
  struct Two {
    std::string* seen;
    void operator()() const { *seen += "nothing,"; }
    void operator()(std::stop_token) const { *seen += "token,"; }
  };
  group.spawn(now, Three{{&seen}});
  group.spawn(now, Two{&seen});
  EXPECT_EQ(seen, "context,1,context,token,");
#else
  EXPECT_EQ(seen, "context,1,");
#endif
}

// Work runs in the context of its group.
TEST(GroupWork, HasTheContextOfItsGroup) {
  const ctx::group group;
  ctx::context seen;
  group.spawn([&](const ctx::context& ctx) { seen = ctx; });
  group.wait();
  EXPECT_EQ(seen, group.get_context());
}

TEST(GroupWork, DoesNotBeginBelowADeadlineThatHasPassed) {
  const ctx::group group(ctx::with_timeout(ctx::background(), 0s).first);
  const auto now = [](const auto& work) { work(); };
  EXPECT_FALSE(group.begin());
  EXPECT_FALSE(group.spawn([] { ADD_FAILURE() << "ran"; }));
  EXPECT_FALSE(group.spawn(now, [] { ADD_FAILURE() << "ran"; }));
  EXPECT_TRUE(group.wait_for(0s));
  try {
    static_cast<void>(group.nested());
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(e.code(), std::errc::timed_out);
  }
  group.wait();  // nothing has failed
}

TEST(GroupWork, AFailureIsThrownWhenAllIsOver) {
  const ctx::group group;
  EXPECT_TRUE(group.begin() && group.begin());
  group.end(ctx::cause("the first"));
  EXPECT_TRUE(group.cause());
  EXPECT_FALSE(group.wait_for(0s)) << "the second still works";
  group.end(ctx::cause("the second"));
  try {
    static_cast<void>(group.wait_for(0s));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const ctx::context_error& e) {
    EXPECT_EQ(e.cause().message(), "the first");
    EXPECT_STREQ(e.what(), "context canceled: the first");
  }
}

TEST(GroupWork, IsCanceledWithErrorAndCause) {
  const ctx::group group;
  EXPECT_TRUE(group.cancel(std::errc::timed_out, ctx::cause(3, "too late")));
  EXPECT_EQ(group.get_context().err(), std::errc::timed_out);
  EXPECT_EQ(group.get_context().cause().code(), 3);
}

// The destructor cancels, and waits; a group that was moved from does neither.
TEST(GroupWork, TheLastOwnerOfAGroupEndsIt) {
  ctx::context inside;
  {
    ctx::group group;
    inside = group.get_context();
    const ctx::group owner = [&] { return ctx::group(std::move(group)); }();
    EXPECT_FALSE(inside.is_done());
    { const ctx::group none(std::move(group)); }
    EXPECT_FALSE(inside.is_done());
    EXPECT_EQ(owner.get_context(), inside);
  }
  EXPECT_EQ(inside.err(), std::errc::operation_canceled);
}

TEST(GroupWork, ANestedGroupCancelsItsOwnContextAlone) {
  const ctx::group outer;
  ctx::context inside;
  {
    const ctx::group inner = outer.nested();
    inside = inner.get_context();
    EXPECT_NE(inside, outer.get_context());
  }
  EXPECT_TRUE(inside.is_done());
  EXPECT_TRUE(outer.wait_for(0s));
  EXPECT_FALSE(outer.get_context().is_done());
}

// Asking for what a group owns takes references of one's own.
TEST(GroupWork, WhatAGroupHandsOutLivesWithoutIt) {
  ctx::context ctx, over;
  ctx::canceler cancel;
  ctx::cause why;
  {
    const ctx::group group;
    ctx = group.get_context();
    cancel = group.get_canceler();
    EXPECT_TRUE(group.begin());
    over = group.over();
    group.end(ctx::cause(11, "kept"));
    why = group.cause();
  }
  EXPECT_EQ(ctx.cause(), why);
  EXPECT_FALSE(cancel.cancel());
  EXPECT_TRUE(over.is_done());
  EXPECT_EQ(why.code(), 11);
}

}  // namespace
}  // namespace ctxtest
