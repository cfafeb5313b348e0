// SPDX-License-Identifier: MIT
//
// What the public headers say: which functions there are, and which errors each may answer with.
#ifndef CTX_TESTS_FAULT_HEADERS_H_
#define CTX_TESTS_FAULT_HEADERS_H_

#include <string>
#include <vector>

namespace ctxtest {

std::vector<std::string> PublicFunctions();

// Whether the comment of a function names an error, itself or by naming a function whose comment does ("as
// ctx_with_fd()").
bool MayAnswer(const std::string& function, int error);

}  // namespace ctxtest

#endif  // CTX_TESTS_FAULT_HEADERS_H_
