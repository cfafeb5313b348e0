// SPDX-License-Identifier: MIT
//
// An event loop that somebody else wrote, as the tests see it: it watches descriptors for reading, and
// each turn of it sleeps until one is readable. Every loop has an adapter in a file of its own
// (poll_loop.cc and so on), which enters it in the list of kinds; every test runs in every kind.
#ifndef CTX_TESTS_INTEROP_HOST_LOOP_H_
#define CTX_TESTS_INTEROP_HOST_LOOP_H_

#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace ctxtest {

class HostLoop {
 public:
  HostLoop() = default;
  HostLoop(const HostLoop&) = delete;
  virtual ~HostLoop() = default;

  // Calls on_readable, inside Turn(): as long as fd is readable if the loop is level-triggered, when it
  // becomes so if it is edge-triggered. What on_readable does may be to end this.
  void Watch(int fd, std::function<void()> on_readable) {
    watched_[fd] = std::make_shared<std::function<void()>>(std::move(on_readable));
    Add(fd);
  }
  void Unwatch(int fd) {
    if (watched_.erase(fd) != 0) Remove(fd);
  }

  // Sleeps until something is readable, and reports it. It may also come back for nothing.
  virtual void Turn() = 0;

 protected:
  virtual void Add(int fd) = 0;
  virtual void Remove(int fd) = 0;

  bool IsWatched(int fd) const { return watched_.count(fd) != 0; }

  // For the adapter: fd is readable. Of what was unwatched a moment ago nothing is told.
  void Report(int fd) {
    const auto found = watched_.find(fd);
    if (found == watched_.end()) return;
    const auto on_readable = found->second;  // lives on if it is unwatched from inside
    (*on_readable)();
  }

 private:
  std::map<int, std::shared_ptr<std::function<void()>>> watched_;
};

// One kind of loop to test in.
struct HostKind {
  enum class Trigger { kLevel, kEdge };

  const char* name;
  Trigger trigger;
  std::unique_ptr<HostLoop> (*make)();
  std::string (*refused)() = nullptr;  // why the kernel has no such loop for us; empty if it has
};

inline std::ostream& operator<<(std::ostream& out, const HostKind& kind) {
  return out << kind.name;
}

inline std::vector<HostKind>& HostKinds() {
  static std::vector<HostKind> kinds;
  return kinds;
}

// A static object of this in an adapter's file enters its kind in the list.
struct AddHostKind {
  explicit AddHostKind(const HostKind& kind) { HostKinds().push_back(kind); }
};

}  // namespace ctxtest

#endif  // CTX_TESTS_INTEROP_HOST_LOOP_H_
