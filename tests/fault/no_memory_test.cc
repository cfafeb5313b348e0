// SPDX-License-Identifier: MIT
//
// No memory: for everything that may answer -ENOMEM each of its allocations is refused in turn, alone
// and together with all that follow, until it succeeds. A failure changes nothing, keeps nothing,
// drops nothing; and what needs no memory goes on.
#include <poll.h>

#include <cerrno>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "fault/faults.h"
#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"

namespace ctxtest {
namespace {

void Ignore(ctx_t*, void*) {}

// The drops of one construction. They tell which references have been kept: of the parent by its
// first ancestor's value, of the cause by its data.
struct Drops {
  Drop parent, cause, value;
};

// What a construction may use, and what it hands out.
struct Stage {
  Stage(Drops& drops_of, int siblings) : drops(drops_of) {
    watched = Watched(ctx_background(), &drops.parent);
    parent = WithCancel(watched);
    for (int i = 0; i < siblings; ++i) others.push_back(WithCancel(parent));
    EXPECT_EQ(ctx_cause_new_data(7, "cause", &kKey, &drops.cause, Drop::Run, &ret_cause), 0);
    cause.reset(std::exchange(ret_cause, nullptr));
    many.assign(100, parent);
    fds.assign(100, {-1, 0, 0});
  }
  ~Stage() {
    ctx_watch_stop(ret_watch);
    ctx_watch_unref(ret_watch);
    ctx_cause_unref(ret_cause);
    ctx_canceler_unref(ret_canceler);
    ctx_unref(ret);
    if (fd >= 0) close(fd);
  }

  bool Untouched() const {
    return ret == nullptr && ret_canceler == nullptr && ret_cause == nullptr &&
           ret_watch == nullptr && index == 77;
  }

  Drops& drops;
  Ctx watched;
  Scope parent;
  std::vector<Scope> others;
  Cause cause;
  std::vector<ctx_t*> many;
  std::vector<pollfd> fds;

  ctx_t* ret = nullptr;
  ctx_canceler_t* ret_canceler = nullptr;
  ctx_cause_t* ret_cause = nullptr;
  ctx_watch_t* ret_watch = nullptr;
  size_t index = 77;
  int fd = -1;
};

struct Case {
  const char* name;
  int (*construct)(Stage&);
  bool hands_over = false;  // a value, with its drop
  bool may_do_without = false;
};

void PrintTo(const Case& each, std::ostream* out) { *out << each.name; }

const Case kCases[] = {
    {"WithCancel", [](Stage& s) { return ctx_with_cancel(s.parent, &s.ret, &s.ret_canceler); }},
    {"WithDeadline",
     [](Stage& s) {
       return ctx_with_deadline(s.parent, ctx_now(s.parent) + kHour, &s.ret, &s.ret_canceler);
     }},
    {"WithDeadlineThatIsPast",
     [](Stage& s) { return ctx_with_deadline(s.parent, 1, &s.ret, &s.ret_canceler); }},
    {"WithTimeout",
     [](Stage& s) { return ctx_with_timeout(s.parent, kHour, &s.ret, &s.ret_canceler); }},
    {"WithTimeoutWithoutCanceler",
     [](Stage& s) { return ctx_with_timeout(s.parent, kHour, &s.ret, nullptr); }},
    {"WithDeadlineCause",
     [](Stage& s) {
       return ctx_with_deadline_cause(s.parent, ctx_now(s.parent) + kHour, s.cause, &s.ret,
                                      &s.ret_canceler);
     }},
    {"WithTimeoutCause",
     [](Stage& s) {
       return ctx_with_timeout_cause(s.parent, kHour, s.cause, &s.ret, &s.ret_canceler);
     }},
    {"WithoutCancel", [](Stage& s) { return ctx_without_cancel(s.parent, &s.ret); }},
    {"WithValue",
     [](Stage& s) { return ctx_with_value(s.parent, &kKey, &s.drops.value, Drop::Run, &s.ret); },
     true},
    {"WithString", [](Stage& s) { return ctx_with_string(s.parent, "name", "value", &s.ret); }},
    {"WithName", [](Stage& s) { return ctx_with_name(s.parent, "name", &s.ret); }},
    {"CauseNew", [](Stage& s) { return ctx_cause_new(1, "message", &s.ret_cause); }},
    {"CauseNewData",
     [](Stage& s) {
       return ctx_cause_new_data(1, "message", &kKey, &s.drops.value, Drop::Run, &s.ret_cause);
     },
     true},
    {"CauseNewAt",
     [](Stage& s) {
       return ctx_cause_new_at(1, "message", 0, "file", 1, "function", &kKey, &s.drops.value,
                               Drop::Run, &s.ret_cause);
     },
     true},
    {"AfterFunc",
     [](Stage& s) {
       return ctx_after_func(s.parent, Ignore, &s.drops.value, Drop::Run, 0, &s.ret_watch);
     },
     true},
    {"AfterFuncDeferred",
     [](Stage& s) {
       return ctx_after_func(s.parent, Ignore, &s.drops.value, Drop::Run, CTX_DEFER, &s.ret_watch);
     },
     true},
    {"AfterFuncOnBackground",
     [](Stage& s) {
       return ctx_after_func(ctx_background(), Ignore, &s.drops.value, Drop::Run, 0, &s.ret_watch);
     },
     true},
    {"DoneFd",
     [](Stage& s) {
       const int fd = ctx_done_fd(s.parent);
       return fd < 0 ? fd : 0;
     },
     false, true},
    {"DoneFdDup",
     [](Stage& s) {
       const int fd = ctx_done_fd_dup(s.parent);
       if (fd < 0) return fd;
       s.fd = fd;
       return 0;
     },
     false, true},
    {"WaitAny", [](Stage& s) { return ctx_wait_any(s.many.data(), s.many.size(), 1, &s.index); },
     false, true},
    {"Poll", [](Stage& s) { return ctx_poll(s.parent, s.fds.data(), s.fds.size(), 1); }, false,
     true},
};

class NoMemory : public ::testing::TestWithParam<Case> {
 protected:
  // Whatever the library may have kept for later, this thread uses up, so that it must ask.
  NoMemory() {
    for (int i = 0; i < 300; ++i) {
      spare_.push_back(WithTimeout(ctx_background(), kHour).ctx);
      spare_.push_back(WithCancel(ctx_background()).ctx);
      spare_.push_back(WithoutCancel(ctx_background()));
      spare_.push_back(WithString(ctx_background(), "name", "value"));
      spare_.push_back(WithName(ctx_background(), "name"));
    }
  }

  // One construction on a stage of its own, with some allocations refused. Sets what came of it.
  void Try(int siblings, int first, int times) {
    Drops drops;
    {
      Stage stage(drops, siblings);
      {
        Faults faults(Resource::kMemory, ENOMEM, first, times);
        result = GetParam().construct(stage);
        refused = faults.refused();
      }
      if (result != 0) {
        EXPECT_EQ(result, -ENOMEM);
        EXPECT_TRUE(stage.Untouched());
        EXPECT_EQ(drops.value.count(), 0);
      }
      Scope later = WithCancel(stage.parent);  // everything else goes on
      EXPECT_EQ(ctx_err(later), 0);
      EXPECT_EQ(stage.parent.Cancel(), 1);
      EXPECT_EQ(ctx_err(later), CTX_CANCELED);
      for (const Scope& other : stage.others) EXPECT_EQ(ctx_err(other), CTX_CANCELED);
      // A deferred callback may be under way now: it ends before its arguments do.
      if (stage.ret_watch != nullptr) ctx_watch_stop_wait(stage.ret_watch);
    }
    EXPECT_TRUE(drops.parent.Wait());
    EXPECT_TRUE(drops.cause.Wait());
    EXPECT_EQ(drops.value.count(), result == 0 && GetParam().hands_over ? 1 : 0);
  }

  int result = 0;
  int refused = 0;

 private:
  std::vector<Ctx> spare_;
};

TEST_P(NoMemory, Rule46_EachAllocationRefusedInTurn) {
  int failures = 0;
  for (const int times : {1, INT_MAX}) {
    for (const int siblings : {0, 1, 4, 64}) {
      int first = 0;
      do {
        SCOPED_TRACE(testing::Message() << "allocation " << first << " of " << times
                                        << " refused, with " << siblings << " siblings");
        Try(siblings, first++, times);
        if (result != 0) ++failures;
      } while (refused > 0 && !HasFailure());
      EXPECT_EQ(result, 0) << "with nothing refused";
    }
  }
  if (!GetParam().may_do_without) {
    EXPECT_GT(failures, 0) << "nothing has been tried";
  }
}

// Leaks are told, by going on for a while, from what the library keeps for later, and from what the thread
// of the calls has dropped and is about to free.
TEST_P(NoMemory, Rule46_NothingLeaks) {
  constexpr int kWarmUp = 2, kRounds = 20;
  for (const int siblings : {0, 1, 4, 64}) {
    int first = 0;
    do {
      long blocks = 0;
      for (int round = 0; round < kWarmUp + kRounds; ++round) {
        if (round == kWarmUp) blocks = LiveBlocks();
        Try(siblings, first, 1);
      }
      EXPECT_LT(LiveBlocks() - blocks, kRounds / 2)
          << "allocation " << first << " refused, with " << siblings << " siblings";
      ++first;
    } while (refused > 0 && !HasFailure());
  }
}

INSTANTIATE_TEST_SUITE_P(, NoMemory, ::testing::ValuesIn(kCases),
                         [](const auto& each) { return std::string(each.param.name); });

// The first deadline of a process, or its first deferred callback, also makes the loop.
void ExpectLoopFailsWhole(int (*construct)(Stage&)) {
  const size_t descriptors = OpenDescriptors();
  int refused = 0, first = 0, failures = 0;
  do {
    Drops drops;
    {
      Stage stage(drops, 0);
      int result = 0;
      {
        Faults faults(Resource::kMemory, ENOMEM, first++);
        result = construct(stage);
        refused = faults.refused();
      }
      if (result != 0) {
        ++failures;
        // What pthread_create itself could not allocate it reports as EAGAIN.
        EXPECT_TRUE(result == -ENOMEM || result == -EAGAIN) << result;
        EXPECT_TRUE(stage.Untouched());
        EXPECT_EQ(drops.value.count(), 0);
        EXPECT_EQ(OpenDescriptors(), descriptors);
      } else {
        EXPECT_EQ(stage.parent.Cancel(), 1);
        if (stage.ret_watch != nullptr) ctx_watch_stop_wait(stage.ret_watch);
      }
    }
    EXPECT_TRUE(drops.parent.Wait());
  } while (refused > 0);
  EXPECT_GT(failures, 0);
  EXPECT_TRUE(Done(WithTimeout(ctx_background(), kMillisecond)));
}

TEST(NoMemoryForTheLoop, Rule46_FirstDeadline) {
  CTX_IN_NEW_PROCESS(ExpectLoopFailsWhole(
      [](Stage& s) { return ctx_with_timeout(s.parent, kHour, &s.ret, &s.ret_canceler); }));
}

TEST(NoMemoryForTheLoop, Rule46_FirstDeferredCallback) {
  CTX_IN_NEW_PROCESS(ExpectLoopFailsWhole([](Stage& s) {
    return ctx_after_func(s.parent, Ignore, &s.drops.value, Drop::Run, CTX_DEFER, &s.ret_watch);
  }));
}

}  // namespace
}  // namespace ctxtest
