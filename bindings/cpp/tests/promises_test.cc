// SPDX-License-Identifier: MIT
//
// What the headers promise at compile time: what throws nothing, what converts to nothing, what is moved only, and
// which arguments fit.
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "cases.h"

namespace ctxtest {
namespace {

template <class T>
constexpr bool kValue =  // a value type: copied, moved and swapped without an exception
    std::is_nothrow_default_constructible_v<T>&& std::is_nothrow_copy_constructible_v<T>&&
        std::is_nothrow_copy_assignable_v<T>&& std::is_nothrow_move_constructible_v<T>&&
            std::is_nothrow_move_assignable_v<T>&& std::is_nothrow_swappable_v<T>&&
                std::is_nothrow_destructible_v<T>;
static_assert(kValue<ctx::context> && kValue<ctx::canceler> && kValue<ctx::cause>);
static_assert(kValue<ctx::done_token>);
static_assert(std::is_nothrow_copy_constructible_v<ctx::queue>);
static_assert(std::is_nothrow_copy_constructible_v<ctx::manual_loop>);
static_assert(std::is_nothrow_copy_constructible_v<ctx::virtual_loop>);
static_assert(std::is_nothrow_copy_constructible_v<ctx::thread_loop>);
static_assert(std::is_nothrow_copy_constructible_v<ctx::context_error>);
static_assert(std::is_base_of_v<std::system_error, ctx::context_error>);

template <class T>
constexpr bool kMovedOnly = std::is_nothrow_move_constructible_v<T> &&
                            !(std::is_copy_constructible_v<T> || std::is_copy_assignable_v<T>);
static_assert(kMovedOnly<ctx::watch> && std::is_nothrow_move_assignable_v<ctx::watch>);
static_assert(kMovedOnly<ctx::unique_fd> && std::is_nothrow_move_assignable_v<ctx::unique_fd>);
static_assert(kMovedOnly<ctx::cancel_guard> && !std::is_move_assignable_v<ctx::cancel_guard>);
static_assert(kMovedOnly<ctx::watch_guard> && !std::is_move_assignable_v<ctx::watch_guard>);
static_assert(kMovedOnly<ctx::group> && !std::is_move_assignable_v<ctx::group>);
static_assert(!std::is_move_constructible_v<ctx::key<int>>);

static_assert(sizeof(ctx::cause) == sizeof(void*) && sizeof(ctx::queue) == sizeof(void*));
static_assert(sizeof(ctx::watch) == sizeof(void*) && sizeof(ctx::group) == sizeof(void*));
static_assert(sizeof(ctx::done_token) == sizeof(void*) && sizeof(ctx::unique_fd) == sizeof(int));

// Nothing turns into one of these by itself.
template <class From, class To>
constexpr bool kOnlyByName = std::is_constructible_v<To, From> && !std::is_convertible_v<From, To>;
static_assert(kOnlyByName<int, ctx::unique_fd>);
static_assert(kOnlyByName<ctx::canceler, ctx::cancel_guard>);
static_assert(kOnlyByName<ctx::watch, ctx::watch_guard>);
static_assert(kOnlyByName<ctx::context, ctx::group>);
static_assert(kOnlyByName<ctx::context, ctx::done_token>);
static_assert(kOnlyByName<int, ctx::cause> && kOnlyByName<std::errc, ctx::cause>);
static_assert(kOnlyByName<const char*, ctx::cause> && kOnlyByName<std::string, ctx::cause>);
static_assert(kOnlyByName<std::exception_ptr, ctx::cause>);
static_assert(kOnlyByName<const char*, ctx::key<int>>);
static_assert(kOnlyByName<ctx::loop_options, ctx::thread_loop>);
static_assert(kOnlyByName<ctx::loop_options, ctx::manual_loop>);
#if defined(CTX_HAS_STOP_TOKEN)
static_assert(kOnlyByName<ctx::context, ctx::stop_source>);
static_assert(kMovedOnly<ctx::stop_source> && !std::is_move_assignable_v<ctx::stop_source>);
#endif
#if defined(CTX_HAS_COROUTINES)
static_assert(kMovedOnly<ctx::done_awaiter> && !std::is_move_assignable_v<ctx::done_awaiter>);
#endif
static_assert(kOnlyByName<ctx::unique_fd, bool> && kOnlyByName<ctx::canceler, bool>);
static_assert(kOnlyByName<ctx::cause, bool> && kOnlyByName<ctx::watch, bool>);
static_assert(kOnlyByName<ctx::place, bool>);
static_assert(!std::is_constructible_v<ctx::context, ctx_t*>);
static_assert(!std::is_constructible_v<ctx::canceler, ctx_canceler_t*>);
static_assert(!std::is_constructible_v<ctx::watch, ctx_watch_t*>);
static_assert(!std::is_constructible_v<ctx::cause, const ctx_cause_t*>);

template <class T>
const T& Any() noexcept;

// A tag is written out: {} is none.
template <class T>
void Takes(T);
template <class T, class = void>
constexpr bool kMadeOfBraces = false;
template <class T>
constexpr bool kMadeOfBraces<T, std::void_t<decltype(Takes<T>({}))>> = true;
static_assert(!kMadeOfBraces<ctx::deferred_t> && !kMadeOfBraces<ctx::blocking_t>);
static_assert(!kMadeOfBraces<ctx::waker_t>);

static_assert(noexcept(Any<ctx::context>().get(), Any<ctx::context>().is_done(),
                       Any<ctx::context>().err()));
static_assert(noexcept(Any<ctx::context>().touch(), Any<ctx::context>().remaining()));
static_assert(noexcept(Any<ctx::context>().remaining_ms(), Any<ctx::context>().now()));
static_assert(noexcept(Any<ctx::context>().value(Any<ctx::key<int>>())));
static_assert(noexcept(Any<ctx::context>() ==
                       Any<ctx::context>()) && noexcept(Any<ctx::context>() !=
                                                        Any<ctx::context>()));
static_assert(noexcept(std::hash<ctx::context>()(Any<ctx::context>())));
static_assert(noexcept(std::declval<ctx::context&>().release()));
static_assert(noexcept(std::declval<ctx::canceler&>().release()));
static_assert(noexcept(std::declval<ctx::unique_fd&>().release()));
static_assert(noexcept(std::declval<ctx::cancel_guard&>().dismiss()));
static_assert(noexcept(std::declval<ctx::watch_guard&>().dismiss()));
static_assert(noexcept(Any<ctx::cause>().code(), Any<ctx::cause>().message(),
                       Any<ctx::cause>().given()));
static_assert(noexcept(Any<ctx::cause>().origin(), Any<ctx::cause>().place(),
                       Any<ctx::cause>().exception()));
static_assert(noexcept(Any<ctx::cause>() == Any<ctx::cause>()) && noexcept(Any<ctx::cause>() !=
                                                                           Any<ctx::cause>()));
static_assert(noexcept(std::declval<const ctx::virtual_loop&>().now()));
static_assert(noexcept(ctx::to_error_code(0)) && noexcept(ctx::background()));

// The numbers are those of the C functions.
static_assert(static_cast<int>(ctx::origin::none) == 0);
static_assert(static_cast<int>(ctx::origin::canceled) == CTX_ORIGIN_CANCELED);
static_assert(static_cast<int>(ctx::origin::deadline) == CTX_ORIGIN_DEADLINE);
static_assert(static_cast<int>(ctx::origin::signal) == CTX_ORIGIN_SIGNAL);
static_assert(static_cast<int>(ctx::origin::descriptor) == CTX_ORIGIN_DESCRIPTOR);
static_assert(static_cast<int>(ctx::origin::shutdown) == CTX_ORIGIN_SHUTDOWN);
static_assert(static_cast<int>(ctx::origin::peer) == CTX_ORIGIN_PEER);
static_assert(static_cast<int>(ctx::origin::parent_process) == CTX_ORIGIN_PARENT_PROCESS);
static_assert(static_cast<unsigned>(ctx::loop_clock::monotonic) == CTX_CLOCK_MONOTONIC);
static_assert(static_cast<unsigned>(ctx::loop_clock::boottime) == CTX_CLOCK_BOOTTIME);

// A place is a constant.
constexpr ctx::place kNoPlace;
static_assert(!kNoPlace && kNoPlace.line() == 0 && kNoPlace.file() == nullptr);
constexpr ctx::place kPlace("file", 7, "function");
static_assert(kPlace && kPlace.line() == 7);
static_assert(!ctx::place(nullptr, 7, "function"));

// What a call takes, and what it does not.
template <class Event, class = void>
constexpr bool kCancels = false;
template <class... Args>
constexpr bool
    kCancels<void(Args...),
             std::void_t<decltype(std::declval<const ctx::canceler&>()(std::declval<Args>()...))>> =
        true;
static_assert(kCancels<void()> && kCancels<void(ctx::cause)> && kCancels<void(std::errc)>);
static_assert(kCancels<void(std::errc, ctx::cause)>);
static_assert(!kCancels<void(const char*)> && !kCancels<void(int)>);
static_assert(std::is_same_v<decltype(std::declval<const ctx::canceler&>()()), bool>);
static_assert(std::is_same_v<decltype(std::declval<const ctx::group&>().cancel()), bool>);

// The compiler has checked all above; this case stands for them.
TEST(Promises, AreKeptByTheCompiler) { EXPECT_TRUE(kPlace); }

}  // namespace
}  // namespace ctxtest
