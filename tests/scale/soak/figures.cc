// SPDX-License-Identifier: MIT
#include "scale/soak/figures.h"

#include <algorithm>
#include <cinttypes>

#include "scale/measure.h"
#include "scale/soak/await.h"
#include "support/process.h"

namespace ctxtest {

Still Still::Look() { return {HeapInUse(), Resident(), OpenDescriptors(), ThreadCount()}; }

void Figures::Add(double seconds, uint64_t steps, int64_t worst_late, const Counts& counts) {
  stills_.push_back(Still::Look());
  PrintRow(seconds, steps, worst_late);
  if (file_ != nullptr) WriteRow(seconds, worst_late, counts);
  seconds_before_ = seconds;
  steps_before_ = steps;
  REQUIRE(stills_.back().descriptors <= stills_.front().descriptors);
  REQUIRE(stills_.back().threads <= stills_.front().threads);
}

void Figures::PrintRow(double seconds, uint64_t steps, int64_t worst_late) const {
  if (stills_.size() == 1) {
    printf("%8s %9s %10s %8s %8s %6s %8s %12s\n", "seconds", "steps/s", "steps", "heap KB",
           "RSS MB", "open", "threads", "worst late");
  }
  const Still& still = stills_.back();
  printf("%8.0f %9.0f %10" PRIu64 " %8zu %8zu %6zu %8zu %9.1f ms\n", seconds,
         static_cast<double>(steps - steps_before_) / (seconds - seconds_before_), steps,
         still.heap >> 10, still.resident >> 20, still.descriptors, still.threads,
         static_cast<double>(worst_late) * 1e-6);
  fflush(stdout);
}

void Figures::WriteRow(double seconds, int64_t worst_late, const Counts& counts) const {
  if (stills_.size() == 1) {
    fprintf(file_, "seconds,heap,resident,descriptors,threads,worst_late_ns");
    for (const auto& [name, count] : counts) fprintf(file_, ",%s", name.c_str());
    fprintf(file_, "\n");
  }
  const Still& still = stills_.back();
  fprintf(file_, "%.0f,%zu,%zu,%zu,%zu,%" PRId64, seconds, still.heap, still.resident,
          still.descriptors, still.threads, worst_late);
  for (const auto& [name, count] : counts) fprintf(file_, ",%" PRIu64, count);
  fprintf(file_, "\n");
  fflush(file_);
}

void Figures::ExpectFlat() const {
  ExpectFlat("the heap does not grow", &Still::heap, size_t{64} * 1024);
  ExpectFlat("the process does not grow", &Still::resident, size_t{8} * 1024 * 1024);
}

// The first quarter warms up. Then the least of the last quarter is no more than the most of the second.
void Figures::ExpectFlat(const char* promise, size_t Still::*which, size_t spare) const {
  const size_t quarter = stills_.size() / 4;
  REQUIRE(quarter > 0);
  std::vector<size_t> values;
  for (const Still& still : stills_) values.push_back(still.*which);
  const auto second = values.begin() + static_cast<ptrdiff_t>(quarter);
  const size_t most = *std::max_element(second, second + static_cast<ptrdiff_t>(quarter));
  const size_t least =
      *std::min_element(values.end() - static_cast<ptrdiff_t>(quarter), values.end());
  printf("%s: %zu KB, then %zu KB\n", promise, most >> 10, least >> 10);
  if (least > most + spare) BROKEN((std::string("not so: ") + promise).c_str());
}

}  // namespace ctxtest
