// SPDX-License-Identifier: MIT
//
// Rule 28: parent before descendants, and those of one context in the order of their registration.
#include <memory>
#include <mutex>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"

namespace ctxtest {
namespace {

// Callbacks that write down the order they run in.
struct Recorder {
  std::vector<int> order;
  std::vector<std::unique_ptr<Callback>> callbacks;
  std::mutex mutex;

  void Arm(ctx_t* ctx, int number, uint32_t flags = 0) {
    callbacks.push_back(std::make_unique<Callback>([this, number](ctx_t*) {
      std::lock_guard<std::mutex> lock(mutex);
      order.push_back(number);
    }));
    EXPECT_GE(callbacks.back()->Arm(ctx, flags), 0);
  }
  size_t PlaceOf(int number) const {
    for (size_t i = 0; i < order.size(); ++i) {
      if (order[i] == number) return i;
    }
    ADD_FAILURE() << number << " did not run";
    return 0;
  }
};

TEST(CallbackOrder, Rule28_ThoseOfOneContextRunInTheOrderOfTheirRegistration) {
  const Scope scope = WithCancel(ctx_background());
  Recorder recorder;
  std::vector<int> expected;
  for (int i = 0; i < 100; ++i) {
    recorder.Arm(scope, i);
    if (i % 10 != 3) expected.push_back(i);
  }
  for (size_t i = 3; i < 100; i += 10) EXPECT_EQ(recorder.callbacks[i]->Stop(), 1);
  scope.Cancel();
  EXPECT_EQ(recorder.order, expected);
}

TEST(CallbackOrder, Rule28_DeferredOnesKeepTheirOrderToo) {
  const Scope scope = WithCancel(ctx_background());
  const Scope child = WithCancel(scope);
  Recorder recorder;
  for (int i = 10; i < 20; ++i) recorder.Arm(child, i, CTX_DEFER);
  for (int i = 0; i < 10; ++i) recorder.Arm(scope, i, CTX_DEFER);
  scope.Cancel();
  for (const auto& callback : recorder.callbacks) ASSERT_TRUE(callback->WaitDrop());
  ASSERT_EQ(recorder.order.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(recorder.order[static_cast<size_t>(i)], i);
}

// A tree of 200, armed from the leaves up, so that no order of registration helps.
void ArmTree(ctx_t* root, std::vector<Ctx>* tree, std::vector<size_t>* parents,
             Recorder* recorder) {
  for (size_t i = 0; i < 200; ++i) {
    const size_t parent = i * 7919 % (i + 1);  // itself: below the root
    ctx_t* above = parent == i ? root : (*tree)[parent].get();
    tree->push_back(i % 4 == 1   ? WithValue(above, &kKey, nullptr)
                    : i % 4 == 2 ? WithTimeout(above, kHour).ctx
                                 : WithCancel(above).ctx);
    parents->push_back(parent);
  }
  for (size_t i = tree->size(); i-- > 0;) recorder->Arm((*tree)[i], static_cast<int>(i));
  recorder->Arm(root, -1);
}

void ExpectParentsFirst(const std::vector<size_t>& parents, const Recorder& recorder) {
  ASSERT_EQ(recorder.order.size(), parents.size() + 1);
  EXPECT_EQ(recorder.order[0], -1) << "the root";
  for (size_t i = 0; i < parents.size(); ++i) {
    if (parents[i] == i) continue;
    EXPECT_LT(recorder.PlaceOf(static_cast<int>(parents[i])),
              recorder.PlaceOf(static_cast<int>(i)));
  }
}

TEST(CallbackOrder, Rule28_ParentBeforeDescendants) {
  const Scope root = WithCancel(ctx_background());
  std::vector<Ctx> tree;
  std::vector<size_t> parents;
  Recorder recorder;
  ArmTree(root, &tree, &parents, &recorder);
  EXPECT_EQ(root.Cancel(), 1);
  ExpectParentsFirst(parents, recorder);
}

TEST(CallbackOrder, Rule28_ParentBeforeDescendantsAlsoWhenADeadlineEndsThem) {
  for (int64_t timeout = 20 * kMillisecond;; timeout *= 2) {
    const Scope root = WithTimeout(ctx_background(), timeout);
    std::vector<Ctx> tree;
    std::vector<size_t> parents;
    Recorder recorder;
    ArmTree(root, &tree, &parents, &recorder);
    const bool armed_in_time = ctx_remaining(root) > 0;
    for (const auto& callback : recorder.callbacks) ASSERT_TRUE(callback->WaitDrop());
    if (!armed_in_time) continue;
    ExpectParentsFirst(parents, recorder);
    break;
  }
}

// A context that carries a value ends exactly when its parent does; it is a descendant all the same.
TEST(CallbackOrder, Rule28_ParentBeforeItsValueContexts) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  const Ctx text = WithString(value, "name", "text");
  Recorder recorder;
  recorder.Arm(text, 2);
  recorder.Arm(value, 1);
  recorder.Arm(scope, 0);
  scope.Cancel();
  EXPECT_EQ(recorder.order, (std::vector<int>{0, 1, 2}));
}

// Armed first, it still waits for all of its parent, and those of the parent keep their order.
TEST(CallbackOrder, Rule28_ThoseOfAParentKeepTheirOrderBeforeAnEarlierOneBelow) {
  const Scope scope = WithCancel(ctx_background());
  const Ctx value = WithValue(scope, &kKey, nullptr);
  Recorder recorder;
  recorder.Arm(value, 9);
  for (int i = 1; i <= 3; ++i) recorder.Arm(scope, i);
  scope.Cancel();
  EXPECT_EQ(recorder.order, (std::vector<int>{1, 2, 3, 9}));
}

}  // namespace
}  // namespace ctxtest
