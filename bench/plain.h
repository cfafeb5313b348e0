// SPDX-License-Identifier: MIT
//
// The main() of a program that measures by itself, and not by Google Benchmark: `list` prints its benchmarks, the name
// of one runs that one, which prints `name value` lines.
#ifndef CTX_BENCH_PLAIN_H_
#define CTX_BENCH_PLAIN_H_

#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace ctxbench {

inline int RunPlain(int argc, char** argv,
                    const std::vector<std::pair<std::string, std::function<void()>>>& all) {
  int found = 0;
  for (const auto& [name, run] : all) {
    if (argc == 2 && std::strcmp(argv[1], "list") == 0) {
      std::puts(name.c_str());
    } else if (argc == 2 && argv[1] == name) {
      run();
    } else {
      continue;
    }
    ++found;
  }
  if (found == 0) std::fprintf(stderr, "usage: %s list | NAME\n", argv[0]);
  return found == 0 ? 2 : 0;
}

}  // namespace ctxbench

#endif  // CTX_BENCH_PLAIN_H_
