// SPDX-License-Identifier: MIT
#include "calls.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "support/time.h"

namespace ctxtest {
namespace {

std::atomic<long> handles{0};
std::atomic<const void*> roots[2];

bool IsRoot(const void* handle) {
  return handle != nullptr && (handle == roots[0] || handle == roots[1]);
}

// Counts what a call has handed out, if it did.
template <class... Made>
int Given(int result, Made*... made) {
  if (result >= 0) handles += (0 + ... + (made != nullptr && *made != nullptr ? 1 : 0));
  return result;
}
template <class Handle>
Handle* Given(Handle* handle) {
  if (handle != nullptr && !IsRoot(handle)) ++handles;
  return handle;
}
template <class Handle>
void Back(Handle* handle) {
  if (handle != nullptr && !IsRoot(handle)) --handles;
}

void* Find(const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();
  return found;
}

template <auto Function>
struct Name;

template <auto Function, class... Args>
auto Call(Args... args) {
  return answer<Function> ? answer<Function>(args...) : Library<Function>()(args...);
}

// After each case all handles are back, as soon as other threads have ended what they do.
class AllComeBack : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { before_ = Handles(); }
  void OnTestEnd(const testing::TestInfo&) override {
    if (patient_) patient_ = Soon([&] { return Handles() == before_; });
    EXPECT_EQ(Handles() - before_, 0) << "handles that were not given back, or given back twice";
  }
  bool patient_ = true;  // until a handle is lost: later cases do not wait for others
  long before_ = 0;
};
const bool listens = [] {
  testing::UnitTest::GetInstance()->listeners().Append(new AllComeBack);
  return true;
}();

}  // namespace

long Handles() { return handles; }

template <auto Function>
decltype(Function) Library() {
  static const auto found = reinterpret_cast<decltype(Function)>(Find(Name<Function>::value));
  return found;
}

}  // namespace ctxtest

using ctxtest::Back;
using ctxtest::Call;
using ctxtest::Given;

// CALL(function): what follows may call it by Call<function>().
#define CALL(function)                              \
  template <>                                       \
  struct ctxtest::Name<function> {                  \
    static constexpr const char* value = #function; \
  };                                                \
  template decltype(&function) ctxtest::Library<function>();

CALL(ctx_background)
ctx_t* ctx_background() {
  ctx_t* const root = Call<ctx_background>();
  ctxtest::roots[0] = root;
  return root;
}
CALL(ctx_todo)
ctx_t* ctx_todo() {
  ctx_t* const root = Call<ctx_todo>();
  ctxtest::roots[1] = root;
  return root;
}

// Handles that are counted: one more, and one back.
#define COUNTED(type, ref, unref)                              \
  CALL(ref)                                                    \
  type* ref(type* handle) { return Given(Call<ref>(handle)); } \
  CALL(unref)                                                  \
  type* unref(type* handle) {                                  \
    Back(handle);                                              \
    return Call<unref>(handle);                                \
  }
COUNTED(ctx_t, ctx_ref, ctx_unref)
COUNTED(ctx_canceler_t, ctx_canceler_ref, ctx_canceler_unref)
COUNTED(const ctx_cause_t, ctx_cause_ref, ctx_cause_unref)
COUNTED(ctx_queue_t, ctx_queue_ref, ctx_queue_unref)
COUNTED(ctx_loop_t, ctx_loop_ref, ctx_loop_unref)
COUNTED(ctx_group_t, ctx_group_ref, ctx_group_unref)
CALL(ctx_watch_unref)
ctx_watch_t* ctx_watch_unref(ctx_watch_t* watch) {
  Back(watch);
  return Call<ctx_watch_unref>(watch);
}

// What hands a context out, alone or with a canceler.
CALL(ctx_with_cancel)
int ctx_with_cancel(ctx_t* parent, ctx_t** made, ctx_canceler_t** right) {
  return Given(Call<ctx_with_cancel>(parent, made, right), made, right);
}
CALL(ctx_with_timeout_cause)
int ctx_with_timeout_cause(ctx_t* parent, int64_t ns, const ctx_cause_t* why, ctx_t** made,
                           ctx_canceler_t** right) {
  return Given(Call<ctx_with_timeout_cause>(parent, ns, why, made, right), made, right);
}
CALL(ctx_with_deadline_cause)
int ctx_with_deadline_cause(ctx_t* parent, int64_t ns, const ctx_cause_t* why, ctx_t** made,
                            ctx_canceler_t** right) {
  return Given(Call<ctx_with_deadline_cause>(parent, ns, why, made, right), made, right);
}
CALL(ctx_with_idle)
int ctx_with_idle(ctx_t* parent, int64_t ns, const ctx_cause_t* why, ctx_t** made,
                  ctx_canceler_t** right) {
  return Given(Call<ctx_with_idle>(parent, ns, why, made, right), made, right);
}
CALL(ctx_with_grace)
int ctx_with_grace(ctx_t* parent, int64_t ns, ctx_t** made, ctx_canceler_t** right) {
  return Given(Call<ctx_with_grace>(parent, ns, made, right), made, right);
}
CALL(ctx_merge)
int ctx_merge(ctx_t* const* parents, size_t n, ctx_t** made, ctx_canceler_t** right) {
  return Given(Call<ctx_merge>(parents, n, made, right), made, right);
}
CALL(ctx_with_fd)
int ctx_with_fd(ctx_t* parent, int fd, uint32_t events, ctx_t** made, ctx_canceler_t** right) {
  return Given(Call<ctx_with_fd>(parent, fd, events, made, right), made, right);
}
CALL(ctx_with_signal)
int ctx_with_signal(ctx_t* parent, const int* signals, size_t n, ctx_t** made,
                    ctx_canceler_t** right) {
  return Given(Call<ctx_with_signal>(parent, signals, n, made, right), made, right);
}
CALL(ctx_without_cancel)
int ctx_without_cancel(ctx_t* parent, ctx_t** made) {
  return Given(Call<ctx_without_cancel>(parent, made), made);
}
CALL(ctx_with_value)
int ctx_with_value(ctx_t* parent, const ctx_key_t* key, void* value, ctx_drop_fn drop,
                   ctx_t** made) {
  return Given(Call<ctx_with_value>(parent, key, value, drop, made), made);
}
CALL(ctx_with_name)
int ctx_with_name(ctx_t* parent, const char* name, ctx_t** made) {
  return Given(Call<ctx_with_name>(parent, name, made), made);
}
CALL(ctx_with_string)
int ctx_with_string(ctx_t* parent, const char* name, const char* value, ctx_t** made) {
  return Given(Call<ctx_with_string>(parent, name, value, made), made);
}
CALL(ctx_with_baggage)
int ctx_with_baggage(ctx_t* parent, const char* name, const char* value, ctx_t** made) {
  return Given(Call<ctx_with_baggage>(parent, name, value, made), made);
}
CALL(ctx_extract)
int ctx_extract(ctx_t* parent, const ctx_formats_t* formats, ctx_get_fn get, void* arg,
                ctx_t** made, ctx_canceler_t** right) {
  return Given(Call<ctx_extract>(parent, formats, get, arg, made, right), made, right);
}
CALL(ctx_import)
int ctx_import(const char* text, ctx_t* parent, ctx_t** made, ctx_canceler_t** right) {
  return Given(Call<ctx_import>(text, parent, made, right), made, right);
}
CALL(ctx_export)
int ctx_export(ctx_t* ctx, char* text, size_t size, ctx_watch_t** made) {
  return Given(Call<ctx_export>(ctx, text, size, made), made);
}
CALL(ctx_group_over)
int ctx_group_over(ctx_group_t* group, ctx_t** made) {
  return Given(Call<ctx_group_over>(group, made), made);
}
CALL(ctx_loop_background)
int ctx_loop_background(ctx_loop_t* loop, ctx_t** made) {
  return Given(Call<ctx_loop_background>(loop, made), made);
}

// What hands out other handles.
CALL(ctx_cause_new)
int ctx_cause_new(int code, const char* message, ctx_cause_t** made) {
  return Given(Call<ctx_cause_new>(code, message, made), made);
}
CALL(ctx_cause_new_at)
int ctx_cause_new_at(int code, const char* message, int origin, const char* file, int line,
                     const char* function, const ctx_key_t* key, void* data, ctx_drop_fn drop,
                     ctx_cause_t** made) {
  return Given(
      Call<ctx_cause_new_at>(code, message, origin, file, line, function, key, data, drop, made),
      made);
}
CALL(ctx_cause_decode)
int ctx_cause_decode(const char* text, size_t length, ctx_cause_t** made) {
  return Given(Call<ctx_cause_decode>(text, length, made), made);
}
CALL(ctx_after_func)
int ctx_after_func(ctx_t* ctx, ctx_fn fn, void* arg, ctx_drop_fn drop, uint32_t flags,
                   ctx_watch_t** made) {
  ++ctxtest::handles;  // beforehand: inside the call, what it arms may run and give the watch back
  const int result = Call<ctx_after_func>(ctx, fn, arg, drop, flags, made);
  if (result < 0 || made == nullptr) --ctxtest::handles;
  return result;
}
CALL(ctx_queue_add)
int ctx_queue_add(ctx_queue_t* queue, ctx_t* ctx, uint64_t token, ctx_watch_t** made) {
  return Given(Call<ctx_queue_add>(queue, ctx, token, made), made);
}
CALL(ctx_queue_drain_ctxs)
int64_t ctx_queue_drain_ctxs(ctx_queue_t* queue, ctx_event_t* events, ctx_t** contexts, size_t n) {
  const int64_t taken = Call<ctx_queue_drain_ctxs>(queue, events, contexts, n);
  if (taken > 0) ctxtest::handles += taken;
  return taken;
}
CALL(ctx_queue_new)
int ctx_queue_new(ctx_queue_t** made) { return Given(Call<ctx_queue_new>(made), made); }
CALL(ctx_loop_new)
int ctx_loop_new(int kind, const ctx_loop_options_t* options, ctx_loop_t** made) {
  return Given(Call<ctx_loop_new>(kind, options, made), made);
}
CALL(ctx_group_new)
int ctx_group_new(ctx_t* parent, ctx_group_t** made) {
  return Given(Call<ctx_group_new>(parent, made), made);
}
CALL(ctx_group_new_below)
int ctx_group_new_below(ctx_group_t* outer, ctx_group_t** made) {
  return Given(Call<ctx_group_new_below>(outer, made), made);
}

// What tests answer for.
CALL(ctx_wait)
int ctx_wait(ctx_t* ctx, int64_t ns) { return Call<ctx_wait>(ctx, ns); }
CALL(ctx_wait_any)
int ctx_wait_any(ctx_t* const* all, size_t n, int64_t ns, size_t* index) {
  return Call<ctx_wait_any>(all, n, ns, index);
}
CALL(ctx_poll)
int ctx_poll(ctx_t* ctx, struct pollfd* fds, nfds_t n, int64_t ns) {
  return Call<ctx_poll>(ctx, fds, n, ns);
}
CALL(ctx_queue_wait)
int64_t ctx_queue_wait(ctx_queue_t* queue, ctx_event_t* events, size_t n, int64_t ns) {
  return Call<ctx_queue_wait>(queue, events, n, ns);
}
CALL(ctx_group_wait)
int ctx_group_wait(ctx_group_t* group, int64_t ns) { return Call<ctx_group_wait>(group, ns); }
CALL(ctx_describe)
int ctx_describe(const ctx_t* ctx, char* text, size_t size) {
  return Call<ctx_describe>(ctx, text, size);
}
CALL(ctx_watch_stop)
int ctx_watch_stop(ctx_watch_t* watch) { return Call<ctx_watch_stop>(watch); }
CALL(ctx_watch_stop_wait)
int ctx_watch_stop_wait(ctx_watch_t* watch) { return Call<ctx_watch_stop_wait>(watch); }
CALL(ctx_shutdown)
int ctx_shutdown(int64_t ns) { return Call<ctx_shutdown>(ns); }
