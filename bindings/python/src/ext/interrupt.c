/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c - KeyboardInterrupt and SystemExit that a callback raises.
 *
 * They concern the program, not the callback, so they leave the call of this extension that ran the callback,
 * such as cancel(), after that call has run all its callbacks. The first one wins; later ones are reported, as all
 * other exceptions of callbacks are.
 *
 * The call and its callbacks are on one thread, so the thread keeps the exception meanwhile. Each call puts aside
 * the one that the call around it keeps: an exception of one callback does not end another that cancels.
 */
#include "ext.h"

static _Thread_local int calls;
static _Thread_local PyObject *kept;

PyObject *interrupt_begin(void) {
  PyObject *outer = kept;
  kept = NULL;
  ++calls;
  return outer;
}

int interrupt_end(PyObject *outer) {
  PyObject *mine = kept;
  kept = outer;
  --calls;
  if (!mine) return 0;
  PyErr_SetObject((PyObject *)Py_TYPE(mine), mine);
  Py_DECREF(mine);
  return -1;
}

/*
 * If no call of this extension waits, another language or the library itself has canceled. A Ctrl-C delivered
 * there is raised again when that language returns to Python.
 */
void interrupt_report(PyObject *callback) {
  int keyboard = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
  if ((keyboard || PyErr_ExceptionMatches(PyExc_SystemExit)) && calls > 0 && !kept) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback) PyException_SetTraceback(value, traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    kept = value;
    return;
  }
  PyErr_WriteUnraisable(callback);
  if (keyboard && calls == 0) PyErr_SetInterrupt();
}
