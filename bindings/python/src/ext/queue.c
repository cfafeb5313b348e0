/* SPDX-License-Identifier: MIT */
/*
 * queue.c - libctx._core.Queue: many contexts on one descriptor, for the event loops.
 */
#include "ext.h"

PyTypeObject *queue_type;

static PyObject *queue_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {NULL};
  ctx_queue_t *queue;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Queue", names)) return NULL;
  int result = ctx_queue_new(&queue);
  if (result < 0) return raise_result(result);
  Queue *self = (Queue *)PyType_GenericAlloc(type, 0);
  if (self) self->queue = queue;
  if (!self) ctx_queue_unref(queue);
  return (PyObject *)self;
}

static void queue_dealloc(PyObject *self) {
  ctx_queue_unref(((Queue *)self)->queue);
  free_object(self);
}

static PyObject *queue_fileno(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int fd = ctx_queue_fd(((Queue *)self)->queue);
  return fd < 0 ? raise_result(fd) : PyLong_FromLong(fd);
}

static PyObject *queue_add(PyObject *self, PyObject *args) {
  PyObject *ctx;
  unsigned long long token;
  ctx_watch_t *watch;
  if (!PyArg_ParseTuple(args, "OK:add", &ctx, &token) || !check_context(ctx)) return NULL;
  int result = ctx_queue_add(((Queue *)self)->queue, ((Context *)ctx)->ctx, token, &watch);
  return result < 0 ? raise_result(result) : steal_watch(watch);
}

static PyObject *queue_drain(PyObject *self, PyObject *Py_UNUSED(unused)) {
  struct ctx_event events[256];
  PyObject *tokens = PyList_New(0);
  int64_t n = 0;
  while (tokens && (n = ctx_queue_drain(((Queue *)self)->queue, events, 256)) > 0) {
    for (int64_t i = 0; tokens && i < n; ++i) {
      PyObject *token = PyLong_FromUnsignedLongLong(events[i].token);
      if (!token || PyList_Append(tokens, token) < 0) Py_CLEAR(tokens);
      Py_XDECREF(token);
    }
  }
  if (n < 0) {
    Py_XDECREF(tokens);
    return raise_result(n);
  }
  return tokens;
}

static PyMethodDef methods[] = {
    {"fileno", queue_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nReadable exactly while events wait."},
    {"add", queue_add, METH_VARARGS,
     "add($self, ctx, token, /)\n--\n\nPosts the token when the context is done."},
    {"drain", queue_drain, METH_NOARGS, "drain($self, /)\n--\n\nThe tokens that were posted."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {{Py_tp_new, (void *)queue_new},
                              {Py_tp_dealloc, (void *)queue_dealloc},
                              {Py_tp_methods, methods},
                              {Py_tp_doc, "Queue()\n--\n\nMany contexts on one descriptor."},
                              {0, NULL}};

PyType_Spec queue_spec = {"libctx._core.Queue", sizeof(Queue), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
