// SPDX-License-Identifier: MIT
#ifndef CTX_BINDINGS_CPP_TESTS_HIDDEN_H_
#define CTX_BINDINGS_CPP_TESTS_HIDDEN_H_

#include <ctx/ctx.hpp>

CTX_API void CancelForAnException(const ctx::canceler& cancel);
CTX_API void ThrowIfDone(const ctx::context& ctx);

#endif  // CTX_BINDINGS_CPP_TESTS_HIDDEN_H_
