// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/life/propagate.h"
#include "core/loop/loop.h"
#include "core/system/clock.h"
#include "core/system/thread.h"
#include "core/wire/baggage.h"
#include "core/wire/timeout.h"
#include "core/wire/trace.h"

namespace ctxcore {

namespace {

// A string as it goes out: itself, if all of it is well formed, else a copy of what is.
class Outgoing {
 public:
  Outgoing() = default;
  ~Outgoing() { deallocate(memory_); }
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  // -ENOMEM without memory.
  int take(const char* string, size_t limit, Keep keep) {
    if (string == nullptr) return 0;
    const std::string_view whole(string, strnlen(string, limit + 1));
    Text counted(nullptr, 0);
    if (keep(whole, counted) == 0) return 0;
    text_ = string;
    if (counted.length() == whole.size()) return 0;  // nothing was left out
    memory_ = static_cast<char*>(allocate(counted.length() + 1));
    if (memory_ == nullptr) return -ENOMEM;
    Text kept(memory_, counted.length());
    keep(whole, kept);
    kept.end();
    text_ = memory_;
    return 0;
  }
  const char* text() const { return text_; }

 private:
  const char* text_ = nullptr;
  char* memory_ = nullptr;
};

}  // namespace

int inject(const Context* context, const Formats& formats, StringFunction set, void* arg) {
  const Node* const node = node_of(context);
  if (const int error = error_of(node); error != 0) return error;
  const auto string = [context](size_t which) {
    return find_string(context, kCarriedNames[which].header);
  };
  char traceparent[kTraceparent + 1];
  bool traced = false;
  Outgoing tracestate, baggage;
  if (formats.trace) {
    const char* const held = string(kTraceparentString);
    traced = held != nullptr && read_traceparent(held, traceparent);
  }
  if (traced) {
    const int result =
        tracestate.take(string(kTracestateString), kLongestTracestate, keep_tracestate);
    if (result < 0) return result;
  }
  if (formats.baggage) {
    const int result = baggage.take(string(kBaggageString), kBaggageBytes, keep_baggage);
    if (result < 0) return result;
  }
  // A deadline that has passed, on a loop that has not fired it yet, goes out as the shortest timeout there is.
  const bool timed = node->deadline != kForever;
  const int64_t left =
      timed ? std::max<int64_t>(saturating_sub(node->deadline, loop_of(node)->now()), 1) : 0;
  char grpc_timeout[kTimeoutText], milliseconds[kTimeoutText];
  if (timed) write_grpc_timeout(left, grpc_timeout);
  const bool in_ms =
      timed && formats.milliseconds != nullptr && write_milliseconds(left, milliseconds);
  const struct {
    const char* name;
    const char* text;
  } headers[] = {{"grpc-timeout", timed && formats.grpc_timeout ? grpc_timeout : nullptr},
                 {formats.milliseconds, in_ms ? milliseconds : nullptr},
                 {name_in(formats, kTraceparentString), traced ? traceparent : nullptr},
                 {name_in(formats, kTracestateString), tracestate.text()},
                 {name_in(formats, kBaggageString), baggage.text()}};
  const Process process;
  const Uncancelable uncancelable;
  for (const auto& header : headers) {
    if (header.text == nullptr) continue;
    const int result = set(header.name, header.text, arg);
    if (!process.is_ours()) return -ECHILD;
    if (result != 0) return result;
  }
  return 0;
}

}  // namespace ctxcore
