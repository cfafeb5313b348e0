/* SPDX-License-Identifier: MIT */
/*
 * watch.c - libctx.Watch: a callback or a queue entry that is armed on a context.
 *
 * A callback runs in a copy of the context variables of the code that armed it; so do reports of its exceptions.
 */
#include "ext.h"

PyTypeObject *watch_type;

PyObject *steal_watch(ctx_watch_t *watch, struct armed *armed) {
  Watch *self = PyObject_New(Watch, watch_type);
  if (self) {
    self->watch = watch;
    self->armed = armed;
  } else { /* without a watch nothing may stay armed */
    ctx_watch_stop(watch);
    ctx_watch_unref(watch);
    armed_forget(armed);
  }
  return (PyObject *)self;
}

static PyObject *call(PyObject *Py_UNUSED(self), PyObject *args) {
  PyObject *fn = PyTuple_GetItem(args, 0), *result = NULL;
  PyObject *arguments = PyTuple_GetSlice(args, 1, PyTuple_Size(args));
  if (arguments) result = PyObject_Call(fn, arguments, NULL);
  if (!result) interrupt_report(fn);
  Py_XDECREF(result);
  Py_XDECREF(arguments);
  Py_RETURN_NONE;
}

static PyMethodDef call_method = {"call", call, METH_VARARGS, NULL};
static PyObject *call_function, *run_name;

int watch_ready(void) {
  if (!call_function) call_function = PyCFunction_New(&call_method, NULL);
  if (!run_name) run_name = PyUnicode_InternFromString("run");
  return call_function && run_name ? 0 : -1;
}

/* What a callback carries: the run() of its context variables, and what that is to be called with. */
static PyObject *carried(PyObject *fn_and_args) {
  Py_ssize_t n = PyTuple_Size(fn_and_args);
  PyObject *variables = PyObject_CallNoArgs(hook_variables), *carry = NULL;
  PyObject *run = variables ? PyObject_GetAttr(variables, run_name) : NULL;
  PyObject *arguments = run ? PyTuple_New(n + 1) : NULL;
  if (arguments) {
    Py_INCREF(call_function);
    PyTuple_SetItem(arguments, 0, call_function);
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject *item = PyTuple_GetItem(fn_and_args, i);
      Py_INCREF(item);
      PyTuple_SetItem(arguments, i + 1, item);
    }
    carry = PyTuple_Pack(2, run, arguments);
  }
  Py_XDECREF(arguments);
  Py_XDECREF(run);
  Py_XDECREF(variables);
  return carry;
}

/* Nobody would await what an async function returns. 0, or -1 and an exception. */
static int refuse_async(PyObject *fn) {
  PyObject *answer = PyObject_CallFunctionObjArgs(hook_is_async, fn, NULL);
  int is_async = answer ? PyObject_IsTrue(answer) : -1;
  Py_XDECREF(answer);
  if (is_async == 1)
    PyErr_Format(PyExc_TypeError,
                 "expected a function that is not async, not %R: a task can `await ctx` itself",
                 fn);
  return is_async == 0 ? 0 : -1;
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
  if (refuse_async(fn) < 0) return NULL;
  PyObject *carry = carried(args);
  if (!carry) return NULL;
  struct armed *armed = armed_new(carry);
  if (!armed) {
    Py_DECREF(carry);
    return PyErr_NoMemory();
  }
  PyObject *outer = interrupt_begin(); /* on a context that is done it runs at once */
  int result = ctx_after_func(((Context *)self)->ctx, armed_run, armed, armed_drop,
                              defer ? CTX_DEFER : 0, &watch);
  if (result < 0) armed_drop(armed);
  int interrupted = interrupt_end(outer) < 0;
  if (result >= 0 && !interrupted) return steal_watch(watch, armed);
  armed_forget(armed);
  if (!interrupted) return raise_result(result);
  if (result >= 0) ctx_watch_unref(watch);
  return NULL;
}

static PyObject *watch_stop(PyObject *self, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"wait", NULL};
  ctx_watch_t *watch = ((Watch *)self)->watch;
  struct armed *armed = ((Watch *)self)->armed;
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
  if (result == 0 && armed) result = armed_stop(armed, wait);
  return result < 0 ? raise_result(result) : PyBool_FromLong(result);
}

static void watch_dealloc(PyObject *self) {
  ctx_watch_unref(((Watch *)self)->watch);
  armed_forget(((Watch *)self)->armed);
  free_object(self);
}

static PyMethodDef methods[] = {
    {"stop", (PyCFunction)(void (*)(void))watch_stop, METH_VARARGS | METH_KEYWORDS,
     "stop($self, /, *, wait=False)\n--\n\n"
     "True: this call prevented it; False: it ran, runs or was stopped before. With wait it no "
     "longer\n"
     "runs on return, unless this is called inside the callback."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, (void *)watch_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Something armed on a context. To forget it leaves it armed."},
    {0, NULL}};

PyType_Spec watch_spec = {
    "libctx.Watch", sizeof(Watch), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};
