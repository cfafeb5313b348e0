// SPDX-License-Identifier: MIT
//
// fan_in.c - 100,000 contexts, one queue, one descriptor. The contexts end in three ways: canceled one
// by one by a thread, by their parents from another thread, and by deadlines. One thread sees them
// all: it polls the queue's descriptor and drains the events as they come.
//
// Nobody keeps the contexts: a queue keeps each one alive until its event is drained.
//
// Exits 0 only if each context gave exactly one event, with the right error, and the queue cost one
// descriptor (two if the library has to use a pipe).

#define _GNU_SOURCE 1
#include <ctx/ctx.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t kMs = 1000000;
static const int64_t kShowNs =
    1500000000;  // the ends are spread over this time, so that you see them
enum {
  kContexts = 100000,
  kSingles = 3 * kContexts / 10,  // one by one, and as many by deadline; the rest by parents
  kParents = 50,
  kBatch = 512,
  kWatchdogMs = 60000
};

enum way { ONE_BY_ONE, BY_PARENT, BY_DEADLINE, WAYS };
static const char *const kWays[WAYS] = {"one by one", "by parents", "by deadline"};

// Of every ten contexts three are canceled one by one, four by a parent, three by a deadline.
static enum way way_of(uint64_t token) {
  return token % 10 < 3 ? ONE_BY_ONE : token % 10 < 7 ? BY_PARENT : BY_DEADLINE;
}

struct cancels {
  ctx_canceler_t **cancelers;
  int n, done;
};

// A thread: cancels all its cancelers, in fifty batches with pauses between them.
static void *cancel_all(void *arg) {
  struct cancels *c = arg;
  for (int i = 0; i < c->n; ++i) {
    if (ctx_cancel(c->cancelers[i]) == 1) ++c->done;
    ctx_canceler_unref(c->cancelers[i]);
    // The root is never done: waiting for it is a pause.
    if (i % (c->n / 50) == 0) ctx_wait(ctx_background(), kShowNs / 50);
  }
  return NULL;
}

// Makes the contexts and adds them to the queue, with tokens from 0 on.
static int make_all(ctx_queue_t *queue, ctx_canceler_t **singles, ctx_canceler_t **parents) {
  ctx_t *above[kParents];
  int r = 0;
  for (int i = 0; r == 0 && i < kParents; ++i) {
    r = ctx_with_cancel(ctx_background(), &above[i], &parents[i]);
  }
  int64_t now = ctx_now(ctx_background());
  for (int token = 0; r == 0 && token < kContexts; ++token) {
    int64_t deadline = now + kShowNs * token / kContexts;
    ctx_t *ctx;
    switch (way_of((uint64_t)token)) {
      case ONE_BY_ONE:
        r = ctx_with_cancel(ctx_background(), &ctx, singles++);
        break;
      case BY_PARENT:
        // Without a canceler or a deadline of its own: it only ends with its parent.
        r = ctx_with_deadline(above[token / 10 % kParents], CTX_FOREVER, &ctx, NULL);
        break;
      default:
        r = ctx_with_deadline(ctx_background(), deadline, &ctx, NULL);
    }
    if (r == 0) {
      r = ctx_queue_add(queue, ctx, (uint64_t)token, NULL);
      ctx_unref(ctx);
    }
  }
  for (int i = 0; r == 0 && i < kParents; ++i) ctx_unref(above[i]);
  return r;
}

struct tally {
  unsigned char seen[kContexts];
  int events, wrong, percent, wakeups;
  int by[WAYS];
};

static void count(struct tally *t, const ctx_event_t *event) {
  enum way way = way_of(event->token);
  int err = way == BY_DEADLINE ? CTX_DEADLINE_EXCEEDED : CTX_CANCELED;
  if (event->token >= kContexts || event->err != err || t->seen[event->token]++) ++t->wrong;
  ++t->events;
  ++t->by[way];
}

// On a terminal a bar that grows in its place; elsewhere a line for every ten per cent.
static void show(struct tally *t) {
  int percent = (int)(100LL * t->events / kContexts), tty = isatty(STDOUT_FILENO);
  if (percent / (tty ? 1 : 10) == t->percent / (tty ? 1 : 10)) return;
  t->percent = percent;
  printf("%s[%-20.*s] %3d %%", tty ? "\r" : "", percent / 5, "####################", percent);
  for (int way = 0; way < WAYS; ++way) printf("  %6d %s", t->by[way], kWays[way]);
  if (!tty || percent == 100) putchar('\n');
  fflush(stdout);
}

static int drain_all(ctx_queue_t *queue, struct tally *t) {
  struct pollfd fd = {.fd = ctx_queue_fd(queue), .events = POLLIN};
  ctx_event_t events[kBatch];
  while (t->events < kContexts) {
    int r = poll(&fd, 1, kWatchdogMs);
    if (r <= 0) return r < 0 ? -errno : -ETIMEDOUT;
    ++t->wakeups;
    int64_t n;
    while ((n = ctx_queue_drain(queue, events, kBatch)) > 0) {
      for (int64_t i = 0; i < n; ++i) count(t, &events[i]);
    }
    if (n < 0) return (int)n;
    show(t);
  }
  return poll(&fd, 1, 0) == 0 ? 0 : -EPROTO;  // no event, so it must not be readable
}

static int open_descriptors(void) {
  int n = 0;
  DIR *fds = opendir("/proc/self/fd");
  while (fds && readdir(fds)) ++n;
  if (fds) closedir(fds);
  return n;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  static ctx_canceler_t *singles[kSingles], *parents[kParents];
  static struct tally tally;
  struct cancels cancels[2] = {{singles, kSingles, 0}, {parents, kParents, 0}};
  pthread_t threads[2];
  ctx_queue_t *queue = NULL;

  ctx_t *root = ctx_background(), *first = NULL;
  // The first deadline starts the library's clock, which takes its descriptors.
  int r = ctx_with_timeout(root, kShowNs, &first, NULL);
  if (r == 0) r = ctx_queue_new(&queue);
  ctx_unref(first);
  int before = open_descriptors();
  int64_t began = ctx_now(root);
  if (r == 0) r = make_all(queue, singles, parents);
  if (r == 0) r = ctx_queue_fd(queue);
  int64_t made = ctx_now(root);
  int descriptors = open_descriptors() - before;
  printf("%d contexts made and added in %d ms\n", kContexts, (int)((made - began) / kMs));

  for (int i = 0; r >= 0 && i < 2; ++i) {
    r = -pthread_create(&threads[i], NULL, cancel_all, &cancels[i]);
  }
  if (r >= 0) r = drain_all(queue, &tally);
  if (r < 0) {
    fprintf(stderr, "fan_in: %s\n", ctx_strerror(r));
    return 1;
  }
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  int64_t ms = (ctx_now(root) - began) / kMs;
  printf("%d events of %d contexts in %d.%02d s: descriptors %d, wake-ups %d, wrong %d\n",
         tally.events, kContexts, (int)(ms / 1000), (int)(ms % 1000 / 10), descriptors,
         tally.wakeups, tally.wrong);
  ctx_queue_unref(queue);
  return tally.events != kContexts || tally.wrong > 0 || descriptors < 1 || descriptors > 2 ||
         cancels[0].done != kSingles || cancels[1].done != kParents;
}
