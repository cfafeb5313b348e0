// SPDX-License-Identifier: MIT
//
// Rules 29 and 30: which value is found, and when and where it is dropped.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

const ctx_key_t kSameName = {"key"}, kNoName = {nullptr};

TEST(Value, Rule29_TheNearestWins) {
  int outer = 1, inner = 2;
  const Ctx top = WithValue(ctx_background(), &kKey, &outer);
  const Scope between = WithCancel(top);
  const Ctx below = WithValue(between, &kKey, &inner);
  const Scope bottom = WithTimeout(below, kHour);
  EXPECT_EQ(ctx_value(top, &kKey), &outer);
  EXPECT_EQ(ctx_value(between, &kKey), &outer);
  EXPECT_EQ(ctx_value(below, &kKey), &inner);
  EXPECT_EQ(ctx_value(bottom, &kKey), &inner);

  const Ctx top_text = WithString(bottom, "name", "outer");
  const Ctx text = WithString(WithCancel(top_text), "name", "inner");
  EXPECT_STREQ(ctx_string(top_text, "name"), "outer");
  EXPECT_STREQ(ctx_string(text, "name"), "inner");
}

TEST(Value, Rule29_NullShadows) {
  int outer = 1;
  const Ctx top = WithString(WithValue(ctx_background(), &kKey, &outer), "name", "outer");
  const Ctx hidden = WithString(WithValue(top, &kKey, nullptr), "name", nullptr);
  const Scope below = WithCancel(hidden);
  EXPECT_EQ(ctx_value(below, &kKey), nullptr);
  EXPECT_EQ(ctx_string(below, "name"), nullptr);
  EXPECT_EQ(ctx_value(top, &kKey), &outer);
  EXPECT_STREQ(ctx_string(top, "name"), "outer");
  const Ctx again = WithString(hidden, "name", "again");
  EXPECT_STREQ(ctx_string(again, "name"), "again");
}

TEST(Value, Rule29_ValuesOutliveCancel) {
  int value = 1;
  const Scope scope = WithCancel(ctx_background());
  const Ctx with_value = WithValue(scope, &kKey, &value);
  const Ctx with_text = WithString(with_value, "name", "text");
  scope.Cancel();
  EXPECT_EQ(ctx_value(with_text, &kKey), &value);
  EXPECT_STREQ(ctx_string(with_text, "name"), "text");
  int late = 2;
  EXPECT_EQ(ctx_value(WithValue(scope, &kKey, &late), &kKey), &late);
}

TEST(Value, Rule29_KeysCompareByAddress) {
  int value = 1, other = 2;
  const Ctx ctx = WithValue(WithValue(ctx_background(), &kKey, &value), &kSameName, &other);
  EXPECT_EQ(ctx_value(ctx, &kKey), &value);
  EXPECT_EQ(ctx_value(ctx, &kSameName), &other);
  EXPECT_EQ(ctx_value(ctx, &kNoName), nullptr);
  EXPECT_EQ(ctx_value(WithValue(ctx, &kNoName, &value), &kNoName), &value);
}

TEST(Value, Rule29_NamesOfStringsCompareByContent) {
  const Ctx ctx = WithString(ctx_background(), std::string("trace").c_str(), "abc");
  EXPECT_STREQ(ctx_string(ctx, std::string("tra").append("ce").c_str()), "abc");
  EXPECT_EQ(ctx_string(ctx, "Trace"), nullptr);
  EXPECT_EQ(ctx_string(ctx, "trac"), nullptr);
  EXPECT_EQ(ctx_string(ctx, "traces"), nullptr);
  EXPECT_EQ(ctx_string(ctx, ""), nullptr);
  EXPECT_STREQ(ctx_string(WithString(ctx, "", ""), ""), "");
}

TEST(Value, Rule29_PointersAndTextAreApart) {
  int value = 1;
  const Ctx ctx = WithString(WithValue(ctx_background(), &kKey, &value), "key", "text");
  EXPECT_EQ(ctx_value(ctx, &kKey), &value);
  EXPECT_STREQ(ctx_string(ctx, "key"), "text");
  EXPECT_EQ(ctx_string(WithValue(ctx_background(), &kKey, &value), "key"), nullptr);
}

TEST(Value, Rule29_AKeyWithoutANameIsNoText) {
  const ctx_key_t nameless = {nullptr};
  int value = 1;
  const Ctx ctx = WithValue(ctx_background(), &nameless, &value);
  EXPECT_EQ(ctx_value(ctx, &nameless), &value);
  EXPECT_EQ(ctx_string(ctx, ""), nullptr);
  EXPECT_EQ(ctx_string(ctx, "name"), nullptr);
}

// A key is an address, and the text of a string has one, too.
TEST(Value, Rule29_ATextIsNoKey) {
  const Ctx ctx = WithString(ctx_background(), "name", "text");
  const char* kept = nullptr;
  const auto keep = [](const char* name, const char*, void* arg) {
    *static_cast<const char**>(arg) = name;
    return 1;
  };
  EXPECT_EQ(ctx_strings(ctx, keep, &kept), 1);
  EXPECT_EQ(ctx_value(ctx, reinterpret_cast<const ctx_key_t*>(kept)), nullptr);
  EXPECT_EQ(ctx_value(ctx, reinterpret_cast<const ctx_key_t*>(ctx_string(ctx, "name"))), nullptr);
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs Strings(ctx_t* ctx) {
  Pairs pairs;
  const auto add = [](const char* name, const char* value, void* arg) {
    static_cast<Pairs*>(arg)->emplace_back(name, value);
    return 0;
  };
  EXPECT_EQ(ctx_strings(ctx, add, &pairs), 0);
  return pairs;
}

TEST(Value, Rule29_EachVisibleStringIsVisitedOnceTheNearestFirst) {
  EXPECT_EQ(Strings(ctx_background()), Pairs());
  int value = 0;
  const Ctx top = WithString(WithString(ctx_background(), "a", "outer"), "b", "hidden");
  const Ctx middle = WithString(WithValue(WithCancel(top), &kKey, &value), "c", "");
  const Ctx bottom = WithString(WithString(middle, "b", nullptr), "a", "inner");
  const Scope canceled = WithCancel(bottom);
  canceled.Cancel();
  for (ctx_t* ctx : {bottom.get(), canceled.ctx.get()}) {
    EXPECT_EQ(Strings(ctx), (Pairs{{"a", "inner"}, {"c", ""}}));
  }
  EXPECT_EQ(Strings(top), (Pairs{{"b", "hidden"}, {"a", "outer"}}));
  EXPECT_EQ(Strings(WithString(bottom, "b", "again")),
            (Pairs{{"b", "again"}, {"a", "inner"}, {"c", ""}}));
}

TEST(Value, Rule29_TheVisitOfStringsEndsWithAnAnswer) {
  const Ctx ctx = WithString(WithString(ctx_background(), "a", "1"), "b", "2");
  for (const int answer : {7, -7}) {
    struct Visit {
      int answer;
      std::string names;
    } visit{answer, ""};
    const auto stops = [](const char* name, const char*, void* arg) {
      static_cast<Visit*>(arg)->names += name;
      return static_cast<Visit*>(arg)->answer;
    };
    EXPECT_EQ(ctx_strings(ctx, stops, &visit), answer);
    EXPECT_EQ(visit.names, "b");
  }
  EXPECT_EQ(ctx_strings(ctx, nullptr, nullptr), -EINVAL);
}

TEST(Value, StringsAreCopies) {
  std::string name = "name", text = "text";
  const Ctx ctx = WithString(ctx_background(), name.c_str(), text.c_str());
  name = "gone";
  text = "lost";
  EXPECT_STREQ(ctx_string(ctx, "name"), "text");
  const std::string large(1 << 16, 'l');
  EXPECT_EQ(ctx_string(WithString(ctx, large.c_str(), large.c_str()), large.c_str()), large);
}

TEST(Value, Rule29_TheTextLivesAsLongAsAContextThatSeesIt) {
  Ctx ctx = WithString(ctx_background(), "name", "text");
  const char* text = ctx_string(ctx, "name");
  const Scope below = WithCancel(ctx);
  ctx.reset();
  EXPECT_EQ(ctx_string(below, "name"), text);
  EXPECT_STREQ(text, "text");
}

TEST(Value, Rule29_ManyKeysAreEachFound) {
  std::vector<ctx_key_t> keys(200, ctx_key_t{"one of many"});
  Ctx ctx = WithValue(ctx_background(), &kKey, nullptr);
  for (ctx_key_t& key : keys) {
    ctx = WithValue(WithCancel(ctx), &key, &key);
    ctx = WithString(ctx, std::to_string(&key - keys.data()).c_str(), "text");
  }
  for (ctx_key_t& key : keys) {
    EXPECT_EQ(ctx_value(ctx, &key), &key);
    EXPECT_NE(ctx_string(ctx, std::to_string(&key - keys.data()).c_str()), nullptr);
  }
  EXPECT_EQ(ctx_value(ctx, &kKey), nullptr);
  EXPECT_EQ(ctx_string(ctx, "200"), nullptr);
}

TEST(Value, Rule29_AValueContextEndsExactlyWhenItsParentDoes) {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  const Ctx value = WithValue(scope, &kKey, nullptr);
  const Scope below = WithCancel(value);
  EXPECT_EQ(below.Cancel(), 1);
  EXPECT_EQ(ctx_err(value), 0);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_EQ(ctx_err(value), CTX_CANCELED);
  EXPECT_EQ(ctx_cause(value), ctx_cause(scope));
}

TEST(Value, Rule30_DropRunsOnceWithTheLastReference) {
  Drop drop;
  Ctx ctx = WithValue(ctx_background(), &kKey, &drop, Drop::Run);
  Ctx more(ctx_ref(ctx));
  Scope below = WithCancel(ctx);
  ctx.reset();
  more.reset();
  below.Cancel();
  below.ctx.reset();
  EXPECT_EQ(drop.count(), 0) << "a canceler counts too";
  below.canceler.reset();
  EXPECT_EQ(drop.count(), 1);
}

TEST(Value, Rule30_DropRunsOnTheThreadThatReleasesTheLastReference) {
  Drop drop;
  Ctx ctx = WithValue(ctx_background(), &kKey, &drop, Drop::Run);
  std::thread other([&] { ctx.reset(); });
  const std::thread::id id = other.get_id();
  other.join();
  EXPECT_EQ(drop.count(), 1);
  EXPECT_EQ(drop.thread(), id);
}

TEST(Value, Rule30_DropRunsForANullValueToo) {
  static int drops = 0;
  drops = 0;
  WithValue(ctx_background(), &kKey, nullptr, [](void* value) {
    EXPECT_EQ(value, nullptr);
    ++drops;
  });
  EXPECT_EQ(drops, 1);
}

TEST(Value, Rule30_AConstructorThatFailedDropsNothing) {
  Drop drop;
  ctx_t* untouched = ctx_todo();
  EXPECT_EQ(ctx_with_value(nullptr, &kKey, &drop, Drop::Run, &untouched), -EINVAL);
  EXPECT_EQ(ctx_with_value(ctx_background(), nullptr, &drop, Drop::Run, &untouched), -EINVAL);
  EXPECT_EQ(ctx_with_value(ctx_background(), &kKey, &drop, Drop::Run, nullptr), -EINVAL);
  EXPECT_EQ(untouched, ctx_todo());
  EXPECT_EQ(drop.count(), 0);
}

// A whole branch goes with its last leaf: every value of it is dropped, once, here.
TEST(Value, Rule30_AllOfABranchIsDroppedWithItsLeaf) {
  std::vector<std::unique_ptr<Drop>> drops;
  Ctx leaf(ctx_ref(ctx_background()));
  for (int i = 0; i < 100; ++i) {
    drops.push_back(std::make_unique<Drop>());
    leaf = WithValue(i % 2 == 0 ? leaf.get() : WithCancel(leaf).ctx.get(), &kKey,
                     drops.back().get(), Drop::Run);
  }
  for (const auto& drop : drops) EXPECT_EQ(drop->count(), 0);
  leaf.reset();
  for (const auto& drop : drops) {
    EXPECT_EQ(drop->count(), 1);
    EXPECT_EQ(drop->thread(), std::this_thread::get_id());
  }
}

// The drop uses the parent whose child is just being freed, and its family.
TEST(Value, Rule30_NoLockIsHeldWhileItRuns) {
  struct Family {
    Scope parent = WithCancel(ctx_background());
    int canceled = -1;
  } family;
  const auto drop = [](void* arg) {
    auto* self = static_cast<Family*>(arg);
    std::thread other([self] {
      const Scope sibling = WithCancel(self->parent);
      const Scope timed = WithTimeout(self->parent, kHour);
      self->canceled = self->parent.Cancel();
      EXPECT_EQ(ctx_err(sibling), CTX_CANCELED);
    });
    other.join();
  };
  Scope child = WithTimeout(WithValue(family.parent, &kKey, &family, drop), kHour);
  child.reset();
  EXPECT_EQ(family.canceled, 1);
}

TEST(Value, Rule30_NeverOnTheClocksThread_CallbackHoldsTheLastReference) {
  for (int i = 0; i < 20; ++i) {
    Drop drop;
    {
      const Scope timed = WithTimeout(Watched(ctx_background(), &drop), 2 * kMillisecond);
      const auto fn = [](ctx_t*, void*) {};
      ASSERT_GE(ctx_after_func(timed, fn, nullptr, nullptr, 0, nullptr), 0);
    }
    ASSERT_TRUE(drop.Wait());
    EXPECT_NE(drop.thread_name(), "ctx-loop");
  }
}

// The last handles go at the very moment when the clock's thread ends the context.
TEST(Value, Rule30_NeverOnTheClocksThread_ReleaseRacesWithTheDeadline) {
  constexpr int kRounds = kSanitized ? 100 : 400;
  int on_clock = 0;
  Stagger stagger(30);
  for (int round = 0; round < kRounds; ++round) {
    Drop drop;
    Scope timed = WithTimeout(Watched(ctx_background(), &drop), 150 * kMicrosecond);
    Scope below = WithCancel(Watched(timed, &drop));
    timed.reset();
    if (round % 2 == 0) {
      while (ctx_err(below) == 0) {
      }
      stagger.Pass(1024);
    } else {
      while (ctx_remaining(below) > 0) {
      }
      stagger.Pass(65536);
    }
    below.reset();
    ASSERT_TRUE(drop.Wait(2));
    on_clock += drop.thread_name() == "ctx-loop";
  }
  EXPECT_EQ(on_clock, 0);
}

TEST(Value, Rule30_NeverOnTheClocksThread_CausesOfDeadlinesToo) {
  for (int i = 0; i < 20; ++i) {
    Drop drop;
    ctx_cause_t* cause = nullptr;
    ASSERT_EQ(ctx_cause_new_data(1, "data", &kKey, &drop, Drop::Run, &cause), 0);
    Scope timed = WithTimeout(ctx_background(), kMillisecond, cause);
    ctx_cause_unref(cause);
    while (ctx_err(timed) == 0) {
    }
    timed.reset();
    ASSERT_TRUE(drop.Wait());
    EXPECT_NE(drop.thread_name(), "ctx-loop");
  }
}

}  // namespace
}  // namespace ctxtest
