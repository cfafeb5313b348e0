/* SPDX-License-Identifier: MIT */
/*
 * gil.c - how callbacks and drop functions of libctx come into Python, from any thread.
 *
 * The library's threads outlive the interpreter, and whoever asks for the GIL of one that is being
 * taken down is killed or crashes. So there is a gate. Python's atexit shuts it, and then waits for
 * those who are between the gate and the GIL; later comers are turned away, and what they would have
 * run or freed is left to the end of the process. Who has the GIL already is the interpreter's affair.
 */
#include <sched.h>
#include <stdatomic.h>

#include "ext.h"

static atomic_int entering;
static atomic_int closed;

int enter_python(PyGILState_STATE *state) {
  atomic_fetch_add(&entering, 1);
  int open =
      !atomic_load(&closed); /* after the line above: gil_close() looks the other way round */
  if (open) *state = PyGILState_Ensure();
  atomic_fetch_sub(&entering, 1);
  return open;
}

void drop_object(void *object) {
  PyGILState_STATE state;
  if (!enter_python(&state)) return;
  Py_DECREF((PyObject *)object);
  PyGILState_Release(state);
}

void gil_opened(void) { atomic_store(&closed, 0); }

PyObject *gil_close(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
  atomic_store(&closed, 1);
  Py_BEGIN_ALLOW_THREADS;
  while (atomic_load(&entering) > 0) sched_yield();
  Py_END_ALLOW_THREADS;
  Py_RETURN_NONE;
}

/* In the child of a fork: those who were entering stayed behind in the parent. */
PyObject *gil_after_fork(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
  atomic_store(&entering, 0);
  Py_RETURN_NONE;
}
