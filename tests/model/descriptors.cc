// SPDX-License-Identifier: MIT
//
// The descriptors of the model, in place of core/system/event_linux.cc, poller_linux.cc, signal_fd_linux.cc, share_linux.cc
// and io_linux.cc; and those of the scenarios.
#include "model/descriptors.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "core/system/event.h"
#include "core/system/io.h"
#include "core/system/poller.h"
#include "core/system/share.h"
#include "core/system/signal_fd.h"
#include "model/memory.h"
#include "model/scheduler.h"
#include "model/system.h"

namespace model {

namespace {

struct Description;
using DescriptionPtr = std::shared_ptr<Description>;

struct Watch {
  int fd;
  DescriptionPtr what;
  uint32_t events;
  uint64_t id;
  bool once;
  bool off;
};

// What descriptors refer to.
struct Description {
  enum class Kind { event, poller, signals, own };

  Kind kind = Kind::event;
  uint64_t count = 0;
  bool semaphore = false;
  VectorClock known{};
  std::vector<Watch> watches;  // of a poller
  int64_t alarm = kForever;
  uint64_t signals = 0;
  uint64_t number = 0;      // no other file has it
  std::vector<char> bytes;  // of memory that is lent
};

std::vector<DescriptionPtr> table;  // by number, from kFirst
uint64_t pending_signals = 0;
uint64_t last_number = 0;

constexpr int kFirst = 1000;  // no number that the system gives out

Description* find(int fd) {
  const auto index = static_cast<size_t>(fd - kFirst);
  return fd >= kFirst && index < table.size() ? table[index].get() : nullptr;
}

DescriptionPtr shared(int fd) { return find(fd) == nullptr ? nullptr : table[fd - kFirst]; }

// The smallest free number, as the system does.
int give_number(DescriptionPtr what) {
  size_t i = 0;
  while (i < table.size() && table[i] != nullptr) ++i;
  if (i == table.size()) table.emplace_back();
  table[i] = std::move(what);
  return kFirst + static_cast<int>(i);
}

int open_kind(Description::Kind kind) {
  auto made = std::make_shared<Description>();
  made->kind = kind;
  made->number = ++last_number;
  return give_number(std::move(made));
}

bool has_come(const Description& what) {
  switch (what.kind) {
    case Description::Kind::signals:
      return (what.signals & pending_signals) != 0;
    case Description::Kind::poller:
      if (what.alarm <= now()) return true;
      return std::any_of(what.watches.begin(), what.watches.end(), [](const Watch& watch) {
        return !watch.off && (watch.events & POLLIN) != 0 && has_come(*watch.what);
      });
    default:
      return what.count > 0;
  }
}

bool any_come(const void* poller) { return has_come(*static_cast<const Description*>(poller)); }

void close_number(int fd) {
  DescriptionPtr gone = std::move(table[fd - kFirst]);
  if (std::find(table.begin(), table.end(), gone) != table.end()) return;
  // The last one is gone: pollers forget it.
  for (const DescriptionPtr& other : table) {
    if (other == nullptr) continue;
    auto& watches = other->watches;
    watches.erase(std::remove_if(watches.begin(), watches.end(),
                                 [&](const Watch& watch) { return watch.what == gone; }),
                  watches.end());
  }
}

Watch* find_watch(Description& poller, int fd) {
  const DescriptionPtr what = shared(fd);
  for (Watch& watch : poller.watches) {
    if (watch.fd == fd && watch.what == what) return &watch;
  }
  return nullptr;
}

struct Polled {
  pollfd* fds;
  nfds_t count;
};

int count_ready(const Polled& polled) {
  int ready = 0;
  for (nfds_t i = 0; i < polled.count; ++i) {
    pollfd& one = polled.fds[i];
    const Description* const what = find(one.fd);
    one.revents = 0;
    if (one.fd < 0) continue;
    if (what == nullptr) {
      one.revents = POLLNVAL;
    } else if ((one.events & POLLIN) != 0 && has_come(*what)) {
      one.revents = POLLIN;
    }
    ready += one.revents != 0;
  }
  return ready;
}

bool any_ready(const void* polled) { return count_ready(*static_cast<const Polled*>(polled)) > 0; }

}  // namespace

void descriptors_reset() {
  table.clear();
  pending_signals = 0;
  last_number = 0;
}

void forget_signals() { pending_signals = 0; }

int descriptors_open() {
  return static_cast<int>(
      std::count_if(table.begin(), table.end(), [](const auto& what) { return what != nullptr; }));
}

int open_descriptor() { return open_kind(Description::Kind::own); }

void make_readable(int fd) {
  step("write", nullptr, MODEL_WHERE);
  Description* const what = find(fd);
  if (what == nullptr) fail("a descriptor is written to that is closed");
  memory_release(&what->known);
  what->count = 1;
}

void close_descriptor(int fd) {
  step("close", nullptr, MODEL_WHERE);
  if (find(fd) == nullptr) fail("a descriptor is closed twice");
  close_number(fd);
}

bool is_readable(int fd) {
  step("poll", nullptr, MODEL_WHERE);
  const Description* const what = find(fd);
  if (what == nullptr) fail("a descriptor is polled that is closed");
  if (!has_come(*what)) return false;
  memory_acquire(what->known);
  return true;
}

void await_readable(int fd, const std::function<bool()>& or_else) {
  struct Host {
    DescriptionPtr what;
    const std::function<bool()>& or_else;
    static bool goes_on(const void* host) {
      const auto& self = *static_cast<const Host*>(host);
      return has_come(*self.what) || (self.or_else && self.or_else());
    }
  } const host{shared(fd), or_else};
  step("poll", nullptr, MODEL_WHERE);
  while (!Host::goes_on(&host)) {
    block("poll", nullptr, {Host::goes_on, &host}, &host.what->alarm, MODEL_WHERE);
  }
  memory_acquire(host.what->known);
}

void send_signal(int number) {
  step("signal", nullptr, MODEL_WHERE);
  pending_signals |= uint64_t{1} << (number - 1);
}

}  // namespace model

namespace ctxcore {

using model::Description;

int Event::open(Use use) {
  read_end = write_end = model::open_kind(Description::Kind::event);
  model::find(read_end)->semaphore = use == Use::lasting;
  return 0;
}

void Event::close() { io::close(read_end); }

void Event::expect_open() const {}

void Event::raise() {
  constexpr uint64_t kAll = UINT64_MAX - 1;
  io::write(write_end, &kAll, sizeof kAll);
}

void Event::set() {
  constexpr uint64_t kOne = 1;
  io::write(write_end, &kOne, sizeof kOne);
}

void Event::clear() {
  uint64_t taken = 0;
  io::read(read_end, &taken, sizeof taken);
}

int Poller::open(clockid_t) {
  fd_ = model::open_kind(Description::Kind::poller);
  return 0;
}

void Poller::close() {
  if (fd_ >= 0) io::close(fd_);
  fd_ = -1;
}

void Poller::set_alarm(int64_t when_ns) {
  model::step("set alarm", this, MODEL_WHERE);
  model::note_value(static_cast<uint64_t>(when_ns));
  Description* const poller = model::find(fd_);
  if (poller == nullptr) model::fail("the alarm of a poller is set that is closed");
  model::memory_release(&poller->known);
  poller->alarm = when_ns;
}

int Poller::watch(int fd, uint32_t events, uint64_t id, bool once) {
  model::step("watch", this, MODEL_WHERE);
  Description* const poller = model::find(fd_);
  model::memory_release(&poller->known);
  if (model::find(fd) == nullptr) return -EBADF;
  if (model::find_watch(*poller, fd) != nullptr) return -EEXIST;
  poller->watches.push_back({fd, model::shared(fd), events, id, once, false});
  return 0;
}

int Poller::rewatch(int fd, uint32_t events, uint64_t id) {
  model::step("rewatch", this, MODEL_WHERE);
  model::memory_release(&model::find(fd_)->known);
  if (model::find(fd) == nullptr) return -EBADF;
  model::Watch* const watch = model::find_watch(*model::find(fd_), fd);
  if (watch == nullptr) return -ENOENT;
  *watch = {fd, watch->what, events, id, true, false};
  return 0;
}

void Poller::unwatch(int fd) {
  model::step("unwatch", this, MODEL_WHERE);
  model::memory_release(&model::find(fd_)->known);
  auto& watches = model::find(fd_)->watches;
  const model::Watch* const watch = model::find_watch(*model::find(fd_), fd);
  if (watch != nullptr) watches.erase(watches.begin() + (watch - watches.data()));
}

int Poller::wait(bool sleep, Ready* ready) {
  model::step("epoll", this, MODEL_WHERE);
  const model::DescriptionPtr poller = model::shared(fd_);
  while (sleep && !model::has_come(*poller)) {
    model::block("epoll", this, {model::any_come, poller.get()}, &poller->alarm, MODEL_WHERE);
  }
  model::memory_acquire(poller->known);
  if (poller->alarm <= model::now()) poller->alarm = model::kForever;  // read
  int count = 0;
  for (model::Watch& watch : poller->watches) {
    if (watch.off || (watch.events & POLLIN) == 0 || !model::has_come(*watch.what)) continue;
    if (count == kBatch) break;
    model::memory_acquire(watch.what->known);
    ready[count++] = {watch.id, POLLIN};
    watch.off = watch.once;
  }
  return count;
}

bool Poller::ready() const {
  model::step("poll", this, MODEL_WHERE);
  return model::has_come(*model::find(fd_));
}

int SignalFd::take(uint64_t signals) {
  model::step("signalfd", this, MODEL_WHERE);
  if (signals == 0) {
    close();
    return 0;
  }
  if (fd_ < 0) fd_ = model::open_kind(Description::Kind::signals);
  model::find(fd_)->signals = signals;
  return 0;
}

bool SignalFd::read(Signal* signal) {
  model::step("read signal", this, MODEL_WHERE);
  if (fd_ < 0) return false;
  const uint64_t came = model::find(fd_)->signals & model::pending_signals;
  if (came == 0) return false;
  const int number = __builtin_ctzll(came);
  model::pending_signals &= ~(uint64_t{1} << number);
  *signal = {number + 1, true, 1, 0};
  return true;
}

void SignalFd::close() {
  if (fd_ >= 0) io::close(fd_);
  fd_ = -1;
}

// A scenario imports what it has exported itself: all processes are one.
int Lent::open_memory(size_t bytes) {
  memory_fd = model::open_kind(Description::Kind::own);
  std::vector<char>& of = model::find(memory_fd)->bytes;
  of.resize(bytes);
  memory = of.data();
  size = bytes;
  return 0;
}

int Lent::open_pipe() {
  read_end = model::open_kind(Description::Kind::own);
  write_end = model::give_number(model::shared(read_end));
  return 0;
}

void Lent::wake() { model::make_readable(read_end); }

void Lent::hang_up() {
  if (write_end < 0) return;
  model::make_readable(read_end);
  io::close(write_end);
  write_end = -1;
}

void Lent::close() {
  hang_up();
  for (const int fd : {memory_fd, read_end}) {
    if (fd >= 0) io::close(fd);
  }
}

LentName Lent::name() const {
  return {0,
          1,
          static_cast<uint64_t>(memory_fd),
          static_cast<uint64_t>(read_end),
          model::find(memory_fd)->number,
          model::find(read_end)->number};
}

int Borrowed::open(const LentName& name) {
  model::step("open", nullptr, MODEL_WHERE);
  const int fds[] = {static_cast<int>(name.memory), static_cast<int>(name.pipe)};
  const uint64_t numbers[] = {name.memory_file, name.pipe_file};
  for (int i = 0; i < 2; ++i) {
    const Description* const what = model::find(fds[i]);
    if (what == nullptr || what->number != numbers[i]) return -ESRCH;
  }
  memory = io::duplicate(fds[0]);
  pipe = io::duplicate(fds[1]);
  return 0;
}

void Borrowed::close() {
  if (memory < 0) return;
  io::close(memory);
  io::close(pipe);
  memory = pipe = -1;
}

size_t Borrowed::size() const { return model::find(memory)->bytes.size(); }

bool Borrowed::read(void* at, size_t bytes, size_t offset) const {
  model::step("read", nullptr, MODEL_WHERE);
  std::memcpy(at, model::find(memory)->bytes.data() + offset, bytes);
  return true;
}

bool Borrowed::hung_up() const { return model::is_readable(pipe); }

namespace io {

ssize_t read(int fd, void* at, size_t size) {
  model::step("read", nullptr, MODEL_WHERE);
  Description* const what = model::find(fd);
  if (what == nullptr) return -EBADF;
  if (what->count == 0) return -EAGAIN;
  model::memory_acquire(what->known);
  const uint64_t taken = what->semaphore ? 1 : what->count;
  what->count -= taken;
  *static_cast<uint64_t*>(at) = taken;
  return static_cast<ssize_t>(size);
}

ssize_t write(int fd, const void* from, size_t size) {
  if (fd == STDERR_FILENO) return ::write(fd, from, size);
  model::step("write", nullptr, MODEL_WHERE);
  Description* const what = model::find(fd);
  if (what == nullptr) model::fail("a descriptor is written to that is closed");
  model::memory_release(&what->known);
  what->count += *static_cast<const uint64_t*>(from);
  return static_cast<ssize_t>(size);
}

int close(int fd) {
  model::step("close", nullptr, MODEL_WHERE);
  if (model::find(fd) == nullptr) model::fail("a descriptor is closed twice");
  model::close_number(fd);
  return 0;
}

int duplicate(int fd) {
  model::step("dup", nullptr, MODEL_WHERE);
  return model::find(fd) == nullptr ? -EBADF : model::give_number(model::shared(fd));
}

bool is_open(int fd) { return model::find(fd) != nullptr; }

int poll(pollfd* fds, nfds_t count, int64_t timeout_ns) {
  model::step("poll", nullptr, MODEL_WHERE);
  model::Polled polled{fds, count};
  const int64_t until =
      timeout_ns > model::kForever - model::now() ? model::kForever : model::now() + timeout_ns;
  if (count_ready(polled) == 0 && timeout_ns > 0) {
    model::block("poll", nullptr, {model::any_ready, &polled}, &until, MODEL_WHERE);
  }
  const int ready = count_ready(polled);
  for (nfds_t i = 0; i < count; ++i) {
    if (fds[i].revents == POLLIN) model::memory_acquire(model::find(fds[i].fd)->known);
  }
  return ready;
}

ssize_t read_at(int, void*, size_t, size_t) { return -EBADF; }

int open_to_read(const char*) { return -ENOENT; }

int seal(int) { return -EINVAL; }

nfds_t most_polled() { return 1024; }

int epoll_wait(int, epoll_event*, int, bool) { model::fail("epoll is the poller's"); }

void join(pthread_t) { model::fail("threads are joined by join_ended()"); }

}  // namespace io

}  // namespace ctxcore
