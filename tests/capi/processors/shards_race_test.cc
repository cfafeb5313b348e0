// SPDX-License-Identifier: MIT
//
// The last handle of a context goes at the moment when its last child goes, on another processor than that of any
// other child: exactly one of the two threads frees it.
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/processors.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

TEST(ShardsRace, Rule11_AParentAndItsLastChildGoAtOnce) {
  constexpr size_t kRounds = 10, kEach = 40;
  Drop drop;
  std::vector<Scope> parents(kRounds * kEach), children(kRounds * kEach);
  for (Scope& parent : parents) parent = WithCancel(Watched(ctx_background(), &drop));
  MeetAt({parents.begin(), parents.end()});
  for (size_t i = 0; i < parents.size(); ++i) {
    const OnProcessor here(static_cast<int>(i) % kProcessors);
    children[i] = WithCancel(parents[i]);
  }
  size_t first = 0;
  Stagger stagger(5);
  const auto release = [&](std::vector<Scope>& scopes) {
    for (size_t i = first; i < first + kEach; ++i) scopes[i].reset();
  };
  const int rounds = Race(
      kRounds, [] {},
      {[&] { release(parents); },
       [&] {
         stagger.Pass(64);
         release(children);
       }},
      [&] { first += kEach; });
  EXPECT_EQ(drop.count(), rounds * static_cast<int>(kEach));
}

}  // namespace
}  // namespace ctxtest
