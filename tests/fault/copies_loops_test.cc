// SPDX-License-Identifier: MIT
//
// Loops, sources and queues of two copies of the library in one process: each works on its own and
// refuses the other's.
#include <ctx/ctx.h>

#include "support/copied.h"
#include "support/handles.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

// A function of the copy, by the name and type of ours.
#define CTX_OTHER(function) other_.Find<decltype(&function)>(#function)

class TwoCopiesOfLoops : public ::testing::Test {
 protected:
  TwoCopiesOfLoops() {
    EXPECT_EQ(CTX_OTHER(ctx_loop_new)(CTX_LOOP_MANUAL, nullptr, &loop_), 0);
    EXPECT_EQ(CTX_OTHER(ctx_loop_background)(loop_, &root_), 0);
    EXPECT_EQ(CTX_OTHER(ctx_with_cancel)(root_, &ctx_, &canceler_), 0);
    EXPECT_EQ(CTX_OTHER(ctx_queue_new)(&queue_), 0);
    EXPECT_EQ(CTX_OTHER(ctx_queue_add)(queue_, ctx_, 7, &watch_), 0);
  }
  ~TwoCopiesOfLoops() override {
    CTX_OTHER(ctx_watch_unref)(watch_);
    CTX_OTHER(ctx_queue_unref)(queue_);
    CTX_OTHER(ctx_canceler_unref)(canceler_);
    CTX_OTHER(ctx_unref)(ctx_);
    CTX_OTHER(ctx_unref)(root_);
    CTX_OTHER(ctx_loop_unref)(loop_);
  }

  // The foreign objects still do what they are for.
  void ExpectItWorks() {
    EXPECT_EQ(CTX_OTHER(ctx_loop_dispatch)(loop_), 0);
    EXPECT_EQ(CTX_OTHER(ctx_cancel)(canceler_), 1);
    ctx_event_t event = {};
    EXPECT_EQ(CTX_OTHER(ctx_queue_drain)(queue_, &event, 1), 1);
    EXPECT_EQ(event.token, 7u);
  }

  const CopiedLibrary other_;
  ctx_loop_t* loop_ = nullptr;
  ctx_t* root_ = nullptr;
  ctx_t* ctx_ = nullptr;
  ctx_canceler_t* canceler_ = nullptr;
  ctx_queue_t* queue_ = nullptr;
  ctx_watch_t* watch_ = nullptr;
};

TEST_F(TwoCopiesOfLoops, Rule49_AForeignLoopIsEremote) {
  ctx_t* ret = nullptr;
  EXPECT_EQ(ctx_loop_close(loop_), -EREMOTE);
  EXPECT_EQ(ctx_loop_set_default(loop_), -EREMOTE);
  EXPECT_EQ(ctx_loop_background(loop_, &ret), -EREMOTE);
  EXPECT_EQ(ctx_loop_fd(loop_), -EREMOTE);
  EXPECT_EQ(ctx_loop_dispatch(loop_), -EREMOTE);
  EXPECT_EQ(ctx_loop_advance(loop_, 0), -EREMOTE);
  EXPECT_EQ(ctx_loop_unref(loop_), nullptr);
  ctx_loop_t* loop = loop_;
  ctx_loop_unrefp(&loop);
  EXPECT_EQ(loop, nullptr);
  EXPECT_EQ(ret, nullptr);
  ExpectItWorks();
}

TEST_F(TwoCopiesOfLoops, Rule49_AForeignQueueIsEremote) {
  const Scope own = WithCancel(ctx_background());
  ctx_watch_t* watch = nullptr;
  ctx_event_t event = {99, 99, 99};
  EXPECT_EQ(ctx_queue_fd(queue_), -EREMOTE);
  EXPECT_EQ(ctx_queue_add(queue_, own, 1, &watch), -EREMOTE);
  EXPECT_EQ(ctx_queue_drain(queue_, &event, 1), -EREMOTE);
  ctx_t* taken = nullptr;
  EXPECT_EQ(ctx_queue_drain_ctxs(queue_, &event, &taken, 1), -EREMOTE);
  EXPECT_EQ(ctx_queue_wait(queue_, &event, 1, 0), -EREMOTE);
  EXPECT_EQ(ctx_watch_stop(watch_), -EREMOTE);
  EXPECT_EQ(ctx_queue_unref(queue_), nullptr);
  ctx_queue_t* queue = queue_;
  ctx_queue_unrefp(&queue);
  EXPECT_EQ(queue, nullptr);
  EXPECT_EQ(taken, nullptr);
  EXPECT_EQ(watch, nullptr);
  EXPECT_EQ(event.token, 99u);
  ExpectItWorks();
}

TEST_F(TwoCopiesOfLoops, Rule49_AForeignContextIsEremote) {
  const BlockSignals blocked{SIGUSR1};
  const Queue queue = NewQueue();
  const Pipe pipe;
  const Scope own = WithCancel(ctx_background());
  ctx_t* const mixed[] = {own, ctx_};
  const int signal = SIGUSR1;
  ctx_t* ret = nullptr;
  ctx_canceler_t* canceler = nullptr;
  ctx_watch_t* watch = nullptr;
  EXPECT_EQ(ctx_queue_add(queue, ctx_, 1, &watch), -EREMOTE);
  EXPECT_EQ(ctx_merge(mixed, 2, &ret, &canceler), -EREMOTE);
  EXPECT_EQ(ctx_merge(mixed + 1, 1, &ret, &canceler), -EREMOTE);
  EXPECT_EQ(ctx_with_grace(ctx_, kHour, &ret, &canceler), -EREMOTE);
  EXPECT_EQ(ctx_with_idle(ctx_, kHour, nullptr, &ret, &canceler), -EREMOTE);
  EXPECT_EQ(ctx_touch(ctx_), -EREMOTE);
  EXPECT_EQ(ctx_with_fd(ctx_, pipe.read_end, POLLIN, &ret, &canceler), -EREMOTE);
  EXPECT_EQ(ctx_with_signal(ctx_, &signal, 1, &ret, &canceler), -EREMOTE);
  EXPECT_EQ(ctx_cancel_fd(canceler_), -EREMOTE);
  EXPECT_EQ(ret, nullptr);
  EXPECT_EQ(canceler, nullptr);
  EXPECT_EQ(watch, nullptr);
  ExpectItWorks();
}

// The done descriptor of one copy's context ends a context of the other's: how a bridge is built.
TEST_F(TwoCopiesOfLoops, Rule49_OneCopysDescriptorEndsTheOthersContext) {
  const int fd = CTX_OTHER(ctx_done_fd)(ctx_);
  const Scope own = WithFd(ctx_background(), fd, POLLIN);
  EXPECT_EQ(CTX_OTHER(ctx_cancel)(canceler_), 1);
  EXPECT_TRUE(Done(own));
}

}  // namespace
}  // namespace ctxtest
