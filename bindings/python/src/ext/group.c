/* SPDX-License-Identifier: MIT */
/*
 * group.c - libctx._core.Group: work that is counted and waited for. libctx.Group runs it on threads.
 *
 * What may end a context runs without the GIL, as a cancel does.
 */
#include <errno.h>

#include "ext.h"

typedef struct {
  PyObject ob_base;
  ctx_group_t *group; /* one reference */
} Group;

PyTypeObject *group_type;

static ctx_group_t *group_of(PyObject *self) { return ((Group *)self)->group; }

/* Below a context, or nested in a group, unless that one's context is done. */
static PyObject *group_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"", NULL};
  PyObject *parent;
  ctx_group_t *group;
  int result;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Group", names, &parent)) return NULL;
  if (Py_TYPE(parent) == type) {
    result = ctx_group_new_below(group_of(parent), &group);
  } else {
    if (!check_context(parent)) return NULL;
    result = ctx_group_new(((Context *)parent)->ctx, &group);
  }
  if (result < 0) return raise_result(result);
  Group *self = (Group *)PyType_GenericAlloc(type, 0);
  if (self) self->group = group;
  if (!self) ctx_group_unref(group);
  return (PyObject *)self;
}

/* The end of a nested group that has failed cancels the context of the outer one. */
static void group_dealloc(PyObject *self) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  Py_BEGIN_ALLOW_THREADS;
  ctx_group_unref(group_of(self));
  Py_END_ALLOW_THREADS;
  PyErr_Restore(type, value, traceback);
  free_object(self);
}

static PyObject *group_context(PyObject *self, PyObject *Py_UNUSED(unused)) {
  ctx_t *ctx = ctx_ref(ctx_group_context(group_of(self)));
  return ctx ? steal_context(ctx) : raise_result(-EINVAL);
}

static PyObject *group_canceler(PyObject *self, PyObject *Py_UNUSED(unused)) {
  ctx_canceler_t *canceler = ctx_canceler_ref(ctx_group_canceler(group_of(self)));
  return canceler ? steal_canceler(canceler) : raise_result(-EINVAL);
}

static PyObject *group_begin(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int result = ctx_group_begin(group_of(self));
  if (result == CTX_CANCELED || result == CTX_DEADLINE_EXCEEDED) Py_RETURN_FALSE;
  if (result < 0) return raise_result(result);
  Py_RETURN_TRUE;
}

/*
 * The cause that a piece of work has failed with, for a reason other than None. A reason that says no more than
 * "context canceled" has none of its own. If none can be made, that is reported, and it is NULL.
 */
static const ctx_cause_t *failure(PyObject *reason) {
  const ctx_cause_t *cause;
  if (to_cause(reason, CTX_CANCELED, &cause) < 0) {
    PyErr_WriteUnraisable(reason);
    return NULL;
  }
  ctx_cause_t *plain = NULL;
  if (!cause) ctx_cause_new_at(CTX_CANCELED, NULL, 0, NULL, 0, NULL, NULL, NULL, NULL, &plain);
  return cause ? cause : plain;
}

static PyObject *group_end(PyObject *self, PyObject *reason) {
  const ctx_cause_t *cause = reason == Py_None ? NULL : failure(reason);
  PyObject *outer = interrupt_begin();
  int result;
  Py_BEGIN_ALLOW_THREADS;
  if (!cause && reason != Py_None) ctx_cancel(ctx_group_canceler(group_of(self)));
  result = ctx_group_end(group_of(self), cause);
  ctx_cause_unref(cause);
  Py_END_ALLOW_THREADS;
  if (interrupt_end(outer) < 0) return NULL;
  if (result == -EINVAL) {
    PyErr_SetString(PyExc_RuntimeError, "no piece of work has begun that could end");
    return NULL;
  }
  if (result < 0) return raise_result(result);
  Py_RETURN_NONE;
}

static int wait_for_group(void *group, int64_t left_ns) { return ctx_group_wait(group, left_ns); }

static PyObject *group_wait(PyObject *self, PyObject *timeout) {
  int result = wait_with_signals(wait_for_group, group_of(self), timeout);
  return result < 0 ? NULL : PyBool_FromLong(result);
}

static PyObject *group_fileno(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int fd = ctx_group_fd(group_of(self));
  return fd < 0 ? raise_result(fd) : PyLong_FromLong(fd);
}

static PyObject *group_over(PyObject *self, PyObject *Py_UNUSED(unused)) {
  ctx_t *ctx;
  int result = ctx_group_over(group_of(self), &ctx);
  return result < 0 ? raise_result(result) : steal_context(ctx);
}

static PyObject *group_cause_parts(PyObject *self, PyObject *Py_UNUSED(unused)) {
  return parts_of_cause(ctx_group_cause(group_of(self)));
}

static PyObject *group_handle(PyObject *self, PyObject *Py_UNUSED(unused)) {
  return PyLong_FromVoidPtr(group_of(self));
}

static PyMethodDef methods[] = {
    {"ctx", group_context, METH_NOARGS, "ctx($self, /)\n--\n\nThe context of the work."},
    {"cancel", group_canceler, METH_NOARGS,
     "cancel($self, /)\n--\n\nThe right to cancel that context."},
    {"begin", group_begin, METH_NOARGS,
     "begin($self, /)\n--\n\nCounts a piece of work; False if the context is done."},
    {"end", group_end, METH_O,
     "end($self, reason, /)\n--\n\nEnds a piece of work; a reason other than None is why it has "
     "failed."},
    {"wait", group_wait, METH_O,
     "wait($self, timeout, /)\n--\n\nTrue: nothing is left; False: that many seconds passed "
     "first."},
    {"fileno", group_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nReadable exactly while nothing is left."},
    {"over", group_over, METH_NOARGS,
     "over($self, /)\n--\n\nA context that ends as soon as nothing is left."},
    {"handle", group_handle, METH_NOARGS, "handle($self, /)\n--\n\nThe ctx_group_t*, borrowed."},
    {"_cause_parts", group_cause_parts, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)group_new},
    {Py_tp_dealloc, (void *)group_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Group(parent, /)\n--\n\nWork that is counted and waited for."},
    {0, NULL}};

PyType_Spec group_spec = {"libctx._core.Group", sizeof(Group), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
