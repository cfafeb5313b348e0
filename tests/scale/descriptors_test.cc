// SPDX-License-Identifier: MIT
//
// A process that may have sixteen descriptors. With so many and fewer left, each function works, or says that it got
// none and has changed nothing. Cancel always works, loops that had begun go on, and once there are descriptors again
// all works.
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <utility>
#include <vector>

#include "scale/measure.h"
#include "support/callback.h"
#include "support/few_descriptors.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

// One call that may need descriptors, on objects of its own; it answers 0 or a negative errno. What it was given is
// left for a second try.
struct Needs {
  const char* name;
  std::function<int()> call;
};

// Everything that asks for a descriptor, each for the first time.
struct Fresh {
  Fresh() { ctx_group_begin(group); }

  std::vector<Needs> All() {
    const auto fd = [](int result) { return result < 0 ? result : 0; };
    return {
        {"ctx_done_fd", [=, this] { return fd(ctx_done_fd(scope)); }},
        {"ctx_done_fd of a value", [=, this] { return fd(ctx_done_fd(value)); }},
        {"ctx_done_fd_dup",
         [=, this] {
           own = ctx_done_fd_dup(duplicated);
           return fd(own);
         }},
        {"ctx_poll",
         [=, this] {
           const int result = ctx_poll(polled, nullptr, 0, kMillisecond);
           return result;
         }},
        {"ctx_queue_fd", [=, this] { return fd(ctx_queue_fd(queue)); }},
        {"ctx_group_fd", [=, this] { return fd(ctx_group_fd(group)); }},
        {"ctx_cancel_fd",
         [=, this] {
           cancel = ctx_cancel_fd(scope.canceler);
           return fd(cancel);
         }},
        {"ctx_loop_fd", [=, this] { return fd(ctx_loop_fd(manual.loop)); }},
        {"ctx_loop_new that starts",
         [=, this] {
           ctx_loop_options_t options = LoopOptions();
           options.flags = CTX_LOOP_START;
           ctx_loop_t* made = nullptr;
           const int result = ctx_loop_new(CTX_LOOP_THREAD, &options, &made);
           EXPECT_EQ(made == nullptr, result != 0);
           started = Loop(made);
           return result;
         }},
        {"the first deadline of a loop",
         [=, this] {
           return Make(
               [=, this](ctx_t** ret) { return ctx_with_timeout(root, kHour, ret, nullptr); });
         }},
        {"the first descriptor of a manual loop",
         [=, this] {
           return Make([=, this](ctx_t** ret) {
             return ctx_with_fd(other_manual.root, pipe.read_end, POLLIN, ret, nullptr);
           });
         }},
        {"the first signal of a virtual loop",
         [=, this] {
           const int signal = SIGUSR1;
           return Make([=, this](ctx_t** ret) {
             return ctx_with_signal(virtual_loop.root, &signal, 1, ret, nullptr);
           });
         }},
        {"a merge of two loops",
         [=, this] {
           ctx_t* const parents[] = {scope, far};
           return Make([&](ctx_t** ret) { return ctx_merge(parents, 2, ret, nullptr); });
         }},
        {"the first deferred callback of a loop",
         [=, this] { return callback.Arm(far, CTX_DEFER); }},
        {"a deferred cancel on a loop that has not begun",
         [=, this] {
           const int result = ctx_cancel_deferred(lazy_scope.canceler, CTX_CANCELED, nullptr);
           EXPECT_EQ(ctx_err(lazy_scope), result < 0 ? 0 : CTX_CANCELED);
           return result < 0 ? result : 0;
         }},
    };
  }

  template <class Derive>
  int Make(const Derive& derive) {
    ctx_t* made = nullptr;
    const int result = derive(&made);
    EXPECT_EQ(made == nullptr, result != 0);
    contexts.emplace_back(made);
    return result;
  }

  void Close() {
    for (int* fd : {&own, &cancel}) {
      if (*fd >= 0) close(std::exchange(*fd, -1));
    }
  }

  Scope scope = WithCancel(ctx_background());
  Ctx value = WithValue(WithCancel(ctx_background()), &kKey, nullptr);
  Scope duplicated = WithCancel(ctx_background()), polled = WithCancel(ctx_background());
  Queue queue = NewQueue();
  Group group = NewGroup(ctx_background());
  ManualLoop manual, other_manual;
  VirtualLoop virtual_loop;
  Loop loop = NewLoop(CTX_LOOP_THREAD), far_loop = NewLoop(CTX_LOOP_THREAD),
       lazy = NewLoop(CTX_LOOP_THREAD);
  Ctx root = LoopBackground(loop);
  Scope far = WithCancel(LoopBackground(far_loop));
  Scope lazy_scope = WithCancel(LoopBackground(lazy));
  Callback callback;
  Loop started;
  std::vector<Ctx> contexts;
  Pipe pipe;
  int own = -1, cancel = -1;
};

// What needs no descriptor works as ever, on each loop that had begun.
void ExpectAllElseWorks(const std::vector<const Host*>& hosts) {
  for (const Host* host : hosts) {
    ctx_t* const root = host->root();
    const Scope top = WithCancel(root), timed = WithTimeout(top, kHour),
                idle = WithIdle(timed, kHour);
    const Ctx value = WithString(WithName(WithValue(idle, &kKey, nullptr), "name"), "key", "text");
    const Scope grace = WithGrace(top, kHour), merged = Merge({value, grace});
    const Ctx detached = WithoutCancel(merged);
    const Queue queue = NewQueue();
    const Group group = NewGroup(top), nested = NewGroupBelow(group);
    Ctx over;
    EXPECT_EQ(ctx_group_begin(nested), 0);
    EXPECT_EQ(ctx_group_over(group, over.out()), 0);
    EXPECT_EQ(ctx_queue_add(queue, merged, 7, nullptr), 0);
    EXPECT_EQ(ctx_touch(value), 0);
    EXPECT_STREQ(ctx_string(value, "key"), "text");
    EXPECT_GT(ctx_describe(merged, nullptr, 0), 0);
    Callback plain, deferred, waker;
    EXPECT_EQ(plain.Arm(merged), 0);
    EXPECT_EQ(deferred.Arm(merged, CTX_DEFER), 0);
    EXPECT_EQ(waker.Arm(merged, CTX_WAKER), 0);
    const Cause cause = NewCause(7, "enough");
    EXPECT_EQ(ctx_group_end(nested, cause), 0);
    EXPECT_EQ(ctx_cancel_with(top.canceler, CTX_CANCELED, cause), 1);
    EXPECT_EQ(ctx_wait(merged, kLimit), 1);
    ctx_t* const several[] = {detached, grace, detached, grace, detached, grace, detached, merged};
    size_t index = 0;
    EXPECT_EQ(ctx_wait_any(several, 8, kLimit, &index), 1);
    EXPECT_EQ(index, 7u);
    EXPECT_EQ(ctx_cause(merged), cause.get());
    EXPECT_EQ(ctx_err(grace), 0);
    EXPECT_EQ(plain.runs(), 1);
    EXPECT_EQ(waker.runs(), 1);
    ctx_event_t event;
    EXPECT_EQ(ctx_queue_wait(queue, &event, 1, kLimit), 1);
    EXPECT_EQ(event.token, 7u);
    if (host->loop() != nullptr) {
      ctx_loop_dispatch(host->loop());    // a manual loop
      ctx_loop_advance(host->loop(), 0);  // or a virtual one
    }
    EXPECT_TRUE(deferred.WaitRun());
    EXPECT_EQ(grace.Cancel(), 1);
  }
}

TEST(ScaleSixteenDescriptors, Rule46_EverythingWorksOrSaysThatItGotNone) {
  const BlockSignals blocked{SIGUSR1};
  // Loops that have begun, each with a deadline that is still to come, and one context of each that has a descriptor.
  const Host by_default(On::kDefault), threaded(On::kThread), manual(On::kManual),
      virtual_host(On::kVirtual);
  const std::vector<const Host*> hosts = {&by_default, &threaded, &manual, &virtual_host};
  for (const Host* host : hosts) host->Settle();
  std::vector<Scope> later;
  size_t failures = 0, successes = 0;
  for (size_t left = 0; left < 3; ++left) {
    SCOPED_TRACE(left);
    for (const Host* host : hosts) later.push_back(WithTimeout(host->root(), 5 * kMillisecond));
    Fresh fresh;
    std::vector<std::pair<Needs, int>> results;
    {
      const FewDescriptors limit(16, left);
      for (const Needs& needs : fresh.All()) {
        SCOPED_TRACE(needs.name);
        const int result = needs.call();
        EXPECT_TRUE(result == 0 || result == -EMFILE) << result;
        if (left == 0) {
          EXPECT_EQ(result, -EMFILE);
        }
        ++(result == 0 ? successes : failures);
        results.emplace_back(needs, result);
      }
      ExpectAllElseWorks(hosts);
      // Deadlines that were set before come, on each loop.
      EXPECT_TRUE(Done(later[later.size() - 4]));
      EXPECT_TRUE(Done(later[later.size() - 3]));
      EXPECT_TRUE(Done(later[later.size() - 2]));
      EXPECT_EQ(ctx_loop_advance(virtual_host.loop(), 10 * kMillisecond), 1);
      EXPECT_EQ(ctx_err(later.back()), CTX_DEADLINE_EXCEEDED);
    }
    for (const auto& [needs, result] : results) {
      SCOPED_TRACE(needs.name);
      if (result != 0) {
        EXPECT_EQ(needs.call(), 0) << "it works when there are descriptors again";
      }
    }
    EXPECT_EQ(fresh.scope.Cancel(), 1);
    EXPECT_TRUE(Readable(ctx_done_fd(fresh.scope)));
    EXPECT_EQ(fresh.far.Cancel(), 1);
    EXPECT_TRUE(fresh.callback.WaitRun());
    EXPECT_EQ(ctx_group_end(fresh.group, nullptr), 0);
    EXPECT_TRUE(Readable(ctx_group_fd(fresh.group)));
    fresh.Close();
  }
  ExpectAllElseWorks(hosts);
  EXPECT_GT(failures, 30u);
  EXPECT_GT(successes, 0u);
  Measured("with 0 to 2 of 16 descriptors left: %zu calls got none and said so, %zu worked",
           failures, successes);
}

}  // namespace
}  // namespace ctxtest
