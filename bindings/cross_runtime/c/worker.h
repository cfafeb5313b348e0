/* SPDX-License-Identifier: MIT */
/* worker.h - a small library in C that serves a client in an epoll loop on a thread of its own. */
#ifndef WORKER_H
#define WORKER_H

#include <ctx/ctx.h>

typedef struct worker worker_t;

/* What one of the runtimes has seen of the context; the same layout in C, Rust and Python. */
typedef struct sight {
  int64_t woken_ns;  /* when it was awake after the end, on the clock of ctx_now() */
  int64_t cancel_ns; /* when it called ctx_cancel_with(); 0 if it was not the one */
  int32_t err;       /* what ctx_err() answers then */
  int32_t thread;    /* on which thread it waited */
  char trace_id[64]; /* read before it waited */
  char cause[128];   /* the message of ctx_cause() */
} sight_t;

typedef void (*worker_done_fn)(void *arg, const sight_t *sight);

/*
 * Serves the client at the socket until ctx is done, then calls done(arg) on its own thread. It greets the
 * client with "ready\n"; what the client says ends the request, with those words as the cause.
 * ctx and canceler are borrowed: it takes its own references. Returns 0 or a negative errno.
 */
int worker_start(ctx_t *ctx, ctx_canceler_t *canceler, int client, worker_done_fn done, void *arg,
                 worker_t **ret);

/* Waits for the thread, which ends with the context, and frees the worker. */
void worker_join(worker_t *worker);

#endif
