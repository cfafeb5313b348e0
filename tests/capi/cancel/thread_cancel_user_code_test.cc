// SPDX-License-Identifier: MIT
//
// Rule 52: while the library runs code of the user's, pthread_cancel() does not end the thread. So the rest of a family
// is called back, and all references are given back.
#include <pthread.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sources.h"
#include "support/sync.h"
#include "support/victim.h"

namespace ctxtest {
namespace {

// Code of the user's, on a thread that is asked to end there, and would.
class Asked {
 public:
  static void Call(ctx_t*, void* self) { static_cast<Asked*>(self)->Through(); }
  static void Drop(void* self) { static_cast<Asked*>(self)->Through(); }
  static int Visit(const char*, const char*, void* self) {
    static_cast<Asked*>(self)->Through();
    return 0;
  }
  int count() const { return count_.Get(); }
  [[nodiscard]] bool Wait(int n) const { return count_.WaitFor(n); }

 private:
  void Through() {
    pthread_cancel(pthread_self());
    pthread_testcancel();
    count_.Add();
  }
  Counter count_;
};

// On a thread of the program: it goes through the call, and ends behind it.
void OnAThread(const char* call, const std::function<void()>& body) {
  Victim victim(call, body);
  victim.Join();
}

// Two callbacks, each with its argument's drop.
void Arm(ctx_t* ctx, Asked* asked, uint32_t flags = 0) {
  for (int i = 0; i < 2; ++i) AfterFunc(ctx, Asked::Call, asked, flags, Asked::Drop);
}

Cause CauseWith(Asked* asked) {
  ctx_cause_t* made = nullptr;
  EXPECT_EQ(ctx_cause_new_data(1, "why", &kKey, asked, Asked::Drop, &made), 0);
  return Cause(made);
}

void InCallbacks() {
  Asked asked;
  const Scope scope = WithCancel(ctx_background()), below = WithCancel(scope);
  Arm(scope, &asked);
  Arm(below, &asked, CTX_WAKER);
  OnAThread("ctx_cancel", [&] { EXPECT_EQ(scope.Cancel(), 1); });
  EXPECT_EQ(asked.count(), 8);
  OnAThread("ctx_after_func", [&] {
    EXPECT_EQ(ctx_after_func(scope, Asked::Call, &asked, Asked::Drop, 0, nullptr), 1);
  });
  EXPECT_EQ(asked.count(), 10);
}

void InCallbacksOfLoopsWithoutThreads() {
  Asked asked;
  const ManualLoop manual;
  const Scope timed = WithTimeout(manual.root, kHour), canceled = WithCancel(manual.root);
  Arm(canceled, &asked, CTX_DEFER);
  EXPECT_EQ(canceled.Cancel(), 1);
  OnAThread("ctx_loop_dispatch", [&] { EXPECT_EQ(manual.Dispatch(), 0); });
  EXPECT_EQ(asked.count(), 4);
  Arm(timed, &asked);
  Arm(timed, &asked, CTX_WAKER);
  OnAThread("ctx_loop_close", [&] { EXPECT_EQ(ctx_loop_close(manual.loop), 0); });
  EXPECT_EQ(asked.count(), 12);

  const VirtualLoop simulated;
  const Scope first = WithTimeout(simulated.root, 1), second = WithTimeout(simulated.root, 2);
  for (ctx_t* ctx : {first.ctx.get(), second.ctx.get()}) {
    Arm(ctx, &asked);
    Arm(ctx, &asked, CTX_WAKER);
  }
  OnAThread("ctx_loop_advance", [&] { EXPECT_EQ(simulated.Advance(kHour), 2); });
  EXPECT_EQ(asked.count(), 28);
}

void InDropsOfCallbacks() {
  Asked asked;
  Drop freed;
  {
    const Scope scope = WithCancel(Watched(ctx_background(), &freed));
    const auto fn = [](ctx_t*, void*) { ADD_FAILURE() << "ran"; };
    Watch stopped = AfterFunc(scope, fn, &asked, 0, Asked::Drop);
    Watch waited = AfterFunc(scope, fn, &asked, CTX_DEFER, Asked::Drop);
    Watch idle = AfterFunc(ctx_background(), fn, &asked, 0, Asked::Drop);
    OnAThread("ctx_watch_stop", [&] { EXPECT_EQ(ctx_watch_stop(stopped), 1); });
    OnAThread("ctx_watch_stop_wait", [&] { EXPECT_EQ(ctx_watch_stop_wait(waited), 1); });
    OnAThread("ctx_watch_unref", [&] { idle.reset(); });
    EXPECT_EQ(asked.count(), 3);
    EXPECT_EQ(ctx_watch_stop_wait(stopped), 0) << "it is over";
  }
  EXPECT_EQ(freed.count(), 1);
}

void InDropsOfValues() {
  Asked asked;
  Drop freed;
  Ctx value = WithValue(Watched(ctx_background(), &freed), &kKey, &asked, Asked::Drop);
  value = WithValue(value, &kKey, &asked, Asked::Drop);
  Scope below = WithCancel(value);
  value.reset();
  OnAThread("ctx_unref", [&] { below.reset(); });
  EXPECT_EQ(asked.count(), 2);
  EXPECT_EQ(freed.count(), 1);
}

void InDropsOfCauses() {
  Asked asked;
  Drop freed;
  Cause cause = CauseWith(&asked);
  OnAThread("ctx_cause_unref", [&] { cause.reset(); });
  EXPECT_EQ(asked.count(), 1);
  Scope scope = WithCancel(Watched(ctx_background(), &freed));
  EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_CANCELED, CauseWith(&asked)), 1);
  OnAThread("ctx_unref", [&] { scope.reset(); });
  EXPECT_EQ(asked.count(), 2);
  EXPECT_EQ(freed.count(), 1);
}

void InVisitors() {
  Asked asked;
  const Ctx string = WithString(WithString(ctx_background(), "a", "1"), "b", "2");
  OnAThread("ctx_strings", [&] { EXPECT_EQ(ctx_strings(string, Asked::Visit, &asked), 0); });
  EXPECT_EQ(asked.count(), 2);
}

// It is asked to end in post and in its drop; and a thread of the program's that runs the work is, too.
struct Executor {
  ~Executor() {
    for (std::thread& thread : threads) thread.join();
  }
  static int Post(void* self, void (*work)(void*), void* argument) {
    auto* executor = static_cast<Executor*>(self);
    executor->threads.emplace_back(
        [=] { OnAThread("the executor's work", [=] { work(argument); }); });
    Asked::Drop(&executor->posts);
    return 0;
  }
  static void Dropped(void* self) { Asked::Drop(&static_cast<Executor*>(self)->drops); }

  std::vector<std::thread> threads;
  Asked posts, drops;
};

void InExecutors() {
  Asked asked;
  Executor executor;
  Loop loop = NewLoopWith(Executor::Post, &executor, Executor::Dropped);
  Ctx root = LoopBackground(loop);
  Scope scope = WithCancel(root);
  Arm(scope, &asked, CTX_DEFER);
  EXPECT_EQ(scope.Cancel(), 1);
  EXPECT_TRUE(asked.Wait(4) && executor.posts.Wait(2));
  scope.reset();
  root.reset();
  loop.reset();
  EXPECT_TRUE(executor.drops.Wait(1));

  Executor unused;
  loop = NewLoopWith(Executor::Post, &unused, Executor::Dropped);
  OnAThread("ctx_loop_unref", [&] { loop.reset(); });
  EXPECT_EQ(unused.drops.count(), 1);
}

// On each thread of the library's, again and again; and they can be shut down.
void OnThreadsOfTheLibrary() {
  Asked asked;
  Drop freed;
  for (int round = 1; round <= 3; ++round) {
    Scope scope = WithCancel(Watched(ctx_background(), &freed));
    scope.ctx = WithValue(scope, &kKey, &asked, Asked::Drop);
    Arm(scope, &asked);
    Arm(scope, &asked, CTX_DEFER);
    Arm(scope, &asked, CTX_BLOCKING);
    Arm(scope, &asked, CTX_WAKER);
    scope.ctx.reset();  // so that a thread of the library's gives back the last reference
    EXPECT_EQ(ctx_cancel_deferred(scope.canceler, CTX_CANCELED, nullptr), 1);
    scope.canceler.reset();
    EXPECT_TRUE(asked.Wait(17 * round)) << asked.count();
    EXPECT_TRUE(freed.Wait(round));
    EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMillisecond)));
  }
  EXPECT_EQ(ctx_shutdown(kLimit), 0);
}

const struct Place {
  const char* name;
  void (*run)();
} kPlaces[] = {
    {"Callbacks", InCallbacks},
    {"CallbacksOfLoopsWithoutThreads", InCallbacksOfLoopsWithoutThreads},
    {"DropsOfCallbacks", InDropsOfCallbacks},
    {"DropsOfValues", InDropsOfValues},
    {"DropsOfCauses", InDropsOfCauses},
    {"Visitors", InVisitors},
    {"Executors", InExecutors},
    {"ThreadsOfTheLibrary", OnThreadsOfTheLibrary},
};

class ThreadCancelInUserCode : public ::testing::TestWithParam<Place> {};

TEST_P(ThreadCancelInUserCode, Rule52_IsHeldBack) { CTX_IN_NEW_PROCESS(GetParam().run()); }

INSTANTIATE_TEST_SUITE_P(, ThreadCancelInUserCode, ::testing::ValuesIn(kPlaces),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace ctxtest
