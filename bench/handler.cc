// SPDX-License-Identifier: MIT
//
// P17: a handler's whole life, as a server has it, on two threads: a timeout of a second below one of 10,000 requests
// that are alive, a string, a callback, then cancel and release. As it is built of std::stop_source and a timer queue
// of Boost.Asio, whose thread serves both: the string is a member. Prints `name value` lines: nanoseconds of real
// time a handler and thread.
#include <ctx/ctx.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "plain.h"
#include "trees.h"
#if CTX_BENCH_ASIO
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#endif

namespace ctxbench {
namespace {

constexpr size_t kRequests = 10'000;
constexpr size_t kHandlers = 300'000;
constexpr size_t kThreads = 2;

// Each thread goes through requests of its own, in the order of their numbers mixed.
template <class Handle>
double PerHandler(Handle handle) {
  std::atomic<size_t> ready{0};
  std::vector<std::thread> threads;
  std::atomic<int64_t> begin_ns{0};
  const auto now = [] { return ctx_now(ctx_background()); };
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      if (ready.fetch_add(1) + 1 == kThreads) begin_ns.store(now());
      while (ready.load() < kThreads) std::this_thread::yield();
      for (size_t i = 0; i < kHandlers; ++i) {
        handle((i * 7919 + t) % (kRequests / kThreads) * kThreads + t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return static_cast<double>(now() - begin_ns.load()) / static_cast<double>(kHandlers);
}

void OfOurs() {
  OursCancel::Parent server;
  Family<OursCancel> requests(server, kRequests);
  std::atomic<size_t> called{0};
  const double ns = PerHandler([&](size_t i) {
    Ours handler(requests[i]->ctx, kSecond);
    ctx_t* named;
    Check(ctx_with_string(handler.ctx, "user", "somebody", &named));
    Check(ctx_after_func(
        named,
        [](ctx_t*, void* arg) {
          static_cast<std::atomic<size_t>*>(arg)->fetch_add(1, std::memory_order_relaxed);
        },
        &called, nullptr, 0, nullptr));
    if (!handler.Cancel()) std::abort();
    ctx_unref(named);
  });
  if (called.load() != kThreads * kHandlers) std::abort();
  std::printf("P17/ours %.1f\n", ns);
}

#if CTX_BENCH_ASIO
class StdHandler {
 public:
  StdHandler(Std::Parent& request, boost::asio::io_context& io, std::atomic<size_t>* called)
      : source_(request), timer_(io, std::chrono::seconds(1)), user_("somebody") {
    timer_.async_wait([source = source_.source](const boost::system::error_code& error) mutable {
      if (!error) source.request_stop();
    });
    callback_.emplace(source_.source.get_token(),
                      [called] { called->fetch_add(1, std::memory_order_relaxed); });
  }
  bool Cancel() { return source_.Cancel(); }

 private:
  Std source_;
  boost::asio::steady_timer timer_;
  std::string user_;
  std::optional<std::stop_callback<std::function<void()>>> callback_;
};

void OfStd() {
  boost::asio::io_context io;
  const auto work = boost::asio::make_work_guard(io);
  std::thread timers([&io] { io.run(); });
  Std::Parent server;
  Family<Std> children(server, kRequests);
  std::vector<Std::Parent> requests(kRequests);
  std::atomic<size_t> called{0};
  const double ns = PerHandler([&](size_t i) {
    StdHandler handler(requests[i], io, &called);
    if (!handler.Cancel()) std::abort();
  });
  io.stop();
  timers.join();
  if (called.load() != kThreads * kHandlers) std::abort();
  std::printf("P17/std %.1f\n", ns);
}
#endif

}  // namespace
}  // namespace ctxbench

int main(int argc, char** argv) {
  using namespace ctxbench;
  return RunPlain(argc, argv,
                  {{"P17/ours", OfOurs}
#if CTX_BENCH_ASIO
                   ,
                   {"P17/std", OfStd}
#endif
                  });
}
