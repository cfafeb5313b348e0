// SPDX-License-Identifier: MIT
//
// How an input becomes steps, what it may choose from, and how everything is given back at its end.
#include "fuzz/api/session.h"

namespace fuzz {

namespace {

constexpr size_t kMostSteps = 200;

}  // namespace

Session::Session(const uint8_t* data, size_t size) : in_(data, size) {
  model_.real_now = [this] { return now_; };
  model_.library_now = [this](int loop) { return ctx_loop_now(loops_[loop]); };
  model_.ask_err = [this](int ctx) { return *contexts_[ctx].word; };
  model_.poll = [](int fd) {
    pollfd one = {fd, static_cast<short>(POLLIN | POLLOUT | POLLPRI | POLLRDHUP), 0};
    poll(&one, 1, 0);
    return static_cast<uint32_t>(one.revents);
  };
  model_.fail = [](const char* what) { BROKEN(what); };
  now_ = RealNow();
  model_.NewLoop(true, 0);
  model_.loops[0].now = ctx_loop_now(default_loop);
  loops_.push_back(default_loop);
  // Two roots of it; its own is the first.
  Made(0, ctx_background(), nullptr, 1);
  Made(model_.Root(0, Kind::kTodo), ctx_todo(), nullptr, 1);
  NewLoop(true, false);
  NewLoop(false, false);
}

void Session::Run() {
  for (size_t i = 0; i < kMostSteps && !in_.empty() && !model_.ambiguous; ++i) {
    Step();
    now_ = RealNow();
    if (model_.ambiguous) break;
    model_.Collect();
    Check();
  }
  End();
}

void Session::Called(Armed& armed, ctx_t* ctx) {
  const int watch = armed.watch;
  Say("  callback w%d begins", watch);
  now_ = RealNow();
  model_.Called(watch);
  if (!model_.ambiguous) {
    const Watch& w = model_.watches[watch];
    REQUIRE(ctx == contexts_[w.ctx].ctx);
    FUZZ_EQ(ctx_err(ctx), model_.NodeOf(w.ctx).err);
    REQUIRE(ctx_err(ctx) != 0);
    FUZZ_EQ(ctx_now(ctx), model_.Now(model_.NodeOf(w.ctx).loop));
    if (w.waker) {
      if (in_.Pick(4) == 3) CancelOne();
    } else if (++depth_ <= kDeepest) {
      for (size_t n = in_.Pick(4); n > 0 && !model_.ambiguous; --n) {
        Step();
        now_ = RealNow();
      }
    }
    if (!w.waker) --depth_;
  }
  Say("  callback w%d ends", watch);
  model_.Returned(watch);
}

int Session::AnyContext() {
  std::vector<int> held;
  for (size_t i = 0; i < model_.contexts.size(); ++i) {
    if (model_.contexts[i].handles > 0) held.push_back(static_cast<int>(i));
  }
  return held[held.size() - 1 - in_.Pick(held.size())];  // 0: the newest
}

int Session::AnyCanceler() {
  std::vector<int> held;
  for (size_t i = 0; i < model_.contexts.size(); ++i) {
    if (model_.contexts[i].cancelers > 0 && contexts_[i].canceler != nullptr) {
      held.push_back(static_cast<int>(i));
    }
  }
  return held.empty() ? kNone : held[held.size() - 1 - in_.Pick(held.size())];
}

int Session::AnyWatch() {
  std::vector<int> held;
  for (size_t i = 0; i < model_.watches.size(); ++i) {
    if (model_.watches[i].held) held.push_back(static_cast<int>(i));
  }
  return held.empty() ? kNone : held[held.size() - 1 - in_.Pick(held.size())];
}

int Session::AnyQueue() {
  std::vector<int> held;
  for (size_t i = 0; i < queues_.size(); ++i) {
    if (queues_[i].second > 0) held.push_back(static_cast<int>(i));
  }
  return held.empty() ? kNone : held[in_.Pick(held.size())];
}

int Session::AnyGroup() {
  std::vector<int> held;
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (model_.groups[i].handles > 0) held.push_back(static_cast<int>(i));
  }
  return held.empty() ? kNone : held[held.size() - 1 - in_.Pick(held.size())];
}

// One that has a handle or work, which holds the group, too.
int Session::AnyWorking() {
  std::vector<int> working;
  for (size_t i = 0; i < groups_.size(); ++i) {
    const bool refuses = model_.groups[i].handles > 0 && model_.groups[i].work == 0;
    if (refuses || work_[i] > 0) working.push_back(static_cast<int>(i));
  }
  return working.empty() ? kNone : working[working.size() - 1 - in_.Pick(working.size())];
}

int Session::AnyLoop() {
  std::vector<int> held;
  for (size_t i = 0; i < loops_.size(); ++i) {
    if (model_.loops[i].handles > 0) held.push_back(static_cast<int>(i));
  }
  return held[held.size() - 1 - in_.Pick(held.size())];
}

Session::Kept* Session::AnyCause() {
  const size_t n = in_.Pick(4);
  if (n == 0 || causes_.empty()) return nullptr;
  Kept* const kept = &causes_[in_.Pick(causes_.size())];
  return kept->refs > 0 ? kept : nullptr;
}

int64_t Session::Span() {
  static constexpr int64_t kUnits[] = {1,       1'000,          1'000'000,           100'000'000,
                                       kSecond, 3600 * kSecond, 34'000'000 * kSecond};
  const size_t unit = in_.Pick(10);
  const auto count = static_cast<int64_t>(in_.Byte());
  if (unit < 7) return (count + 1) * kUnits[unit];
  if (unit == 7) return -count;
  if (unit == 8) return INT64_MAX - count;
  return INT64_MIN + count;
}

void Session::Made(int i, ctx_t* ctx, ctx_canceler_t* canceler, int handles) {
  if (contexts_.size() < model_.contexts.size()) {
    contexts_.resize(model_.contexts.size());
    values_.resize(model_.contexts.size());
  }
  contexts_[i].ctx = ctx;
  contexts_[i].word = ctx_err_word(ctx);
  contexts_[i].canceler = canceler;
  model_.contexts[i].handles = handles;
  model_.contexts[i].cancelers = canceler != nullptr ? 1 : 0;
}

void Session::Step() {
  using Call = void (Session::*)();
  struct Choice {
    int shares;
    Call call;
  };
  // In this order, so that the inputs of the corpus keep their meaning.
  static constexpr Choice kChoices[] = {
      {8, &Session::Derive},       {2, &Session::CancelOne},
      {3, &Session::Arm},          {1, &Session::Stop},
      {2, &Session::Release},      {3, &Session::Drive},
      {1, &Session::Move},         {1, &Session::NewQueue},
      {1, &Session::AddToQueue},   {1, &Session::Drain},
      {1, &Session::NewGroup},     {2, &Session::Work},
      {1, &Session::NewCause},     {1, &Session::Descriptors},
      {1, &Session::SendSignal},   {1, &Session::CancelByDescriptor},
      {1, &Session::Wait},         {1, &Session::Describe},
      {1, &Session::ReferMore},    {1, &Session::Loops},
      {1, &Session::BadArguments}, {1, &Session::Touch},
      {1, &Session::AskDoneFd},    {1, &Session::Strings},
      {1, &Session::DropWatch},    {1, &Session::Poll},
  };
  auto share = static_cast<int>(in_.Pick(40));
  const Choice* choice = kChoices;
  while (share >= choice->shares) share -= choice++->shares;
  (this->*choice->call)();
}

void Session::BadArguments() {
  ctx_t* ctx = nullptr;
  ctx_canceler_t* canceler = nullptr;
  ctx_t* const some = contexts_[AnyContext()].ctx;
  ctx_t* const none = nullptr;
  const int any_canceler = AnyCanceler();
  const int loop = AnyLoop();
  FUZZ_EQ(ctx_with_cancel(some, &ctx, nullptr), -EINVAL);
  FUZZ_EQ(ctx_with_cancel(none, &ctx, &canceler), -EINVAL);
  FUZZ_EQ(ctx_with_timeout(some, 1, nullptr, &canceler), -EINVAL);
  FUZZ_EQ(ctx_with_value(some, nullptr, &ctx, nullptr, &ctx), -EINVAL);
  FUZZ_EQ(ctx_with_string(some, nullptr, "x", &ctx), -EINVAL);
  FUZZ_EQ(ctx_with_name(some, nullptr, &ctx), -EINVAL);
  FUZZ_EQ(ctx_merge(&some, 0, &ctx, nullptr), -EINVAL);
  FUZZ_EQ(ctx_merge(&none, 1, &ctx, nullptr), -EINVAL);
  FUZZ_EQ(ctx_with_fd(some, 1000, POLLIN, &ctx, nullptr), -EBADF);
  FUZZ_EQ(ctx_with_fd(some, 0, 0, &ctx, nullptr), -EINVAL);
  const int unblocked = SIGCHLD;
  FUZZ_EQ(ctx_with_signal(some, &unblocked, 1, &ctx, nullptr), -EINVAL);
  FUZZ_EQ(ctx_after_func(some, nullptr, nullptr, nullptr, 0, nullptr), -EINVAL);
  FUZZ_EQ(ctx_wait(some, -1), -EINVAL);
  FUZZ_EQ(ctx_err(nullptr), -EINVAL);
  REQUIRE(ctx_err_word(nullptr) == nullptr && ctx_cause(nullptr) == nullptr);
  REQUIRE(ctx_ref(nullptr) == nullptr && ctx_unref(nullptr) == nullptr);
  FUZZ_EQ(ctx_now(nullptr), INT64_MIN);
  FUZZ_EQ(ctx_cause_code(nullptr), -EINVAL);
  if (any_canceler != kNone) {
    canceler = contexts_[any_canceler].canceler;
    FUZZ_EQ(ctx_cancel_with(canceler, -EIO, nullptr), -EINVAL);
    FUZZ_EQ(ctx_cancel_deferred(canceler, 0, nullptr), -EINVAL);
    FUZZ_EQ(ctx_err(reinterpret_cast<ctx_t*>(canceler)), -EINVAL);
    FUZZ_EQ(ctx_touch(reinterpret_cast<ctx_t*>(canceler)), -EINVAL);
  }
  FUZZ_EQ(model_.loops[loop].is_virtual ? ctx_loop_dispatch(loops_[loop])
                                        : ctx_loop_advance(loops_[loop], 1),
          -ENOTSUP);
  if (model_.loops[loop].is_virtual) {
    FUZZ_EQ(ctx_loop_advance(loops_[loop], -1), -EINVAL);
    FUZZ_EQ(ctx_loop_fd(loops_[loop]), -ENOTSUP);
  }
  REQUIRE(ctx == nullptr);
}

// Everything is given back, in one of several orders.
void Session::End() {
  const size_t order = in_.Pick(6);
  Say(model_.ambiguous ? "-- ambiguous: compares no more; the end --" : "-- the end --");
  depth_ = kDeepest;  // callbacks do nothing more
  const bool compares = !model_.ambiguous;
  for (size_t step = 0; step < 4; ++step) {
    switch ((step + order) % 4) {
      case 0:
        EndWatches();
        break;
      case 1:
        EndGroups();
        break;
      case 2:
        EndContexts(order >= 4);
        break;
      default:
        for (size_t i = 1; i < loops_.size(); ++i) {
          while (model_.loops[i].handles > 0) {
            if (compares) {
              UnrefLoop(static_cast<int>(i));
            } else {
              --model_.loops[i].handles;
              ctx_loop_unref(loops_[i]);
            }
          }
        }
    }
    if (model_.ambiguous) continue;
    model_.Collect();
    Check();
  }
  // What the default loop still has to do.
  model_.ambiguous = true;
  ctx_loop_advance(default_loop, 0);
  for (Pipe& pipe : pipes_) {
    ClosePipe(pipe, 0);
    ClosePipe(pipe, 1);
  }
  for (Kept& kept : causes_) {
    for (; kept.refs > 0; --kept.refs) ctx_cause_unref(kept.handle);
  }
  for (const Kept& kept : causes_) FUZZ_EQ(kept.drops, 1);
  for (size_t i = 0; i < values_.size(); ++i) {
    const Context& c = model_.contexts[i];
    if (c.kind == Kind::kValue && c.value != nullptr) FUZZ_EQ(values_[i], 1);
  }
  for (size_t i = 0; i < drops_.size(); ++i) {
    const Watch& w = model_.watches[i];
    if (w.queue == kNone && w.ctx != kNone) FUZZ_EQ(drops_[i], 1);
  }
}

void Session::EndWatches() {
  for (size_t i = 0; i < model_.watches.size(); ++i) {
    Watch& w = model_.watches[i];
    if (!w.held) continue;
    w.held = false;
    if (model_.Stop(static_cast<int>(i)) || model_.ambiguous) ctx_watch_stop(watches_[i]);
    ctx_watch_unref(watches_[i]);
  }
  for (size_t i = 0; i < queues_.size(); ++i) {
    while (queues_[i].second > 0) DropQueue(static_cast<int>(i));
  }
}

void Session::EndGroups() {
  for (size_t i = 0; i < groups_.size(); ++i) {
    while (work_[i] > 0) EndWork(static_cast<int>(i), nullptr);
  }
  for (size_t i = groups_.size(); i-- > 0;) {
    while (model_.groups[i].handles > 0) UnrefGroup(static_cast<int>(i));
  }
}

void Session::EndContexts(bool backwards) {
  const size_t n = model_.contexts.size();
  for (size_t k = 0; k < n; ++k) {
    const size_t i = backwards ? n - 1 - k : k;
    Context& c = model_.contexts[i];
    if (c.is_root() && c.loop == 0) continue;
    for (; c.handles > 0; --c.handles) ctx_unref(contexts_[i].ctx);
    for (; c.cancelers > 0 && contexts_[i].canceler != nullptr; --c.cancelers) {
      ctx_canceler_unref(contexts_[i].canceler);
    }
  }
}

}  // namespace fuzz
