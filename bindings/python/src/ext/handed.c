/* SPDX-License-Identifier: MIT */
/*
 * handed.c - armed callbacks, and the work that threads unknown to Python hand over to it.
 *
 * Such a thread may belong to another language, or be `ctx-calls`, which runs the callbacks of all languages. It
 * must not wait for the GIL, which another thread may hold for seconds. So it puts the callback, or the object
 * that it gives back, on a list, and goes on. A runner takes them from there in their order. A runner is a
 * callback with CTX_BLOCKING on a context that is done.
 *
 * 1. While the list is not empty, a runner is on its way, or one will look at the list before it leaves. Threads
 *    that hand over start a runner if none is on its way. A runner does so before it calls anything, because that
 *    may block. So no callback waits for another one to return.
 * 2. A runner goes on until a later runner has come in. So there are about as many runners as callbacks in
 *    progress, however many wait.
 * 3. An armed callback goes ARMED -> HANDED -> RUNNING -> DONE, and may leave steps out. The thread that the
 *    library calls takes the step to HANDED without the GIL. All other steps need the GIL.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "ext.h"

enum { ARMED, HANDED, RUNNING, DONE };

struct armed {
  atomic_int refs;      /* of the library, the watch and the list */
  atomic_int state;     /* HANDED for an object that is given back */
  int is_callback;      /* else an object that is given back */
  unsigned long runner; /* the thread that runs it */
  PyObject *carried;    /* NULL once it ran or was stopped */
  struct armed *next;
};

static _Atomic(struct armed *) handed; /* the last one first */
static atomic_int coming;              /* runners on their way: 0 or 1 */
static struct armed *first;            /* taken from there, in order; guarded by the GIL */
static unsigned newest;                /* the runner that came in last; guarded by the GIL */
static ctx_t *ended;                   /* a context that is done: callbacks on it run at once */

static pthread_mutex_t done_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static int waiting; /* threads that wait for a callback to be DONE; guarded by the GIL */

static void unref(struct armed *armed) {
  if (atomic_fetch_sub(&armed->refs, 1) == 1) free(armed);
}

static void call(struct armed *armed) {
  PyObject *carried = armed->carried, *arguments = PyTuple_GetItem(carried, 1);
  armed->carried = NULL;
  armed->runner = PyThread_get_thread_ident();
  atomic_store(&armed->state, RUNNING);
  PyObject *result = PyObject_Call(PyTuple_GetItem(carried, 0), arguments, NULL);
  if (!result) interrupt_report(PyTuple_GetItem(arguments, 1));
  Py_XDECREF(result);
  Py_DECREF(carried);
  atomic_store(&armed->state, DONE);
  if (waiting == 0) return;
  pthread_mutex_lock(&done_lock);
  pthread_cond_broadcast(&done);
  pthread_mutex_unlock(&done_lock);
}

static struct armed *take(void) {
  if (!first) {
    struct armed *one = atomic_exchange(&handed, NULL);
    while (one) {
      struct armed *next = one->next;
      one->next = first;
      first = one;
      one = next;
    }
  }
  struct armed *armed = first;
  if (armed) first = armed->next;
  return armed;
}

static void run_handed(ctx_t *ctx, void *arg);

/* On first use: once a program has derived a context, it cannot choose its default loop any more. */
static int make_ended(void) {
  ctx_canceler_t *canceler;
  int result = ctx_with_cancel(ctx_background(), &ended, &canceler);
  if (result < 0) return result;
  ctx_cancel(canceler);
  ctx_canceler_unref(canceler);
  return 0;
}

/* Sees to it that a runner is on its way; a negative number if there can be none. */
static int summon(void) {
  int none = 0, result = 0;
  if (!atomic_compare_exchange_strong(&coming, &none, 1)) return 0;
  if (!ended) result = make_ended();
  if (result == 0)
    result = ctx_after_func(ended, run_handed, NULL, NULL, CTX_DEFER | CTX_BLOCKING, NULL);
  if (result < 0) atomic_store(&coming, 0);
  return result;
}

static void run_handed(ctx_t *Py_UNUSED(ctx), void *Py_UNUSED(arg)) {
  PyGILState_STATE state;
  if (!enter_python(&state)) return;
  atomic_store(&coming, 0);
  unsigned self = ++newest;
  struct armed *armed;
  while (self == newest && (armed = take())) {
    if (first || atomic_load(&handed))
      summon(); /* if it fails, this runner goes on after the call */
    if (!armed->is_callback) {
      Py_DECREF(armed->carried);
    } else if (atomic_load(&armed->state) == HANDED) {
      call(armed);
    }
    unref(armed);
  }
  PyGILState_Release(state);
}

/* Without a runner this thread has to wait for the GIL after all. */
static void hand_over(struct armed *armed) {
  armed->next = atomic_load(&handed);
  while (!atomic_compare_exchange_weak(&handed, &armed->next, armed)) continue;
  if (summon() < 0) run_handed(NULL, NULL);
}

static struct armed *new_armed(PyObject *carried, int refs, int state, int is_callback) {
  struct armed *armed = malloc(sizeof *armed);
  if (!armed) return NULL;
  atomic_init(&armed->refs, refs);
  atomic_init(&armed->state, state);
  armed->is_callback = is_callback;
  armed->carried = carried;
  return armed;
}

struct armed *armed_new(PyObject *carried) {
  return new_armed(carried, 2, ARMED, 1);
}

void armed_run(ctx_t *Py_UNUSED(ctx), void *arg) {
  struct armed *armed = arg;
  PyGILState_STATE state;
  if (PyGILState_GetThisThreadState()) {
    if (!enter_python(&state)) return;
    call(armed);
    PyGILState_Release(state);
  } else {
    atomic_fetch_add(&armed->refs, 1);
    atomic_store(&armed->state, HANDED);
    hand_over(armed);
  }
}

void armed_drop(void *arg) {
  struct armed *armed = arg;
  if (atomic_load(&armed->state) == ARMED && armed->carried) drop_object(armed->carried);
  unref(armed);
}

void armed_forget(struct armed *armed) {
  if (armed) unref(armed);
}

int armed_stop(struct armed *armed, int wait) {
  if (atomic_load(&armed->state) == HANDED) {
    PyObject *carried = armed->carried;
    armed->carried = NULL;
    atomic_store(&armed->state, DONE);
    Py_DECREF(carried);
    return 1;
  }
  if (!wait || armed->runner == PyThread_get_thread_ident()) return 0;
  ++waiting;
  Py_BEGIN_ALLOW_THREADS;
  pthread_mutex_lock(&done_lock);
  while (atomic_load(&armed->state) == RUNNING) pthread_cond_wait(&done, &done_lock);
  pthread_mutex_unlock(&done_lock);
  Py_END_ALLOW_THREADS;
  --waiting;
  return 0;
}

void drop_object(void *object) {
  PyGILState_STATE state;
  struct armed *armed = PyGILState_GetThisThreadState() ? NULL : new_armed(object, 1, HANDED, 0);
  if (armed) {
    hand_over(armed);
  } else if (enter_python(&state)) {
    Py_DECREF((PyObject *)object);
    PyGILState_Release(state);
  }
}

/* The runners, and the work for them, stayed behind in the parent. */
void handed_in_child(void) {
  atomic_store(&handed, NULL);
  atomic_store(&coming, 0);
  first = NULL;
  ended = NULL;
  waiting = 0;
  done_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
  done = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}
