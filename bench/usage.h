// SPDX-License-Identifier: MIT
//
// What this process uses: memory, for the allocator in use (mallinfo2) and for the system
// (resident pages), descriptors, and how often one of its threads was woken.
#ifndef CTX_BENCH_USAGE_H_
#define CTX_BENCH_USAGE_H_

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

namespace ctxbench {

struct Usage {
  double allocated;
  double resident;
};

inline Usage MeasureMemory() {
  const struct mallinfo2 info = mallinfo2();
  size_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return {static_cast<double>(info.uordblks + info.hblkhd),
          static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE))};
}

// What each of n objects took, made between two measurements.
inline Usage PerObject(const Usage& before, const Usage& after, size_t n) {
  const auto count = static_cast<double>(n);
  return {(after.allocated - before.allocated) / count, (after.resident - before.resident) / count};
}

inline int OpenDescriptors() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// How often the thread of that name has gone to sleep, which is how often it was woken.
inline int64_t Sleeps(const std::string& thread_name) {
  int64_t sleeps = -1;
  DIR* tasks = opendir("/proc/self/task");
  while (const dirent* entry = readdir(tasks)) {
    std::ifstream status("/proc/self/task/" + std::string(entry->d_name) + "/status");
    std::string field, value;
    bool found = false;
    while (status >> field && std::getline(status >> std::ws, value)) {
      if (field == "Name:") found = value == thread_name;
      if (found && field == "voluntary_ctxt_switches:") sleeps = std::stoll(value);
    }
  }
  closedir(tasks);
  if (sleeps < 0) std::abort();
  return sleeps;
}

}  // namespace ctxbench

#endif  // CTX_BENCH_USAGE_H_
