// SPDX-License-Identifier: MIT
//
// ctx/asio.hpp - the end of a context as an asynchronous operation of Boost.Asio, for every completion token. No
// other header includes it: it needs Boost.Asio.
//
// The operation waits for a copy of the done descriptor, since an io_context owns what waits in it: one that is
// destroyed takes the handler, and so a coroutine, along. A waker would still have it, and post it to what is gone.
#ifndef CTX_ASIO_HPP
#define CTX_ASIO_HPP

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <ctx/context.hpp>
#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>  // before those of Boost 1.74, which need it as C++20

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

}  // namespace ctx

#endif  // CTX_ASIO_HPP
