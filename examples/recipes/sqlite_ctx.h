/* SPDX-License-Identifier: MIT */
/**
 * sqlite_ctx.h - statements of SQLite that a context ends. Copy it into your program.
 *
 * During a call the connection has a progress handler and a busy handler that look at the context. sqlite3_interrupt()
 * would not do: it ends whatever runs on the connection when it comes, which may be the next statement by then.
 *
 * SQLite cannot tell which handlers it had, so after a call the connection has neither: it forgets
 * sqlite3_busy_timeout(). These functions must not be called inside a callback of the same connection. C11.
 */
#ifndef SQLITE_CTX_H
#define SQLITE_CTX_H

#include <ctx/ctx.h>
#include <sqlite3.h>

/** How many steps of its virtual machine SQLite takes between two looks at the context: some 10 us. */
#define SQLITE_CTX_STEPS 1000

/** The error of a context; also of one whose deadline has passed on a loop that nobody dispatches. */
static inline int sqlite_err_ctx(ctx_t *ctx) {
  const int err = ctx_err(ctx);
  return err != 0 ? err : ctx_remaining(ctx) <= 0 ? CTX_DEADLINE_EXCEEDED : 0;
}

static inline int sqlite_progress_ctx(void *ctx) { return sqlite_err_ctx((ctx_t *)ctx) != 0; }

/** Sleeps before the next try to take a lock, for 10 ms at most; 0 to give up. */
static inline int sqlite_busy_ctx(void *arg, int tries) {
  ctx_t *ctx = (ctx_t *)arg;
  const int r = ctx_wait(ctx, (tries < 10 ? tries + 1 : 10) * INT64_C(1000000));
  return (r == 0 || r == -EINTR) && sqlite_err_ctx(ctx) == 0;
}

/** Sets the handlers for a call. Other threads that use the connection wait until it is over. */
static inline void sqlite_begin_ctx(ctx_t *ctx, sqlite3 *db) {
  sqlite3_mutex_enter(sqlite3_db_mutex(db));
  sqlite3_progress_handler(db, SQLITE_CTX_STEPS, sqlite_progress_ctx, ctx);
  sqlite3_busy_handler(db, sqlite_busy_ctx, ctx);
}

/** Takes them away. @return what SQLite answered, or the context's error if that is why. */
static inline int sqlite_end_ctx(ctx_t *ctx, sqlite3 *db, int answer) {
  sqlite3_progress_handler(db, 0, NULL, NULL);
  sqlite3_busy_handler(db, NULL, NULL);
  sqlite3_mutex_leave(sqlite3_db_mutex(db));
  if ((answer & 0xff) != SQLITE_INTERRUPT && (answer & 0xff) != SQLITE_BUSY) return answer;
  const int err = sqlite_err_ctx(ctx);
  return err != 0 ? err : answer;
}

/**
 * sqlite3_step() that a context ends. It waits for a lock for as long as the context lasts.
 * @return SQLITE_ROW, SQLITE_DONE or an error of SQLite, all positive; CTX_CANCELED or CTX_DEADLINE_EXCEEDED: the context
 *         is done. Then reset or finalize the statement, as after any error.
 */
static inline int sqlite_step_ctx(ctx_t *ctx, sqlite3_stmt *statement) {
  sqlite3 *db = sqlite3_db_handle(statement);
  const int err = sqlite_err_ctx(ctx);
  if (err != 0) return err;
  sqlite_begin_ctx(ctx, db);
  return sqlite_end_ctx(ctx, db, sqlite3_step(statement));
}

/**
 * sqlite3_exec() that a context ends, for statements whose rows nobody wants, such as BEGIN and COMMIT.
 * @return SQLITE_OK, which is 0, or an error as sqlite_step_ctx() gives.
 */
static inline int sqlite_exec_ctx(ctx_t *ctx, sqlite3 *db, const char *sql) {
  const int err = sqlite_err_ctx(ctx);
  if (err != 0) return err;
  sqlite_begin_ctx(ctx, db);
  return sqlite_end_ctx(ctx, db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

#endif
