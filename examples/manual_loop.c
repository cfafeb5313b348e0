// SPDX-License-Identifier: MIT
//
// manual_loop.c - a server with time limits in one thread, and no thread of the library: the clock of
// all its contexts is one descriptor in the server's own epoll set, beside a socket for each client
// that has not asked yet. A request's context ends with its time limit or when the client hangs up.
// The server needs no timer of its own for that, and no further entry in its epoll set: a callback learns it.
//
// The clients are the other ends of socket pairs. Exits 0 only if each was answered, timed out or
// noticed to be gone as it should, and if no thread of the library was there at the end.

#define _GNU_SOURCE 1
#include <ctx/ctx.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const int64_t kMs = 1000000;
enum { kMinute = 60000, kClients = 6, kBarMs = 20 };

// How long the work takes, how long the server allows, how long the client stays: the shortest decides.
static const struct plan {
  int work_ms, limit_ms, patience_ms;
  int status;  // the expected result, as in HTTP; 499 is "the client is gone"
} kPlans[kClients] = {{100, kMinute, kMinute, 200}, {300, kMinute, kMinute, 200},
                      {500, kMinute, kMinute, 200}, {kMinute, 200, kMinute, 504},
                      {kMinute, 400, kMinute, 504}, {kMinute, kMinute, 250, 499}};

struct conn {
  int number, socket, client;  // the server's end and the client's
  ctx_t *request;
  ctx_canceler_t *canceler;
  int status;
  char text[96];  // the answer, which begins with the status
  int64_t ended_ns;
};

static int over;  // how many requests are over

// Calls fn after some time, or when the parent is done. The armed callback keeps the context.
static int call_after(ctx_t *parent, int ms, ctx_fn fn, void *arg) {
  ctx_t *ctx;
  int r = ctx_with_timeout(parent, ms * kMs, &ctx, NULL);
  if (r < 0) return r;
  r = ctx_after_func(ctx, fn, arg, NULL, 0, NULL);
  ctx_unref(ctx);
  return r < 0 ? r : 0;
}

// Called by ctx_loop_dispatch() when the work is done, or its request is.
static void answer(ctx_t *work, void *arg) {
  struct conn *c = arg;
  int err = ctx_err(c->request);
  const ctx_cause_t *cause = ctx_cause(c->request);
  int gone = err == CTX_CANCELED && (ctx_cause_code(cause) & POLLRDHUP) != 0;
  c->status = err == 0 ? 200 : err == CTX_DEADLINE_EXCEEDED ? 504 : gone ? 499 : 500;
  c->ended_ns = ctx_now(work);
  const char *why = err == 0 ? "work done" : ctx_cause_message(cause);
  snprintf(c->text, sizeof c->text, "%d %s", c->status, why);
  printf("client %d: %s\n", c->number, c->text);
  // Should it fail, check() finds nothing at the client's end.
  if (c->status != 499) send(c->socket, c->text, strlen(c->text), MSG_NOSIGNAL);
  ctx_cancel(c->canceler);  // stops watching the socket, which may be closed then
  ctx_canceler_unref(c->canceler);
  ctx_unref(c->request);
  close(c->socket);
  ++over;
}

static int begin(struct conn *c, int epoll) {
  char line[64] = "";
  int work_ms, limit_ms;
  if (recv(c->socket, line, sizeof line - 1, MSG_DONTWAIT) <= 0 ||
      sscanf(line, "%d %d", &work_ms, &limit_ms) != 2) {
    return -EPROTO;
  }
  printf("client %d: %d ms of work, which may take %d ms\n", c->number, work_ms, limit_ms);
  if (epoll_ctl(epoll, EPOLL_CTL_DEL, c->socket, NULL) < 0) return -errno;  // now it is the loop's
  ctx_t *limited;
  int r = ctx_with_timeout(ctx_background(), limit_ms * kMs, &limited, NULL);
  if (r < 0) return r;
  r = ctx_with_fd(limited, c->socket, POLLRDHUP, &c->request, &c->canceler);
  ctx_unref(limited);
  // A pause stands for the work. It is below the request, and ends with it.
  return r < 0 ? r : call_after(c->request, work_ms, answer, c);
}

static int serve(int epoll, ctx_loop_t *loop) {
  int fired = 0;
  while (over < kClients) {
    struct epoll_event event;
    int n = epoll_wait(epoll, &event, 1, kMinute);
    if (n <= 0) return n < 0 ? -errno : -ETIMEDOUT;
    int r = event.data.ptr ? begin(event.data.ptr, epoll) : ctx_loop_dispatch(loop);
    if (r < 0) return r;
    fired += r;
  }
  printf("all over: the loop's descriptor brought %d deadlines and hang-ups\n", fired);
  return 0;
}

static int watch(int epoll, int fd, struct conn *conn) {
  if (fd < 0) return fd;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void hang_up(ctx_t *patience, void *conn) {
  if (ctx_err(patience) == CTX_DEADLINE_EXCEEDED) close(((struct conn *)conn)->client);
}

// A client connects, asks and stays as long as its patience lasts.
static int connect_client(struct conn *c, int i, int epoll) {
  const struct plan *plan = &kPlans[i];
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
  *c = (struct conn){.number = i + 1, .socket = ends[0], .client = ends[1]};
  if (dprintf(c->client, "%d %d", plan->work_ms, plan->limit_ms) < 0) return -errno;
  int impatient = plan->patience_ms < kMinute;
  int r = impatient ? call_after(ctx_background(), plan->patience_ms, hang_up, c) : 0;
  return r < 0 ? r : watch(epoll, c->socket, c);
}

// The result, as a picture, and whether it is the expected one.
static int check(const struct conn *c, const struct plan *plan, int64_t began_ns) {
  static const char kBar[] = "###################################";
  int ms = (int)((c->ended_ns - began_ns) / kMs), ok = c->status == plan->status;
  if (c->status != 499) {
    char got[sizeof c->text] = "";
    if (recv(c->client, got, sizeof got - 1, MSG_DONTWAIT) < 0 || strcmp(got, c->text) != 0) ok = 0;
    close(c->client);
  }
  printf("client %d |%-35.*s| %4d ms  %s%s\n", c->number, ms / kBarMs, kBar, ms, c->text,
         ok ? "" : "  WRONG");
  return ok;
}

// Lists the threads of this process, and counts those of the library.
static int library_threads(void) {
  int found = 0;
  glob_t names;
  if (glob("/proc/self/task/*/comm", 0, NULL, &names) != 0) return -1;
  for (size_t i = 0; i < names.gl_pathc; ++i) {
    char name[32] = "?";
    FILE *comm = fopen(names.gl_pathv[i], "r");
    if (!comm || fscanf(comm, "%31s", name) != 1) found = -1;
    if (comm) fclose(comm);
    printf("thread %zu: %s\n", i + 1, name);
    if (strncmp(name, "ctx-", 4) == 0) ++found;
  }
  globfree(&names);
  return found;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct conn conns[kClients];
  ctx_loop_t *loop = NULL;
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int r = ctx_loop_new(CTX_LOOP_MANUAL, NULL, &loop);
  if (r == 0) r = ctx_loop_set_default(loop);  // ctx_background() is on it from now on
  if (r == 0) r = watch(epoll, ctx_loop_fd(loop), NULL);
  int64_t began_ns = ctx_loop_now(loop);
  for (int i = 0; r == 0 && i < kClients; ++i) r = connect_client(&conns[i], i, epoll);
  if (r == 0) r = serve(epoll, loop);
  if (r < 0) {
    fprintf(stderr, "manual_loop: %s\n", ctx_strerror(r));
    return 1;
  }

  int wrong = 0;
  for (int i = 0; i < kClients; ++i) wrong += !check(&conns[i], &kPlans[i], began_ns);
  int threads = library_threads();
  printf("threads of the library: %d\n", threads);
  ctx_loop_unref(loop);
  close(epoll);
  return wrong > 0 || threads != 0;
}
