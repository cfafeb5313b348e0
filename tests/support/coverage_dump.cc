// SPDX-License-Identifier: MIT
// Only for ./dev coverage, in the library: lets a test's program save the counts at an end that saves none.
extern "C" void __gcov_dump();

extern "C" [[gnu::visibility("default")]] void ctx_coverage_dump() { __gcov_dump(); }
