// SPDX-License-Identifier: MIT
/// @namespace ctx
/// ctx/ctx.hpp - libctx for C++: one tree of cancellation, deadlines and request values for a process.
///
/// Header only, C++17; with C++20 also std::stop_token in both directions and `co_await ctx.done()`.
/// These rules hold for all of it, besides those of ctx/ctx.h:
///
///  1. Value types. A context, canceler, cause, queue or loop is one pointer; a copy is one more
///     reference to the same object, which goes with its last copy. A moved-from object is empty. An empty
///     context reads as done, with std::errc::invalid_argument; it has no cause, value or text, and its
///     times are the smallest possible. Any other call on an empty object throws that error.
///  2. Errors. The binding throws a negative errno of the C functions as std::system_error, in
///     std::generic_category(). The end of a context throws only on request: context::err() returns it,
///     context::throw_if_done(), require(), poll() and inject() throw it. Destructors and moves do not throw.
///  3. Times are std::chrono durations and std::chrono::steady_clock time points; too large ones are
///     "no deadline" and "no limit". Time points of a virtual loop are on its own clock, from 0 on; those of a
///     loop with loop_clock::boottime are on CLOCK_BOOTTIME. Take both from now().
///  4. Threads. Different threads may use different objects at the same time, also if these are copies of
///     each other. One object is like a std::shared_ptr: many threads may read it, or one may write it.
///  5. Callbacks, drops of values and resumed coroutines run inside the library's C functions, which no
///     exception can pass: if one leaves a callback, the binding prints it and calls std::terminate.
///  6. Memory. The binding allocates once for a value; and once for a callable, but not at all for one that is
///     no larger than a pointer and trivially copyable.
///
/// For text there are ctx/fmt.hpp and ctx/format.hpp, for Boost.Asio ctx/asio.hpp and for gRPC ctx/grpc.hpp: this
/// header includes none of these.
#ifndef CTX_CTX_HPP
#define CTX_CTX_HPP

#include <ctx/awaiter.hpp>
#include <ctx/callback.hpp>
#include <ctx/cause.hpp>
#include <ctx/context.hpp>
#include <ctx/derive.hpp>
#include <ctx/error.hpp>
#include <ctx/group.hpp>
#include <ctx/handle.hpp>
#include <ctx/key.hpp>
#include <ctx/loop.hpp>
#include <ctx/process.hpp>
#include <ctx/propagate.hpp>
#include <ctx/queue.hpp>
#include <ctx/stop_token.hpp>
#include <ctx/time.hpp>
#include <ctx/token.hpp>
#include <ctx/wait.hpp>

#endif  // CTX_CTX_HPP
