// SPDX-License-Identifier: MIT
/// @namespace ctx
/// ctx/ctx.hpp - libctx for C++: one tree of cancellation, deadlines and request values for a process.
///
/// Header only, C++17; with C++20 also std::stop_token in both directions and `co_await ctx.done()`.
/// What holds for all of it, besides what ctx/ctx.h says of the library:
///
///  1. Value types. A context, canceler, cause, queue or loop is one pointer; a copy is one more
///     reference to the same object, which goes with its last copy. One that was moved from is empty: a
///     context then reads as done, with std::errc::invalid_argument; it has no cause, value or text, and
///     its times are the smallest there are. What else is asked of an empty one throws that error.
///  2. Errors. A negative errno of the C functions is thrown as std::system_error, in
///     std::generic_category(). That a context is done is no exception but where asked for:
///     context::err() tells, context::throw_if_done() throws. Destructors and moves do not throw.
///  3. Times are std::chrono durations and std::chrono::steady_clock time points; too large ones are
///     "no deadline" and "no limit". Time points of a virtual loop are on its own clock, from 0 on.
///  4. Threads. Different objects may be used by different threads at the same time, also if they are
///     copies of each other; one and the same object as a std::shared_ptr: read by many, or written by one.
///  5. Callbacks, drops of values and resumed coroutines run inside the library's C functions, where
///     nothing can be thrown through: an exception that leaves one is printed and std::terminate called.
///  6. Memory. The bindings allocate once for a callable or value, and not at all for one that is no
///     larger than a pointer and trivially copyable.
///
/// For text there are ctx/fmt.hpp and ctx/format.hpp, which this header does not include.
#ifndef CTX_CTX_HPP
#define CTX_CTX_HPP

#include <ctx/awaiter.hpp>
#include <ctx/callback.hpp>
#include <ctx/cause.hpp>
#include <ctx/context.hpp>
#include <ctx/derive.hpp>
#include <ctx/error.hpp>
#include <ctx/handle.hpp>
#include <ctx/key.hpp>
#include <ctx/loop.hpp>
#include <ctx/queue.hpp>
#include <ctx/stop_token.hpp>
#include <ctx/time.hpp>
#include <ctx/wait.hpp>

#endif  // CTX_CTX_HPP
