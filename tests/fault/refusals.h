// SPDX-License-Identifier: MIT
//
// One construction of the library, tried again and again while the system refuses: each call for memory,
// for a descriptor, for a thread and for a place in an epoll set in turn, alone and with all that
// follow. A refusal changes nothing, keeps nothing and leaks nothing, and the same call succeeds later.
#ifndef CTX_TESTS_FAULT_REFUSALS_H_
#define CTX_TESTS_FAULT_REFUSALS_H_

#include <cerrno>
#include <climits>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "fault/faults.h"
#include "support/callback.h"
#include "support/handles.h"
#include "support/process.h"
#include "support/sources.h"

namespace ctxtest {

// What a construction may use, and what it hands out.
struct Stage {
  Stage(On on, Drop* drop) : host(on) {
    const Ctx watched = Watched(host.root(), drop);
    parent = WithCancel(watched);
    second = WithCancel(watched);
    queue = NewQueue();
    many = {parent, second};
    for (int i = 0; i < 50; ++i) {
      others.push_back(WithCancel(watched));
      many.push_back(others.back());
    }
    // Whatever the library may have kept for later is used up, so that it must ask.
    for (int i = 0; i < 200; ++i) {
      spare.push_back(WithCancel(ctx_background()));
      spare.push_back(WithTimeout(ctx_background(), kHour));
    }
  }
  Stage(const Stage&) = delete;
  ~Stage() {
    ctx_watch_stop_wait(ret_watch);
    ctx_watch_unref(ret_watch);
    ctx_canceler_unref(ret_canceler);
    ctx_unref(ret);
    ctx_queue_unref(ret_queue);
    ctx_group_unref(ret_group);
    ctx_loop_unref(ret_loop);
    if (fd >= 0) close(fd);
  }

  bool Untouched() const {
    return ret == nullptr && ret_canceler == nullptr && ret_watch == nullptr &&
           ret_queue == nullptr && ret_group == nullptr && ret_loop == nullptr;
  }

  const BlockSignals blocked{SIGUSR1};
  const Host host;
  Scope parent, second;
  Queue queue;
  Pipe pipe;
  std::vector<Scope> others, spare;
  std::vector<ctx_t*> many;  // the parents and the others

  ctx_t* ret = nullptr;
  ctx_canceler_t* ret_canceler = nullptr;
  ctx_watch_t* ret_watch = nullptr;
  ctx_queue_t* ret_queue = nullptr;
  ctx_group_t* ret_group = nullptr;
  ctx_loop_t* ret_loop = nullptr;
  int fd = -1;  // to be closed
};

// Resources, as the bits of a set.
enum : unsigned { kNothing = 0, kMem = 1, kDesc = 2, kThr = 4, kWat = 8, kAll = 15 };

struct Construction {
  const char* name;
  On on;
  unsigned needs;     // a refusal of these makes it fail
  unsigned may_need;  // and of these perhaps; of no others
  int (*construct)(Stage&);
  void (*expect_works)(Stage&);  // once it has succeeded; it ends the parent
};

inline void PrintTo(const Construction& each, std::ostream* out) { *out << each.name; }

inline std::string NameOf(const Construction& each) { return each.name + NameOf(each.on); }

class Refusals {
 public:
  explicit Refusals(const Construction& construction) : case_(construction) {
    // The default loop, if it is that, has begun.
    EXPECT_TRUE(Done(WithTimeout(ctx_background(), 1)));
    threads_ = ThreadCount();
  }

  // Each call in turn. Leaks are told from what the library keeps for later by going on for a while.
  void EachInTurn() {
    for (const Kind& kind : kKinds) {
      int failures = 0;
      for (const int times : {1, INT_MAX}) {
        int first = 0;
        do {
          SCOPED_TRACE(testing::Message() << kind.name << ": call " << first << " of " << times);
          Try(kind, first++, times);
          failures += result_ != 0;
        } while (refused_ > 0 && !testing::Test::HasFailure());
        EXPECT_EQ(result_, 0) << kind.name << ": with nothing refused";
      }
      if ((case_.needs & kind.bit) != 0) {
        EXPECT_GT(failures, 0) << kind.name << ": nothing has been tried";
      } else if ((case_.may_need & kind.bit) == 0) {
        EXPECT_EQ(failures, 0) << kind.name << ": it needs none";
      }
    }
  }

  void NothingLeaks() {
    constexpr int kWarmUp = 4, kRounds = 10;
    for (const Kind& kind : kKinds) {
      int first = 0;
      do {
        long blocks = 0;
        size_t descriptors = 0;
        for (int round = 0; round < kWarmUp + kRounds; ++round) {
          if (round == kWarmUp) {
            blocks = LiveBlocks();
            descriptors = OpenDescriptors();
          }
          Try(kind, first, 1);
        }
        EXPECT_LT(LiveBlocks() - blocks, kRounds) << kind.name << ": call " << first;
        EXPECT_EQ(OpenDescriptors(), descriptors) << kind.name << ": call " << first;
        ++first;
      } while (refused_ > 0 && !testing::Test::HasFailure());
    }
  }

 private:
  struct Kind {
    const char* name;
    Resource resource;
    unsigned bit;
    int error;
  };
  static constexpr Kind kKinds[] = {{"memory", Resource::kMemory, kMem, ENOMEM},
                                    {"descriptors", Resource::kDescriptor, kDesc, EMFILE},
                                    {"threads", Resource::kThread, kThr, EAGAIN},
                                    {"watches", Resource::kWatch, kWat, ENOSPC}};

  void Try(const Kind& kind, int first, int times) {
    Drop drop;
    {
      Stage stage(case_.on, &drop);
      {
        Faults faults(kind.resource, kind.error, first, times);
        result_ = case_.construct(stage);
        refused_ = faults.refused();
      }
      if (result_ != 0) {
        // What pthread_create itself could not allocate it reports as EAGAIN.
        const bool thread_memory = kind.bit == kMem && (case_.needs & kThr) != 0;
        EXPECT_TRUE(result_ == -kind.error || (thread_memory && result_ == -EAGAIN)) << result_;
        EXPECT_TRUE(stage.Untouched());
        EXPECT_EQ(ctx_err(stage.parent), 0);
        EXPECT_EQ(case_.construct(stage), 0) << "it works once the system does";
      }
      case_.expect_works(stage);
      EXPECT_NE(ctx_err(stage.parent), 0);
    }
    EXPECT_TRUE(drop.Wait());
    // A loop of its own ends its threads, which may not have their names yet, when its last context
    // has gone.
    EXPECT_TRUE(Soon([&] { return ThreadCount() == threads_; })) << ThreadCount();
  }

  const Construction& case_;
  size_t threads_ = 0;
  int result_ = 0;
  int refused_ = 0;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_FAULT_REFUSALS_H_
