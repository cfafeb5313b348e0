/* SPDX-License-Identifier: MIT */
/*
 * watch.c - libctx.Watch: a callback or a queue entry that is armed on a context.
 */
#include "ext.h"

PyTypeObject *watch_type;

PyObject *steal_watch(ctx_watch_t *watch) {
  Watch *self = PyObject_New(Watch, watch_type);
  if (self) self->watch = watch;
  if (!self) { /* who is told of no watch has armed nothing */
    ctx_watch_stop(watch);
    ctx_watch_unref(watch);
  }
  return (PyObject *)self;
}

/* What a callback carries is one tuple: the function, then its arguments. */
static void run(ctx_t *Py_UNUSED(ctx), void *arg) {
  PyGILState_STATE state;
  if (!enter_python(&state)) return;
  PyObject *call = arg, *fn = PyTuple_GetItem(call, 0), *result = NULL;
  PyObject *arguments = PyTuple_GetSlice(call, 1, PyTuple_Size(call));
  if (arguments) result = PyObject_Call(fn, arguments, NULL);
  if (!result) PyErr_WriteUnraisable(fn);
  Py_XDECREF(result);
  Py_XDECREF(arguments);
  PyGILState_Release(state);
}

PyObject *context_after(PyObject *self, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"defer", NULL};
  PyObject *fn = PyTuple_Size(args) > 0 ? PyTuple_GetItem(args, 0) : NULL, *none = PyTuple_New(0);
  ctx_watch_t *watch;
  int defer = 0;
  int ok = none && PyArg_ParseTupleAndKeywords(none, kwargs, "|$p:after", names, &defer);
  Py_XDECREF(none);
  if (!ok) return NULL;
  if (!fn || !PyCallable_Check(fn)) {
    PyErr_SetString(PyExc_TypeError, "after() wants something to call");
    return NULL;
  }
  Py_INCREF(args);
  int result =
      ctx_after_func(((Context *)self)->ctx, run, args, drop_object, defer ? CTX_DEFER : 0, &watch);
  if (result >= 0) return steal_watch(watch);
  Py_DECREF(args);
  return raise_result(result);
}

static PyObject *watch_stop(PyObject *self, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"wait", NULL};
  ctx_watch_t *watch = ((Watch *)self)->watch;
  int wait = 0, result;
  if (kwargs || PyTuple_Size(args) > 0) {
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$p:stop", names, &wait)) return NULL;
  }
  if (wait) {
    Py_BEGIN_ALLOW_THREADS;
    result = ctx_watch_stop_wait(watch);
    Py_END_ALLOW_THREADS;
  } else {
    result = ctx_watch_stop(watch);
  }
  return result < 0 ? raise_result(result) : PyBool_FromLong(result);
}

static void watch_dealloc(PyObject *self) {
  ctx_watch_unref(((Watch *)self)->watch);
  free_object(self);
}

static PyMethodDef methods[] = {
    {"stop", (PyCFunction)(void (*)(void))watch_stop, METH_VARARGS | METH_KEYWORDS,
     "stop($self, /, *, wait=False)\n--\n\n"
     "True: it will not run, thanks to this call; False: it ran, runs or was stopped before. With "
     "wait it\n"
     "also is not running any more on return, unless called from inside the callback."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, (void *)watch_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Something armed on a context. To forget it leaves it armed."},
    {0, NULL}};

PyType_Spec watch_spec = {
    "libctx.Watch", sizeof(Watch), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};
