// SPDX-License-Identifier: MIT
//
// What clients do with contexts, callbacks, queues and groups.
#include <ctx/ctx.h>

#include <atomic>
#include <cstdint>
#include <random>
#include <vector>

#include "scale/soak/clients.h"
#include "support/handles.h"

namespace ctxtest {
namespace {

const ctx_key_t kSoak = {"soak"};

// A request: a deadline, values, three parts with callbacks of any kind. It ends by itself, by its deadline or with its
// server.
void Request(Servers& servers, std::mt19937& random) {
  static constexpr uint32_t kFlags[] = {0, CTX_DEFER, CTX_BLOCKING, CTX_DEFER | CTX_BLOCKING,
                                        CTX_WAKER};
  const Ctx server = servers.Any(random);
  std::atomic<int> dropped{0};
  {
    const Scope request = WithTimeout(server, UpTo3Milliseconds(random));
    const Ctx value = WithValue(request, &kSoak, &dropped, [](void* arg) {
      static_cast<std::atomic<int>*>(arg)->fetch_add(1);
    });
    REQUIRE(ctx_value(value, &kSoak) == &dropped);
    Scope parts[3];
    Once callbacks[3];
    for (int i = 0; i < 3; ++i) {
      parts[i] = i == 1 ? WithTimeout(value, kHour) : WithCancel(value);
      callbacks[i].Arm(parts[i], kFlags[random() % 5]);
    }
    if (random() % 2 == 0) parts[2].Cancel();
    if (random() % 3 == 0) {
      const Cause cause = NewCause(5, "enough");
      if (ctx_cancel_with(request.canceler, CTX_CANCELED, cause) == 1)
        REQUIRE(ctx_cause(request) == cause.get());
    }
    Await(request);
    servers.NoteLate(request);
    for (int i = 0; i < 3; ++i) {
      REQUIRE(ctx_err(parts[i]) != 0);
      if (i < 2)
        REQUIRE(ctx_cause(parts[i]) == ctx_cause(request) && ctx_ended_by(parts[i], request) == 1);
      callbacks[i].ExpectOnce();
    }
    if (ctx_ended_by(request, server) == 1) REQUIRE(ctx_err(server) != 0);
  }
  // Callbacks on other threads may still hold it for a moment.
  for (const int64_t end = Clock(CLOCK_MONOTONIC) + kLimit; dropped.load() == 0;) {
    REQUIRE(Clock(CLOCK_MONOTONIC) < end);
    SleepFor(20 * kMicrosecond);
  }
  REQUIRE(dropped.load() == 1);
}

void Merged(Servers& servers, std::mt19937& random) {
  const Ctx one = servers.Any(random), other = servers.Any(random);
  const Scope a = WithCancel(one), b = WithTimeout(other, UpTo3Milliseconds(random));
  const Scope merged = Merge({a, b}), below = WithCancel(merged);
  Once callback;
  callback.Arm(below, random() % 2 == 0 ? 0 : CTX_DEFER);
  if (random() % 2 == 0) a.Cancel();
  Await(below);
  // The deadline of a parent on another loop counts: this loop may be earlier to see it pass.
  REQUIRE(ctx_err(a) != 0 || ctx_err(b) != 0 || ctx_remaining(b) <= 0);
  REQUIRE(ctx_ended_by(merged, a) + ctx_ended_by(merged, b) <= 1);
  callback.ExpectOnce();
}

void Graceful(Servers& servers, std::mt19937& random) {
  const Scope parent = WithCancel(servers.Any(random));
  const Scope grace = WithGrace(parent, UpTo3Milliseconds(random));
  parent.Cancel();
  Await(grace);
  REQUIRE(ctx_err(parent) != 0 && ctx_cause(grace) == ctx_cause(parent) &&
          ctx_ended_by(grace, parent) == 1);
}

void Idling(Servers& servers, std::mt19937& random) {
  const Scope idle = WithIdle(servers.Any(random), kMillisecond);
  const Scope below = WithCancel(idle);
  for (uint64_t i = random() % 20; i > 0; --i) {
    const int result = ctx_touch(below);
    REQUIRE(result == 0 || ctx_err(below) != 0);
  }
  Await(below);
}

void Queued(Servers& servers, std::mt19937& random) {
  Queue queue = NewQueue();
  const Scope top = WithCancel(servers.Any(random));
  const size_t n = 1 + random() % 50;
  std::vector<int> seen(n);
  for (size_t i = 0; i < n; ++i) {
    const Scope scope =
        random() % 2 == 0 ? WithTimeout(top, UpTo3Milliseconds(random)) : WithCancel(top);
    REQUIRE(ctx_queue_add(queue, scope, i, nullptr) == 0);
  }
  if (random() % 4 == 0) return;  // it goes with entries that wait and entries that do not
  if (random() % 2 == 0) REQUIRE(ctx_queue_fd(queue) >= 0);
  top.Cancel();
  ctx_event_t events[16];
  for (size_t got = 0; got < n;) {
    const int64_t some = ctx_queue_wait(queue, events, 16, kLimit);
    if (some == -EINTR) continue;
    REQUIRE(some > 0);
    for (int64_t i = 0; i < some; ++i) REQUIRE(events[i].err != 0 && seen[events[i].token]++ == 0);
    got += static_cast<size_t>(some);
  }
  REQUIRE(ctx_queue_drain(queue, events, 1) == 0);
}

void SharedQueue(Servers& servers, std::mt19937& random) {
  const Scope scope = WithTimeout(servers.Any(random), UpTo3Milliseconds(random));
  servers.Enter(scope);
  if (random() % 2 == 0) scope.Cancel();
}

// Work on other threads: each piece ends in a callback on a thread of the library.
void Grouped(Servers& servers, std::mt19937& random) {
  const Ctx server = servers.Any(random);
  const Group group = NewGroup(server);
  struct Piece {
    ctx_group_t* group;
    ctx_cause_t* cause;
  };
  const uint64_t n = 1 + random() % 8;
  std::vector<Piece> pieces(n);
  std::vector<Scope> scopes(n);
  ctx_cause_t* cause = nullptr;
  REQUIRE(ctx_cause_new(3, "a piece failed", &cause) == 0);
  const Cause owned(cause);
  const uint64_t fails = random() % (2 * n);
  Ctx over;
  uint64_t begun = 0;
  for (uint64_t i = 0; i < n; ++i) {
    if (ctx_group_begin(group) != 0) break;  // the server has ended
    ++begun;
    pieces[i] = {group, i == fails ? cause : nullptr};
    scopes[i] = WithTimeout(server, UpTo3Milliseconds(random));
    const auto end = [](ctx_t*, void* arg) {
      auto* piece = static_cast<Piece*>(arg);
      REQUIRE(ctx_group_end(piece->group, piece->cause) == 0);
    };
    const int result = ctx_after_func(scopes[i], end, &pieces[i], nullptr, CTX_DEFER, nullptr);
    REQUIRE(result >= 0);
  }
  REQUIRE(ctx_group_over(group, over.out()) == 0);
  for (int result; (result = ctx_group_wait(group, kLimit)) != 1;) REQUIRE(result == -EINTR);
  Await(over);
  REQUIRE(ctx_group_cause(group) == (fails < begun ? cause : nullptr));
  if (fails < begun) REQUIRE(ctx_err(ctx_group_context(group)) != 0);
}

void Deferred(Servers& servers, std::mt19937& random) {
  const Scope scope = WithCancel(servers.Any(random)), below = WithCancel(scope);
  Once plain, blocking;
  plain.Arm(below, 0);
  blocking.Arm(below, CTX_BLOCKING);
  REQUIRE(ctx_cancel_deferred(scope.canceler, CTX_DEADLINE_EXCEEDED, nullptr) >= 0);
  REQUIRE(ctx_err(below) != 0);
  // Each runs, or is stopped before it does.
  for (const int64_t end = Clock(CLOCK_MONOTONIC) + kLimit; plain.runs == 0 && random() % 8 != 0;) {
    REQUIRE(Clock(CLOCK_MONOTONIC) < end);
    SleepFor(20 * kMicrosecond);
  }
  plain.ExpectOnce();
  blocking.ExpectOnce();
}

// A stop meets a cancel.
void Stops(Servers& servers, std::mt19937& random) {
  const Scope scope = WithTimeout(servers.Any(random), UpTo3Milliseconds(random) / 8);
  Once callbacks[4];
  static constexpr uint32_t kFlags[] = {0, CTX_DEFER, CTX_BLOCKING, CTX_WAKER};
  for (int i = 0; i < 4; ++i) callbacks[i].Arm(scope, kFlags[i]);
  if (random() % 2 == 0) Await(scope);
  for (Once& callback : callbacks) callback.ExpectOnce();
}

void WaitsForAny(Servers& servers, std::mt19937& random) {
  std::vector<Scope> scopes;
  std::vector<ctx_t*> raw;
  for (uint64_t i = 1 + random() % 10; i > 0; --i) {
    scopes.push_back(WithTimeout(servers.Any(random), UpTo3Milliseconds(random)));
    raw.push_back(scopes.back());
  }
  size_t index = raw.size();
  for (int result; (result = ctx_wait_any(raw.data(), raw.size(), kLimit, &index)) != 1;)
    REQUIRE(result == -EINTR);
  REQUIRE(index < raw.size() && ctx_err(raw[index]) != 0);
  servers.NoteLate(raw[index]);
}

}  // namespace

const std::vector<Step> kRequests = {
    {"requests", 30, Request}, {"merges", 10, Merged},
    {"graces", 6, Graceful},   {"idle", 6, Idling},
    {"queues", 10, Queued},    {"shared queue", 10, SharedQueue},
    {"groups", 10, Grouped},   {"deferred cancels", 6, Deferred},
    {"stops", 8, Stops},       {"waits for any", 6, WaitsForAny},
};

}  // namespace ctxtest
