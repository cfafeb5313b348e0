// SPDX-License-Identifier: MIT
//
// Memory stays flat: after a hundred million contexts the allocator has handed out no more than after the first
// million, and the process is no larger. Kinds that cost more come ten million or a million times.
#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

#include "scale/measure.h"
#include "support/descriptor.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/require.h"

namespace ctxtest {
namespace {

struct Repeated {
  const char* name;
  size_t times;
  void (*step)(ctx_t* parent);  // raw calls: macros of the test would cost more than the library
};

struct Made {
  Made() = default;
  explicit Made(ctx_t* parent) { REQUIRE(ctx_with_cancel(parent, &ctx, &canceler) == 0); }
  Made(ctx_t* parent, int64_t timeout_ns) {
    REQUIRE(ctx_with_timeout(parent, timeout_ns, &ctx, &canceler) == 0);
  }

  void CancelAndRelease() const {
    REQUIRE(ctx_cancel(canceler) == 1);
    Release();
  }
  void Release() const {
    ctx_canceler_unref(canceler);
    ctx_unref(ctx);
  }

  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
};

const Repeated kRepeated[] = {
    {"Plain", 100 * kMillion,
     [](ctx_t* parent) {
       const Made made(parent);
       made.CancelAndRelease();
     }},
    {"TwoAtATime", 50 * kMillion,
     [](ctx_t* parent) {  // which keeps the memory of one that went, and frees the other's
       const Made one(parent), other(parent);
       one.CancelAndRelease();
       other.CancelAndRelease();
     }},
    {"Timeout", 10 * kMillion,
     [](ctx_t* parent) {
       const Made made(parent, kHour);
       made.CancelAndRelease();
     }},
    {"TimeoutThatIsOver", 10 * kMillion,
     [](ctx_t* parent) {
       const Made made(parent, -1);
       REQUIRE(ctx_err(made.ctx) == CTX_DEADLINE_EXCEEDED);
       made.Release();
     }},
    {"Forgotten", 10 * kMillion,
     [](ctx_t* parent) {
       const Made made(parent, kHour);
       made.Release();
     }},
    {"Value", 10 * kMillion,
     [](ctx_t* parent) {
       const Made made(parent);
       ctx_t* value = nullptr;
       REQUIRE(ctx_with_value(made.ctx, &kKey, parent, nullptr, &value) == 0);
       REQUIRE(ctx_value(value, &kKey) == parent);
       ctx_unref(value);
       made.CancelAndRelease();
     }},
    {"Strings", 10 * kMillion,
     [](ctx_t* parent) {
       ctx_t *string = nullptr, *name = nullptr;
       REQUIRE(ctx_with_string(parent, "name", "a value of some length", &string) == 0);
       REQUIRE(ctx_with_name(string, "a name", &name) == 0);
       ctx_unref(string);
       ctx_unref(name);
     }},
    {"Callback", 10 * kMillion,
     [](ctx_t* parent) {
       const Made made(parent);
       int runs = 0;
       const auto run = [](ctx_t*, void* arg) { ++*static_cast<int*>(arg); };
       REQUIRE(ctx_after_func(made.ctx, run, &runs, nullptr, 0, nullptr) == 0);
       made.CancelAndRelease();
       REQUIRE(runs == 1);
     }},
    {"CallbackStopped", 10 * kMillion,
     [](ctx_t* parent) {
       const Made made(parent);
       ctx_watch_t* watch = nullptr;
       REQUIRE(ctx_after_func(
                   made.ctx, [](ctx_t*, void*) {}, nullptr, nullptr, CTX_DEFER, &watch) == 0);
       REQUIRE(ctx_watch_stop_wait(watch) == 1);
       ctx_watch_unref(watch);
       made.CancelAndRelease();
     }},
    {"Cause", 10 * kMillion,
     [](ctx_t* parent) {
       const Made made(parent);
       const ctx_cause_t* cause = nullptr;
       ctx_cause_t* fresh = nullptr;
       REQUIRE(ctx_cause_here(7, "a cause with a place", &fresh) == 0);
       cause = fresh;
       REQUIRE(ctx_cancel_with(made.canceler, CTX_CANCELED, cause) == 1);
       REQUIRE(ctx_cause(made.ctx) == cause);
       ctx_cause_unref(cause);
       made.Release();
     }},
    {"Merge", 5 * kMillion,
     [](ctx_t* parent) {
       const Made made(parent);
       Made merged;
       ctx_t* const parents[] = {made.ctx, parent};
       REQUIRE(ctx_merge(parents, 2, &merged.ctx, &merged.canceler) == 0);
       REQUIRE(ctx_cancel(made.canceler) == 1 && ctx_err(merged.ctx) == CTX_CANCELED);
       merged.Release();
       made.Release();
     }},
    {"Grace", 5 * kMillion,
     [](ctx_t* parent) {
       const Made made(parent);
       Made grace;
       REQUIRE(ctx_with_grace(made.ctx, kHour, &grace.ctx, &grace.canceler) == 0);
       REQUIRE(ctx_cancel(made.canceler) == 1 && ctx_err(grace.ctx) == 0);
       grace.CancelAndRelease();
       made.Release();
     }},
    {"Idle", 10 * kMillion,
     [](ctx_t* parent) {
       Made made;
       REQUIRE(ctx_with_idle(parent, kHour, nullptr, &made.ctx, &made.canceler) == 0);
       REQUIRE(ctx_touch(made.ctx) == 0);
       made.CancelAndRelease();
     }},
    {"Detached", 10 * kMillion,
     [](ctx_t* parent) {
       ctx_t* detached = nullptr;
       REQUIRE(ctx_without_cancel(parent, &detached) == 0);
       ctx_unref(detached);
     }},
    {"Queue", kMillion,
     [](ctx_t* parent) {
       const Made made(parent);
       ctx_queue_t* queue = nullptr;
       ctx_event_t event;
       REQUIRE(ctx_queue_new(&queue) == 0);
       REQUIRE(ctx_queue_add(queue, made.ctx, 1, nullptr) == 0);
       REQUIRE(ctx_queue_add(queue, parent, 2, nullptr) == 0);
       REQUIRE(ctx_queue_add(queue, ctx_background(), 3, nullptr) == 0);
       made.CancelAndRelease();
       REQUIRE(ctx_queue_drain(queue, &event, 1) == 1 && event.token == 1);
       ctx_queue_unref(queue);
     }},
    {"OneQueue", 2 * kMillion,  // entries that are stopped, drained, and that can never fire
     [](ctx_t* parent) {
       static ctx_queue_t* const queue = [] {
         ctx_queue_t* made = nullptr;
         REQUIRE(ctx_queue_new(&made) == 0);
         return made;
       }();
       const Made made(parent);
       ctx_watch_t *stopped = nullptr, *never = nullptr;
       ctx_event_t event;
       REQUIRE(ctx_queue_add(queue, made.ctx, 1, nullptr) == 0);
       REQUIRE(ctx_queue_add(queue, made.ctx, 2, &stopped) == 0);
       REQUIRE(ctx_queue_add(queue, ctx_background(), 3, &never) == 0);
       REQUIRE(ctx_watch_stop(stopped) == 1);
       ctx_watch_unref(stopped);
       ctx_watch_unref(never);
       made.CancelAndRelease();
       REQUIRE(ctx_queue_drain(queue, &event, 1) == 1 && event.token == 1);
     }},
    {"Group", 5 * kMillion,
     [](ctx_t* parent) {
       ctx_group_t *group = nullptr, *nested = nullptr;
       ctx_t* over = nullptr;
       REQUIRE(ctx_group_new(parent, &group) == 0 && ctx_group_new_below(group, &nested) == 0);
       REQUIRE(ctx_group_begin(nested) == 0 && ctx_group_over(group, &over) == 0);
       REQUIRE(ctx_group_end(nested, nullptr) == 0 && ctx_err(over) == 0);
       ctx_group_unref(nested);
       REQUIRE(ctx_group_wait(group, 0) == 1 && ctx_err(over) == CTX_CANCELED);
       ctx_unref(over);
       ctx_group_unref(group);
     }},
    {"Deferred", kMillion,
     [](ctx_t* parent) {
       const Made made(parent);
       ctx_watch_t* watch = nullptr;
       REQUIRE(ctx_after_func(
                   made.ctx, [](ctx_t*, void*) {}, nullptr, nullptr, CTX_DEFER, &watch) == 0);
       REQUIRE(ctx_cancel_deferred(made.canceler, CTX_CANCELED, nullptr) == 1);
       REQUIRE(ctx_watch_stop_wait(watch) >= 0);
       ctx_watch_unref(watch);
       made.Release();
     }},
    {"Descriptor", kMillion,
     [](ctx_t* parent) {
       const Made made(parent);
       REQUIRE(ctx_done_fd(made.ctx) >= 0);
       made.CancelAndRelease();
     }},
    {"Source", kMillion,
     [](ctx_t* parent) {
       static const Pipe pipe;
       Made made;
       REQUIRE(ctx_with_fd(parent, pipe.read_end, POLLIN, &made.ctx, &made.canceler) == 0);
       made.CancelAndRelease();
     }},
    {"CancelFd", kMillion / 2,
     [](ctx_t* parent) {
       const Made made(parent);
       REQUIRE(close(ctx_cancel_fd(made.canceler)) == 0);
       made.CancelAndRelease();
     }},
    {"VirtualLoop", kMillion,
     [](ctx_t*) {
       ctx_loop_t* loop = nullptr;
       ctx_t* root = nullptr;
       REQUIRE(ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &loop) == 0);
       REQUIRE(ctx_loop_background(loop, &root) == 0);
       const Made made(root, kHour);
       REQUIRE(ctx_loop_advance(loop, kHour) == 1);
       made.Release();
       ctx_unref(root);
       ctx_loop_unref(loop);
     }},
    {"ManualLoop", kMillion / 5,
     [](ctx_t*) {
       ctx_loop_t* loop = nullptr;
       ctx_t* root = nullptr;
       REQUIRE(ctx_loop_new(CTX_LOOP_MANUAL, nullptr, &loop) == 0);
       REQUIRE(ctx_loop_background(loop, &root) == 0);
       const Made made(root, kHour);
       REQUIRE(ctx_loop_fd(loop) >= 0);
       ctx_loop_unref(loop);
       REQUIRE(ctx_err(made.ctx) == CTX_CANCELED);
       made.Release();
       ctx_unref(root);
     }},
    {"ThreadedLoop", kMillion / 50,
     [](ctx_t*) {
       ctx_loop_t* loop = nullptr;
       ctx_t* root = nullptr;
       REQUIRE(ctx_loop_new(CTX_LOOP_THREAD, nullptr, &loop) == 0);
       REQUIRE(ctx_loop_background(loop, &root) == 0);
       const Made made(root, kMicrosecond);
       REQUIRE(ctx_wait(made.ctx, CTX_FOREVER) == 1);
       made.Release();
       ctx_unref(root);
       ctx_loop_unref(loop);
     }},
};

// What an allocator keeps back by itself, such as the last page of each of its heaps.
constexpr size_t kSpareHeap = size_t{128} * 1024;
constexpr size_t kSpareResident = size_t{4} * 1024 * 1024;

// Loops that were just left may still be giving back what they had.
size_t SettledHeap(size_t at_most) {
  static_cast<void>(Soon([=] { return HeapInUse() <= at_most; }));
  return HeapInUse();
}

// Calls more(n) ten times, after one that warms up; expects that memory stays as it was then.
template <class More>
void ExpectFlat(const char* name, size_t times, const More& more) {
  more(times / 100);
  const size_t heap = HeapInUse(), resident = Resident();
  size_t most = resident;
  const double begin = Seconds();
  for (int tenth = 1; tenth <= 10; ++tenth) {
    more(times / 10);
    most = std::max(most, Resident());
    printf("%s: %d0 %% after %.1f s\n", name, tenth, Seconds() - begin);
    fflush(stdout);
    // What leaks is told before it has filled the machine.
    ASSERT_LE(most, resident + kSpareResident) << "after " << tenth << " tenths";
  }
  const double seconds = Seconds() - begin;
  const size_t heap_at_end = SettledHeap(heap + kSpareHeap);
  EXPECT_LE(heap_at_end, heap + kSpareHeap);
  Measured("%zu times %s: %.0f ns each; heap %+ld bytes, resident %+ld KiB", times, name,
           seconds / static_cast<double>(times) * 1e9,
           static_cast<long>(heap_at_end) - static_cast<long>(heap),
           (static_cast<long>(Resident()) - static_cast<long>(resident)) / 1024);
}

class ScaleMemory : public ::testing::TestWithParam<Repeated> {};

TEST_P(ScaleMemory, Rule11_StaysFlat) {
  const Repeated& repeated = GetParam();
  const Scope parent = WithTimeout(ctx_background(), 10 * kHour);
  ExpectFlat(repeated.name, repeated.times, [&](size_t n) {
    for (size_t i = 0; i < n; ++i) repeated.step(parent);
  });
}

INSTANTIATE_TEST_SUITE_P(, ScaleMemory, ::testing::ValuesIn(kRepeated),
                         [](const auto& each) { return std::string(each.param.name); });

// The same below one parent from two threads, and each releases what the other has made.
TEST(ScaleSharedMemory, Rule11_StaysFlatBelowOneParentOfTwoThreads) {
  const Scope parent = WithTimeout(ctx_background(), 10 * kHour);
  ExpectFlat("Shared", 10 * kMillion, [&](size_t n) {
    std::atomic<ctx_t*> handed[64] = {};
    const auto work = [&] {
      for (size_t i = 0; i < n / 2; ++i) {
        const Made made(parent, kHour);
        if (i % 2 == 0) ctx_cancel(made.canceler);
        ctx_canceler_unref(made.canceler);
        ctx_unref(handed[i % 64].exchange(made.ctx));
      }
    };
    std::thread other(work);
    work();
    other.join();
    for (auto& left : handed) ctx_unref(left.load());
  });
}

}  // namespace
}  // namespace ctxtest
