// SPDX-License-Identifier: MIT
//
// Queries of PostgreSQL that a context ends, against a real server.
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "recipes/postgres.h"
#include "support/callback.h"
#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"

namespace ctxtest {
static int64_t grace_ns = kLimit;
}
#define PQ_CTX_GRACE_NS ctxtest::grace_ns
#include <pq_ctx.h>

extern "C" int ask(ctx_t* ctx, PGconn* conn, const char* sql, const char* value, char* ret,
                   size_t size);  // of the README

namespace ctxtest {
namespace {

class PqRecipe : public testing::Test {
 protected:
  static void SetUpTestSuite() { postgres = std::make_unique<Postgres>(); }
  static void TearDownTestSuite() { postgres.reset(); }
  ~PqRecipe() override { grace_ns = kLimit; }

  struct Connection {
    explicit Connection(const std::string& conninfo) {
      EXPECT_EQ(pq_connect_ctx(ctx_background(), conninfo.c_str(), &conn), 0);
      EXPECT_EQ(PQstatus(conn), CONNECTION_OK) << PQerrorMessage(conn);
    }
    Connection() : Connection(postgres->Conninfo()) {}
    Connection(const Connection&) = delete;
    ~Connection() { PQfinish(conn); }

    // What pq_exec_ctx answers; then `text` is the first value, or the SQLSTATE of an error.
    int Exec(ctx_t* ctx, const std::string& sql) {
      PGresult* result = nullptr;
      text.clear();
      const int r = pq_exec_ctx(ctx, conn, sql.c_str(), 0, nullptr, &result);
      if (r == 0 && PQresultStatus(result) == PGRES_FATAL_ERROR) {
        const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        text = state != nullptr ? state : "lost";
      } else if (r == 0 && PQntuples(result) > 0) {
        text = PQgetvalue(result, 0, 0);
      }
      PQclear(result);
      return r;
    }
    std::string Ask(const std::string& sql) {
      EXPECT_EQ(Exec(ctx_background(), sql), 0);
      return text;
    }

    PGconn* conn = nullptr;
    std::string text;
  };

  // Whether a connection's query runs, or is over.
  static bool Runs(Connection* watcher, int pid, const char* state = "active") {
    return Soon([&] {
      return watcher->Ask("SELECT state FROM pg_stat_activity WHERE pid = " +
                          std::to_string(pid)) == state;
    });
  }

  static std::unique_ptr<Postgres> postgres;
};
std::unique_ptr<Postgres> PqRecipe::postgres;

constexpr char kLong[] = "SELECT pg_sleep(3600)";

TEST_F(PqRecipe, QueryInTimeIsAnswered) {
  Connection conn;
  const Scope scope = WithTimeout(ctx_background(), kHour);
  EXPECT_EQ(conn.Exec(scope, "SELECT 6 * 7"), 0);
  EXPECT_EQ(conn.text, "42");
  EXPECT_EQ(PQisnonblocking(conn.conn), 0);
}

TEST_F(PqRecipe, LargeQueryIsSentAndAnswered) {
  Connection conn;
  const Scope scope = WithTimeout(ctx_background(), kHour);
  EXPECT_EQ(conn.Exec(scope, "SELECT length('" + std::string(20'000'000, 'x') + "')"), 0);
  EXPECT_EQ(conn.text, "20000000");
}

TEST_F(PqRecipe, DoneContextStartsNothing) {
  Connection conn;
  const Scope scope = WithCancel(ctx_background());
  scope.Cancel();
  EXPECT_EQ(conn.Exec(scope, "CREATE TABLE never(i int)"), CTX_CANCELED);
  EXPECT_EQ(conn.Ask("SELECT to_regclass('never') IS NULL"), "t");
  PostgresProxy proxy(*postgres);
  PGconn* other = nullptr;
  EXPECT_EQ(pq_connect_ctx(scope, proxy.Conninfo().c_str(), &other), CTX_CANCELED);
  EXPECT_EQ(other, nullptr);
  const Connection next(proxy.Conninfo());
  EXPECT_EQ(proxy.accepted, 1);
}

TEST_F(PqRecipe, CancelEndsTheQueryInTheServer) {
  Connection conn, watcher;
  const Scope scope = WithTimeout(ctx_background(), kHour);
  std::thread other([&] {
    EXPECT_TRUE(Runs(&watcher, PQbackendPID(conn.conn)));
    scope.Cancel();
  });
  EXPECT_EQ(conn.Exec(scope, kLong), CTX_CANCELED);
  other.join();
  EXPECT_EQ(PQstatus(conn.conn), CONNECTION_OK);
  EXPECT_EQ(conn.Ask("SELECT 7"), "7");  // the connection is as good as before
}

TEST_F(PqRecipe, DeadlineEndsTheQueryInTheServer) {
  Connection conn;
  const Scope scope = WithTimeout(ctx_background(), 50 * kMillisecond);
  EXPECT_EQ(conn.Exec(scope, kLong), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(conn.Ask("SELECT 7"), "7");
}

TEST_F(PqRecipe, DeadlineOfALoopThatNobodyDispatchesEndsTheQuery) {
  Connection conn;
  const ManualLoop loop;
  const Scope scope = WithTimeout(loop.root, 50 * kMillisecond);
  EXPECT_EQ(conn.Exec(scope, kLong), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(conn.Ask("SELECT 7"), "7");
}

TEST_F(PqRecipe, TransactionThatIsEndedHasFailed) {
  Connection conn, watcher;
  conn.Ask("BEGIN");
  const Scope scope = WithCancel(ctx_background());
  std::thread other([&] {
    EXPECT_TRUE(Runs(&watcher, PQbackendPID(conn.conn)));
    scope.Cancel();
  });
  EXPECT_EQ(conn.Exec(scope, kLong), CTX_CANCELED);
  other.join();
  EXPECT_EQ(PQtransactionStatus(conn.conn), PQTRANS_INERROR);
  const Ctx cleanup = WithoutCancel(scope);
  EXPECT_EQ(conn.Exec(cleanup, "ROLLBACK"), 0);
  EXPECT_EQ(PQtransactionStatus(conn.conn), PQTRANS_IDLE);
}

TEST_F(PqRecipe, OtherErrorsAreTheServers) {
  Connection conn;
  const Scope scope = WithTimeout(ctx_background(), kHour);
  EXPECT_EQ(conn.Exec(scope, "SELECT nonsense"), 0);
  EXPECT_EQ(conn.text, "42703");
  EXPECT_EQ(conn.Exec(scope, "SELECT 1/0"), 0);
  EXPECT_EQ(conn.text, "22012");
}

TEST_F(PqRecipe, CancelOfOthersIsTheServers) {
  Connection conn, admin;
  const Scope scope = WithTimeout(ctx_background(), kHour);
  std::thread other([&] {
    const int pid = PQbackendPID(conn.conn);
    EXPECT_TRUE(Runs(&admin, pid));
    EXPECT_EQ(admin.Ask("SELECT pg_cancel_backend(" + std::to_string(pid) + ")"), "t");
  });
  EXPECT_EQ(conn.Exec(scope, kLong), 0);
  other.join();
  EXPECT_EQ(conn.text, "57014");
}

TEST_F(PqRecipe, StatementTimeoutAtTheDeadlineIsTheDeadline) {
  Connection conn;
  const VirtualLoop loop;  // its deadline is near by the context's clock alone
  conn.Ask("SET statement_timeout = 50");
  const Scope scope = WithTimeout(loop.root, kHour);
  EXPECT_EQ(conn.Exec(scope, kLong), 0);
  EXPECT_EQ(conn.text, "57014");
  EXPECT_GE(loop.Advance(kHour - 4 * kMillisecond), 0);
  EXPECT_EQ(conn.Exec(scope, kLong), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(conn.Exec(scope, "SELECT 1/0"), 0);  // what fails then for another reason does not
  EXPECT_EQ(conn.text, "22012");
}

TEST_F(PqRecipe, HangUpAtTheDeadlineIsTheDeadline) {
  for (const bool near : {false, true}) {
    PostgresProxy proxy(*postgres);
    Connection conn(proxy.Conninfo()), watcher;
    const VirtualLoop loop;
    const Scope scope = WithTimeout(loop.root, kHour);
    std::thread other([&] {
      EXPECT_TRUE(Runs(&watcher, PQbackendPID(conn.conn)));
      EXPECT_GE(loop.Advance(kHour - (near ? 35 : 37) * kSecond), 0);
      proxy.Drop();
    });
    EXPECT_EQ(conn.Exec(scope, kLong), near ? CTX_DEADLINE_EXCEEDED : 0);
    other.join();
    EXPECT_EQ(conn.text, near ? "" : "lost");
    EXPECT_EQ(PQstatus(conn.conn), CONNECTION_BAD);
  }
}

// The query ends by itself while the cancel is on its way. The connection must not be given back before that has come.
TEST_F(PqRecipe, CancelThatComesLateDoesNotMeetTheNextQuery) {
  PostgresProxy proxy(*postgres);
  Connection conn(proxy.Conninfo()), watcher;
  watcher.Ask("SELECT pg_advisory_lock(1)");
  const Scope scope = WithCancel(ctx_background());
  std::atomic<bool> passed_on{false};
  std::thread other([&] {
    const int pid = PQbackendPID(conn.conn);
    EXPECT_TRUE(Runs(&watcher, pid));
    scope.Cancel();
    EXPECT_TRUE(proxy.asked.WaitFor(1));
    watcher.Ask("SELECT pg_advisory_unlock(1)");
    EXPECT_TRUE(Runs(&watcher, pid, "idle"));
    passed_on = true;
    proxy.cancels.Open();
  });
  EXPECT_EQ(conn.Exec(scope, "SELECT 5 FROM pg_advisory_lock(1)"), 0);  // an answer stays one
  EXPECT_TRUE(passed_on);
  EXPECT_EQ(conn.text, "5");
  other.join();
  EXPECT_EQ(conn.Ask("SELECT 7"), "7");
}

// The server forgets a cancel that comes before the query does.
TEST_F(PqRecipe, CancelThatComesEarlyIsRepeated) {
  PostgresProxy proxy(*postgres);
  proxy.cancels.Open();
  Connection conn(proxy.Conninfo());
  proxy.late = true;
  const Scope scope = WithCancel(ctx_background());
  std::thread other([&] {
    EXPECT_TRUE(proxy.kept.WaitFor(1));
    scope.Cancel();
  });
  EXPECT_EQ(conn.Exec(scope, kLong), CTX_CANCELED);
  other.join();
  EXPECT_GE(proxy.asked.Get(), 2);
  EXPECT_EQ(PQstatus(conn.conn), CONNECTION_OK);
  EXPECT_EQ(conn.Ask("SELECT 7"), "7");
}

TEST_F(PqRecipe, CancelThatHangsHoldsUpNobody) {
  PostgresProxy proxy(*postgres);
  Connection conn(proxy.Conninfo()), watcher;
  const Scope scope = WithCancel(ctx_background());
  grace_ns = 100 * kMillisecond;
  Callback deferred;
  EXPECT_EQ(deferred.Arm(scope, CTX_DEFER), 0);
  std::thread other([&] {
    EXPECT_TRUE(Runs(&watcher, PQbackendPID(conn.conn)));
    scope.Cancel();
    EXPECT_TRUE(proxy.asked.WaitFor(1));
    EXPECT_TRUE(deferred.WaitRun());
    Callback later;
    EXPECT_EQ(later.Arm(scope, CTX_DEFER), 1);
    EXPECT_TRUE(later.WaitRun());
    EXPECT_FALSE(proxy.cancels.IsOpen());
  });
  EXPECT_EQ(conn.Exec(scope, kLong), CTX_CANCELED);
  other.join();
  EXPECT_EQ(PQstatus(conn.conn), CONNECTION_BAD);  // a late cancel meets nothing
}

TEST_F(PqRecipe, ServerThatIsSilentIsLeft) {
  PostgresProxy proxy(*postgres);
  proxy.cancels.Open();
  Connection conn(proxy.Conninfo());
  proxy.mute = true;
  grace_ns = 100 * kMillisecond;
  const Scope scope = WithCancel(ctx_background());
  std::thread other([&] {
    EXPECT_TRUE(proxy.muted.WaitFor(1));
    scope.Cancel();
  });
  EXPECT_EQ(conn.Exec(scope, "SELECT 1"), CTX_CANCELED);
  other.join();
  EXPECT_EQ(PQstatus(conn.conn), CONNECTION_BAD);
}

TEST_F(PqRecipe, QueryThatEndsByItselfIsNotCanceled) {
  PostgresProxy proxy(*postgres);
  Connection conn(proxy.Conninfo());
  const Scope scope = WithCancel(ctx_background());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(conn.Exec(scope, "SELECT 1"), 0);
  scope.Cancel();
  EXPECT_EQ(conn.Ask("SELECT 7"), "7");
  EXPECT_EQ(proxy.asked.Get(), 0);
}

TEST_F(PqRecipe, CancelsRaceWithTheEndOfQueries) {
  Connection conn;
  Scope scope;
  int answer = 0;
  Race(
      100, [&] { scope = WithCancel(ctx_background()); },
      {[&] { answer = conn.Exec(scope, "SELECT count(*) FROM generate_series(1, 1000)"); },
       [&] { scope.Cancel(); }},
      [&] {
        EXPECT_TRUE(answer == CTX_CANCELED || conn.text == "1000") << answer << conn.text;
        EXPECT_EQ(conn.Ask("SELECT count(*) FROM generate_series(1, 1000)"), "1000");
      });
}

TEST_F(PqRecipe, ContextEndsAConnect) {
  PostgresProxy proxy(*postgres);
  proxy.mute = true;
  const Scope scope = WithTimeout(ctx_background(), 50 * kMillisecond);
  PGconn* conn = nullptr;
  EXPECT_EQ(pq_connect_ctx(scope, proxy.Conninfo().c_str(), &conn), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(conn, nullptr);
  EXPECT_TRUE(Soon([&] { return proxy.open == 0; }));
}

TEST_F(PqRecipe, ConnectThatFailsSaysWhy) {
  for (const char* conninfo : {"host=/nonexistent", "nonsense"}) {
    PGconn* conn = nullptr;
    EXPECT_EQ(pq_connect_ctx(ctx_background(), conninfo, &conn), 0);
    EXPECT_EQ(PQstatus(conn), CONNECTION_BAD);
    EXPECT_STRNE(PQerrorMessage(conn), "");
    PQfinish(conn);
  }
}

TEST_F(PqRecipe, LostConnectionIsNotWaitedFor) {
  Connection conn, admin;
  EXPECT_EQ(admin.Ask("SELECT pg_terminate_backend(" + std::to_string(PQbackendPID(conn.conn)) +
                      ", 60000)"),
            "t");
  EXPECT_EQ(conn.Exec(ctx_background(), "SELECT 1"), 0);
  EXPECT_TRUE(conn.text == "57P01" || conn.text == "lost") << conn.text;
  EXPECT_EQ(conn.Exec(ctx_background(), "SELECT 1"), 0);
  EXPECT_EQ(conn.text, "lost");
}

TEST_F(PqRecipe, CopyIsLeftToTheCaller) {
  Connection conn;
  PGresult* result;
  EXPECT_EQ(
      pq_exec_ctx(ctx_background(), conn.conn, "COPY (SELECT 7) TO STDOUT", 0, nullptr, &result),
      0);
  EXPECT_EQ(PQresultStatus(result), PGRES_COPY_OUT);
  PQclear(result);
  char* row;
  EXPECT_EQ(PQgetCopyData(conn.conn, &row, 0), 2);
  PQfreemem(row);
  EXPECT_EQ(PQgetCopyData(conn.conn, &row, 0), -1);
  while ((result = PQgetResult(conn.conn)) != nullptr) PQclear(result);
  EXPECT_EQ(conn.Ask("SELECT 7"), "7");
}

TEST_F(PqRecipe, BackgroundWorkOutlivesTheRequest) {
  Connection conn;
  const Scope request = WithCancel(ctx_background());
  const Ctx detached = WithoutCancel(request);
  request.Cancel();
  EXPECT_EQ(conn.Exec(detached, "SELECT 7"), 0);
  EXPECT_EQ(conn.text, "7");
}

TEST_F(PqRecipe, NothingStays) {
  Connection watcher;
  Drop drop;
  std::string pids = "0";
  const auto all_ways = [&] {
    Connection conn;
    pids += "," + std::to_string(PQbackendPID(conn.conn));
    const Ctx lives = Watched(WithCancel(ctx_background()), &drop);
    EXPECT_EQ(conn.Exec(lives, "SELECT 1"), 0);
    const Ctx ends = Watched(WithTimeout(ctx_background(), 20 * kMillisecond), &drop);
    EXPECT_EQ(conn.Exec(ends, kLong), CTX_DEADLINE_EXCEEDED);
  };
  all_ways();
  EXPECT_TRUE(drop.Wait(2));
  const size_t before = OpenDescriptors();
  for (int i = 0; i < 5; ++i) all_ways();
  EXPECT_TRUE(drop.Wait(12));
  EXPECT_TRUE(Soon([&] { return OpenDescriptors() == before; }));
  EXPECT_TRUE(Soon([&] {
    return watcher.Ask("SELECT count(*) FROM pg_stat_activity WHERE pid IN (" + pids + ")") == "0";
  }));
}

TEST_F(PqRecipe, LinesOfTheReadme) {
  Connection conn;
  char text[8];
  EXPECT_EQ(ask(ctx_background(), conn.conn, "SELECT $1::int + 1", "41", text, sizeof text), 0);
  EXPECT_STREQ(text, "42");
  EXPECT_EQ(ask(ctx_background(), conn.conn, "SELECT $1::int", "x", text, sizeof text), -EIO);
  const Scope scope = WithTimeout(ctx_background(), 20 * kMillisecond);
  EXPECT_EQ(ask(scope, conn.conn, "SELECT pg_sleep($1)", "3600", text, sizeof text),
            CTX_DEADLINE_EXCEEDED);
}

}  // namespace
}  // namespace ctxtest
