/* SPDX-License-Identifier: MIT */
/*
 * canceler.c - libctx.Canceler, the right to cancel one context, and libctx.Derived, a new context
 * together with its canceler.
 *
 * Derived is a tuple, so that `ctx, cancel = with_cancel(parent)` works, and a context manager that
 * gives out the context and cancels on exit.
 */
#include <errno.h>

#include "ext.h"

PyTypeObject *canceler_type, *derived_type;

PyObject *steal_canceler(ctx_canceler_t *canceler) {
  Canceler *self = PyObject_New(Canceler, canceler_type);
  if (self) self->canceler = canceler;
  if (!self) ctx_canceler_unref(canceler);
  return (PyObject *)self;
}

PyObject *steal_derived(ctx_t *ctx, ctx_canceler_t *canceler) {
  PyObject *first = steal_context(ctx), *second = steal_canceler(canceler);
  PyObject *self = first && second ? PyType_GenericAlloc(derived_type, 2) : NULL;
  if (!self) {
    Py_XDECREF(first);
    Py_XDECREF(second);
    return NULL;
  }
  PyTuple_SetItem(self, 0, first);
  PyTuple_SetItem(self, 1, second);
  return self;
}

typedef int (*Cancel)(ctx_canceler_t *, int, const ctx_cause_t *);

/*
 * Cancels. Returns the result of ctx_cancel_with() or ctx_cancel_deferred(), or -EINTR with the exception by which
 * a callback leaves. It releases the GIL: it may run another language's callbacks, which may wait for a lock whose
 * owner waits for the GIL.
 */
static int cancel(PyObject *self, Cancel how, int err, const ctx_cause_t *cause) {
  ctx_canceler_t *canceler = ((Canceler *)self)->canceler;
  PyObject *outer = interrupt_begin();
  int result;
  Py_BEGIN_ALLOW_THREADS;
  result = how(canceler, err, cause);
  Py_END_ALLOW_THREADS;
  return interrupt_end(outer) < 0 ? -EINTR : result;
}

static PyObject *canceler_call(PyObject *self, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"cause", "deadline_exceeded", "defer", NULL};
  PyObject *reason = Py_None;
  int exceeded = 0, defer = 0;
  if (kwargs || PyTuple_Size(args) > 0) { /* mostly there is nothing to parse */
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$pp:cancel", names, &reason, &exceeded,
                                     &defer)) {
      return NULL;
    }
  }
  int err = exceeded ? CTX_DEADLINE_EXCEEDED : CTX_CANCELED;
  const ctx_cause_t *cause;
  if (to_cause(reason, err, &cause) < 0) return NULL;
  int result = cancel(self, defer ? ctx_cancel_deferred : ctx_cancel_with, err, cause);
  ctx_cause_unref(cause);
  if (result == -EINTR) return NULL;
  return result < 0 ? raise_result(result) : PyBool_FromLong(result);
}

/*
 * __exit__ of both types: an exception that leaves the body is the reason of the cancel. If no cause can be
 * made of it, that is reported, and the cancel has none; the body's own exception propagates. A child that was
 * forked in the body leaves it, too, and has nothing to cancel.
 */
static PyObject *exit_with(PyObject *canceler, PyObject *args) {
  PyObject *type, *value, *traceback;
  if (!PyArg_ParseTuple(args, "OOO:__exit__", &type, &value, &traceback)) return NULL;
  const ctx_cause_t *cause;
  PyObject *outer = interrupt_begin();
  if (to_cause(value, CTX_CANCELED, &cause) < 0) interrupt_report(value);
  int result = cancel(canceler, ctx_cancel_with, CTX_CANCELED, cause);
  ctx_cause_unref(cause);
  if (interrupt_end(outer) < 0 || result == -EINTR) return NULL;
  if (result < 0 && result != -ECHILD) return raise_result(result);
  Py_RETURN_NONE;
}

static PyObject *canceler_enter(PyObject *self, PyObject *Py_UNUSED(unused)) {
  Py_INCREF(self);
  return self;
}

static void canceler_dealloc(PyObject *self) {
  ctx_canceler_unref(((Canceler *)self)->canceler);
  free_object(self);
}

static PyObject *canceler_handle(PyObject *self, void *Py_UNUSED(closure)) {
  return PyLong_FromVoidPtr(((Canceler *)self)->canceler);
}

static void unref_capsule(PyObject *capsule) {
  ctx_canceler_unref(PyCapsule_GetPointer(capsule, canceler_capsule));
}

static PyObject *canceler_cancel_fd(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int fd = ctx_cancel_fd(((Canceler *)self)->canceler);
  return fd < 0 ? raise_result(fd) : PyLong_FromLong(fd);
}

static PyObject *canceler_capsule_of(PyObject *self, PyObject *Py_UNUSED(unused)) {
  ctx_canceler_t *canceler = ctx_canceler_ref(((Canceler *)self)->canceler);
  if (!canceler) return raise_result(-EINVAL);
  PyObject *capsule = PyCapsule_New(canceler, canceler_capsule, unref_capsule);
  if (!capsule) ctx_canceler_unref(canceler);
  return capsule;
}

static PyObject *canceler_from_handle(PyObject *Py_UNUSED(type), PyObject *handle) {
  ctx_canceler_t *canceler = to_pointer(handle, canceler_capsule);
  if (!canceler) return NULL;
  if (ctx_canceler_ref(canceler)) return steal_canceler(canceler);
  return raise_result(ctx_cancel(canceler)); /* refused for the same reason, which this returns */
}

static PyObject *derived_enter(PyObject *self, PyObject *Py_UNUSED(unused)) {
  PyObject *ctx = PyTuple_GetItem(self, 0);
  Py_INCREF(ctx);
  return ctx;
}

static PyObject *derived_exit(PyObject *self, PyObject *args) {
  return exit_with(PyTuple_GetItem(self, 1), args);
}

static PyObject *derived_item(PyObject *self, void *index) {
  PyObject *item = PyTuple_GetItem(self, (Py_ssize_t)(intptr_t)index);
  Py_INCREF(item);
  return item;
}

static PyMethodDef canceler_methods[] = {
    {"__enter__", canceler_enter, METH_NOARGS, NULL},
    {"__exit__", exit_with, METH_VARARGS,
     "Cancels; an exception that leaves the body is the cause."},
    {"cancel_fd", canceler_cancel_fd, METH_NOARGS,
     "cancel_fd($self, /)\n--\n\n"
     "A descriptor that cancels the context soon after os.eventfd_write(fd, 1), or a write of "
     "those\n"
     "eight bytes: for other processes that get it by pass_fds, and for signal handlers in C. It "
     "is the\n"
     "caller's, who closes it by os.close(), and does not keep the context alive."},
    {"capsule", canceler_capsule_of, METH_NOARGS,
     "capsule($self, /)\n--\n\n"
     "A PyCapsule named 'libctx.ctx_canceler_t', which holds a reference of its own."},
    {"from_handle", canceler_from_handle, METH_O | METH_CLASS,
     "from_handle($type, handle, /)\n--\n\n"
     "The canceler of a ctx_canceler_t*, an integer or a capsule; it takes a reference of its "
     "own."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef canceler_properties[] = {
    {"handle", canceler_handle, NULL, "The ctx_canceler_t* as an integer, borrowed.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot canceler_slots[] = {
    {Py_tp_dealloc, (void *)canceler_dealloc},
    {Py_tp_call, (void *)canceler_call},
    {Py_tp_methods, canceler_methods},
    {Py_tp_getset, canceler_properties},
    {Py_tp_doc,
     "The right to cancel one context: call it. Do not pass it to callees.\n\n"
     "cancel(cause=None, *, deadline_exceeded=False, defer=False) ends the context and everything "
     "derived from it.\n"
     "The cause is an exception or a text. The error is Canceled; with deadline_exceeded, for a "
     "bridge that\n"
     "learned of a deadline elsewhere, DeadlineExceeded. True: this call ended it; False: it was "
     "done already.\n"
     "With defer no callback runs on this thread: for a caller that holds locks.\n"
     "If a callback raises KeyboardInterrupt or SystemExit, the call raises it once all have run.\n"
     "As a context manager it cancels on exit. Dropping it cancels nothing, and leaks nothing."},
    {0, NULL}};

PyType_Spec canceler_spec = {
    "libctx.Canceler", sizeof(Canceler), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    canceler_slots};

static PyMethodDef derived_methods[] = {
    {"__enter__", derived_enter, METH_NOARGS, "Gives out the context."},
    {"__exit__", derived_exit, METH_VARARGS,
     "Cancels; an exception that leaves the body is the cause."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef derived_properties[] = {
    {"ctx", derived_item, NULL, "The context.", (void *)0},
    {"cancel", derived_item, NULL, "The right to cancel it.", (void *)1},
    {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot derived_slots[] = {
    {Py_tp_methods, derived_methods},
    {Py_tp_getset, derived_properties},
    {Py_tp_doc,
     "A new context and the right to cancel it: `ctx, cancel = with_cancel(parent)`, or\n"
     "`with with_timeout(parent, 2) as ctx:`, which cancels on exit."},
    {0, NULL}};

PyType_Spec derived_spec = {
    "libctx.Derived", 0, 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    derived_slots};
