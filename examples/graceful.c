// SPDX-License-Identifier: MIT
//
// graceful.c - SIGTERM ends a server in order. The signal is a context, and so is each stage of the end:
//
//   serving    ctx_with_signal(SIGTERM)        done: take no new work, finish work in hand
//   requests   ctx_with_grace(serving, 30 s)   done: too late for a request, stop at once
//   reports    ctx_with_grace(serving, 0.6 s)  done: too late for a report
//
// Five threads work; none knows of the others or of signals. The program sends itself the SIGTERM. Threads
// that serve requests finish the one in hand; the reports would take for ever, and the end of their grace
// ends them. All of them see the same cause: which signal, and who sent it.
//
// Exits 0 only if each worker ended as it should, the reports not before their grace was over.

#define _POSIX_C_SOURCE 200809L
#include <ctx/ctx.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t kMs = 1000000;
static const int64_t kServeNs = 500000000;  // until the signal
static const int64_t kRequestGraceNs = 30000000000;
static const int64_t kReportGraceNs = 600000000;
static const int64_t kWatchdogNs = 60000000000;
enum { kWorkers = 5, kBarMs = 20 };

struct worker {
  const char *name;
  int64_t job_ns;
  ctx_t *serving, *working;  // the first ends new work, the second the job in hand
  pthread_t thread;
  int finished, err;
  int64_t ended_ns;
};

// Job after job. A wait stands for each job: it returns 0 if it lasted as long as the job needs.
static void *work(void *arg) {
  struct worker *w = arg;
  do {
    if (ctx_wait(w->working, w->job_ns) != 0) break;
    ++w->finished;
  } while (ctx_err(w->serving) == 0);
  w->ended_ns = ctx_now(w->working);
  w->err = ctx_err(w->working);
  if (w->err == 0) {
    printf("%s: finished the one in hand, %d in all\n", w->name, w->finished);
  } else {
    printf("%s: ended in the middle, %s\n", w->name, ctx_cause_message(ctx_cause(w->working)));
  }
  return NULL;
}

// The cause is that of the signal: its number, its name, and this process as the sender.
static int tells_of_sigterm(const ctx_t *ctx) {
  char sender[16];
  const char *message = ctx_cause_message(ctx_cause(ctx));
  snprintf(sender, sizeof sender, "%ld", (long)getpid());
  return message && ctx_err(ctx) == CTX_CANCELED && ctx_cause_code(ctx_cause(ctx)) == SIGTERM &&
         strstr(message, "SIGTERM") && strstr(message, sender);
}

// How it ended, as a picture, and whether it should have.
static int check(const struct worker *w, int64_t signal_ns) {
  static const char kBar[] = "########################################";
  int endless = w->job_ns == CTX_FOREVER, ms = (int)((w->ended_ns - signal_ns) / kMs);
  int ok = endless ? w->finished == 0 && tells_of_sigterm(w->working) &&
                         w->ended_ns - signal_ns >= kReportGraceNs
                   : w->finished > 0 && w->err == 0;
  printf("%-9s |%-40.*s| %4d ms  %s%s\n", w->name, ms > 0 ? ms / kBarMs : 0, kBar, ms,
         w->err == 0 ? "finished" : "ended by its grace", ok ? "" : "  WRONG");
  return ok;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);

  // Before there is any thread: all inherit the mask, and the library takes the signal.
  const int signals[] = {SIGTERM};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, NULL);

  ctx_t *serving = NULL, *requests = NULL, *reports = NULL;
  ctx_canceler_t *end_requests = NULL;
  int r = ctx_with_signal(ctx_background(), signals, 1, &serving, NULL);
  if (r == 0) r = ctx_with_grace(serving, kRequestGraceNs, &requests, &end_requests);
  if (r == 0) r = ctx_with_grace(serving, kReportGraceNs, &reports, NULL);

  struct worker workers[kWorkers] = {
      {.name = "request 1", .job_ns = 300 * kMs, .working = requests},
      {.name = "request 2", .job_ns = 350 * kMs, .working = requests},
      {.name = "request 3", .job_ns = 900 * kMs, .working = requests},
      {.name = "report 1", .job_ns = CTX_FOREVER, .working = reports},
      {.name = "report 2", .job_ns = CTX_FOREVER, .working = reports}};
  int started = 0;
  while (r == 0 && started < kWorkers) {
    struct worker *w = &workers[started];
    w->serving = serving;
    r = -pthread_create(&w->thread, NULL, work, w);
    if (r == 0) ++started;
  }
  if (r < 0) {
    fprintf(stderr, "graceful: %s\n", ctx_strerror(r));
    return 1;
  }
  printf("%d workers at work; process %ld\n", started, (long)getpid());

  ctx_wait(serving, kServeNs);
  int64_t signal_ns = ctx_now(serving);
  printf("kill -TERM %ld\n", (long)getpid());
  int failed = kill(getpid(), SIGTERM) < 0 || ctx_wait(serving, kWatchdogNs) != 1 ||
               !tells_of_sigterm(serving);
  const char *why = ctx_cause_message(ctx_cause(serving));
  printf("draining: %s\n", why ? why : "no signal came");

  for (int i = 0; i < started; ++i) pthread_join(workers[i].thread, NULL);
  if (ctx_cancel(end_requests) != 1) failed = 1;  // all workers are done
  for (int i = 0; i < started; ++i) failed |= !check(&workers[i], signal_ns);
  ctx_canceler_unref(end_requests);
  ctx_unref(requests);
  ctx_unref(reports);
  ctx_unref(serving);
  return failed;
}
