// SPDX-License-Identifier: MIT
//
// epoll_server.c - a small HTTP server in one thread and one epoll loop: sockets, timers, signals and
// the done descriptors of contexts side by side. `epoll_server [port]` listens on 127.0.0.1; without
// a port the system picks one.
//
//   server context          ended by SIGTERM or SIGINT, with a cause
//     +- request context    one for each connection, with a time limit of its own
//     +- request context    ...
//
// The server keeps no list of its requests: the tree of contexts is that list. One cancel of the
// server context makes every request's descriptor readable, and each request ends itself with a 503.
// A request whose deadline passes does the same with a 504.
//
// Exits 0 if a signal ended it and every connection was answered or closed; all is freed then.

#define _GNU_SOURCE 1
#include <ctx/ctx.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

static const int64_t kMs = 1000000;
static const int kReadLimitMs = 5000;  // ends a client that does not send its request

// The routes: how long the work takes, and how long the request may take.
static const struct route {
  const char *path;
  int work_ms, limit_ms;
} kRoutes[] = {{"/fast", 20, 700}, {"/slow", 60000, 700}, {"/long", 60000, 120000}};

struct server;
struct conn;

// epoll returns this with a ready descriptor: whom to call. The server's own have no conn.
struct source {
  void (*ready)(struct server *, struct conn *);
  struct conn *conn;
};

struct conn {
  struct source on_socket, on_timer, on_done;
  enum { READING, WORKING, WRITING } state;
  unsigned id;
  int fd, timer;  // the timer stands for the work, which is done when it fires
  ctx_t *ctx;
  ctx_canceler_t *canceler;
  size_t in_len, out_len, out_sent;
  char in[2048], path[64], out[512];
};

struct server {
  struct source on_listener, on_signal;
  int epoll, listener, signals;
  ctx_t *ctx;
  ctx_canceler_t *canceler;
  unsigned accepted, live;
};

static int watch(struct server *s, int op, int fd, uint32_t events, struct source *source) {
  struct epoll_event event = {.events = events, .data.ptr = source};
  return epoll_ctl(s->epoll, op, fd, &event) < 0 ? -errno : 0;
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

// Ends the connection's context: so every layer that still works for the request learns it.
static void conn_drop_ctx(struct server *s, struct conn *c) {
  // The descriptor belongs to the context: out of the epoll with it before its owner goes.
  if (c->ctx) watch(s, EPOLL_CTL_DEL, ctx_done_fd(c->ctx), 0, NULL);
  ctx_cancel(c->canceler);
  c->canceler = ctx_canceler_unref(c->canceler);
  c->ctx = ctx_unref(c->ctx);
}

// Gives the connection a new time limit: a context below the server's, in place of the one it had.
static int conn_limit(struct server *s, struct conn *c, int limit_ms) {
  conn_drop_ctx(s, c);
  int r = ctx_with_timeout(s->ctx, limit_ms * kMs, &c->ctx, &c->canceler);
  if (r < 0) return r;
  int fd = ctx_done_fd(c->ctx);
  return fd < 0 ? fd : watch(s, EPOLL_CTL_ADD, fd, EPOLLIN, &c->on_done);
}

static void conn_close(struct server *s, struct conn *c) {
  conn_drop_ctx(s, c);
  close_fd(&c->timer);
  close_fd(&c->fd);
  free(c);
  --s->live;
  // A descriptor is free now, if server_accept() lacked one.
  if (s->listener >= 0) watch(s, EPOLL_CTL_MOD, s->listener, EPOLLIN, &s->on_listener);
}

static void conn_write(struct server *s, struct conn *c) {
  while (c->out_sent < c->out_len) {
    ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN && ctx_err(c->ctx) == 0 &&
        watch(s, EPOLL_CTL_MOD, c->fd, EPOLLOUT, &c->on_socket) == 0) {
      return;  // a client that is slow to take it; the deadline still holds
    }
    if (n < 0) break;
    c->out_sent += (size_t)n;
  }
  conn_close(s, c);
}

static void conn_respond(struct server *s, struct conn *c, const char *status, const char *text) {
  printf("#%u GET %s: %.3s, %s\n", c->id, c->path, status, text);
  close_fd(&c->timer);
  int text_len = (int)strnlen(text, 256);
  c->out_len = (size_t)snprintf(c->out, sizeof c->out,
                                "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                                "Connection: close\r\n\r\n%.*s\n",
                                status, text_len + 1, text_len, text);
  c->state = WRITING;
  conn_write(s, c);
}

// The request has been read: gives it the time limit of its route, and begins the work.
static void conn_work(struct server *s, struct conn *c) {
  const struct route *route = NULL;
  sscanf(c->in, "GET %63s", c->path);
  for (size_t i = 0; i < sizeof kRoutes / sizeof *kRoutes; ++i) {
    if (strcmp(c->path, kRoutes[i].path) == 0) route = &kRoutes[i];
  }
  if (!route) {
    conn_respond(s, c, "404 Not Found", "try GET /fast, /slow or /long");
    return;
  }
  printf("#%u GET %s: accepted, may take %d ms\n", c->id, c->path, route->limit_ms);
  c->state = WORKING;
  c->in_len = 0;
  int r = conn_limit(s, c, route->limit_ms);
  if (r == 0) {
    struct itimerspec work = {.it_value = {route->work_ms / 1000, route->work_ms % 1000 * kMs}};
    c->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (c->timer < 0 || timerfd_settime(c->timer, 0, &work, NULL) < 0) r = -errno;
  }
  if (r == 0) r = watch(s, EPOLL_CTL_ADD, c->timer, EPOLLIN, &c->on_timer);
  if (r < 0) conn_respond(s, c, "503 Service Unavailable", ctx_strerror(r));
}

static void conn_socket_ready(struct server *s, struct conn *c) {
  if (c->state == WRITING) {
    conn_write(s, c);
    return;
  }
  ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - 1 - c->in_len, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {  // 0 also without room: no request here is that long
    printf("#%u GET %s: the client is gone\n", c->id, c->path);
    conn_close(s, c);
  } else if (c->state == READING) {  // bytes after the request are discarded
    c->in_len += (size_t)n;
    c->in[c->in_len] = '\0';
    if (strstr(c->in, "\r\n\r\n")) conn_work(s, c);
  }
}

static void conn_timer_ready(struct server *s, struct conn *c) {
  conn_respond(s, c, "200 OK", "here is your answer");
}

// The context is done, by its own deadline or with the server's: one path for both.
static void conn_done_ready(struct server *s, struct conn *c) {
  // It stays readable for ever, so a level-triggered loop must let go of it.
  watch(s, EPOLL_CTL_DEL, ctx_done_fd(c->ctx), 0, NULL);
  int late = ctx_err(c->ctx) == CTX_DEADLINE_EXCEEDED;
  const char *status = late ? "504 Gateway Timeout" : "503 Service Unavailable";
  if (c->state == WRITING) {
    conn_close(s, c);
  } else {
    conn_respond(s, c, status, ctx_cause_message(ctx_cause(c->ctx)));
  }
}

static void server_accept(struct server *s, struct conn *none) {
  (void)none;
  int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    // Out of descriptors: deaf until a connection has closed, rather than spinning.
    int full = errno == EMFILE || errno == ENFILE;
    if (full && s->live > 0) watch(s, EPOLL_CTL_MOD, s->listener, 0, &s->on_listener);
    return;
  }
  struct conn *c = calloc(1, sizeof *c);
  if (!c) {
    close(fd);
    return;
  }
  *c = (struct conn){.fd = fd, .timer = -1, .id = ++s->accepted, .path = "?"};
  c->on_socket = (struct source){conn_socket_ready, c};
  c->on_timer = (struct source){conn_timer_ready, c};
  c->on_done = (struct source){conn_done_ready, c};
  ++s->live;
  int r = conn_limit(s, c, kReadLimitMs);
  if (r == 0) r = watch(s, EPOLL_CTL_ADD, fd, EPOLLIN, &c->on_socket);
  if (r < 0) conn_respond(s, c, "503 Service Unavailable", ctx_strerror(r));
}

static void server_signal(struct server *s, struct conn *none) {
  (void)none;
  struct signalfd_siginfo info;
  if (read(s->signals, &info, sizeof info) != sizeof info) return;
  const char *name = info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT";
  printf("%s: ending %u in flight\n", name, s->live);
  close_fd(&s->listener);
  ctx_cause_t *cause = NULL;  // if there is no memory for it, the cancel goes on with the plain one
  ctx_cause_new(CTX_CANCELED, "the server is shutting down", &cause);
  ctx_cancel_with(s->canceler, CTX_CANCELED, cause);
  ctx_cause_unref(cause);
}

static int server_open(struct server *s, in_port_t port) {
  struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
  addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct sockaddr *any = (struct sockaddr *)&addr;
  socklen_t len = sizeof addr;
  int on = 1;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
      (s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) < 0 ||
      (s->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
      (s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0 ||
      setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
      bind(s->listener, any, len) < 0 || listen(s->listener, 128) < 0 ||
      getsockname(s->listener, any, &len) < 0) {
    return -errno;
  }
  int r = ctx_with_cancel(ctx_background(), &s->ctx, &s->canceler);
  if (r == 0) r = watch(s, EPOLL_CTL_ADD, s->listener, EPOLLIN, &s->on_listener);
  if (r == 0) r = watch(s, EPOLL_CTL_ADD, s->signals, EPOLLIN, &s->on_signal);
  if (r == 0) printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
  return r;
}

static int server_run(struct server *s) {
  while (s->listener >= 0 || s->live > 0) {
    // One event a round: with more, a connection that one event closes could be named by the next.
    struct epoll_event event;
    int n = epoll_wait(s->epoll, &event, 1, -1);
    if (n < 0 && errno != EINTR) return -errno;
    struct source *source = n > 0 ? event.data.ptr : NULL;
    if (source) source->ready(s, source->conn);
  }
  printf("bye: %u connections served, none left\n", s->accepted);
  return 0;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct server server = {.epoll = -1, .listener = -1, .signals = -1};
  server.on_listener.ready = server_accept;
  server.on_signal.ready = server_signal;
  int r = server_open(&server, (in_port_t)(argc > 1 ? atoi(argv[1]) : 0));
  if (r == 0) r = server_run(&server);
  if (r < 0) fprintf(stderr, "epoll_server: %s\n", ctx_strerror(r));
  ctx_canceler_unref(server.canceler);
  ctx_unref(server.ctx);
  close_fd(&server.listener);
  close_fd(&server.signals);
  close_fd(&server.epoll);
  return r < 0 ? 1 : 0;
}
