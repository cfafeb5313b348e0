/* SPDX-License-Identifier: MIT */
/*
 * interrupt.c - KeyboardInterrupt and SystemExit that a callback raises.
 *
 * They mean the program and not the callback, so they leave the call of this extension that ran it, such as
 * cancel(). They do so after that call has run all its callbacks. The first one wins; those that come later are
 * reported, as all other exceptions of callbacks are.
 *
 * The call and its callbacks are on one thread, so what is kept meanwhile is the thread's own. Each call puts
 * aside what the call around it has kept: a callback that cancels is not ended by an exception of another one.
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
 * Where no call of this extension waits, another language has canceled, or the library itself. A Ctrl-C that
 * came down there comes again, when that language returns to Python.
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
