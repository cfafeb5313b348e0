// SPDX-License-Identifier: MIT
//
// Everything that is text, a size, a flag or a number: names, strings, values' keys, messages and places of causes,
// descriptions in buffers of every size, option structs of other versions, origins, codes, events of descriptors. Each
// text is compared with what plain code makes of it, each buffer ends where it was said to, and what the headers do
// not allow is refused.
#include <ctx/ctx.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/input.h"
#include "fuzz/plain_text.h"
#include "fuzz/system.h"

namespace fuzz {
namespace {

ctx_loop_t* default_loop;

int64_t AnyTime(Input& in) {
  switch (in.Pick(5)) {
    case 0:
      return static_cast<int64_t>(in.Number(8));
    case 1:
      return static_cast<int64_t>(in.Number(4));
    case 2:
      return -static_cast<int64_t>(in.Number(5));
    case 3:
      return INT64_MAX - in.Byte();
    default:
      return INT64_MIN + in.Byte();
  }
}

// Memory that ends where it must: a byte beyond is found by AddressSanitizer.
struct Exact {
  explicit Exact(const std::string& text) : bytes(new char[text.size() + 1]) {
    std::memcpy(bytes.get(), text.c_str(), text.size() + 1);
  }
  const char* get() const { return bytes.get(); }
  std::unique_ptr<char[]> bytes;
};

// A family on a virtual loop, of which each member has a text of its own.
class Described {
 public:
  explicit Described(Input& in) : in_(in) {
    FUZZ_EQ(ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &loop_), 0);
    ctx_t* root = nullptr;
    FUZZ_EQ(ctx_loop_background(loop_, &root), 0);
    ctxs_.push_back(root);
    text_ = "context.Background";
    FUZZ_EQ(pipe2(pipe_, O_CLOEXEC), 0);
    now_ = in_.Pick(2) == 0 ? 0 : static_cast<int64_t>(in_.Number(6));
    ctx_loop_advance(loop_, now_);
    for (size_t n = 1 + in_.Pick(8); n > 0; --n) Add();
    Compare();
    for (ctx_t* ctx : ctxs_) ctx_unref(ctx);
    ctx_loop_unref(loop_);
    close(pipe_[0]);
    close(pipe_[1]);
  }

 private:
  void Add() {
    ctx_t* const above = ctxs_.back();
    ctx_t* made = nullptr;
    switch (in_.Pick(9)) {
      case 0: {
        const std::string name = in_.Text(40);
        Say("ctx_with_name(%s)", name.c_str());
        FUZZ_EQ(ctx_with_name(above, Exact(name).get(), &made), 0);
        text_ += ".WithName(" + name + ")";
        break;
      }
      case 1: {
        const std::string name = in_.Text(20), value = in_.Text(20);
        const bool hides = in_.Pick(4) == 3;
        Say("ctx_with_string(%s, %s)", name.c_str(), hides ? "NULL" : value.c_str());
        FUZZ_EQ(
            ctx_with_string(above, Exact(name).get(), hides ? nullptr : Exact(value).get(), &made),
            0);
        text_ += ".WithString(" + name + ")";
        strings_[name] = hides ? std::make_pair(false, std::string()) : std::make_pair(true, value);
        break;
      }
      case 2: {
        names_.push_back(std::make_unique<Exact>(in_.Text(20)));
        keys_.push_back(std::make_unique<ctx_key_t>());
        keys_.back()->name = in_.Pick(4) == 3 ? nullptr : names_.back()->get();
        const char* const name = keys_.back()->name;
        FUZZ_EQ(ctx_with_value(above, keys_.back().get(), this, nullptr, &made), 0);
        REQUIRE(ctx_value(made, keys_.back().get()) == this);
        const ctx_key_t other = *keys_.back();  // the same name is another key
        REQUIRE(ctx_value(made, &other) == nullptr);
        text_ += ".WithValue(" + std::string(name == nullptr ? "unnamed" : name) + ")";
        break;
      }
      case 3: {
        const int64_t deadline = AnyTime(in_);
        Say("ctx_with_deadline(%lld)", static_cast<long long>(deadline));
        int64_t before = CTX_FOREVER;
        ctx_deadline(above, &before);
        FUZZ_EQ(ctx_with_deadline(above, deadline, &made, nullptr), 0);
        text_ += before <= deadline ? ".WithCancel" : DeadlineText(deadline, now_);
        break;
      }
      case 4: {
        const int64_t grace = AnyTime(in_);
        FUZZ_EQ(ctx_with_grace(above, grace, &made, nullptr), 0);
        text_ += grace <= 0 ? ".WithCancel" : ".WithGrace(" + DurationText(grace) + ")";
        break;
      }
      case 5: {
        const int64_t idle = AnyTime(in_);
        FUZZ_EQ(ctx_with_idle(above, idle, nullptr, &made, nullptr), 0);
        text_ += ".WithIdle(" + DurationText(idle) + ")";
        break;
      }
      case 6: {
        const std::vector<ctx_t*> parents(1 + in_.Pick(30), above);
        FUZZ_EQ(ctx_merge(parents.data(), parents.size(), &made, nullptr), 0);
        text_ += ".Merge(" + std::to_string(parents.size()) + ")";
        break;
      }
      case 7:
        return Source(above);
      default:
        FUZZ_EQ(ctx_without_cancel(above, &made), 0);
        text_ += ".WithoutCancel";
    }
    ctxs_.push_back(made);
  }

  // Descriptors and signals: only what poll(2) and the system know is taken.
  void Source(ctx_t* above) {
    ctx_t* made = nullptr;
    if (in_.Pick(2) == 0) {
      const auto events =
          static_cast<uint32_t>(in_.Number(4)) & (in_.Pick(2) == 0 ? UINT32_MAX : 0xFFFu);
      constexpr uint32_t kKnown = POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLRDNORM |
                                  POLLRDBAND | POLLWRNORM | POLLWRBAND | 0x400 | POLLRDHUP;
      static constexpr int kBad[] = {-1, INT_MIN, INT_MAX, 100'000};
      const size_t which = in_.Pick(8);
      const int fd = which < 4 ? pipe_[0] : kBad[which - 4];
      const bool valid = events != 0 && (events & ~kKnown) == 0;
      Say("ctx_with_fd(%d, %#x)", fd, events);
      FUZZ_EQ(ctx_with_fd(above, fd, events, &made, nullptr), !valid      ? -EINVAL
                                                              : which < 4 ? 0
                                                                          : -EBADF);
      if (made == nullptr) return;
      text_ += ".WithFD(" + std::to_string(fd) + ")";
    } else {
      const int signals[] = {in_.Byte() - 8, in_.Byte() - 8};
      const size_t n = in_.Pick(3);
      bool valid = n > 0;
      for (size_t i = 0; i < n; ++i)
        valid = valid && (signals[i] == SIGURG || signals[i] == SIGWINCH);
      FUZZ_EQ(ctx_with_signal(above, signals, n, &made, nullptr), valid ? 0 : -EINVAL);
      if (made == nullptr) return;
      std::string names;
      for (int signal : {SIGURG, SIGWINCH}) {
        if (std::find(signals, signals + n, signal) == signals + n) continue;
        names +=
            (names.empty() ? "" : ", ") + std::string(signal == SIGURG ? "SIGURG" : "SIGWINCH");
      }
      text_ += ".WithSignal(" + names + ")";
    }
    ctxs_.push_back(made);
  }

  void Compare() {
    ctx_t* const ctx = ctxs_.back();
    FUZZ_EQ(ctx_describe(ctx, nullptr, 0), text_.size());
    FUZZ_EQ(ctx_describe(ctx, nullptr, 1), -EINVAL);
    const size_t sizes[] = {in_.Number(2) % 700, text_.size(), text_.size() + 1, 1, 2};
    for (size_t size : sizes) {
      if (size == 0) continue;
      const std::unique_ptr<char[]> buffer(new char[size]);
      FUZZ_EQ(ctx_describe(ctx, buffer.get(), size), text_.size());
      if (text_.substr(0, size - 1) != buffer.get()) {
        std::fprintf(stderr, "is      %s\nmust be %s\n", buffer.get(), text_.c_str());
        BROKEN("a description is not the beginning of the whole text");
      }
    }
    for (const auto& [name, value] : strings_) {
      const char* const found = ctx_string(ctx, Exact(name).get());
      REQUIRE(value.first ? found != nullptr && value.second == found : found == nullptr);
    }
  }

  Input& in_;
  ctx_loop_t* loop_ = nullptr;
  int64_t now_ = 0;
  int pipe_[2];
  std::string text_;
  std::vector<ctx_t*> ctxs_;
  std::vector<std::unique_ptr<ctx_key_t>> keys_;
  std::vector<std::unique_ptr<Exact>> names_;
  std::map<std::string, std::pair<bool, std::string>> strings_;
};

// What is written to a wire is read back: names and values of all strings, once each.
void Strings(Input& in) {
  std::vector<ctx_t*> ctxs = {ctx_background()};
  std::map<std::string, std::string> expected;
  for (size_t n = in.Pick(12); n > 0; --n) {
    const std::string name = in.Text(3), value = in.Text(8);
    const bool hides = in.Pick(4) == 3;
    ctx_t* made = nullptr;
    FUZZ_EQ(ctx_with_string(ctxs.back(), Exact(name).get(), hides ? nullptr : Exact(value).get(),
                            &made),
            0);
    ctxs.push_back(made);
    expected.erase(name);
    if (!hides) expected[name] = value;
  }
  std::map<std::string, std::string> seen;
  FUZZ_EQ(ctx_strings(
              ctxs.back(),
              [](const char* name, const char* value, void* arg) {
                auto& all = *static_cast<std::map<std::string, std::string>*>(arg);
                REQUIRE(all.emplace(name, value).second);
                return 0;
              },
              &seen),
          0);
  REQUIRE(seen == expected);
  for (size_t i = 1; i < ctxs.size(); ++i) ctx_unref(ctxs[i]);
}

void Causes(Input& in) {
  static constexpr int kCodes[] = {CTX_CANCELED, CTX_DEADLINE_EXCEEDED, INT_MIN, INT_MAX};
  const size_t which = in.Pick(8);
  const int code = which < 4 ? kCodes[which] : static_cast<int>(in.Number(which == 4 ? 4 : 1));
  const bool has_message = in.Pick(2) == 1, has_file = in.Pick(2) == 1;
  const bool has_function = in.Pick(2) == 1, has_key = in.Pick(2) == 1;
  const std::string message = in.Text(60), file = in.Text(60), function = in.Text(60);
  const int origin = static_cast<int>(in.Number(2)) - 100;
  const int line = static_cast<int>(in.Number(4));
  const bool data_alone = !has_key && in.Pick(4) == 3;
  static const ctx_key_t key = {"data"};
  int drops = 0;
  ctx_cause_t* cause = nullptr;
  const int result = ctx_cause_new_at(
      code, has_message ? Exact(message).get() : nullptr, origin,
      has_file ? Exact(file).get() : nullptr, line, has_function ? Exact(function).get() : nullptr,
      has_key ? &key : nullptr, has_key || data_alone ? &drops : nullptr,
      has_key ? [](void* count) { ++*static_cast<int*>(count); } : nullptr, &cause);
  const bool valid = origin >= 0 && origin <= 255 && line >= 0 && !data_alone;
  FUZZ_EQ(result, valid ? 0 : -EINVAL);
  const char* const text = ctx_strerror(code);
  REQUIRE(text != nullptr && text[0] != '\0');
  REQUIRE(code == INT_MIN || std::strcmp(text, ctx_strerror(-code)) == 0);
  if (!valid) return;
  FUZZ_EQ(ctx_cause_code(cause), code);
  REQUIRE((has_message ? message : text) == std::string(ctx_cause_message(cause)));
  FUZZ_EQ(ctx_cause_origin(cause), origin != 0                     ? origin
                                   : code == CTX_DEADLINE_EXCEEDED ? CTX_ORIGIN_DEADLINE
                                                                   : CTX_ORIGIN_CANCELED);
  REQUIRE(has_file ? file == ctx_cause_file(cause) : ctx_cause_file(cause) == nullptr);
  FUZZ_EQ(ctx_cause_line(cause), has_file ? line : 0);
  REQUIRE(has_file && has_function ? function == ctx_cause_function(cause)
                                   : ctx_cause_function(cause) == nullptr);
  REQUIRE(ctx_cause_data(cause, &key) == (has_key ? &drops : nullptr));
  const bool given = has_message || has_key || has_file || origin > 2 ||
                     (code != CTX_CANCELED && code != CTX_DEADLINE_EXCEEDED);
  FUZZ_EQ(ctx_cause_given(cause), given ? 1 : 0);
  ctx_cause_unref(cause);
  FUZZ_EQ(drops, has_key ? 1 : 0);
}

// Structs of any size, with anything in them.
void Options(Input& in) {
  const int kind = static_cast<int>(in.Pick(6)) - 1;
  const size_t room = sizeof(ctx_loop_options_t) + 24;
  std::vector<unsigned char> bytes(room, 0);
  auto* const options = reinterpret_cast<ctx_loop_options_t*>(bytes.data());
  const size_t size = in.Pick(2) == 0 ? sizeof *options : in.Pick(room + 1);
  const std::string name = in.Text(12);
  const Exact kept(name);
  options->flags = in.Pick(4) == 3 ? static_cast<uint32_t>(in.Number(4)) : 0;
  options->clock = static_cast<uint32_t>(in.Pick(2) == 0 ? in.Pick(3) : in.Number(4));
  options->name = in.Pick(2) == 0 ? nullptr : kept.get();
  options->post = in.Pick(8) == 7 ? [](void*, void (*)(void*), void*) { return -1; } : nullptr;
  options->executor = in.Pick(8) == 7 ? &in : nullptr;
  options->drop = in.Pick(8) == 7 ? [](void*) {} : nullptr;
  if (in.Pick(4) == 3) bytes[sizeof *options + in.Pick(24)] = in.Byte();
  options->size = size;
  // As the library sees it: what lies beyond the size is zero.
  ctx_loop_options_t seen{};
  std::memcpy(&seen, options, std::min(size, sizeof seen));
  bool unknown = false;
  for (size_t i = sizeof seen; i < size; ++i) unknown = unknown || bytes[i] != 0;
  if (size < sizeof seen.size) seen = {};
  // A pointer of which the size has cut off a part is nobody's.
  const auto cut = [&](size_t offset) { return size > offset && size < offset + sizeof(void*); };
  if (cut(offsetof(ctx_loop_options_t, name)) || cut(offsetof(ctx_loop_options_t, post)) ||
      cut(offsetof(ctx_loop_options_t, executor)) || cut(offsetof(ctx_loop_options_t, drop))) {
    return;
  }
  int expected = 0;
  const bool is_virtual = kind == CTX_LOOP_VIRTUAL;
  if (kind < 1 || kind > 3 || size < sizeof seen.size) {
    expected = -EINVAL;
  } else if (unknown) {
    expected = -E2BIG;
  } else if ((seen.flags & ~CTX_LOOP_START) != 0 || seen.clock > CTX_CLOCK_BOOTTIME) {
    expected = -EINVAL;
  } else if (seen.clock == CTX_CLOCK_BOOTTIME && is_virtual) {
    expected = -ENOTSUP;
  } else if (seen.name != nullptr && (name.empty() || name.size() > 9)) {
    expected = -EINVAL;
  } else if (seen.post == nullptr) {
    expected = seen.executor != nullptr || seen.drop != nullptr ? -EINVAL : 0;
  } else if (kind != CTX_LOOP_THREAD) {
    expected = -ENOTSUP;
  }
  // A loop with threads would run them: nothing here may start one.
  if (expected == 0 && kind == CTX_LOOP_THREAD && (seen.flags & CTX_LOOP_START) != 0) return;
  const std::vector<unsigned char> exact(
      bytes.begin(), bytes.begin() + static_cast<long>(std::max(size, sizeof size)));
  ctx_loop_t* loop = nullptr;
  Say("ctx_loop_new(%d, size %zu, flags %u, clock %u)", kind, size, seen.flags, seen.clock);
  FUZZ_EQ(ctx_loop_new(kind, reinterpret_cast<const ctx_loop_options_t*>(exact.data()), &loop),
          expected);
  REQUIRE((loop == nullptr) == (expected != 0));
  ctx_loop_unref(loop);
}

// Sizes and limits that nobody should pass.
void Sizes(Input& in) {
  ctx_t* const ctx = ctx_background();
  ctx_t* const ctxs[] = {ctx, ctx};
  ctx_t* made = nullptr;
  ctx_event_t events[2];
  const size_t huge = SIZE_MAX - in.Byte();
  FUZZ_EQ(ctx_merge(ctxs, huge, &made, nullptr), -ENOMEM);
  FUZZ_EQ(ctx_wait_any(ctxs, huge, 0, nullptr), -ENOMEM);
  const int64_t limit = AnyTime(in);
  if (limit < 0) {
    FUZZ_EQ(ctx_wait(ctx, limit), -EINVAL);
    FUZZ_EQ(ctx_poll(ctx, nullptr, 0, limit), -EINVAL);
  }
  const auto flags = static_cast<uint32_t>(in.Number(1)) << in.Pick(25);
  int drops = 0;
  const bool valid = (flags & ~(CTX_DEFER | CTX_BLOCKING)) == 0 || flags == CTX_WAKER;
  FUZZ_EQ(ctx_after_func(
              ctx, [](ctx_t*, void*) {}, &drops, [](void* count) { ++*static_cast<int*>(count); },
              flags, nullptr),
          valid ? 0 : -EINVAL);
  FUZZ_EQ(drops, valid ? 1 : 0);
  ctx_queue_t* queue = nullptr;
  FUZZ_EQ(ctx_queue_new(&queue), 0);
  FUZZ_EQ(ctx_queue_drain(queue, nullptr, 1), -EINVAL);
  FUZZ_EQ(ctx_queue_drain(queue, nullptr, 0), 0);
  FUZZ_EQ(ctx_queue_drain(queue, events, huge), 0);
  FUZZ_EQ(ctx_queue_wait(queue, events, 0, 0), -EINVAL);
  ctx_t* done = nullptr;
  FUZZ_EQ(ctx_with_timeout(ctx, -1, &done, nullptr), 0);
  const uint64_t token = in.Number(8);
  FUZZ_EQ(ctx_queue_add(queue, done, token, nullptr), 0);
  FUZZ_EQ(ctx_queue_drain(queue, events, huge), 1);
  REQUIRE(events[0].token == token && events[0].err == CTX_DEADLINE_EXCEEDED &&
          events[0].reserved == 0);
  ctx_unref(done);
  ctx_queue_unref(queue);
  const int code = static_cast<int>(in.Number(4));
  if (code != CTX_CANCELED && code != CTX_DEADLINE_EXCEEDED) {
    ctx_canceler_t* canceler = nullptr;
    FUZZ_EQ(ctx_with_cancel(ctx, &made, &canceler), 0);
    FUZZ_EQ(ctx_cancel_with(canceler, code, nullptr), -EINVAL);
    FUZZ_EQ(ctx_err(made), 0);
    ctx_canceler_unref(canceler);
    ctx_unref(made);
  }
}

// What another process may have put into the environment.
void Imports(Input& in) {
  std::string text = in.Pick(3) == 0 ? "" : "1:";
  for (size_t n = in.Pick(64); n > 0; --n) {
    text += in.Pick(4) == 0 ? static_cast<char>(in.Byte() | 1) : "0123456789:"[in.Pick(11)];
  }
  ctx_t* made = nullptr;
  const int result = ctx_import(Exact(text).get(), ctx_background(), &made, nullptr);
  REQUIRE(result == 0 || result == -EBADMSG || result == -EPROTONOSUPPORT || result == -EACCES);
  REQUIRE((result == 0) == (made != nullptr));
  if (result == 0) FUZZ_EQ(ctx_err(made), CTX_CANCELED);
  ctx_unref(made);
}

}  // namespace
}  // namespace fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  fuzz::BlockSignals();
  REQUIRE(ctx_loop_new(CTX_LOOP_VIRTUAL, nullptr, &fuzz::default_loop) == 0);
  REQUIRE(ctx_loop_set_default(fuzz::default_loop) == 0);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input in(data, size);
  while (!in.empty()) {
    switch (in.Pick(6)) {
      case 0:
        fuzz::Described{in};
        break;
      case 1:
        fuzz::Strings(in);
        break;
      case 2:
        fuzz::Causes(in);
        break;
      case 3:
        fuzz::Options(in);
        break;
      case 4:
        fuzz::Imports(in);
        break;
      default:
        fuzz::Sizes(in);
    }
  }
  return 0;
}
