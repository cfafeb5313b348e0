// SPDX-License-Identifier: MIT
//
// One run of a scenario on a system that refuses something. The scenario makes its calls through Try() and Sure(),
// which compare each with what the library promises on such a system.
#ifndef CTX_TESTS_FAULT_RUN_H_
#define CTX_TESTS_FAULT_RUN_H_

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>

#include "fault/faults.h"
#include "fault/headers.h"
#include "support/handles.h"
#include "support/sources.h"

// A function and its name.
#define CTX_FN(function) #function, &function

namespace ctxtest {

// An argument, to see that a call that failed has not touched it: what it points to, if the call stores its result
// there, and the state of a context.
template <class T>
struct Kept {
  explicit Kept(T) {}
  void Expect() const {}
  void Restore() const {}
};
template <class T>
struct Kept<T**> {
  explicit Kept(T** place) : at(place) {
    if (at != nullptr) *at = Mark();
  }
  void Expect() const { EXPECT_TRUE(at == nullptr || *at == Mark()) << "it has written a result"; }
  void Restore() const {
    if (at != nullptr && *at == Mark()) *at = nullptr;
  }
  static T* Mark() { return reinterpret_cast<T*>(&errno); }
  T** const at;
};
template <>
struct Kept<size_t*> {
  explicit Kept(size_t* place) : at(place), was(*at) {}
  void Expect() const { EXPECT_EQ(*at, was) << "it has written a result"; }
  void Restore() const {}
  size_t* const at;
  const size_t was;
};
template <>
struct Kept<ctx_t*> {
  explicit Kept(ctx_t* context) : ctx(context), was(ctx_err(ctx)) {}
  void Expect() const {  // its deadline may have passed
    const int err = ctx_err(ctx);
    EXPECT_TRUE(err == was || err == CTX_DEADLINE_EXCEEDED) << "it has ended its context: " << err;
  }
  void Restore() const {}
  ctx_t* const ctx;
  const int was;
};

class Run {
 public:
  static constexpr int64_t kAny = -1;  // any result that is not negative

  // The system begins to refuse when the loops have been made.
  Run(On kind, Faults* faults)
      : on(kind),
        host(kind),
        other(kind == On::kManual ? On::kThread : On::kManual),
        faults_(faults) {
    faults_->Pause(false);
  }
  ~Run() { faults_->Pause(true); }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  ctx_t* root() const { return host.root(); }
  ctx_loop_t* loop() const { return host.loop(); }

  // A call that may fail for want of what is refused, with the error that says so and that its header names. Then
  // nothing has changed; and once the system no longer refuses, it succeeds.
  template <class Result, class... Parameters>
  Result Try(int64_t expected, const char* name, Result (*function)(Parameters...),
             std::type_identity_t<Parameters>... arguments) {
    used[name];
    const int refused = faults_->refused();
    std::tuple<Kept<Parameters>...> kept{Kept<Parameters>(arguments)...};
    Result result = Call(function, arguments...);
    const auto restore = [](const auto&... each) { (each.Restore(), ...); };
    if (result < 0 && result != expected && faults_->refused() > refused) {
      SCOPED_TRACE(std::string(name) + " has failed");
      used[name].insert(static_cast<int>(-result));
      EXPECT_EQ(result, -faults_->error());
      EXPECT_TRUE(MayAnswer(name, static_cast<int>(-result)))
          << "its header does not name -" << strerrorname_np(static_cast<int>(-result));
      if (result != -EINTR) std::apply([](const auto&... each) { (each.Expect(), ...); }, kept);
      std::apply(restore, kept);
      faults_->Pause(true);
      result = Call(function, arguments...);
      faults_->Pause(false);
    }
    std::apply(restore, kept);
    Check(expected, result, name);
    return result;
  }

  // A call that needs nothing, and so answers the same whatever is refused.
  template <class Result, class... Parameters>
  Result Sure(std::type_identity_t<Result> expected, const char* name,
              Result (*function)(Parameters...), std::type_identity_t<Parameters>... arguments) {
    const Result result = Get(name, function, arguments...);
    EXPECT_EQ(result, expected) << name << " needs nothing";
    return result;
  }

  // The same, whatever it answers.
  template <class Result, class... Parameters>
  Result Get(const char* name, Result (*function)(Parameters...),
             std::type_identity_t<Parameters>... arguments) {
    used[name];
    return Call(function, arguments...);
  }

  Scope WithCancel(ctx_t* parent) {
    Scope made;
    Try(0, CTX_FN(ctx_with_cancel), parent, made.ctx.out(), made.canceler.out());
    return made;
  }
  Scope WithTimeout(ctx_t* parent, int64_t timeout_ns) {
    Scope made;
    Try(0, CTX_FN(ctx_with_timeout), parent, timeout_ns, made.ctx.out(), made.canceler.out());
    return made;
  }
  void Cancel(const Scope& scope) { Sure(1, CTX_FN(ctx_cancel), scope.canceler); }
  void ExpectErr(ctx_t* ctx, int error) { Sure(error, CTX_FN(ctx_err), ctx); }

  // Drives the loop until the context is done.
  void Await(ctx_t* ctx) {
    for (int rounds = 0; ctx_err(ctx) == 0 && rounds < kLimitMs; ++rounds) {
      if (on == On::kManual) {
        pollfd fd = {Try(kAny, CTX_FN(ctx_loop_fd), loop()), POLLIN, 0};
        if (poll(&fd, 1, 1) > 0) Try(kAny, CTX_FN(ctx_loop_dispatch), loop());
      } else if (on == On::kVirtual) {
        Get(CTX_FN(ctx_loop_advance), loop(), kMillisecond);
        if (ctx_err(ctx) == 0) poll(nullptr, 0, 1);  // what it waits for may come in real time
      } else {
        Try(1, CTX_FN(ctx_wait), ctx, kLimit);
      }
    }
    EXPECT_NE(ctx_err(ctx), 0);
  }

  const On on;
  const Host host, other;

  // The functions that any run has called, and the errors that they have failed with.
  static inline std::map<std::string, std::set<int>> used;

 private:
  // The library leaves errno alone; libc's malloc does not.
  template <class Result, class... Parameters>
  Result Call(Result (*function)(Parameters...), Parameters... arguments) {
    errno = 77;
    if constexpr (std::is_void_v<Result>) {
      function(arguments...);
    } else {
      const Result result = function(arguments...);
      EXPECT_TRUE(errno == 77 || errno == faults_->error()) << "errno is " << errno;
      return result;
    }
  }

  static void Check(int64_t expected, int64_t result, const char* name) {
    if (expected == kAny) {
      EXPECT_GE(result, 0) << name << ", with nothing refused";
    } else {
      EXPECT_EQ(result, expected) << name << ", with nothing refused";
    }
  }

  Faults* const faults_;
};

// A way to use the library, on some loops.
struct Scenario {
  const char* name;
  void (*play)(Run&);
  unsigned loops;             // bits, 1 << On
  bool ends_process = false;  // it changes the process for good
};

inline constexpr unsigned kDefaultLoop = 1u << static_cast<int>(On::kDefault),
                          kThreadLoop = 1u << static_cast<int>(On::kThread),
                          kManualLoop = 1u << static_cast<int>(On::kManual),
                          kVirtualLoop = 1u << static_cast<int>(On::kVirtual), kAllLoops = 15;

extern const Scenario kScenarios[];
extern const size_t kScenarioCount;

}  // namespace ctxtest

#endif  // CTX_TESTS_FAULT_RUN_H_
