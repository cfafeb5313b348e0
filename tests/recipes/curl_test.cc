// SPDX-License-Identifier: MIT
//
// Transfers of libcurl that a context ends: one at a time, and many in a loop.
#include <curl/curl.h>
#include <curl_ctx.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "recipes/http_server.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"

extern "C" int get(ctx_t* ctx, CURL* easy, const char* url);  // of the README
extern "C" int get_all(ctx_t* const* ctxs, curl_transfer_t* transfers, int n);

namespace ctxtest {
namespace {

struct Easy {
  explicit Easy(const std::string& url) {
    const auto write = [](char* data, size_t size, size_t n, void* text) {
      static_cast<std::string*>(text)->append(data, size * n);
      return size * n;
    };
    curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
    curl_easy_setopt(handle, CURLOPT_PROXY, "");
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, +write);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
  }
  Easy(const Easy&) = delete;
  ~Easy() { curl_easy_cleanup(handle); }

  std::string body;
  CURL* handle = curl_easy_init();
};

// Each case once by curl_perform_ctx(), once in a loop.
class CurlRecipe : public testing::TestWithParam<bool> {
 protected:
  int Perform(ctx_t* ctx, const std::string& url) {
    Easy easy(url);
    const int result = GetParam() ? InLoop(ctx, easy.handle) : curl_perform_ctx(ctx, easy.handle);
    body = easy.body;
    return result;
  }
  static int InLoop(ctx_t* ctx, CURL* easy) {
    const Queue queue = NewQueue();
    curl_loop_t loop = {curl_multi_init(), queue, 0};
    curl_transfer_t transfer = {}, *ended = nullptr;
    transfer.easy = easy;
    int result = curl_add_ctx(&loop, ctx, &transfer);
    if (result == 0) {
      EXPECT_EQ(curl_wait_ctx(&loop, &ended), 0);
      EXPECT_EQ(ended, &transfer);
      result = transfer.result;
    }
    EXPECT_EQ(curl_wait_ctx(&loop, &ended), 0);
    EXPECT_EQ(ended, nullptr);
    EXPECT_EQ(curl_multi_cleanup(loop.multi), CURLM_OK);
    return result;
  }

  HttpServer server;
  std::string body;
};

INSTANTIATE_TEST_SUITE_P(Easy, CurlRecipe, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Multi, CurlRecipe, testing::Values(true));

TEST_P(CurlRecipe, TransferInTimeSucceeds) {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  EXPECT_EQ(Perform(scope, server.Url("/hello")), 0);
  EXPECT_EQ(body, "hello");
  EXPECT_EQ(Perform(ctx_background(), server.Url("/hello")), 0);
}

TEST_P(CurlRecipe, DoneContextStartsNothing) {
  const Scope scope = WithCancel(ctx_background());
  scope.Cancel();
  EXPECT_EQ(Perform(scope, server.Url("/hello")), CTX_CANCELED);
  EXPECT_EQ(Perform(ctx_background(), server.Url("/hello")), 0);
  EXPECT_EQ(server.accepted, 1);
}

TEST_P(CurlRecipe, DeadlineThatPassedOnALoopThatNobodyDispatchesStartsNothing) {
  const ManualLoop loop;
  const Scope scope = WithTimeout(loop.root, kMillisecond);
  while (ctx_remaining(scope) > 0) SleepUntil(Deadline(scope));
  EXPECT_EQ(Perform(scope, server.Url("/hello")), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(Perform(ctx_background(), server.Url("/hello")), 0);
  EXPECT_EQ(server.accepted, 1);
}

TEST_P(CurlRecipe, CancelEndsATransfer) {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  std::thread other([&] {
    EXPECT_TRUE(server.requests.WaitFor(1));
    PassDeadlineOf(
        WithTimeout(ctx_background(), 250 * kMillisecond));  // and libcurl sleeps by then
    scope.Cancel();
  });
  EXPECT_EQ(Perform(scope, server.Url("/stalled")), CTX_CANCELED);
  other.join();
  EXPECT_TRUE(Soon([&] { return server.NobodyConnected(); }));
}

TEST_P(CurlRecipe, DeadlineEndsATransfer) {
  const Scope scope = WithTimeout(ctx_background(), 50 * kMillisecond);
  EXPECT_EQ(Perform(scope, server.Url("/stalled")), CTX_DEADLINE_EXCEEDED);
  EXPECT_GE(Now(), Deadline(scope) - 5 * kMillisecond);
  EXPECT_TRUE(Soon([&] { return server.NobodyConnected(); }));
}

TEST_P(CurlRecipe, DeadlineOfALoopThatNobodyDispatchesEndsATransfer) {
  const ManualLoop loop;
  const Scope scope = WithTimeout(loop.root, 50 * kMillisecond);
  EXPECT_EQ(Perform(scope, server.Url("/stalled")), CTX_DEADLINE_EXCEEDED);
}

// The context's clock is moved past its deadline; that of libcurl, which was given it, has an hour left.
TEST_P(CurlRecipe, DeadlineThatLibcurlHasIsLeftToIt) {
  const VirtualLoop loop;
  const Scope scope = WithTimeout(loop.root, kHour);
  std::thread other([&] {
    EXPECT_TRUE(server.requests.WaitFor(1));
    EXPECT_GE(loop.Advance(2 * kHour), 0);
    EXPECT_EQ(ctx_err(scope), CTX_DEADLINE_EXCEEDED);
    server.answer.Open();
  });
  EXPECT_EQ(Perform(scope, server.Url("/held")), 0);
  other.join();
  EXPECT_EQ(body, "hello");
}

TEST_P(CurlRecipe, DeadlineThatLibcurlHasNotEndsTheTransfer) {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  std::thread other([&] {
    EXPECT_TRUE(server.requests.WaitFor(1));
    EXPECT_EQ(ctx_cancel_with(scope.canceler, CTX_DEADLINE_EXCEEDED, nullptr), 1);
  });
  EXPECT_EQ(Perform(scope, server.Url("/stalled")), CTX_DEADLINE_EXCEEDED);
  other.join();
}

TEST_P(CurlRecipe, HangUpAtTheDeadlineIsTheDeadline) {
  const Scope scope = WithTimeout(ctx_background(), 2 * kSecond);  // of which 1 % is 20 ms
  server.before_drop = [&] { SleepUntil(Deadline(scope) - 15 * kMillisecond); };
  EXPECT_EQ(Perform(scope, server.Url("/dropped")), CTX_DEADLINE_EXCEEDED);
}

TEST_P(CurlRecipe, HangUpAtTheDeadlineOfALongTimeIsTheDeadline) {
  for (const char* path : {"/dropped", "/cut", "/reset"}) {
    const VirtualLoop loop;
    const Scope scope = WithTimeout(loop.root, kHour);
    server.before_drop = [&] { EXPECT_GE(loop.Advance(kHour - 35 * kSecond), 0); };
    EXPECT_EQ(Perform(scope, server.Url(path)), CTX_DEADLINE_EXCEEDED) << path;
  }
}

TEST_P(CurlRecipe, HangUpJustBeforeAShortDeadlineIsTheDeadline) {
  const VirtualLoop loop;
  const Scope scope = WithTimeout(loop.root, 120 * kSecond);
  EXPECT_GE(loop.Advance(119'900 * kMillisecond), 0);
  server.before_drop = [&] { EXPECT_GE(loop.Advance(96 * kMillisecond), 0); };
  EXPECT_EQ(Perform(scope, server.Url("/dropped")), CTX_DEADLINE_EXCEEDED);
}

TEST_P(CurlRecipe, HangUpBeforeThatIsLibcurls) {
  const VirtualLoop loop;
  const Scope scope = WithTimeout(loop.root, kHour);
  server.before_drop = [&] { EXPECT_GE(loop.Advance(kHour - 37 * kSecond), 0); };
  EXPECT_EQ(Perform(scope, server.Url("/dropped")), CURLE_GOT_NOTHING);
  server.before_drop = nullptr;
  for (ctx_t* ctx : {ctx_background(), scope.ctx.get()}) {
    EXPECT_EQ(Perform(ctx, server.Url("/dropped")), CURLE_GOT_NOTHING);
    EXPECT_EQ(Perform(ctx, server.Url("/cut")), CURLE_PARTIAL_FILE);
    EXPECT_EQ(Perform(ctx, server.Url("/reset")), CURLE_RECV_ERROR);
  }
}

TEST_P(CurlRecipe, OtherErrorsAreLibcurls) {
  const Scope scope = WithTimeout(ctx_background(), kHour);
  EXPECT_EQ(Perform(scope, "http://127.0.0.1:1/"), CURLE_COULDNT_CONNECT);
  EXPECT_EQ(Perform(scope, "nonsense://127.0.0.1/"), CURLE_UNSUPPORTED_PROTOCOL);
}

TEST_P(CurlRecipe, BackgroundWorkOutlivesTheRequest) {
  const Scope request = WithCancel(ctx_background());
  const Ctx detached = WithoutCancel(request);
  request.Cancel();
  EXPECT_EQ(Perform(detached, server.Url("/hello")), 0);
}

TEST_P(CurlRecipe, NothingStays) {
  Drop drop;
  const auto all_ways = [&] {
    Perform(ctx_background(), server.Url("/hello"));
    Perform(Watched(WithTimeout(ctx_background(), 10 * kMillisecond), &drop),
            server.Url("/stalled"));
    Perform(Watched(WithCancel(ctx_background()), &drop), server.Url("/dropped"));
    EXPECT_TRUE(Soon([&] { return server.NobodyConnected(); }));
  };
  all_ways();  // the loop takes its own descriptors
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 5; ++i) all_ways();
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_TRUE(drop.Wait(12));
}

TEST(CurlRecipeOnce, AnswersThatMeanTheDeadline) {
  constexpr CURLcode kHangUps[] = {CURLE_OPERATION_TIMEDOUT, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE,
                                   CURLE_RECV_ERROR,         CURLE_SEND_ERROR,  CURLE_HTTP2,
                                   CURLE_HTTP2_STREAM};
  const VirtualLoop loop;
  const Scope lives = WithTimeout(loop.root, kHour), canceled = WithTimeout(loop.root, kHour);
  Easy easy("");
  curl_transfer_t transfer = {}, of_canceled = {};
  transfer.easy = of_canceled.easy = easy.handle;
  ASSERT_EQ(curl_begin_ctx(lives, &transfer), 0);
  ASSERT_EQ(curl_begin_ctx(canceled, &of_canceled), 0);
  for (const CURLcode code : kHangUps) EXPECT_EQ(curl_result_ctx(&transfer, code), code);
  EXPECT_EQ(curl_result_ctx(&transfer, CURLE_ABORTED_BY_CALLBACK), CURLE_ABORTED_BY_CALLBACK);
  EXPECT_GE(loop.Advance(kHour - 1), 0);
  canceled.Cancel();
  for (const CURLcode code : kHangUps) {
    EXPECT_EQ(curl_result_ctx(&transfer, code), CTX_DEADLINE_EXCEEDED);
    EXPECT_EQ(curl_result_ctx(&of_canceled, code), CTX_CANCELED);
  }
  for (const CURLcode code : {CURLE_OK, CURLE_COULDNT_CONNECT, CURLE_WRITE_ERROR}) {
    EXPECT_EQ(curl_result_ctx(&transfer, code), code);
    EXPECT_EQ(curl_result_ctx(&of_canceled, code), code);
  }
}

TEST(CurlRecipeOnce, ContextDoesNotStayInTheHandle) {
  HttpServer server;
  const Scope scope = WithCancel(ctx_background());
  Easy easy(server.Url("/hello"));
  EXPECT_EQ(curl_perform_ctx(scope, easy.handle), 0);
  scope.Cancel();
  EXPECT_EQ(curl_easy_perform(easy.handle), CURLE_OK);
  EXPECT_EQ(server.accepted, 1);  // and the connection was kept
}

// The next transfer of a handle is not held to the deadline of the one before.
TEST(CurlRecipeOnce, DeadlineDoesNotStayInTheHandle) {
  HttpServer server;
  Easy easy(server.Url("/stalled"));
  while (server.requests.Get() == 0) {  // it may have passed before the transfer begins
    EXPECT_EQ(curl_perform_ctx(WithTimeout(ctx_background(), 20 * kMillisecond), easy.handle),
              CTX_DEADLINE_EXCEEDED);
  }
  curl_easy_setopt(easy.handle, CURLOPT_URL, server.Url("/held").c_str());
  std::thread other([&] {
    EXPECT_TRUE(server.requests.WaitFor(2));
    PassDeadlineOf(WithTimeout(ctx_background(), 20 * kMillisecond));
    server.answer.Open();
  });
  EXPECT_EQ(curl_perform_ctx(ctx_background(), easy.handle), 0);
  other.join();
}

TEST(CurlRecipeOnce, EachOfManyEndsByItsOwnContext) {
  HttpServer server;
  const Queue queue = NewQueue();
  curl_loop_t loop = {curl_multi_init(), queue, 0};
  const Scope family = WithCancel(ctx_background());
  std::vector<std::unique_ptr<Easy>> easies;
  std::vector<curl_transfer_t> transfers(40);
  for (size_t i = 0; i < transfers.size(); ++i) {
    const char* paths[] = {"/hello", "/stalled", "/stalled", "/dropped"};
    easies.push_back(std::make_unique<Easy>(server.Url(paths[i % 4])));
    transfers[i].easy = easies[i]->handle;
    int r;
    do {  // the deadline may have passed before the transfer begins
      const Scope scope = WithTimeout(family, i % 4 == 1 ? 30 * kMillisecond : kHour);
      r = curl_add_ctx(&loop, scope, &transfers[i]);  // a transfer holds its context
    } while (r == CTX_DEADLINE_EXCEEDED);
    ASSERT_EQ(r, 0);
  }
  size_t by_itself = 0;
  curl_transfer_t* ended;
  for (; by_itself < 30; ++by_itself) {
    ASSERT_EQ(curl_wait_ctx(&loop, &ended), 0);
    ASSERT_NE(ended, nullptr);
    const int expected[] = {0, CTX_DEADLINE_EXCEEDED, 1, CURLE_GOT_NOTHING};
    EXPECT_EQ(ended->result, expected[(ended - transfers.data()) % 4]);
    EXPECT_EQ(curl_multi_add_handle(loop.multi, ended->easy), CURLM_OK);  // it was taken out
    EXPECT_EQ(curl_multi_remove_handle(loop.multi, ended->easy), CURLM_OK);
  }
  EXPECT_EQ(loop.running, 10u);
  family.Cancel();
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(curl_wait_ctx(&loop, &ended), 0);
    ASSERT_NE(ended, nullptr);
    EXPECT_EQ(ended->result, CTX_CANCELED);
  }
  EXPECT_EQ(curl_wait_ctx(&loop, &ended), 0);
  EXPECT_EQ(ended, nullptr);
  EXPECT_EQ(curl_multi_cleanup(loop.multi), CURLM_OK);
  EXPECT_TRUE(Soon([&] { return server.NobodyConnected(); }));
}

TEST(CurlRecipeOnce, HandleThatLibcurlRefusesIsSaidSo) {
  const Queue queue = NewQueue();
  curl_loop_t loop = {curl_multi_init(), queue, 0};
  const Scope scope = WithCancel(ctx_background());
  Easy easy("http://127.0.0.1:1/");
  curl_multi_add_handle(loop.multi, easy.handle);  // it is there already
  curl_transfer_t transfer = {}, *ended;
  transfer.easy = easy.handle;
  EXPECT_EQ(curl_add_ctx(&loop, scope, &transfer), -EINVAL);
  scope.Cancel();
  EXPECT_EQ(curl_wait_ctx(&loop, &ended), 0);
  EXPECT_EQ(ended, nullptr);
  ctx_event_t event;
  EXPECT_EQ(ctx_queue_drain(queue, &event, 1), 0);
  curl_multi_remove_handle(loop.multi, easy.handle);
  curl_multi_cleanup(loop.multi);
}

TEST(CurlRecipeOnce, LinesOfTheReadme) {
  HttpServer server;
  const Scope scope = WithTimeout(ctx_background(), kHour);
  Easy one(""), first(server.Url("/hello")), second(server.Url("/dropped"));
  EXPECT_EQ(get(scope, one.handle, server.Url("/hello").c_str()), 0);
  EXPECT_EQ(one.body, "hello");
  ctx_t* const ctxs[] = {scope, scope};
  curl_transfer_t transfers[2] = {};
  transfers[0].easy = first.handle;
  transfers[1].easy = second.handle;
  EXPECT_EQ(get_all(ctxs, transfers, 2), 1);
  EXPECT_EQ(transfers[0].result, 0);
  EXPECT_EQ(transfers[1].result, CURLE_GOT_NOTHING);
}

}  // namespace
}  // namespace ctxtest
