// SPDX-License-Identifier: MIT
//
// The figures of the soak: what was seen each time all stood still, as a table, as a file, and as a verdict.
#ifndef CTX_TESTS_SCALE_SOAK_FIGURES_H_
#define CTX_TESTS_SCALE_SOAK_FIGURES_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace ctxtest {

// What is in use now.
struct Still {
  static Still Look();

  size_t heap, resident, descriptors, threads;
};

using Counts = std::vector<std::pair<std::string, uint64_t>>;  // how often what was done

class Figures {
 public:
  explicit Figures(FILE* file) : file_(file) {}  // or nullptr

  // Adds what is in use after so many seconds; requires that descriptors and threads are no more than the first time.
  void Add(double seconds, uint64_t steps, int64_t worst_late, const Counts& counts);
  // Requires that memory has stopped growing.
  void ExpectFlat() const;

  const std::vector<Still>& stills() const { return stills_; }

 private:
  void PrintRow(double seconds, uint64_t steps, int64_t worst_late) const;
  void WriteRow(double seconds, int64_t worst_late, const Counts& counts) const;
  void ExpectFlat(const char* promise, size_t Still::*which, size_t spare) const;

  FILE* const file_;
  std::vector<Still> stills_;
  double seconds_before_ = 0;
  uint64_t steps_before_ = 0;
};

}  // namespace ctxtest

#endif  // CTX_TESTS_SCALE_SOAK_FIGURES_H_
