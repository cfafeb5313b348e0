// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "core/life/derive.h"
#include "core/life/propagate.h"
#include "core/loop/loop.h"
#include "core/loop/roots.h"
#include "core/system/clock.h"
#include "core/system/thread.h"
#include "core/wire/baggage.h"
#include "core/wire/timeout.h"
#include "core/wire/trace.h"

namespace ctxcore {

namespace {

// One call of extract(): the map, and the contexts made so far.
class Extraction {
 public:
  Extraction(Context* parent, const Formats& formats, GetFunction get, void* arg)
      : formats_(formats), get_(get), arg_(arg), parent_(parent), last_(parent) {}

  int run(uint32_t refs, Node** ret) {
    int64_t timeout = kForever;
    int result = read_timeouts(&timeout);
    if (result == 0 && formats_.trace) result = take_trace();
    if (result == 0 && formats_.baggage) {
      result = take(kBaggageString, kBaggageBytes, keep_baggage);
    }
    if (result == 0) result = finish(timeout, refs, ret);
    if (last_ != parent_ && process_.is_ours()) release(last_);
    return result;
  }

 private:
  // Whether the map has something under this name. In a child that get() has forked, the library does nothing more.
  int ask(const char* name, std::string_view* text) {
    const char* at = nullptr;
    int64_t length = -1;
    {
      const Uncancelable uncancelable;
      length = get_(name, &at, arg_);
    }
    if (!process_.is_ours()) return -ECHILD;
    if (at == nullptr || length < 0) return 0;
    *text = {at, static_cast<size_t>(length)};
    return 1;
  }

  int read_timeout(const char* name, int64_t (*read)(std::string_view), int64_t* earliest) {
    std::string_view text;
    const int result = ask(name, &text);
    if (result <= 0) return result;
    const int64_t timeout = read(text);
    if (timeout == kMalformedTimeout) return -EBADMSG;
    *earliest = std::min(*earliest, timeout);
    return 1;
  }

  int read_timeouts(int64_t* timeout) {
    int named = 0;
    if (formats_.grpc_timeout) {
      const int result = read_timeout("grpc-timeout", read_grpc_timeout, timeout);
      if (result < 0) return result;
      named |= result;
    }
    if (formats_.milliseconds != nullptr) {
      const int result = read_timeout(formats_.milliseconds, read_milliseconds, timeout);
      if (result < 0) return result;
      named |= result;
    }
    if (named == 0 && formats_.ordinary != 0) *timeout = formats_.ordinary;
    if (formats_.maximum != 0) *timeout = std::min(*timeout, formats_.maximum);
    return 0;
  }

  int take_trace() {
    std::string_view text;
    int result = ask(name_in(formats_, kTraceparentString), &text);
    if (result < 0) return result;
    char traceparent[kTraceparent + 1];
    if (result == 0 || !read_traceparent(text, traceparent)) {
      result = hide(kTraceparentString);
      return result < 0 ? result : hide(kTracestateString);
    }
    Context* made = nullptr;
    result = derive_string(last_, kCarriedNames[kTraceparentString].header, traceparent, &made);
    if (result < 0) return result;
    go_on_below(made);
    return take(kTracestateString, kLongestTracestate, keep_tracestate);
  }

  // A string of what keep() keeps of the map's text; if that is nothing, there is no string.
  int take(size_t which, size_t limit, Keep keep) {
    std::string_view text;
    const int result = ask(name_in(formats_, which), &text);
    if (result < 0) return result;
    if (result == 0 || text.empty()) return hide(which);
    const size_t room = std::min(text.size(), limit);
    char* at = nullptr;
    Value* const made = make_string(last_, kCarriedNames[which].header, room + 1, &at);
    if (made == nullptr) return -ENOMEM;
    Text kept(at, room);
    if (keep(text, kept) == 0) made->value = nullptr;
    kept.end();
    go_on_below(made);
    return 0;
  }

  int hide(size_t which) {
    if (find_string(last_, kCarriedNames[which].header) == nullptr) return 0;
    Context* made = nullptr;
    const int result = derive_string(last_, kCarriedNames[which].header, nullptr, &made);
    if (result == 0) go_on_below(made);
    return result;
  }

  void go_on_below(Context* made) {
    if (last_ != parent_) release(last_);  // the one below it keeps it
    last_ = made;
  }

  int finish(int64_t timeout, uint32_t refs, Node** ret) {
    if (timeout == kForever) return derive_cancel(last_, refs, ret);
    const int64_t now = family_loop(node_of(last_))->now();
    return derive_deadline(last_, saturating_add(now, timeout), now, nullptr, refs, ret);
  }

  const Formats& formats_;
  const GetFunction get_;
  void* const arg_;
  Context* const parent_;
  Context* last_;
  const Process process_;
};

}  // namespace

int extract(Context* parent, const Formats& formats, GetFunction get, void* arg, uint32_t refs,
            Node** ret) {
  return Extraction(parent, formats, get, arg).run(refs, ret);
}

}  // namespace ctxcore
