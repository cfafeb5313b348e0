// SPDX-License-Identifier: MIT
//
// ctx/asio.hpp - the end of a context as an asynchronous operation of Boost.Asio, for every completion token; and an
// operation that the end of a context cancels. No other header includes it: it needs Boost.Asio.
//
// Either waits for a copy of the done descriptor, since an io_context owns what waits in it: one that is
// destroyed takes the handler, and so a coroutine, along. A waker would still have it, and post it to what is gone.
#ifndef CTX_ASIO_HPP
#define CTX_ASIO_HPP

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/version.hpp>
#include <cerrno>
#include <ctx/context.hpp>
#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>  // before those of Boost 1.74, which need it as C++20
#include <variant>
#if defined(BOOST_ASIO_HAS_CO_AWAIT)
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#if BOOST_ASIO_VERSION >= 102100  // of Boost 1.77, the first with cancellation slots
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#define CTX_ASIO_HAS_SLOTS 1
#endif
#endif

namespace ctx {

namespace detail {

class asio_done {
 public:
  explicit asio_done(context ctx) noexcept : ctx_(std::move(ctx)) {}

  template <class Self>
  void operator()(Self& self) {
    const auto executor = boost::asio::get_associated_executor(self);
    using executor_type = std::decay_t<decltype(executor)>;
    using descriptor = boost::asio::posix::basic_stream_descriptor<executor_type>;
    using timer =
        boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor_type>;
    const int fd = ctx_done_fd_dup(ctx_.get());
    if (fd >= 0) {
      const auto done = std::make_shared<descriptor>(executor, fd);
      waits_ = done;
      done->async_wait(descriptor::wait_read, std::move(self));
    } else if (fd == -ENOTSUP) {  // it can never be done
      const auto never = std::make_shared<timer>(executor, time_point::max());
      waits_ = never;
      never->async_wait(std::move(self));
    } else {
      boost::asio::post(executor, [self = std::move(self), why = to_error_code(fd)]() mutable {
        self.complete(why);
      });
    }
  }
  template <class Self>
  void operator()(Self& self, boost::system::error_code error) {
    waits_.reset();
    self.complete(ctx_.is_done() ? ctx_.err() : std::error_code(error));
  }

 private:
  context ctx_;
  std::shared_ptr<void> waits_;
};

}  // namespace detail

/// Completes with the std::error_code of a context when it is done, on the executor of the handler; never inside
/// this call or a cancel, and behind nobody's callback. Inside a boost::asio::awaitable:
/// `std::error_code why = co_await ctx::async_done(ctx, boost::asio::use_awaitable);`. Takes a descriptor until then;
/// if there is none, that is the error.
template <class Token>
auto async_done(const context& ctx, Token&& token) {
  return boost::asio::async_compose<Token, void(std::error_code)>(detail::asio_done(ctx), token);
}

#if defined(BOOST_ASIO_HAS_CO_AWAIT)

namespace detail {

// What an operation gives, or why its context ended.
template <class T>
using outcome =
    std::variant<std::conditional_t<std::is_void_v<T>, std::monostate, T>, std::error_code>;

#if defined(CTX_ASIO_HAS_SLOTS)
// Cancels a coroutine, whatever it waits for. The race has the signal, and outlives what is bound to its slot.
struct asio_slot {
  std::shared_ptr<boost::asio::cancellation_signal> signal =
      std::make_shared<boost::asio::cancellation_signal>();
  void operator()() const { signal->emit(boost::asio::cancellation_type::terminal); }
};
#endif

// An operation beside the wait for the end of a context. Both own this, and with it the coroutine that waits: so
// that one outlives what the operation refers to, also if the io_context is destroyed. All steps are on a strand.
template <class T, class Cancel, class Handler>
class asio_race : public std::enable_shared_from_this<asio_race<T, Cancel, Handler>> {
 public:
  asio_race(context ctx, Cancel cancel, Handler handler)
      : ctx_(std::move(ctx)),
        cancel_(std::move(cancel)),
        executor_(boost::asio::get_associated_executor(handler)),
        strand_(boost::asio::make_strand(executor_)),
        done_(strand_),
        later_(strand_),
        handler_(std::move(handler)) {}

  void begin(boost::asio::awaitable<T> operation) {
    boost::asio::post(
        strand_, [self = this->shared_from_this(), operation = std::move(operation)]() mutable {
          self->start(std::move(operation));
        });
  }

 private:
  using executor_type =
      std::decay_t<decltype(boost::asio::get_associated_executor(std::declval<const Handler&>()))>;
  using strand = boost::asio::strand<executor_type>;

  void start(boost::asio::awaitable<T> operation) {
    const int fd = ctx_done_fd_dup(ctx_.get());
    if (fd >= 0) {
      boost::system::error_code error;
      unique_fd own(fd);
      done_.assign(fd, error);
      if (error) return complete({}, end(error));
      static_cast<void>(own.release());
    } else if (fd != -ENOTSUP) {
      return complete({}, end(to_error_code(fd)));
    }
    spawn(std::move(operation));
    if (fd < 0) return;  // the context can never be done
    done_.async_wait(decltype(done_)::wait_read, again());
  }

  void spawn(boost::asio::awaitable<T> operation) {
    auto over = [self = this->shared_from_this()](std::exception_ptr thrown, auto... result) {
      self->over(std::move(thrown), outcome<T>(std::in_place_index<0>, std::move(result)...));
    };
    auto handler = boost::asio::bind_executor(strand_, std::move(over));
#if defined(CTX_ASIO_HAS_SLOTS)
    if constexpr (std::is_same_v<Cancel, asio_slot>) {
      boost::asio::co_spawn(
          strand_, std::move(operation),
          boost::asio::bind_cancellation_slot(cancel_.signal->slot(), std::move(handler)));
      return;
    }
#endif
    boost::asio::co_spawn(strand_, std::move(operation), std::move(handler));
  }

  // Cancels until the operation is over: between two steps of it there is nothing to cancel.
  void stop() {
    if (over_) return;
    stopped_ = true;
    cancel_();
    later_.expires_after(std::chrono::milliseconds(1));
    later_.async_wait(again());
  }
  auto again() {
    return boost::asio::bind_executor(
        strand_, [self = this->shared_from_this()](boost::system::error_code) { self->stop(); });
  }

  void over(std::exception_ptr thrown, outcome<T> result) {
    over_ = true;
    boost::system::error_code ignored;
    done_.close(ignored);
    if (thrown && stopped_) return complete({}, end(ctx_.err()));
    complete(std::move(thrown), std::move(result));
  }

  static outcome<T> end(std::error_code why) { return outcome<T>(std::in_place_index<1>, why); }
  void complete(std::exception_ptr thrown, outcome<T> result) {
    boost::asio::post(executor_, [handler = std::move(handler_), thrown = std::move(thrown),
                                  result = std::move(result)]() mutable {
      handler(std::move(thrown), std::move(result));
    });
  }

  context ctx_;
  Cancel cancel_;
  executor_type executor_;
  strand strand_;
  boost::asio::posix::basic_stream_descriptor<strand> done_;
  boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, strand> later_;
  Handler handler_;
  bool stopped_ = false;
  bool over_ = false;
};

template <class T, class Cancel>
boost::asio::awaitable<outcome<T>> asio_first(context ctx, boost::asio::awaitable<T> operation,
                                              Cancel cancel) {
  if (ctx.is_done()) co_return outcome<T>(std::in_place_index<1>, ctx.err());
  auto begin = [](auto handler, context with, boost::asio::awaitable<T> what, Cancel how) {
    using race = asio_race<T, Cancel, decltype(handler)>;
    std::make_shared<race>(std::move(with), std::move(how), std::move(handler))
        ->begin(std::move(what));
  };
  co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&,
                                                 void(std::exception_ptr, outcome<T>)>(
      begin, boost::asio::use_awaitable, std::move(ctx), std::move(operation), std::move(cancel));
}

}  // namespace detail

/// What Boost.Asio has names of its own for: ctx/asio.hpp.
namespace asio {

/// The end of a context, beside an operation: see operator||.
struct ended {
  /// Of this context.
  explicit ended(context ctx) noexcept : of(std::move(ctx)) {}
  context of;  ///< The context.
};

/// What op() returns, for operator||.
template <class T, class Cancel>
struct cancelable {
  boost::asio::awaitable<T> operation;  ///< What is awaited.
  Cancel cancel;                        ///< Cancels what that waits for.
};

/// An operation of an object that has a cancel(), such as a socket or a timer, and that outlives it; or of a coroutine,
/// with a callable that cancels whatever it waits for.
template <class T, class Object>
auto op(Object&& object, boost::asio::awaitable<T> operation) {
  if constexpr (std::is_invocable_v<std::decay_t<Object>&>) {
    return cancelable<T, std::decay_t<Object>>{std::move(operation), std::forward<Object>(object)};
  } else {
    static_assert(std::is_lvalue_reference_v<Object>, "the object outlives its operation");
    auto cancel = [&object] { object.cancel(); };
    return cancelable<T, decltype(cancel)>{std::move(operation), std::move(cancel)};
  }
}

/// `co_await (ctx::asio::op(socket, socket.async_read_some(buffer, use_awaitable)) || ctx::asio::ended(ctx))` gives a
/// std::variant: index 0 is what the operation gave, std::monostate if nothing; index 1 is the std::error_code of the
/// context, which ended first. Then the operation was canceled, and is over: its buffers are free again. If it could
/// still end well, that is what it gives; if it failed by itself, it throws. It runs on a strand of the coroutine's
/// executor. It does not begin if the context is done, or if there is no descriptor: then that is the error.
template <class T, class Cancel>
[[nodiscard]] auto operator||(cancelable<T, Cancel> work, ended end) {
  return detail::asio_first(std::move(end.of), std::move(work.operation), std::move(work.cancel));
}
#if defined(CTX_ASIO_HAS_SLOTS)
/// The same of any awaitable, as of Boost 1.77: it is canceled by its cancellation slot.
template <class T>
[[nodiscard]] auto operator||(boost::asio::awaitable<T> operation, ended end) {
  return detail::asio_first(std::move(end.of), std::move(operation), detail::asio_slot());
}
#endif

}  // namespace asio

#endif

}  // namespace ctx

#endif  // CTX_ASIO_HPP
