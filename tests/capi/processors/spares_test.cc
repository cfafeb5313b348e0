// SPDX-License-Identifier: MIT
//
// The memory of a child that went is kept for the next one: one piece for each place of a parent's children. None is
// lost, whoever frees, in whichever order, of whichever kind, and when the parent goes.
#include <malloc.h>

#include <string>
#include <thread>
#include <vector>

#include "support/handles.h"
#include "support/processors.h"

namespace ctxtest {
namespace {

void TwoAtATime(ctx_t* parent) {
  for (int processor = 0; processor < kProcessors; ++processor) {
    const OnProcessor here(processor);
    const Scope one = WithCancel(parent), other = WithCancel(parent);
  }
}

void EachKindAfterAnother(ctx_t* parent) {
  for (int processor = 0; processor < kProcessors; ++processor) {
    const OnProcessor here(processor);
    WithCancel(parent);
    WithTimeout(parent, kHour);
    WithCancel(WithCancel(parent));  // this one had children
    WithIdle(parent, kHour);
    WithGrace(parent, kHour);
    Merge({parent, ctx_background()});
  }
}

void ByAnotherThread(ctx_t* parent) {
  std::vector<Scope> made;
  for (int i = 0; i < 3 * kProcessors; ++i) {
    const OnProcessor here(i);
    made.push_back(WithCancel(parent));
  }
  std::thread([&] { made.resize(kProcessors); }).join();
}

#if defined(CTX_TESTS_CHECKED)
constexpr bool kCounted = false;  // a library with its checks frees late, and keeps none
#else
constexpr bool kCounted = true;
#endif
constexpr size_t kBlock = 64;  // any context takes more

struct Way {
  const char* name;
  void (*come_and_go)(ctx_t* parent);
};

class Spares : public ::testing::TestWithParam<Way> {};

// Expects that so many calls, after some that warm up, leave behind less than `least` bytes for each.
template <class Body>
void ExpectNothingIsLost(size_t times, size_t least, const Body& body) {
  for (size_t i = 0; i < times / 10; ++i) body();
  const size_t before = mallinfo2().uordblks;
  for (size_t i = 0; i < times; ++i) body();
  const size_t after = mallinfo2().uordblks;
  EXPECT_TRUE(!kCounted || after < before + times * least) << after - before;
}

TEST_P(Spares, Rule11_NoneIsLostBelowAParentThatStays) {
  const Scope parent = WithTimeout(ctx_background(), kHour);
  ExpectNothingIsLost(300, kBlock, [&] { GetParam().come_and_go(parent); });
  MeetAt({parent});
  ExpectNothingIsLost(300, kBlock, [&] { GetParam().come_and_go(parent); });
}

TEST_P(Spares, Rule11_NoneIsLostWithTheParent) {
  ExpectNothingIsLost(300, kBlock,
                      [&] { GetParam().come_and_go(WithTimeout(ctx_background(), kHour)); });
  ExpectNothingIsLost(12, kProcessors * kBlock / 2, [&] {
    const Scope parent = WithTimeout(ctx_background(), kHour);
    MeetAt({parent});
    GetParam().come_and_go(parent);
  });
}

INSTANTIATE_TEST_SUITE_P(, Spares,
                         ::testing::Values(Way{"TwoAtATime", TwoAtATime},
                                           Way{"EachKindAfterAnother", EachKindAfterAnother},
                                           Way{"ByAnotherThread", ByAnotherThread}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace ctxtest
