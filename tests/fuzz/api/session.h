// SPDX-License-Identifier: MIT
//
// Any sequence of calls that one thread can make, on the default loop and on virtual and manual ones, from outside and
// from inside callbacks. After each call all that a program can see is what reference.h says, and when all handles are
// given back nothing is left: no value, no memory (LeakSanitizer), no descriptor.
#ifndef CTX_TESTS_FUZZ_API_SESSION_H_
#define CTX_TESTS_FUZZ_API_SESSION_H_

#include <ctx/ctx.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/input.h"
#include "fuzz/plain_text.h"
#include "fuzz/reference/reference.h"
#include "fuzz/system.h"

namespace fuzz {

inline constexpr size_t kMostContexts = 48;
inline constexpr int kDeepest = 3;  // callbacks in callbacks

inline const ctx_key_t kKeys[] = {{"user"}, {nullptr}, {"trace"}};
inline const char* const kNames[] = {"a", "b", "", "a longer name"};

extern ctx_loop_t* default_loop;  // a virtual one, for all inputs

inline bool Readable(int fd) {
  pollfd one = {fd, POLLIN, 0};
  return poll(&one, 1, 0) == 1;
}

class Session;

struct Armed {
  Session* session;
  int watch;
};

class Session {
 public:
  Session(const uint8_t* data, size_t size);
  void Run();
  void Called(Armed& armed, ctx_t* ctx);
  void Dropped(int watch) { ++drops_[watch]; }

 private:
  struct Handle {
    ctx_t* ctx = nullptr;
    ctx_canceler_t* canceler = nullptr;
    const volatile int32_t* word = nullptr;  // of its error: also while only what is below keeps it
    int done_fd = -1;
  };
  struct Derived {
    int parent;
    ctx_t* above;
    ctx_t* ctx = nullptr;
    ctx_canceler_t* canceler = nullptr;
    ctx_canceler_t** wanted = nullptr;  // where the canceler shall be
  };
  struct Pipe {
    int ends[2];
  };
  struct Kept {
    ctx_cause_t* handle;
    CauseRef model;
    int drops = 0;
    int refs = 1;
    const ctx_key_t* key = nullptr;
  };

  // session.cc
  int AnyContext();
  int AnyCanceler();
  int AnyWatch();
  int AnyQueue();
  int AnyGroup();
  int AnyWorking();
  int AnyLoop();
  Kept* AnyCause();
  int64_t Span();
  void Made(int i, ctx_t* ctx, ctx_canceler_t* canceler, int handles);
  void Step();
  void ReferMore();
  void BadArguments();
  void End();
  void EndWatches();
  void EndGroups();
  void EndContexts(bool backwards);

  // derive.cc
  void Derive();
  void DeriveTimed(Derived& made, bool perhaps_absolute);
  void DeriveIdle(Derived& made);
  void DeriveGrace(Derived& made);
  void DeriveMerge(Derived& made);
  void DeriveName(Derived& made);
  void DeriveValue(Derived& made);
  void DeriveString(Derived& made);
  void DeriveDescriptor(Derived& made);
  void DeriveSignal(Derived& made);
  template <typename... Args>
  void Said(const char* format, Args... args) {
    if (!kPrints) return;
    std::fprintf(stderr, "c%zu = ", model_.contexts.size() - 1);
    std::fprintf(stderr, format, args...);
    std::fputc('\n', stderr);
  }

  // context.cc
  void Release();
  void Touch();
  std::string Text(int i) const;
  void Describe();
  void Strings();

  // propagate.cc
  void Travel(int i);
  void TravelWhy(const ctx_cause_t* cause);

  // cancel.cc
  static CauseRef ModelOf(Kept* kept) { return kept == nullptr ? nullptr : kept->model; }
  static const ctx_cause_t* HandleOf(Kept* kept) {
    return kept == nullptr ? nullptr : kept->handle;
  }
  void CancelOne();
  void CancelByDescriptor();
  void NewCause();
  void DropCause();

  // done.cc
  int NewWatch();
  void Arm();
  void Stop();
  void DropWatch();
  void AskDoneFd();
  void Waited(const std::vector<int>& waited);
  void Wait();
  void Poll();

  // loop.cc
  void NewLoop(bool is_virtual, bool boottime);
  void Drive() { DriveLoop(AnyLoop()); }
  void DriveLoop(int i);
  void Move();
  void Loops();
  void UnrefLoop(int i);

  // source.cc
  void NewPipe();
  void Descriptors();
  void ClosePipe(Pipe& pipe, size_t end);
  void SendSignal();

  // queue.cc
  void NewQueue();
  void AddToQueue();
  void Drain();
  void DropQueue(int queue);

  // group.cc
  void NewGroup();
  void Work();
  void EndWork(int i, Kept* cause);
  void UnrefGroup(int i);

  // check.cc
  void Check();
  bool IsThere(size_t i) const { return model_.contexts[i].held && contexts_[i].ctx != nullptr; }
  void CheckContext(int i, bool closely);
  void CheckLoop(int i);

  Input in_;
  Reference model_;
  int64_t now_ = 0;
  int depth_ = 0;
  size_t turn_ = 0;
  std::vector<ctx_loop_t*> loops_;
  std::vector<Handle> contexts_;
  std::deque<int> values_;  // how often the value of each context was dropped
  std::vector<ctx_watch_t*> watches_;
  std::deque<Armed> armed_;
  std::vector<int> drops_;
  std::vector<std::pair<ctx_queue_t*, int>> queues_;  // with their handles
  std::vector<int> queue_fds_;
  std::vector<std::pair<ctx_group_t*, int>> groups_;  // with their descriptors
  // Their work that the program began and nobody is ending yet; a nested group ends its piece itself.
  std::vector<int> work_;
  std::deque<Kept> causes_;
  std::vector<Pipe> pipes_;
};

}  // namespace fuzz

#endif  // CTX_TESTS_FUZZ_API_SESSION_H_
