// SPDX-License-Identifier: MIT
//
// What the tests of the binding share: to expect a std::system_error with a certain code, and a value
// that tells how many of it there are.
#ifndef CTX_BINDINGS_CPP_TESTS_CASES_H_
#define CTX_BINDINGS_CPP_TESTS_CASES_H_

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctx/ctx.hpp>
#include <system_error>
#include <thread>

namespace ctxtest {

using namespace std::chrono_literals;

inline constexpr std::chrono::seconds kWatchdog{60};  // only ends a run that has gone wrong

template <class Body>
void ExpectThrows(std::errc code, Body&& body) {
  try {
    body();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::system_error& e) {
    EXPECT_TRUE(e.code() == code) << e.what();
    EXPECT_EQ(e.code().category(), std::generic_category());
  }
}

// Counts its live objects, and remembers the thread that destroyed the last one.
struct Tracked {
  struct Log {
    std::atomic<int> live{0};
    std::atomic<std::thread::id> thread{};
  };
  explicit Tracked(Log* in, int n = 0) : log(in), number(n) { ++log->live; }
  Tracked(const Tracked& other) : Tracked(other.log, other.number) {}
  Tracked(Tracked&& other) noexcept : Tracked(other.log, other.number) {}
  Tracked& operator=(const Tracked&) = delete;
  ~Tracked() {
    log->thread = std::this_thread::get_id();
    --log->live;
  }
  Log* log;
  int number;
};

}  // namespace ctxtest

#endif  // CTX_BINDINGS_CPP_TESTS_CASES_H_
