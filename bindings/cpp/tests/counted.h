// SPDX-License-Identifier: MIT
//
// What the binding itself allocates: this program has its own operator new, which counts. The library
// takes its memory elsewhere.
#ifndef CTX_BINDINGS_CPP_TESTS_COUNTED_H_
#define CTX_BINDINGS_CPP_TESTS_COUNTED_H_

namespace ctxtest {

// How often the calling thread has called operator new, and all threads together less operator delete.
long NewCalls();
long LiveNews();

}  // namespace ctxtest

#endif  // CTX_BINDINGS_CPP_TESTS_COUNTED_H_
