// SPDX-License-Identifier: MIT
//
// Rule 59: the strings of a request come from its map alone; and what inject and extract ask of their callers.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <vector>

#include "support/callback.h"
#include "support/forked.h"
#include "support/header_map.h"
#include "support/loops.h"

namespace ctxtest {
namespace {

constexpr char kTimeoutMs[] = "timeout-ms";
constexpr uint32_t kAll = CTX_FORMAT_GRPC_TIMEOUT | kW3C;

HeaderMap Whole() {
  return {{"grpc-timeout", "1S"},
          {kTimeoutMs, "1000"},
          {"traceparent", kTraceparent},
          {"tracestate", "a=1"},
          {"baggage", "b=2"}};
}

TEST(Extract, Rule59_StringsOfTheMap) {
  const Scope made = Extract(ctx_background(), Formats(kW3C), Whole());
  EXPECT_EQ(StringOf(made, "traceparent"), kTraceparent);
  EXPECT_EQ(StringOf(made, "tracestate"), "a=1");
  EXPECT_EQ(StringOf(made, "baggage"), "b=2");
  const HeaderMap sent = Inject(made, Formats(kW3C));
  EXPECT_EQ(sent["traceparent"], kTraceparent);
  EXPECT_EQ(sent["tracestate"], "a=1");
  EXPECT_EQ(sent["baggage"], "b=2");
  EXPECT_EQ(sent.size(), 3u);
}

TEST(Extract, Rule59_TheParentsAreHidden) {
  const Scope server = Extract(ctx_background(), Formats(kW3C), Whole());
  const Scope request = Extract(server, Formats(kW3C), {});
  for (const char* name : {"traceparent", "tracestate", "baggage"}) {
    EXPECT_EQ(StringOf(request, name), "none") << name;
  }
  EXPECT_EQ(Inject(request, Formats(kW3C)).size(), 0u);

  const Scope traced = Extract(server, Formats(kW3C), {{"traceparent", kTraceparent}});
  EXPECT_EQ(StringOf(traced, "tracestate"), "none") << "it is that of another trace";
  EXPECT_EQ(StringOf(traced, "baggage"), "none");
}

TEST(Extract, Rule59_MalformedOnesHideTheParentsToo) {
  const Scope server = Extract(ctx_background(), Formats(kW3C), Whole());
  const Scope request =
      Extract(server, Formats(kW3C),
              {{"traceparent", "00-0-0-0"}, {"tracestate", "c=3"}, {"baggage", ";"}});
  for (const char* name : {"traceparent", "tracestate", "baggage"}) {
    EXPECT_EQ(StringOf(request, name), "none") << name;
  }
  const Scope state =
      Extract(server, Formats(kW3C), {{"traceparent", kTraceparent}, {"tracestate", "c"}});
  EXPECT_EQ(StringOf(state, "tracestate"), "none");
}

TEST(Extract, Rule59_FormatsThatNobodyAskedForStay) {
  const Ctx ctx = WithString(WithString(ctx_background(), "other", "kept"), "baggage", "a=1");
  const Scope made = Extract(ctx, Formats(CTX_FORMAT_TRACE), Whole());
  EXPECT_EQ(StringOf(made, "baggage"), "a=1");
  EXPECT_EQ(StringOf(made, "other"), "kept");
  EXPECT_EQ(StringOf(Extract(ctx, Formats(kW3C), Whole()), "other"), "kept");
  const HeaderMap sent = Inject(ctx, Formats(kAll));
  EXPECT_EQ(sent["baggage"], "a=1");
  EXPECT_EQ(sent.size(), 1u) << "a string of another name is no header";
}

TEST(Extract, Rule59_TheParentKeepsItsOwn) {
  const Scope server = Extract(ctx_background(), Formats(kW3C), Whole());
  const Scope request = Extract(server, Formats(kW3C), {{"baggage", "x=9"}});
  EXPECT_EQ(StringOf(server, "baggage"), "b=2");
  EXPECT_EQ(StringOf(request, "baggage"), "x=9");
}

TEST(Extract, Rule59_NamesOfHeadersAndOfTheEnvironment) {
  HeaderMap map = Whole();
  const ctx_formats_t headers = Formats(kAll, kTimeoutMs);
  Scope made;
  EXPECT_EQ(ctx_extract(ctx_background(), &headers, HeaderMap::Get, &map, made.ctx.out(),
                        made.canceler.out()),
            0);
  EXPECT_EQ(map.names(), (std::vector<std::string>{"grpc-timeout", kTimeoutMs, "traceparent",
                                                   "tracestate", "baggage"}));
  EXPECT_EQ(Inject(made, headers).names(), map.names());

  const uint32_t environment = kW3C | CTX_FORMAT_ENVIRONMENT;
  const HeaderMap sent = Inject(made, Formats(environment | CTX_FORMAT_GRPC_TIMEOUT, kTimeoutMs));
  EXPECT_EQ(sent.names(), (std::vector<std::string>{"grpc-timeout", kTimeoutMs, "TRACEPARENT",
                                                    "TRACESTATE", "BAGGAGE"}));
  const Scope child = Extract(ctx_background(), Formats(environment), sent);
  EXPECT_EQ(StringOf(child, "traceparent"), kTraceparent);
  EXPECT_EQ(StringOf(child, "tracestate"), "a=1");
  EXPECT_EQ(StringOf(child, "baggage"), "b=2");
}

TEST(Extract, Rule59_NothingIsAskedForThatDoesNotCount) {
  HeaderMap map = {{"tracestate", "a=1"}};
  const ctx_formats_t formats = Formats(CTX_FORMAT_TRACE);
  Ctx made;
  EXPECT_EQ(ctx_extract(ctx_background(), &formats, HeaderMap::Get, &map, made.out(), nullptr), 0);
  EXPECT_EQ(map.names(), std::vector<std::string>{"traceparent"});
  EXPECT_EQ(StringOf(made, "tracestate"), "none");
}

TEST(Extract, Rule59_LiesOfAMap) {
  const ctx_formats_t formats = Formats(kAll, kTimeoutMs);
  const auto null_text = [](const char*, const char** text, void*) {
    *text = nullptr;
    return int64_t{7};
  };
  const auto nothing = [](const char*, const char** text, void*) {
    *text = "text";
    return INT64_MIN;
  };
  const auto forgot = [](const char*, const char**, void*) { return INT64_MAX; };
  for (ctx_get_fn get : {static_cast<ctx_get_fn>(null_text), static_cast<ctx_get_fn>(nothing),
                         static_cast<ctx_get_fn>(forgot)}) {
    Scope made;
    EXPECT_EQ(
        ctx_extract(ctx_background(), &formats, get, nullptr, made.ctx.out(), made.canceler.out()),
        0);
    EXPECT_EQ(Deadline(made), CTX_FOREVER);
    EXPECT_EQ(StringOf(made, "traceparent"), "none");
  }
}

TEST(Inject, Rule60_SetStopsIt) {
  const Scope made = Extract(ctx_background(), Formats(kW3C), Whole());
  const ctx_formats_t formats = Formats(kW3C);
  for (int answer : {1, -1, -EPIPE, INT32_MAX}) {
    struct Calls {
      int answer, count;
    } calls = {answer, 0};
    const auto stop = [](const char*, const char*, void* arg) {
      auto* const stopped = static_cast<Calls*>(arg);
      return ++stopped->count == 2 ? stopped->answer : 0;
    };
    EXPECT_EQ(ctx_inject(made, &formats, stop, &calls), answer);
    EXPECT_EQ(calls.count, 2);
  }
}

TEST(Inject, Rule52_UserCodeMayUseTheLibraryAndIsNoCancellationPoint) {
  const Scope made = Extract(ctx_background(), Formats(kW3C), Whole());
  const ctx_formats_t formats = Formats(kW3C);
  struct State {
    const Scope* of;
    int cancel_state, canceled;
  } state = {&made, -1, -1};
  const auto set = [](const char*, const char*, void* arg) {
    auto* const of = static_cast<State*>(arg);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &of->cancel_state);
    of->canceled = of->of->Cancel();
    return 1;
  };
  EXPECT_EQ(ctx_inject(made, &formats, set, &state), 1);
  EXPECT_EQ(state.cancel_state, PTHREAD_CANCEL_DISABLE);
  EXPECT_EQ(state.canceled, 1);
  const auto get = [](const char*, const char**, void* arg) {
    auto* const of = static_cast<State*>(arg);
    of->cancel_state = -1;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &of->cancel_state);
    return int64_t{-1};
  };
  Ctx ctx;
  EXPECT_EQ(ctx_extract(ctx_background(), &formats, get, &state, ctx.out(), nullptr), 0);
  EXPECT_EQ(state.cancel_state, PTHREAD_CANCEL_DISABLE);
}

TEST(Propagate, BadArgumentsAreEINVAL) {
  const ctx_formats_t formats = Formats(kAll, kTimeoutMs);
  HeaderMap map = Whole();
  ctx_t* ret = ctx_todo();
  const auto extract = [&](ctx_t* parent, const ctx_formats_t* options, ctx_get_fn get) {
    ctx_canceler_t* canceler = nullptr;
    const int result = ctx_extract(parent, options, get, &map, &ret, &canceler);
    EXPECT_EQ(ret, ctx_todo());
    EXPECT_EQ(canceler, nullptr);
    return result;
  };
  ctx_t* const root = ctx_background();
  EXPECT_EQ(extract(nullptr, &formats, HeaderMap::Get), -EINVAL);
  EXPECT_EQ(extract(root, nullptr, HeaderMap::Get), -EINVAL);
  EXPECT_EQ(extract(root, &formats, nullptr), -EINVAL);
  EXPECT_EQ(ctx_extract(root, &formats, HeaderMap::Get, &map, nullptr, nullptr), -EINVAL);
  EXPECT_EQ(ctx_inject(nullptr, &formats, HeaderMap::Set, &map), -EINVAL);
  EXPECT_EQ(ctx_inject(root, nullptr, HeaderMap::Set, &map), -EINVAL);
  EXPECT_EQ(ctx_inject(root, &formats, nullptr, &map), -EINVAL);

  const auto both = [&](const ctx_formats_t& bad, int error) {
    EXPECT_EQ(extract(root, &bad, HeaderMap::Get), error);
    EXPECT_EQ(ctx_inject(root, &bad, HeaderMap::Set, &map), error);
  };
  ctx_formats_t bad = formats;
  for (size_t size : {size_t{0}, size_t{1}, sizeof(size_t) - 1}) {
    bad.size = size;
    both(bad, -EINVAL);
  }
  for (uint32_t flag = 16; flag != 0; flag <<= 1) both(Formats(kAll | flag), -EINVAL);
  for (const char* name : {"", "a b", "a:", "a\n", "\xC3\xA9", "a,b", "a\x7F"})
    both(Formats(0, name), -EINVAL);
  bad = formats;
  bad.maximum_ns = -1;
  both(bad, -EINVAL);
  bad = formats;
  bad.default_ns = INT64_MIN;
  both(bad, -EINVAL);
  EXPECT_TRUE(map.names().empty()) << "the map was not asked";
}

// A caller that was compiled with an older or a newer struct.
TEST(Propagate, Rule43_SizedAsOtherOptions) {
  struct {
    ctx_formats_t known;
    unsigned char later[16];
  } newer{};
  newer.known = Formats(kW3C);
  newer.known.size = sizeof newer;
  HeaderMap map = Whole();
  Ctx made;
  EXPECT_EQ(ctx_extract(ctx_background(), &newer.known, HeaderMap::Get, &map, made.out(), nullptr),
            0);
  newer.later[15] = 1;
  ctx_t* none = nullptr;
  EXPECT_EQ(ctx_extract(ctx_background(), &newer.known, HeaderMap::Get, &map, &none, nullptr),
            -E2BIG);
  EXPECT_EQ(ctx_inject(ctx_background(), &newer.known, HeaderMap::Set, &map), -E2BIG);
  ctx_formats_t older = Formats(kAll, "not read");
  older.maximum_ns = -1;
  older.size = offsetof(ctx_formats_t, timeout_ms);
  EXPECT_EQ(ctx_extract(ctx_background(), &older, HeaderMap::Get, &map, made.out(), nullptr), 0);
  EXPECT_EQ(StringOf(made, "baggage"), "b=2");
}

// A function of the caller's that forks, and returns in the child, too.
TEST(Propagate, Rule47_AForkInside) {
  const Scope made = Extract(ctx_background(), Formats(kW3C), Whole());
  const ctx_formats_t formats = Formats(kW3C);
  struct Forked {
    pid_t child = -1;
    int calls = 0;
  };
  Forked sent, asked;
  const auto set = [](const char*, const char*, void* arg) {
    auto* const forked = static_cast<Forked*>(arg);
    if (++forked->calls == 2) forked->child = fork();
    return 0;
  };
  const auto get = [](const char*, const char** text, void* arg) {
    auto* const forked = static_cast<Forked*>(arg);
    if (++forked->calls == 3) forked->child = fork();
    *text = kTraceparent;
    return static_cast<int64_t>(std::strlen(kTraceparent));
  };
  const auto ends_with_0 = [](pid_t child) {
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  };
  const int injected = ctx_inject(made, &formats, set, &sent);
  if (sent.child == 0) _exit(injected == -ECHILD && sent.calls == 2 ? 0 : 1);
  EXPECT_EQ(injected, 0);
  EXPECT_EQ(sent.calls, 3);
  ends_with_0(sent.child);

  ctx_t* ctx = nullptr;
  const int extracted = ctx_extract(ctx_background(), &formats, get, &asked, &ctx, nullptr);
  if (asked.child == 0) _exit(extracted == -ECHILD && ctx == nullptr ? 0 : 1);
  EXPECT_EQ(extracted, 0);
  ctx_unref(ctx);
  ends_with_0(asked.child);
}

TEST(Propagate, Rule47_AChildReadsWhatWasMadeBefore) {
  const ctx_formats_t formats = Formats(kAll);
  const Scope made =
      Extract(ctx_background(), formats, {{"traceparent", kTraceparent}, {"baggage", "b=2"}});
  const Cause cause = NewCause(7, "why");
  InChild([&] {
    EXPECT_EQ(Inject(made, formats)["traceparent"], kTraceparent);
    EXPECT_EQ(MemberOf(made, "b"), "2");
    EXPECT_EQ(ctx_require(made, kHour), 0);
    EXPECT_GT(ctx_cause_encode(cause, nullptr, nullptr, 0), 0);
    EXPECT_EQ(ctx_cause_peer(cause), nullptr);
    HeaderMap map;
    ctx_t* none = nullptr;
    EXPECT_EQ(ctx_extract(made, &formats, HeaderMap::Get, &map, &none, nullptr), -ECHILD);
    EXPECT_EQ(ctx_with_baggage(made, "b", "3", &none), -ECHILD);
    EXPECT_EQ(MemberOf(Extract(ctx_background(), formats, {{"baggage", "c=3"}}), "c"), "3");
  });
}

TEST(Propagate, Rule59_NothingIsLeftBehind) {
  Drop drop;
  {
    const Ctx watched = Watched(ctx_background(), &drop);
    const Scope made = Extract(watched, Formats(kAll, kTimeoutMs), Whole());
    Ctx more;
    EXPECT_EQ(ctx_with_baggage(made, "more", "1", more.out()), 0);
    HeaderMap bad = {{"grpc-timeout", "x"}};
    const ctx_formats_t formats = Formats(kAll);
    ctx_t* none = nullptr;
    EXPECT_EQ(ctx_extract(watched, &formats, HeaderMap::Get, &bad, &none, nullptr), -EBADMSG);
    EXPECT_EQ(drop.count(), 0);
  }
  EXPECT_EQ(drop.count(), 1);
}

}  // namespace
}  // namespace ctxtest
