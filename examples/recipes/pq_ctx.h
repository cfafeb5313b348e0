/* SPDX-License-Identifier: MIT */
/**
 * pq_ctx.h - connections and queries of libpq that a context ends. Copy it into your program.
 *
 * The calling thread sleeps in ctx_poll(). When the context is done, the server is asked to cancel the query. PQcancel()
 * blocks for as long as the network does, so it runs on a thread of the library. A server forgets a cancel that overtakes
 * its query, so it is asked again until it answers. Nobody waits longer than PQ_CTX_GRACE_NS for all that. Without an end
 * in that time the connection is shut down: a cancel that comes later must not meet the next query.
 *
 * The server is not told the deadline. C11. On a default loop without threads, somebody else must dispatch.
 */
#ifndef PQ_CTX_H
#define PQ_CTX_H

#include <ctx/ctx.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/** How long a query that a context has ended may take to end. */
#ifndef PQ_CTX_GRACE_NS
#define PQ_CTX_GRACE_NS INT64_C(2000000000)
#endif

/** After how long without an answer a query is canceled once more. */
#ifndef PQ_CTX_AGAIN_NS
#define PQ_CTX_AGAIN_NS INT64_C(50000000)
#endif

/** The error of a context; also of one whose deadline has passed on a loop that nobody dispatches. */
static inline int pq_err_ctx(ctx_t *ctx) {
  const int err = ctx_err(ctx);
  return err != 0 ? err : ctx_remaining(ctx) <= 0 ? CTX_DEADLINE_EXCEEDED : 0;
}

/**
 * PQconnectdb() that a context ends.
 * @param ret receives the connection, for PQfinish(); ask it for its PQstatus(), as after PQconnectdb().
 * @return 0; CTX_CANCELED or CTX_DEADLINE_EXCEEDED; another negative errno of ctx_poll().
 */
static inline int pq_connect_ctx(ctx_t *ctx, const char *conninfo, PGconn **ret) {
  PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
  PGconn *conn;
  int r = pq_err_ctx(ctx);
  if (r != 0) return r;
  if ((conn = PQconnectStart(conninfo)) == NULL) return -ENOMEM;
  if (PQstatus(conn) == CONNECTION_BAD) wants = PGRES_POLLING_FAILED;
  while (wants == PGRES_POLLING_READING || wants == PGRES_POLLING_WRITING) {
    /* The socket may be another one each time. */
    struct pollfd fd = {PQsocket(conn), POLLIN, 0};
    if (wants == PGRES_POLLING_WRITING) fd.events = POLLOUT;
    r = ctx_poll(ctx, &fd, 1, CTX_FOREVER);
    if (r > 0) wants = PQconnectPoll(conn);
    if (r > 0 || r == -EINTR) continue;
    PQfinish(conn);
    return r;
  }
  *ret = conn;
  return 0;
}

/** Waits until PQgetResult() would not block. @return 0; as ctx_poll(). */
static inline int pq_ready_ctx(ctx_t *ctx, PGconn *conn) {
  for (;;) {
    const int unsent = PQflush(conn) > 0;
    struct pollfd fd = {PQsocket(conn), (short)(unsent ? POLLIN | POLLOUT : POLLIN), 0};
    int r;
    if (fd.fd < 0 || (!unsent && !PQisBusy(conn))) return 0;
    r = ctx_poll(ctx, &fd, 1, CTX_FOREVER);
    if (r < 0 && r != -EINTR) return r;
    if (r > 0 && (fd.revents & ~POLLOUT) != 0 && !PQconsumeInput(conn)) return 0;
  }
}

/** Takes the results of a query; the last one stays in *last. @return as pq_ready_ctx(). */
static inline int pq_collect_ctx(ctx_t *ctx, PGconn *conn, PGresult **last) {
  for (;;) {
    PGresult *next;
    const int r = pq_ready_ctx(ctx, conn);
    if (r < 0) return r;
    if ((next = PQgetResult(conn)) == NULL) return 0;
    PQclear(*last);
    *last = next;
    switch (PQresultStatus(next)) {
      case PGRES_COPY_IN:
      case PGRES_COPY_OUT:
      case PGRES_COPY_BOTH:
        return 0; /* what follows is the caller's */
      default:
        break;
    }
  }
}

/** A request to cancel a query. */
typedef struct pq_cancel {
  PGcancel *request;
  ctx_canceler_t *over; /**< It ends a context when PQcancel() is over. */
} pq_cancel_t;

static inline void pq_cancel_run(ctx_t *ctx, void *arg) {
  const pq_cancel_t *cancel = (const pq_cancel_t *)arg;
  char why[256];
  (void)ctx;
  PQcancel(cancel->request, why, sizeof why); /* if it fails, no answer comes in time */
  ctx_cancel(cancel->over);
}

static inline void pq_cancel_drop(void *arg) {
  pq_cancel_t *cancel = (pq_cancel_t *)arg;
  PQfreeCancel(cancel->request);
  ctx_canceler_unref(cancel->over);
  free(cancel);
}

/** Has PQcancel() run on a thread of the library. @return 0, and a context that ends after it; a negative errno. */
static inline int pq_cancel_start(PGconn *conn, ctx_t **ret_over) {
  pq_cancel_t *cancel = (pq_cancel_t *)calloc(1, sizeof *cancel);
  ctx_t *now = NULL, *over = NULL; /* below no request: they must not end with it */
  int r = -ENOMEM;
  if (cancel == NULL) return r;
  cancel->request = PQgetCancel(conn);
  if (cancel->request != NULL) r = ctx_with_cancel(ctx_background(), &over, &cancel->over);
  if (r == 0) r = ctx_with_timeout(ctx_background(), 0, &now, NULL);
  if (r == 0) {
    r = ctx_after_func(now, pq_cancel_run, cancel, pq_cancel_drop, CTX_DEFER | CTX_BLOCKING, NULL);
  }
  ctx_unref(now);
  if (r < 0) {
    pq_cancel_drop(cancel);
    ctx_unref(over);
    return r;
  }
  *ret_over = over;
  return 0;
}

/** Ends the query. Then the connection is idle, and no cancel is on its way; or it is shut down. */
static inline void pq_stop_ctx(PGconn *conn, PGresult **last) {
  ctx_t *limit = NULL;
  int answered = 0, safe = 0;
  if (ctx_with_timeout(ctx_background(), PQ_CTX_GRACE_NS, &limit, NULL) == 0) {
    while (!safe && !answered && ctx_err(limit) == 0) {
      ctx_t *over = NULL, *again = NULL;
      if (pq_cancel_start(conn, &over) != 0) break;
      /* The server forgets a cancel that overtakes its query: without an answer soon, ask once more. */
      if (ctx_with_timeout(limit, PQ_CTX_AGAIN_NS, &again, NULL) == 0) {
        ctx_t *const waits[2] = {over, limit};
        answered = pq_collect_ctx(again, conn, last) == 0;
        while (ctx_wait_any(waits, 2, CTX_FOREVER, NULL) == -EINTR) {
        }
        safe = answered && ctx_err(over) != 0;
      }
      ctx_unref(again), ctx_unref(over);
    }
  }
  if (!safe) {
    shutdown(PQsocket(conn), SHUT_RDWR);
    PQconsumeInput(conn); /* it finds the connection closed */
    pq_collect_ctx(ctx_background(), conn, last);
  }
  ctx_unref(limit);
}

/**
 * PQexecParams() that a context ends, with values as text.
 * @param sql one statement.
 * @param ret receives the result, for PQclear(): an answer, or an error of the server or of the connection.
 * @return 0; CTX_CANCELED or CTX_DEADLINE_EXCEEDED: the context ended the query, or nothing was begun. Then
 *         PQstatus() tells whether the connection is lost; a transaction has failed, as after any error. Another
 *         negative errno if nobody could wait for the query and the context: it was ended, too.
 */
static inline int pq_exec_ctx(ctx_t *ctx, PGconn *conn, const char *sql, int n,
                              const char *const *values, PGresult **ret) {
  const int64_t remaining = ctx_remaining(ctx);
  const int64_t slack = remaining / 100 > 5000000 ? remaining / 100 : 5000000;
  const int nonblocking = PQisnonblocking(conn);
  PGresult *last = NULL;
  const char *state;
  int r = pq_err_ctx(ctx);
  if (r != 0) return r;
  PQsetnonblocking(conn, 1);
  if (PQsendQueryParams(conn, sql, n, NULL, values, NULL, NULL, 0)) {
    r = pq_collect_ctx(ctx, conn, &last);
    if (r < 0) pq_stop_ctx(conn, &last);
  }
  PQsetnonblocking(conn, nonblocking);
  if (last == NULL) last = PQmakeEmptyPGresult(conn, PGRES_FATAL_ERROR);
  if (last == NULL) return r < 0 ? r : -ENOMEM;

  /* Was it the end of the context? Others cancel queries and drop connections, too: a statement_timeout, a server. If they
     do it at the deadline, they do it for that. */
  state = PQresultErrorField(last, PG_DIAG_SQLSTATE);
  if (PQresultStatus(last) == PGRES_FATAL_ERROR &&
      (PQstatus(conn) == CONNECTION_BAD || (state != NULL && strcmp(state, "57014") == 0))) {
    if (r == 0 && ctx_remaining(ctx) <= slack)
      r = ctx_err(ctx) != 0 ? ctx_err(ctx) : CTX_DEADLINE_EXCEEDED;
    if (r < 0) {
      PQclear(last);
      return r;
    }
  }
  *ret = last;
  return 0;
}

#endif
