/* SPDX-License-Identifier: MIT */
/*
 * gil.c - how callbacks and drop functions of libctx come into Python, from any thread.
 *
 * The library's threads outlive the interpreter, and a thread that asks for the GIL during finalization is
 * killed or crashes. So there is a gate. Python's atexit shuts it, and then waits for the threads between the
 * gate and the GIL. Threads that come later are turned away; what they would have run or freed is left to the
 * end of the process. Threads that have the GIL already are the interpreter's affair.
 *
 * A thread that is new to Python takes a lock of the interpreter without the GIL. A fork at that moment
 * would leave the child with a lock that nobody releases. So a fork, too, waits for threads that are entering,
 * and lets no new thread in until it is over. Threads that Python knows pass: they may have the GIL.
 */
#include <sched.h>
#include <stdatomic.h>

#include "ext.h"

static atomic_int entering;
static atomic_int closed, forking;

/* Counts itself first, and then looks at the flags. The thread that shuts the gate, or forks, sets its flag first, and
 * then looks for threads that enter. So one of the two sees the other. */
static void begin_to_enter(void) {
  atomic_fetch_add(&entering, 1);
  while (atomic_load(&forking) && !PyGILState_GetThisThreadState()) {
    atomic_fetch_sub(&entering, 1);
    sched_yield();
    atomic_fetch_add(&entering, 1);
  }
}

static void wait_for_the_entering(void) {
  Py_BEGIN_ALLOW_THREADS;
  while (atomic_load(&entering) > 0) sched_yield();
  Py_END_ALLOW_THREADS;
}

int enter_python(PyGILState_STATE *state) {
  begin_to_enter();
  int open = !atomic_load(&closed);
  if (open) *state = PyGILState_Ensure();
  atomic_fetch_sub(&entering, 1);
  return open;
}

void gil_opened(void) { atomic_store(&closed, 0); }

PyObject *gil_close(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
  atomic_store(&closed, 1);
  wait_for_the_entering();
  Py_RETURN_NONE;
}

PyObject *gil_before_fork(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
  atomic_fetch_add(&forking, 1);
  wait_for_the_entering();
  Py_RETURN_NONE;
}

PyObject *gil_after_fork(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
  atomic_fetch_sub(&forking, 1);
  Py_RETURN_NONE;
}

/* Threads at the gate, and others that fork, stayed behind in the parent. */
PyObject *gil_in_child(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
  atomic_store(&forking, 0);
  atomic_store(&entering, 0);
  handed_in_child();
  Py_RETURN_NONE;
}
