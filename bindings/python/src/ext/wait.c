/* SPDX-License-Identifier: MIT */
/*
 * wait.c - to wait for contexts: on a thread, without the GIL, or in an event loop.
 */
#include <errno.h>
#include <time.h>

#include "ext.h"

struct wait {
  ctx_t *const *ctxs;
  size_t n;
  size_t index; /* of one that is done */
};

static int64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int wait_with_signals(int (*wait)(void *arg, int64_t left_ns), void *arg, PyObject *timeout) {
  int64_t left, end, now = monotonic_ns();
  int result;
  if (to_limit(timeout, &left) < 0) return -1;
  end = left > CTX_FOREVER - now ? CTX_FOREVER : now + left;
  for (;;) {
    Py_BEGIN_ALLOW_THREADS;
    result = wait(arg, left);
    Py_END_ALLOW_THREADS;
    if (result != -EINTR) break;
    if (PyErr_CheckSignals() < 0) return -1;
    if (end == CTX_FOREVER) continue;
    left = end - monotonic_ns();
    if (left < 0) left = 0;
  }
  if (result >= 0) return result;
  raise_result(result);
  return -1;
}

static int wait_once(void *arg, int64_t left_ns) {
  struct wait *wait = arg;
  wait->index = 0;
  return wait->n == 1 ? ctx_wait(wait->ctxs[0], left_ns)
                      : ctx_wait_any(wait->ctxs, wait->n, left_ns, &wait->index);
}

static int wait_for(struct wait *wait, PyObject *timeout) {
  return wait_with_signals(wait_once, wait, timeout);
}

PyObject *context_wait(PyObject *self, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"timeout", NULL};
  PyObject *timeout = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:wait", names, &timeout)) return NULL;
  struct wait wait = {&((Context *)self)->ctx, 1, 0};
  int result = wait_for(&wait, timeout);
  return result < 0 ? NULL : PyBool_FromLong(result);
}

static PyObject *wait_any(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"timeout", NULL};
  PyObject *timeout = Py_None, *none = PyTuple_New(0);
  int ok = none && PyArg_ParseTupleAndKeywords(none, kwargs, "|$O:wait_any", names, &timeout);
  Py_XDECREF(none);
  if (!ok) return NULL;
  size_t n;
  ctx_t **ctxs = contexts_of(args, "wait_any() wants at least one context", &n);
  if (!ctxs) return NULL;
  struct wait wait = {ctxs, n, 0};
  int result = wait_for(&wait, timeout);
  PyMem_Free(ctxs);
  if (result < 0) return NULL;
  PyObject *ended = result ? PyTuple_GetItem(args, (Py_ssize_t)wait.index) : Py_None;
  Py_INCREF(ended);
  return ended;
}

PyObject *context_wait_done(PyObject *self, PyObject *Py_UNUSED(unused)) {
  return PyObject_CallFunctionObjArgs(hook_done, self, NULL);
}

PyObject *context_await(PyObject *self) {
  PyObject *coroutine = context_wait_done(self, NULL);
  PyObject *iterator = coroutine ? PyObject_CallMethod(coroutine, "__await__", NULL) : NULL;
  Py_XDECREF(coroutine);
  return iterator;
}

PyMethodDef wait_functions[] = {
    {"wait_any", (PyCFunction)(void (*)(void))wait_any, METH_VARARGS | METH_KEYWORDS,
     "wait_any(*ctxs, timeout=None)\n--\n\n"
     "Blocks until one of the contexts is done, without the GIL; Ctrl-C ends it.\n\n"
     "The first of them that is done; None: that many seconds passed first."},
    {NULL, NULL, 0, NULL}};
