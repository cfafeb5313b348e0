/* SPDX-License-Identifier: MIT */
/*
 * queue.c - libctx._core.Queue: many contexts on one descriptor, for the event loops.
 */
#include <errno.h>
#include <string.h>

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
  const char *bytes;
  Py_ssize_t size;
  uint64_t token;
  ctx_watch_t *watch;
  if (!PyArg_ParseTuple(args, "Oy#:add", &ctx, &bytes, &size) || !check_context(ctx)) return NULL;
  if (size != sizeof token) return raise_result(-EINVAL);
  memcpy(&token, bytes, sizeof token);
  int result = ctx_queue_add(((Queue *)self)->queue, ((Context *)ctx)->ctx, token, &watch);
  return result < 0 ? raise_result(result) : steal_watch(watch, NULL);
}

/*
 * The object to return is made before an event is drained into it, so that no event is lost if memory fails.
 * So a token is eight bytes, which can be filled in later.
 */
static PyObject *queue_next(PyObject *self) {
  ctx_event_t event;
  PyObject *token = PyBytes_FromStringAndSize(NULL, sizeof event.token);
  if (!token) return NULL;
  int64_t n = ctx_queue_drain(((Queue *)self)->queue, &event, 1);
  if (n == 1) {
    memcpy(PyBytes_AsString(token), &event.token, sizeof event.token);
    return token;
  }
  Py_DECREF(token);
  return n < 0 ? raise_result(n) : NULL;
}

static PyMethodDef methods[] = {
    {"fileno", queue_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nReadable exactly while events wait."},
    {"add", queue_add, METH_VARARGS,
     "add($self, ctx, token, /)\n--\n\nPosts the token, eight bytes, when the context is done."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)queue_new},
    {Py_tp_dealloc, (void *)queue_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_iter, (void *)PyObject_SelfIter},
    {Py_tp_iternext, (void *)queue_next},
    {Py_tp_doc,
     "Queue()\n--\n\n"
     "Many contexts on one descriptor. An iterator over the tokens that were posted."},
    {0, NULL}};

PyType_Spec queue_spec = {"libctx._core.Queue", sizeof(Queue), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
