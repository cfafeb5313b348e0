// SPDX-License-Identifier: MIT
//
// A shared library that hides all but what it says: its causes and exceptions are those of the program.
#include "hidden.h"

#include <stdexcept>

void CancelForAnException(const ctx::canceler& cancel) {
  cancel(ctx::cause(std::make_exception_ptr(std::out_of_range("no such row"))));
}

void ThrowIfDone(const ctx::context& ctx) { ctx.throw_if_done(); }
