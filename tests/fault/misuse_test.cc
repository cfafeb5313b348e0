// SPDX-License-Identifier: MIT
//
// Handles that a call cannot use. Every build answers with an error where the headers name one. The checked build also
// says on standard error which call and which handle it was, and ends the process where a handle was released.
#include <ctx/ctx.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <ostream>
#include <string>

#include "support/copied.h"
#include "support/descriptor.h"
#include "support/forked.h"
#include "support/handles.h"
#include "support/sources.h"

namespace ctxtest {
namespace {

#if defined(CTX_TESTS_CHECKED)
constexpr bool kChecked = true;
#else
constexpr bool kChecked = false;
#endif

// What is written to standard error meanwhile.
template <class Body>
std::string Said(const Body& body) {
  const Fd file(memfd_create("stderr", MFD_CLOEXEC)),
      before(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  dup2(file, STDERR_FILENO);
  body();
  dup2(before, STDERR_FILENO);
  char text[4096];
  const ssize_t size = pread(file, text, sizeof text, 0);
  return {text, size > 0 ? static_cast<size_t>(size) : 0};
}

std::string AddressOf(const void* handle) {
  char text[32];
  snprintf(text, sizeof text, "%p", handle);
  return text;
}

// A type of handles: one that nobody else holds, a call that takes it alone, and the call that gives it back.
struct Type {
  const char* name;
  void* (*make)();
  const char* use;
  const char* unref;
  int error_after_fork;

  // By the library that this program is linked with.
  int Use(void* handle) const { return Find<int (*)(void*)>(use)(handle); }
  void Unref(void* handle) const { Find<void* (*)(void*)>(unref)(handle); }
  template <class Function>
  static Function Find(const char* function) {
    return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, function));
  }
};

void PrintTo(const Type& type, std::ostream* out) { *out << type.name; }

void* MakeContext() {
  ctx_t* made = nullptr;
  EXPECT_EQ(ctx_with_deadline(ctx_background(), CTX_FOREVER, &made, nullptr), 0);
  return made;
}
void* MakeCanceler() { return WithCancel(ctx_background()).canceler.release(); }
void* MakeCause() { return const_cast<ctx_cause_t*>(NewCause(7, "cause").release()); }
void* MakeWatch() {
  return AfterFunc(
             ctx_background(), [](ctx_t*, void*) {}, nullptr)
      .release();
}
void* MakeQueue() { return NewQueue().release(); }
void* MakeLoop() { return NewLoop(CTX_LOOP_VIRTUAL).release(); }
void* MakeGroup() { return NewGroup(ctx_background()).release(); }

const Type kTypes[] = {
    {"context", MakeContext, "ctx_done_fd", "ctx_unref", -ECHILD},
    {"canceler", MakeCanceler, "ctx_cancel", "ctx_canceler_unref", -ECHILD},
    {"cause", MakeCause, "ctx_cause_code", "ctx_cause_unref", 7},  // it can be read
    {"watch", MakeWatch, "ctx_watch_stop", "ctx_watch_unref", -ECHILD},
    {"queue", MakeQueue, "ctx_queue_fd", "ctx_queue_unref", -ECHILD},
    {"loop", MakeLoop, "ctx_loop_close", "ctx_loop_unref", -ECHILD},
    {"group", MakeGroup, "ctx_group_begin", "ctx_group_unref", -ECHILD},
};

class Misuse : public ::testing::TestWithParam<Type> {
 protected:
  // The sentence of the checked build; others say nothing.
  static std::string Sentence(const char* call, const void* handle, const std::string& what) {
    if (!kChecked) return "";
    return std::string("libctx: ") + call + ": the handle " + AddressOf(handle) + what + "\n";
  }

  const Type& type = GetParam();
};

INSTANTIATE_TEST_SUITE_P(, Misuse, ::testing::ValuesIn(kTypes),
                         [](const auto& each) { return std::string(each.param.name); });

TEST_P(Misuse, AHandleOfAnotherType) {
  for (const Type& other : kTypes) {
    if (std::string(other.name) == type.name) continue;
    void* const handle = other.make();
    int result = 0;
    const std::string said = Said([&] { result = type.Use(handle); });
    EXPECT_EQ(result, -EINVAL);
    EXPECT_EQ(said,
              Sentence(type.use, handle,
                       std::string(" is of a ") + other.name + ", and is not of a " + type.name));
    EXPECT_EQ(Said([&] { type.Unref(handle); }),
              Sentence(type.unref, handle,
                       std::string(" is of a ") + other.name + ", and is not of a " + type.name));
    other.Unref(handle);
  }
  const uint64_t nothing[32] = {};
  EXPECT_EQ(Said([&] { type.Use(const_cast<uint64_t*>(&nothing[16])); }),
            Sentence(type.use, &nothing[16], std::string(" is not of a ") + type.name));
}

// Also where functions share their checks.
TEST(MisuseOfArguments, TheCallThatTheProgramMadeIsNamed) {
  const Loop loop = NewLoop(CTX_LOOP_MANUAL);
  const Scope scope = WithCancel(ctx_background());
  auto* const ctx = reinterpret_cast<ctx_t*>(loop.get());
  auto* const canceler = reinterpret_cast<ctx_canceler_t*>(loop.get());
  auto* const cause = reinterpret_cast<ctx_cause_t*>(loop.get());
  auto* const not_loop = reinterpret_cast<ctx_loop_t*>(scope.ctx.get());
  ctx_t* ret = nullptr;
  ctx_canceler_t* ret_canceler = nullptr;
  const auto expect_named = [](const char* call, const std::function<void()>& body) {
    const std::string said = Said(body);
    const std::string wanted = kChecked ? std::string("libctx: ") + call + ": the handle 0x" : "";
    EXPECT_EQ(said.substr(0, kChecked ? wanted.size() : said.size()), wanted);
  };
  expect_named("ctx_with_cancel", [&] { ctx_with_cancel(ctx, &ret, &ret_canceler); });
  expect_named("ctx_with_value", [&] { ctx_with_value(ctx, &kKey, nullptr, nullptr, &ret); });
  expect_named("ctx_merge", [&] { ctx_merge(&ctx, 1, &ret, nullptr); });
  expect_named("ctx_with_timeout", [&] { ctx_with_timeout(ctx, 1, &ret, nullptr); });
  expect_named("ctx_with_deadline", [&] { ctx_with_deadline(ctx, 1, &ret, nullptr); });
  expect_named("ctx_wait", [&] { ctx_wait(ctx, 0); });
  expect_named("ctx_done_fd_dup", [&] { ctx_done_fd_dup(ctx); });
  expect_named("ctx_err", [&] { ctx_err(ctx); });
  expect_named("ctx_cause", [&] { ctx_cause(ctx); });
  expect_named("ctx_cancel_with", [&] { ctx_cancel_with(canceler, CTX_CANCELED, nullptr); });
  expect_named("ctx_cancel_with", [&] { ctx_cancel_with(scope.canceler, CTX_CANCELED, cause); });
  expect_named("ctx_with_timeout_cause",
               [&] { ctx_with_timeout_cause(scope, kHour, cause, &ret, nullptr); });
  expect_named("ctx_cause_file", [&] { ctx_cause_file(cause); });
  expect_named("ctx_loop_dispatch", [&] { ctx_loop_dispatch(not_loop); });
  EXPECT_EQ(ret, nullptr);
  EXPECT_EQ(ctx_err(scope), 0);
}

TEST_P(Misuse, NullIsNoMistake) {
  EXPECT_EQ(Said([&] {
              EXPECT_EQ(type.Use(nullptr), -EINVAL);
              type.Unref(nullptr);
            }),
            "");
}

TEST_P(Misuse, Rule49_AHandleOfAnotherCopy) {
  const CopiedLibrary copy;
  void* const handle = type.make();
  int result = 0;
  const std::string said = Said([&] { result = copy.Find<int (*)(void*)>(type.use)(handle); });
  EXPECT_EQ(result, -EREMOTE);
  EXPECT_EQ(said, Sentence(type.use, handle,
                           std::string(" of a ") + type.name +
                               " was made by another copy of the library"));
  EXPECT_EQ(
      Said([&] { copy.Find<void* (*)(void*)>(type.unref)(handle); }),
      Sentence(type.unref, handle,
               std::string(" of a ") + type.name + " was made by another copy of the library"));
  type.Unref(handle);
}

TEST_P(Misuse, Rule47_AHandleFromBeforeAFork) {
  void* const handle = type.make();
  InChild([&] {
    int result = 0;
    const std::string said = Said([&] { result = type.Use(handle); });
    EXPECT_EQ(result, type.error_after_fork);
    const std::string sentence = Sentence(
        type.use, handle,
        std::string(" of a ") + type.name + " was made before a fork, by the parent process");
    EXPECT_EQ(said, type.error_after_fork < 0 ? sentence : "");
    EXPECT_EQ(Said([&] { type.Unref(handle); }), "") << "a child may give back what it has";
  });
  type.Unref(handle);
}

#if defined(CTX_TESTS_CHECKED)

std::string Pattern(const char* call, const std::string& what) {
  return std::string("libctx: ") + call + ": the handle 0x[0-9a-f]+ of a " + what;
}

TEST_P(Misuse, UsedAfterItsRelease) {
  EXPECT_DEATH(
      {
        void* const handle = type.make();
        type.Unref(handle);
        void* const other = type.make();  // its memory is not theirs
        EXPECT_NE(other, handle);
        type.Use(handle);
      },
      Pattern(type.use, std::string(type.name) + " is used after its release"));
}

TEST_P(Misuse, ReleasedTwice) {
  EXPECT_DEATH(
      {
        void* const handle = type.make();
        type.Unref(handle);
        type.Unref(handle);
      },
      Pattern(type.unref, std::string(type.name) + " is released once more than it was held"));
}

TEST(MisuseOfEntries, AWatchOfAQueueReleasedTwice) {
  EXPECT_DEATH(
      {
        const Queue queue = NewQueue();
        ctx_watch_t* const handle = Add(queue, ctx_background(), 0).release();
        ctx_watch_unref(handle);
        ctx_watch_unref(handle);
      },
      Pattern("ctx_watch_unref", "watch is released once more than it was held"));
}

// Others may keep the object in memory.
TEST(MisuseOfKeptObjects, AContextThatItsChildrenKeep) {
  EXPECT_DEATH(
      {
        Scope parent = WithCancel(ctx_background());
        const Scope child = WithCancel(parent);
        ctx_t* const handle = parent;
        parent.reset();
        ctx_err(handle);
      },
      Pattern("ctx_err", "context is used after its release"));
}

TEST(MisuseOfKeptObjects, ALoopThatItsContextsKeep) {
  EXPECT_DEATH(
      {
        Loop loop = NewLoop(CTX_LOOP_MANUAL);
        const Ctx root = LoopBackground(loop);
        ctx_loop_t* const handle = loop;
        loop.reset();
        ctx_loop_now(handle);
      },
      Pattern("ctx_loop_now", "loop is used after its release"));
}

TEST(MisuseOfKeptObjects, AQueueThatItsWatchesKeep) {
  EXPECT_DEATH(
      {
        Queue queue = NewQueue();
        Watch watch;
        ctx_queue_add(queue, ctx_background(), 0, watch.out());
        ctx_queue_t* const handle = queue;
        queue.reset();
        ctx_queue_fd(handle);
      },
      Pattern("ctx_queue_fd", "queue is used after its release"));
}

// A descriptor of the library that the program closes.
TEST(MisuseOfDescriptors, ClosedByTheProgram) {
  EXPECT_DEATH(
      {
        const Scope scope = WithCancel(ctx_background());
        close(ctx_done_fd(scope));
        scope.Cancel();
      },
      "libctx: the program has closed descriptor 0*[1-9][0-9]*, which the library lent to it");
}

TEST(MisuseOfDescriptors, ClosedAndItsNumberUsedAgain) {
  EXPECT_DEATH(
      {
        const Scope scope = WithCancel(ctx_background());
        const Pipe pipe;
        dup2(pipe.write_end, ctx_done_fd(scope));
        scope.Cancel();
      },
      "libctx: the program has closed descriptor");
}

TEST(MisuseOfDescriptors, ClosedAndAskedForAgain) {
  EXPECT_DEATH(
      {
        const Scope scope = WithCancel(ctx_background());
        close(ctx_done_fd(scope));
        ctx_done_fd(scope);
        _exit(0);  // before the end of the context finds it
      },
      "libctx: the program has closed descriptor");
}

TEST(MisuseOfDescriptors, ThatOfAQueueClosed) {
  EXPECT_DEATH(
      {
        Queue queue = NewQueue();
        close(ctx_queue_fd(queue));
        queue.reset();
      },
      "libctx: the program has closed descriptor");
}

#else

TEST(MisuseOfDescriptors, ACancelGoesOnWithoutThem) {
  const Scope scope = WithCancel(ctx_background());
  close(ctx_done_fd(scope));
  EXPECT_EQ(scope.Cancel(), 1);
}

#endif

}  // namespace
}  // namespace ctxtest
