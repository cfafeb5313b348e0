/* SPDX-License-Identifier: MIT */
/* worker.c - an epoll loop of the plainest kind; a context is one more descriptor in it. */
#define _GNU_SOURCE
#include "worker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct worker {
  ctx_t *ctx;
  ctx_canceler_t *canceler;
  int client, epoll;
  worker_done_fn done;
  void *arg;
  pthread_t thread;
};

/* The client has spoken, or is gone: either way nobody waits for the answer any more. */
static void end_request(struct worker *w, sight_t *sight) {
  char words[sizeof sight->cause] = "the client hung up";
  ssize_t size = recv(w->client, words, sizeof words - 1, 0);
  if (size > 0) words[size] = '\0';
  words[strcspn(words, "\n")] = '\0';
  epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->client, NULL);

  ctx_cause_t *cause = NULL;
  ctx_cause_new(-EPIPE, words, &cause); /* without memory: a cancel without words */
  sight->cancel_ns = ctx_now(w->ctx);
  ctx_cancel_with(w->canceler, CTX_CANCELED, cause);
  ctx_cause_unref(cause);
}

static void *run(void *worker) {
  struct worker *w = worker;
  sight_t sight = {.thread = gettid()};
  const char *trace_id = ctx_string(w->ctx, "trace-id");
  snprintf(sight.trace_id, sizeof sight.trace_id, "%s", trace_id ? trace_id : "");
  send(w->client, "ready\n", 6, MSG_NOSIGNAL);

  const int done = ctx_done_fd(w->ctx); /* has been made by worker_start() */
  for (int over = 0; !over;) {
    struct epoll_event event;
    if (epoll_wait(w->epoll, &event, 1, -1) != 1) continue; /* a signal */
    over = event.data.fd == done;
    if (!over) end_request(w, &sight);
  }
  sight.woken_ns = ctx_now(w->ctx);
  sight.err = ctx_err(w->ctx);
  snprintf(sight.cause, sizeof sight.cause, "%s", ctx_cause_message(ctx_cause(w->ctx)));
  w->done(w->arg, &sight);
  return NULL;
}

static void release(struct worker *w) {
  if (w->epoll >= 0) close(w->epoll);
  ctx_canceler_unref(w->canceler);
  ctx_unref(w->ctx);
  free(w);
}

static int watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int worker_start(ctx_t *ctx, ctx_canceler_t *canceler, int client, worker_done_fn done, void *arg,
                 worker_t **ret) {
  const int fd = ctx_done_fd(ctx);
  if (fd < 0) return fd; /* also the handle of another copy of the library: -EREMOTE */
  struct worker *w = malloc(sizeof *w);
  if (!w) return -ENOMEM;
  *w = (struct worker){.ctx = ctx_ref(ctx),
                       .canceler = ctx_canceler_ref(canceler),
                       .client = client,
                       .epoll = epoll_create1(EPOLL_CLOEXEC),
                       .done = done,
                       .arg = arg};
  int r = w->epoll < 0 ? -errno : 0;
  if (r == 0 && !w->canceler) r = -EINVAL;
  if (r == 0) r = watch(w->epoll, fd);
  if (r == 0) r = watch(w->epoll, client);
  if (r == 0) r = -pthread_create(&w->thread, NULL, run, w);
  if (r < 0) {
    release(w);
    return r;
  }
  *ret = w;
  return 0;
}

void worker_join(worker_t *worker) {
  pthread_join(worker->thread, NULL);
  release(worker);
}
