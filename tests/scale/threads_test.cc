// SPDX-License-Identifier: MIT
//
// Ten thousand threads: one cancel wakes them all, however they wait; and all derive at once from one parent, while
// it is canceled.
#include <pthread.h>
#include <string.h>

#include <atomic>
#include <functional>
#include <random>
#include <vector>

#include "scale/measure.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

namespace ctxtest {
namespace {

constexpr size_t kThreads = 10'000;

// So many threads that run body(number), each with the small stack of this program.
class Crowd {
 public:
  Crowd(size_t n, std::function<void(size_t)> body) : body_(std::move(body)) {
    members_.reserve(n);
    for (size_t i = 0; i < n; ++i) {
      members_.push_back({this, i, {}});
      const int error = pthread_create(&members_.back().thread, nullptr, Run, &members_.back());
      if (error == 0) continue;
      members_.pop_back();
      ADD_FAILURE() << "thread " << i << ": " << strerror(error);
      break;
    }
  }
  Crowd(const Crowd&) = delete;
  ~Crowd() { Join(); }

  void Join() {
    for (const Member& member : members_) pthread_join(member.thread, nullptr);
    members_.clear();
  }

 private:
  struct Member {
    Crowd* crowd;
    size_t number;
    pthread_t thread;
  };
  static void* Run(void* arg) {
    const Member& member = *static_cast<Member*>(arg);
    member.crowd->body_(member.number);
    return nullptr;
  }

  const std::function<void(size_t)> body_;
  std::vector<Member> members_;
};

TEST(ScaleThreads, Rule05_OneCancelWakesTenThousandThatWait) {
  const size_t threads_before = ThreadCount();
  const Scope top = WithCancel(ctx_background());
  const Scope other = WithCancel(ctx_background());
  const Group group = NewGroup(top);
  ASSERT_EQ(ctx_group_begin(group), 0);
  ASSERT_GE(ctx_done_fd(top), 0);
  std::atomic<size_t> begun{0}, woken{0}, wrong{0};
  Crowd crowd(kThreads, [&](size_t i) {
    const Scope own = WithTimeout(top, kHour);
    ctx_t* const several[] = {other, own, other, top, other, other};
    ctx_event_t event{};
    Queue queue;
    if (i % 5 == 3 && ctx_queue_new(queue.out()) != 0) wrong.fetch_add(1);
    if (i % 5 == 3 && ctx_queue_add(queue, own, i, nullptr) != 0) wrong.fetch_add(1);
    begun.fetch_add(1);
    bool right = false;
    size_t index = 0;
    switch (i % 5) {
      case 0:
        right = ctx_wait(top, CTX_FOREVER) == 1;
        break;
      case 1:
        right = ctx_wait(own, CTX_FOREVER) == 1;
        break;
      case 2:
        right = ctx_wait_any(several, 6, CTX_FOREVER, &index) == 1 && (index == 1 || index == 3);
        break;
      case 3:
        right = ctx_queue_wait(queue, &event, 1, CTX_FOREVER) == 1 && event.err == CTX_CANCELED;
        break;
      default:
        right = ctx_poll(top, nullptr, 0, CTX_FOREVER) == CTX_CANCELED;
        break;
    }
    if (!right || ctx_err(top) != CTX_CANCELED || ctx_err(own) != CTX_CANCELED) wrong.fetch_add(1);
    woken.fetch_add(1);
  });
  EXPECT_TRUE(Soon([&] { return begun.load() == kThreads; }));  // those that began must be ended
  const size_t resident = Resident();
  EXPECT_EQ(woken.load(), 0u);
  const double begin = Seconds();
  EXPECT_EQ(top.Cancel(), 1);
  const double canceled = Seconds();
  EXPECT_TRUE(Soon([&] { return woken.load() == kThreads; })) << woken.load();
  const double end = Seconds();
  crowd.Join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_TRUE(Soon([&] { return ThreadCount() <= threads_before + 2; }));
  Measured("10,000 threads that wait: cancel %.3f s, all awake after %.3f s, %zu MiB resident",
           canceled - begin, end - begin, resident >> 20);
}

// Each derives and hands on to the next; whoever derives after the end is told so.
TEST(ScaleThreads, Rule08_TenThousandDeriveAtOnceFromAParentThatEnds) {
  GivesAllBack all;
  {
    const Scope top = WithTimeout(ctx_background(), kHour);
    std::atomic<size_t> ready{0}, made{0}, wrong{0}, canceled{0};
    Gate go;
    std::vector<std::atomic<ctx_t*>> handed(kThreads);
    const double begin = Seconds();
    Crowd crowd(kThreads, [&](size_t number) {
      std::minstd_rand random(static_cast<unsigned>(number) + 1);
      ready.fetch_add(1);
      if (!go.Wait()) wrong.fetch_add(1);
      for (int i = 0; i < 100; ++i) {
        const bool over = ctx_err(top) != 0;
        Ctx ctx;
        Canceler canceler;
        const int result = i % 3 == 0 ? ctx_with_timeout(top, kHour - i, ctx.out(), canceler.out())
                                      : ctx_with_cancel(top, ctx.out(), canceler.out());
        if (result != 0 || (over && ctx_err(ctx) != CTX_CANCELED)) wrong.fetch_add(1);
        if (i % 7 == 0) ctx_cancel(canceler);
        ctx_unref(handed[random() % kThreads].exchange(ctx.release()));
        made.fetch_add(1);
        if (number == kThreads / 2 && i == 50)
          canceled.fetch_add(static_cast<size_t>(ctx_cancel(top.canceler)));
      }
    });
    ASSERT_TRUE(Soon([&] { return ready.load() == kThreads; }));
    const double started = Seconds();
    go.Open();
    crowd.Join();
    const double end = Seconds();
    EXPECT_EQ(made.load(), 100 * kThreads);
    EXPECT_EQ(wrong.load(), 0u);
    EXPECT_EQ(canceled.load(), 1u);
    size_t live = 0;
    for (auto& each : handed) {
      ctx_t* const ctx = each.load();
      live += ctx != nullptr && ctx_err(ctx) == 0;
      ctx_unref(ctx);
    }
    EXPECT_EQ(live, 0u);
    Measured("10,000 threads: started in %.2f s, 1,000,000 derivations at once in %.2f s",
             started - begin, end - started);
  }
}

// One ends it; all others wait until its family is marked and woken.
TEST(ScaleThreads, Rule04_TenThousandCancelAtOnce) {
  GivesAllBack all;
  {
    const Scope top = WithCancel(ctx_background());
    std::vector<ctx_t*> below(kMillion);
    for (ctx_t*& ctx : below) ctx = WithTimeout(top, kHour).ctx.release();
    std::atomic<size_t> ready{0}, won{0}, wrong{0};
    Gate go;
    Crowd crowd(kThreads, [&](size_t i) {
      ready.fetch_add(1);
      if (!go.Wait()) wrong.fetch_add(1);
      won.fetch_add(static_cast<size_t>(top.Cancel()));
      if (ctx_err(below[i * 100]) != CTX_CANCELED) wrong.fetch_add(1);
    });
    EXPECT_TRUE(Soon([&] { return ready.load() == kThreads; }));
    const double begin = Seconds();
    go.Open();
    crowd.Join();
    EXPECT_EQ(won.load(), 1u);
    EXPECT_EQ(wrong.load(), 0u);
    for (ctx_t* ctx : below) ctx_unref(ctx);
    Measured("10,000 threads cancel a parent of 1,000,000 at once: %.2f s", Seconds() - begin);
  }
}

// Each of ten thousand ends its own piece of the work of one group, and all wait for the last.
TEST(ScaleThreads, Rule54_TenThousandWaitForEachOthersWork) {
  const Group group = NewGroup(ctx_background());
  std::atomic<size_t> wrong{0}, begun{0};
  for (size_t i = 0; i < kThreads; ++i) ASSERT_EQ(ctx_group_begin(group), 0);
  const double begin = Seconds();
  Crowd crowd(kThreads, [&](size_t) {
    begun.fetch_add(1);
    if (ctx_group_end(group, nullptr) != 0 || ctx_group_wait(group, CTX_FOREVER) != 1)
      wrong.fetch_add(1);
    if (begun.load() != kThreads) wrong.fetch_add(1);
  });
  crowd.Join();
  EXPECT_EQ(wrong.load(), 0u);
  Measured("10,000 threads wait for each other's work: %.2f s", Seconds() - begin);
}

}  // namespace
}  // namespace ctxtest
