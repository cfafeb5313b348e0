// SPDX-License-Identifier: MIT
//
// trace_id.c - values travel with the request. Two requests run at once. Each entry sets a trace id
// (text, found by name from any language) and a user (a pointer, private to the owner of its key). The
// layers below, down to a thread of the storage layer, read both without a parameter of their own.
//
// Exits 0 only if every layer saw the values of its own request, and each user was freed once.

#define _POSIX_C_SOURCE 200809L
#include <ctx/ctx.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t kMs = 1000000;

struct user {
  char name[16];
  int *freed;
};

// A key is identified by its address: other files reach this value only through us.
static const ctx_key_t kUser = {"user"};

struct request {
  const char *trace_id;
  const char *user;
  pthread_t thread;
  int users_freed;
  int failed;
};

static void user_free(void *ptr) {
  struct user *user = ptr;
  ++*user->freed;
  free(user);
}

// Every line of a log names its request, though no caller passes the id along.
static void log_line(const ctx_t *ctx, const char *layer, const char *text) {
  const char *trace_id = ctx_string(ctx, "trace-id");
  const struct user *user = ctx_value(ctx, &kUser);
  printf("[trace %s, user %s] %s: %s\n", trace_id ? trace_id : "-", user ? user->name : "-", layer,
         text);
}

// The program's check of itself: the values in ctx are those that the entry has set.
static void expect_values(const ctx_t *ctx, struct request *request) {
  const char *trace_id = ctx_string(ctx, "trace-id");
  const struct user *user = ctx_value(ctx, &kUser);
  if (!trace_id || strcmp(trace_id, request->trace_id) != 0) request->failed = 1;
  if (!user || strcmp(user->name, request->user) != 0) request->failed = 1;
}

struct query {
  ctx_t *ctx;
  struct request *request;
};

// The lowest layer, in a thread of its own.
static void *storage(void *arg) {
  struct query *query = arg;
  log_line(query->ctx, "storage", "reads the row, in another thread");
  ctx_wait(query->ctx, 50 * kMs);  // stands for the work
  expect_values(query->ctx, query->request);
  return NULL;
}

// The middle layer gives the storage a time limit. The values are seen through it.
static int orders(ctx_t *ctx, struct request *request) {
  log_line(ctx, "orders ", "asks the storage, with a time limit of 10 s");
  expect_values(ctx, request);

  struct query query = {.request = request};
  ctx_canceler_t *canceler;
  int r = ctx_with_timeout(ctx, 10000 * kMs, &query.ctx, &canceler);
  if (r < 0) return r;
  pthread_t thread;
  r = -pthread_create(&thread, NULL, storage, &query);
  if (r == 0) pthread_join(thread, NULL);

  ctx_cancel(canceler);  // the query is over: whatever still works for it stops
  if (r == 0) log_line(query.ctx, "orders ", "query ended; its values outlive the cancel");
  expect_values(query.ctx, request);
  ctx_canceler_unref(canceler);
  ctx_unref(query.ctx);
  return r;
}

// A context that carries the request's two values. Each step derives from the one before. A derived context
// keeps what it needs of those above, so the handle in between can go at once.
static int with_request(ctx_t *parent, struct request *request, ctx_t **ret) {
  struct user *user = calloc(1, sizeof *user);
  if (!user) return -ENOMEM;
  snprintf(user->name, sizeof user->name, "%s", request->user);
  user->freed = &request->users_freed;

  ctx_t *with_user;
  int r = ctx_with_value(parent, &kUser, user, user_free, &with_user);
  if (r < 0) {
    free(user);  // a constructor that fails has taken nothing
    return r;
  }
  r = ctx_with_string(with_user, "trace-id", request->trace_id, ret);
  ctx_unref(with_user);
  return r;
}

static void *entry(void *arg) {
  struct request *request = arg;
  ctx_t *ctx;
  int r = with_request(ctx_background(), request, &ctx);
  if (r == 0) {
    log_line(ctx, "entry  ", "request accepted");
    r = orders(ctx, request);
    ctx_unref(ctx);
  }
  if (r < 0) {
    fprintf(stderr, "request %s: %s\n", request->trace_id, ctx_strerror(r));
    request->failed = 1;
  }
  return NULL;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);

  struct request requests[2] = {{.trace_id = "4bf92f35", .user = "red"},
                                {.trace_id = "00f067aa", .user = "blue"}};
  int started = 0;
  while (started < 2 &&
         pthread_create(&requests[started].thread, NULL, entry, &requests[started]) == 0) {
    ++started;
  }

  int failed = started < 2;
  for (int i = 0; i < started; ++i) {
    pthread_join(requests[i].thread, NULL);
    if (requests[i].failed || requests[i].users_freed != 1) failed = 1;
  }
  if (ctx_string(ctx_background(), "trace-id")) failed = 1;
  printf("both requests are over, users freed: %d + %d\n", requests[0].users_freed,
         requests[1].users_freed);
  return failed;
}
