// SPDX-License-Identifier: MIT
//
// What the cases of scale measure: time, memory as the kernel and as the allocator count it; and that a case gives
// back what it took.
#ifndef CTX_TESTS_SCALE_MEASURE_H_
#define CTX_TESTS_SCALE_MEASURE_H_

#include <gtest/gtest.h>
#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "support/time.h"

namespace ctxtest {

inline constexpr size_t kStack = size_t{64} * 1024;  // of every thread, see main.cc
inline constexpr size_t kMillion = 1'000'000;

// Bytes that the allocator has handed out and not got back.
inline size_t HeapInUse() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Bytes of this process in memory.
inline size_t Resident() {
  unsigned long all = 0, resident = 0;
  FILE* statm = fopen("/proc/self/statm", "re");
  if (statm == nullptr || fscanf(statm, "%lu %lu", &all, &resident) != 2)
    ADD_FAILURE() << "no statm";
  if (statm != nullptr) fclose(statm);
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

inline double Seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// A line of what was measured; `./dev stress` shows them.
__attribute__((format(printf, 1, 2))) inline void Measured(const char* format, ...) {
  va_list values;
  va_start(values, format);
  printf("measured: ");
  vprintf(format, values);
  printf("\n");
  fflush(stdout);
  va_end(values);
}

// From here to the end of its life, as much is given back as was taken. Threads of the library may still be about to
// give back the last of it, and some spare memory stays with lists that live on.
class GivesAllBack {
 public:
  GivesAllBack() = default;
  GivesAllBack(const GivesAllBack&) = delete;
  ~GivesAllBack() {
    constexpr size_t spare = size_t{256} * 1024;
    EXPECT_TRUE(Soon([this] { return HeapInUse() <= before_ + spare; }))
        << HeapInUse() - before_ << " bytes more than before";
  }
  size_t Taken() const { return HeapInUse() - before_; }
  double Elapsed() const { return Seconds() - begin_; }

 private:
  const size_t before_ = HeapInUse();
  const double begin_ = Seconds();
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SCALE_MEASURE_H_
