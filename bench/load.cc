// SPDX-License-Identifier: MIT
//
// P15: loading the shared library, once in the life of a process. Bare is a library that holds one empty function.
// Prints `name value` lines, in microseconds of real time.
#include <dlfcn.h>
#include <time.h>

#include "plain.h"

namespace {

void Load(const char* name, const char* file, const char* symbol) {
  timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  clock_gettime(CLOCK_MONOTONIC, &end);
  if (library == nullptr || dlsym(library, symbol) == nullptr) {
    std::fprintf(stderr, "load: %s\n", dlerror());
    std::abort();
  }
  const double ns = static_cast<double>(end.tv_sec - begin.tv_sec) * 1e9 +
                    static_cast<double>(end.tv_nsec - begin.tv_nsec);
  std::printf("%s %.1f\n", name, ns / 1000);
}

}  // namespace

int main(int argc, char** argv) {
  return ctxbench::RunPlain(
      argc, argv,
      {{"P15/load/ours", [] { Load("P15/load/ours", CTX_BENCH_LIBRARY, "ctx_version"); }},
       {"P15/load/bare", [] { Load("P15/load/bare", CTX_BENCH_EMPTY, "empty"); }}});
}
