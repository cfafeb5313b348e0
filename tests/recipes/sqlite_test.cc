// SPDX-License-Identifier: MIT
//
// Statements of SQLite that a context ends: while they run, while they wait for a lock, and before they begin.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sqlite_ctx.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "support/handles.h"
#include "support/loops.h"
#include "support/process.h"
#include "support/sync.h"

extern "C" int sum(ctx_t* ctx, sqlite3* db, const char* sql, int64_t* ret);  // of the README

namespace ctxtest {
namespace {

// Counts for ever, and says by begun() that it has begun.
constexpr char kEndless[] =
    "WITH RECURSIVE n(i) AS (SELECT begun() UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

// A database in a file, and connections to it. Closing one fails if a statement has stayed.
class SqliteRecipe : public testing::Test {
 protected:
  struct Connection {
    explicit Connection(const std::string& file) {
      EXPECT_EQ(sqlite3_open(file.c_str(), &db), SQLITE_OK);
      const auto open = [](sqlite3_context* call, int, sqlite3_value**) {
        static_cast<Gate*>(sqlite3_user_data(call))->Open();
        sqlite3_result_int(call, 0);
      };
      EXPECT_EQ(
          sqlite3_create_function(db, "begun", 0, SQLITE_UTF8, &begun, open, nullptr, nullptr),
          SQLITE_OK);
      const auto interrupt = [](sqlite3_context* call, int, sqlite3_value**) {
        sqlite3_interrupt(sqlite3_context_db_handle(call));
      };
      EXPECT_EQ(sqlite3_create_function(db, "interrupt", 0, SQLITE_UTF8, nullptr, interrupt,
                                        nullptr, nullptr),
                SQLITE_OK);
    }
    Connection(const Connection&) = delete;
    ~Connection() { EXPECT_EQ(sqlite3_close(db), SQLITE_OK); }

    void Run(const char* sql) const {
      EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    }
    int64_t Number(const char* sql) const {
      int64_t number = -1;
      EXPECT_EQ(sum(ctx_background(), db, sql, &number), 0) << sqlite3_errmsg(db);
      return number;
    }

    sqlite3* db = nullptr;
    Gate begun;
  };

  SqliteRecipe() {
    EXPECT_NE(mkdtemp(folder_), nullptr);
    file_ = std::string(folder_) + "/db";
  }
  ~SqliteRecipe() override {
    for (const std::string& name : ListFolder(folder_)) unlink((folder_ + ("/" + name)).c_str());
    EXPECT_EQ(rmdir(folder_), 0);
  }

 private:
  char folder_[32] = "/tmp/sqlite_recipe.XXXXXX";

 protected:
  std::string file_;
};

TEST_F(SqliteRecipe, CancelEndsAQueryThatRuns) {
  Connection conn(file_);
  const Scope scope = WithCancel(ctx_background());
  std::thread other([&] {
    EXPECT_TRUE(conn.begun.Wait());
    scope.Cancel();
  });
  int64_t rows = -1;
  EXPECT_EQ(sum(scope, conn.db, kEndless, &rows), CTX_CANCELED);
  other.join();
  EXPECT_EQ(rows, -1);
  EXPECT_EQ(conn.Number("SELECT 7"), 7);  // the connection is as good as before
}

TEST_F(SqliteRecipe, DeadlineEndsAQueryThatRuns) {
  Connection conn(file_);
  const Scope scope = WithTimeout(ctx_background(), 20 * kMillisecond);
  int64_t rows;
  EXPECT_EQ(sum(scope, conn.db, kEndless, &rows), CTX_DEADLINE_EXCEEDED);
}

TEST_F(SqliteRecipe, DeadlineOfALoopThatNobodyDispatchesEndsAQuery) {
  Connection conn(file_);
  const ManualLoop loop;
  const Scope scope = WithTimeout(loop.root, 20 * kMillisecond);
  int64_t rows;
  EXPECT_EQ(sum(scope, conn.db, kEndless, &rows), CTX_DEADLINE_EXCEEDED);
}

TEST_F(SqliteRecipe, DoneContextStartsNothing) {
  Connection conn(file_);
  conn.Run("CREATE TABLE t(i)");
  const Scope scope = WithCancel(ctx_background());
  scope.Cancel();
  EXPECT_EQ(sqlite_exec_ctx(scope, conn.db, "INSERT INTO t VALUES(1)"), CTX_CANCELED);
  int64_t rows;
  EXPECT_EQ(sum(scope, conn.db, "INSERT INTO t VALUES(2)", &rows), CTX_CANCELED);
  EXPECT_EQ(conn.Number("SELECT count(*) FROM t"), 0);
}

TEST_F(SqliteRecipe, EndBetweenTwoRowsIsSeen) {
  Connection conn(file_);
  const Scope scope = WithCancel(ctx_background());
  sqlite3_stmt* statement;
  ASSERT_EQ(sqlite3_prepare_v2(conn.db, "VALUES(1), (2)", -1, &statement, nullptr), SQLITE_OK);
  EXPECT_EQ(sqlite_step_ctx(scope, statement), SQLITE_ROW);
  scope.Cancel();
  EXPECT_EQ(sqlite_step_ctx(scope, statement), CTX_CANCELED);
  EXPECT_EQ(sqlite3_column_int(statement, 0), 1);  // it was not asked for another
  sqlite3_finalize(statement);
}

TEST_F(SqliteRecipe, DeadlineEndsTheWaitForALock) {
  Connection holder(file_), conn(file_);
  holder.Run("CREATE TABLE t(i); BEGIN EXCLUSIVE");
  const Scope scope = WithTimeout(ctx_background(), 20 * kMillisecond);
  EXPECT_EQ(sqlite_exec_ctx(scope, conn.db, "INSERT INTO t VALUES(1)"), CTX_DEADLINE_EXCEEDED);
  holder.Run("COMMIT");
  EXPECT_EQ(conn.Number("SELECT count(*) FROM t"), 0);
}

TEST_F(SqliteRecipe, CancelEndsTheWaitForALock) {
  Connection holder(file_), conn(file_);
  holder.Run("CREATE TABLE t(i); BEGIN EXCLUSIVE");
  const Scope scope = WithCancel(ctx_background());
  std::atomic<pid_t> thread{0};
  std::thread waits([&] {
    thread = gettid();
    EXPECT_EQ(sqlite_exec_ctx(scope, conn.db, "INSERT INTO t VALUES(1)"), CTX_CANCELED);
  });
  EXPECT_TRUE(Soon([&] { return thread != 0 && IsAsleep(thread); }));
  scope.Cancel();
  waits.join();
  holder.Run("COMMIT");
}

TEST_F(SqliteRecipe, LockIsWaitedFor) {
  Connection holder(file_), conn(file_);
  holder.Run("CREATE TABLE t(i); BEGIN EXCLUSIVE");
  const Scope scope = WithTimeout(ctx_background(), kHour);
  std::atomic<pid_t> thread{0};
  std::thread waits([&] {
    thread = gettid();
    EXPECT_EQ(sqlite_exec_ctx(scope, conn.db, "INSERT INTO t VALUES(1)"), SQLITE_OK);
  });
  EXPECT_TRUE(Soon([&] { return thread != 0 && IsAsleep(thread); }));
  holder.Run("COMMIT");
  waits.join();
  EXPECT_EQ(conn.Number("SELECT count(*) FROM t"), 1);
}

TEST_F(SqliteRecipe, BusyThatNoWaitCanEndIsSqlites) {
  Connection holder(file_), conn(file_);
  conn.Run("CREATE TABLE t(i); BEGIN; SELECT * FROM t");  // a reader that wants to write
  holder.Run("BEGIN IMMEDIATE");
  EXPECT_EQ(sqlite_exec_ctx(ctx_background(), conn.db, "INSERT INTO t VALUES(1)"), SQLITE_BUSY);
  conn.Run("ROLLBACK");
  holder.Run("ROLLBACK");
}

TEST_F(SqliteRecipe, InterruptOfOthersIsSqlites) {
  Connection conn(file_);
  const Scope scope = WithTimeout(ctx_background(), kHour);
  int64_t rows;
  EXPECT_EQ(sum(scope, conn.db, "SELECT interrupt() UNION ALL SELECT 1", &rows), SQLITE_INTERRUPT);
}

TEST_F(SqliteRecipe, OtherErrorsAreSqlites) {
  Connection conn(file_);
  conn.Run("CREATE TABLE t(i UNIQUE); INSERT INTO t VALUES(1)");
  const Scope scope = WithTimeout(ctx_background(), kHour);
  EXPECT_EQ(sqlite_exec_ctx(scope, conn.db, "INSERT INTO t VALUES(1)"), SQLITE_CONSTRAINT);
  EXPECT_STREQ(sqlite3_errmsg(conn.db), "UNIQUE constraint failed: t.i");
  EXPECT_EQ(sqlite_exec_ctx(scope, conn.db, "SELECT nonsense"), SQLITE_ERROR);
}

// Ends the context, and then fails for a reason of its own.
TEST_F(SqliteRecipe, ErrorThatIsNotOfTheEndStays) {
  Connection conn(file_);
  const Scope scope = WithCancel(ctx_background());
  const auto cancel = [](sqlite3_context* call, int, sqlite3_value**) {
    static_cast<const Scope*>(sqlite3_user_data(call))->Cancel();
    sqlite3_result_error_toobig(call);
  };
  ASSERT_EQ(sqlite3_create_function(conn.db, "cancel", 0, SQLITE_UTF8, const_cast<Scope*>(&scope),
                                    cancel, nullptr, nullptr),
            SQLITE_OK);
  EXPECT_EQ(sqlite_exec_ctx(scope, conn.db, "SELECT cancel()"), SQLITE_TOOBIG);
}

TEST_F(SqliteRecipe, WriteThatIsEndedLeavesNothing) {
  Connection conn(file_);
  conn.Run("CREATE TABLE t(i); BEGIN; INSERT INTO t VALUES(1)");
  const Scope scope = WithCancel(ctx_background());
  std::thread other([&] {
    EXPECT_TRUE(conn.begun.Wait());
    scope.Cancel();
  });
  const std::string insert = std::string("INSERT INTO t ") + kEndless;
  EXPECT_EQ(sqlite_exec_ctx(scope, conn.db, insert.c_str()), CTX_CANCELED);
  other.join();
  EXPECT_EQ(sqlite3_get_autocommit(conn.db), 1);  // all of the transaction is rolled back
  EXPECT_EQ(conn.Number("SELECT count(*) FROM t"), 0);
}

TEST_F(SqliteRecipe, ReadThatIsEndedLeavesTheTransaction) {
  Connection conn(file_);
  conn.Run("CREATE TABLE t(i); BEGIN; INSERT INTO t VALUES(1)");
  const Scope scope = WithTimeout(ctx_background(), 20 * kMillisecond);
  int64_t rows;
  EXPECT_EQ(sum(scope, conn.db, kEndless, &rows), CTX_DEADLINE_EXCEEDED);
  EXPECT_EQ(sqlite3_get_autocommit(conn.db), 0);
  EXPECT_EQ(sqlite_exec_ctx(scope, conn.db, "ROLLBACK"), CTX_DEADLINE_EXCEEDED);
  conn.Run("ROLLBACK");
  EXPECT_EQ(conn.Number("SELECT count(*) FROM t"), 0);
}

TEST_F(SqliteRecipe, ContextDoesNotReachTheNextStatement) {
  Connection holder(file_), conn(file_);
  const Scope ends = WithTimeout(ctx_background(), 20 * kMillisecond);
  int64_t rows;
  EXPECT_EQ(sum(ends, conn.db, kEndless, &rows), CTX_DEADLINE_EXCEEDED);
  conn.Run(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) "
      "SELECT count(*) FROM n");
  holder.Run("CREATE TABLE t(i); BEGIN EXCLUSIVE");
  const Scope lives = WithCancel(ctx_background());
  EXPECT_EQ(sqlite_exec_ctx(lives, conn.db, "SELECT 1"), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(conn.db, "SELECT * FROM t", nullptr, nullptr, nullptr), SQLITE_BUSY);
  holder.Run("COMMIT");
}

TEST_F(SqliteRecipe, ContextsOfOneConnectionDoNotMeet) {
  Connection conn(file_);
  const Scope mine = WithTimeout(ctx_background(), kHour);
  const auto finds = [&] {
    EXPECT_EQ(
        sqlite_exec_ctx(mine, conn.db,
                        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT "
                        "20000) SELECT count(*) FROM n"),
        SQLITE_OK);
  };
  const auto ends = [&] {
    const Scope scope = WithTimeout(ctx_background(), kMillisecond / 10);
    EXPECT_EQ(sqlite_exec_ctx(scope, conn.db, kEndless), CTX_DEADLINE_EXCEEDED);
  };
  Race(
      300, [] {}, {finds, ends}, [] {});
}

TEST_F(SqliteRecipe, BackgroundWorkOutlivesTheRequest) {
  Connection conn(file_);
  conn.Run("CREATE TABLE log(line)");
  const Scope request = WithCancel(ctx_background());
  const Ctx detached = WithoutCancel(request);
  request.Cancel();
  EXPECT_EQ(sqlite_exec_ctx(detached, conn.db, "INSERT INTO log VALUES('gone')"), SQLITE_OK);
  EXPECT_EQ(conn.Number("SELECT count(*) FROM log"), 1);
}

TEST_F(SqliteRecipe, LinesOfTheReadme) {
  Connection conn(file_);
  EXPECT_EQ(conn.Number("VALUES(1), (2), (39)"), 42);
  int64_t total = -1;
  EXPECT_EQ(sum(ctx_background(), conn.db, "SELECT nonsense", &total), SQLITE_ERROR);
  EXPECT_EQ(total, -1);
}

}  // namespace
}  // namespace ctxtest
