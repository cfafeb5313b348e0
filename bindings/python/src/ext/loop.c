/* SPDX-License-Identifier: MIT */
/*
 * loop.c - libctx.Loop and its three kinds: clocks of one's own.
 *
 * What runs callbacks here runs without the GIL, as a cancel does.
 */
#include <errno.h>
#include <string.h>

#include "ext.h"

PyTypeObject *loop_type;

static ctx_loop_t *loop_of(PyObject *self) { return ((Loop *)self)->loop; }

static PyObject *raise_loop(int result) {
  if (result != -EBUSY) return raise_result(result);
  PyErr_SetString(
      PyExc_RuntimeError,
      "this loop is being dispatched or advanced, on another thread or around this call");
  return NULL;
}

static PyObject *new_loop(PyTypeObject *type, int kind, const ctx_loop_options_t *options) {
  ctx_loop_t *loop;
  int result;
  Py_BEGIN_ALLOW_THREADS;
  result = ctx_loop_new(kind, options, &loop);
  Py_END_ALLOW_THREADS;
  if (result < 0) return raise_result(result);
  Loop *self = (Loop *)PyType_GenericAlloc(type, 0);
  if (self) self->loop = loop;
  if (!self) ctx_loop_unref(loop);
  return (PyObject *)self;
}

static PyObject *new_real_loop(PyTypeObject *type, int kind, const char *name, int boottime,
                               int start) {
  ctx_loop_options_t options = {.size = sizeof options, .name = name};
  if (name && (!*name || strlen(name) > 9)) {
    PyErr_SetString(PyExc_ValueError, "a loop's name has 1 to 9 bytes");
    return NULL;
  }
  if (boottime) options.clock = CTX_CLOCK_BOOTTIME;
  if (start) options.flags = CTX_LOOP_START;
  return new_loop(type, kind, &options);
}

static PyObject *thread_loop_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"name", "boottime", "start", NULL};
  const char *name = NULL;
  int boottime = 0, start = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$zpp:ThreadLoop", names, &name, &boottime,
                                   &start)) {
    return NULL;
  }
  return new_real_loop(type, CTX_LOOP_THREAD, name, boottime, start);
}

static PyObject *manual_loop_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"boottime", "start", NULL};
  int boottime = 0, start = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$pp:ManualLoop", names, &boottime, &start))
    return NULL;
  return new_real_loop(type, CTX_LOOP_MANUAL, NULL, boottime, start);
}

static PyObject *virtual_loop_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {NULL};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":VirtualLoop", names)) return NULL;
  return new_loop(type, CTX_LOOP_VIRTUAL, NULL);
}

/* The last reference to a loop without threads closes it: callbacks run, and their exceptions are reported. */
static void loop_dealloc(PyObject *self) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  Py_BEGIN_ALLOW_THREADS;
  ctx_loop_unref(loop_of(self));
  Py_END_ALLOW_THREADS;
  PyErr_Restore(type, value, traceback);
  free_object(self);
}

static PyObject *loop_background(PyObject *self, PyObject *Py_UNUSED(unused)) {
  ctx_t *ctx;
  int result = ctx_loop_background(loop_of(self), &ctx);
  return result < 0 ? raise_result(result) : steal_context(ctx);
}

static PyObject *loop_now(PyObject *self, PyObject *Py_UNUSED(unused)) {
  return from_ns(ctx_loop_now(loop_of(self)));
}

static PyObject *loop_next(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int64_t ns = ctx_loop_next(loop_of(self));
  if (ns == INT64_MAX) Py_RETURN_NONE;
  return ns == INT64_MIN ? raise_result(-ECHILD) : from_ns(ns);
}

/* 0; a negative number; or -EINTR with the exception by which a callback leaves. */
static int close_loop(PyObject *self) {
  PyObject *outer = interrupt_begin();
  int result;
  Py_BEGIN_ALLOW_THREADS;
  result = ctx_loop_close(loop_of(self));
  Py_END_ALLOW_THREADS;
  return interrupt_end(outer) < 0 ? -EINTR : result;
}

static PyObject *loop_close(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int result = close_loop(self);
  if (result == 0) Py_RETURN_NONE;
  return result == -EINTR ? NULL : raise_result(result);
}

static PyObject *loop_enter(PyObject *self, PyObject *Py_UNUSED(unused)) {
  Py_INCREF(self);
  return self;
}

/* A child that was forked in the body leaves it, too, and has nothing to close. */
static PyObject *loop_exit(PyObject *self, PyObject *Py_UNUSED(args)) {
  int result = close_loop(self);
  if (result == 0 || result == -ECHILD) Py_RETURN_NONE;
  return result == -EINTR ? NULL : raise_result(result);
}

static PyObject *loop_fileno(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int fd = ctx_loop_fd(loop_of(self));
  return fd < 0 ? raise_result(fd) : PyLong_FromLong(fd);
}

static PyObject *fire(PyObject *self, int dispatch, int64_t ns) {
  PyObject *outer = interrupt_begin();
  int result;
  Py_BEGIN_ALLOW_THREADS;
  result = dispatch ? ctx_loop_dispatch(loop_of(self)) : ctx_loop_advance(loop_of(self), ns);
  Py_END_ALLOW_THREADS;
  if (interrupt_end(outer) < 0) return NULL;
  return result < 0 ? raise_loop(result) : PyLong_FromLong(result);
}

static PyObject *loop_dispatch(PyObject *self, PyObject *Py_UNUSED(unused)) {
  return fire(self, 1, 0);
}

static PyObject *loop_advance(PyObject *self, PyObject *seconds) {
  int64_t ns;
  if (seconds == Py_None) {
    PyErr_SetString(PyExc_TypeError, "advance() wants a number of seconds, or a timedelta");
    return NULL;
  }
  if (to_ns(seconds, &ns) < 0) return NULL;
  if (ns >= 0) return fire(self, 0, ns);
  PyErr_Format(PyExc_ValueError, "the clock cannot go back, by %S seconds", seconds);
  return NULL;
}

static PyMethodDef methods[] = {
    {"background", loop_background, METH_NOARGS,
     "background($self, /)\n--\n\n"
     "The root of this loop, never done: what derives from it is on this loop and its clock."},
    {"now", loop_now, METH_NOARGS,
     "now($self, /)\n--\n\nThe time on the loop's clock, in seconds."},
    {"close", loop_close, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "Ends all contexts of the loop, with Canceled and the cause \"loop closed\". Later ones are "
     "born done.\n"
     "In a with statement the exit does so."},
    {"__enter__", loop_enter, METH_NOARGS, NULL},
    {"__exit__", loop_exit, METH_VARARGS, "Closes the loop."},
    {NULL, NULL, 0, NULL}};

#define NEXT(more)                                                                             \
  {                                                                                            \
    "next", loop_next, METH_NOARGS,                                                            \
        "next($self, /)\n--\n\n"                                                               \
        "When there is work next, on the loop's clock: now() if some waits; None if there is " \
        "none." more                                                                           \
  }

static PyMethodDef manual_methods[] = {
    {"fileno", loop_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nReadable whenever dispatch() has work; borrowed."},
    {"dispatch", loop_dispatch, METH_NOARGS,
     "dispatch($self, /)\n--\n\n"
     "Ends what is due, runs callbacks on this thread, and never blocks otherwise. How many it "
     "ended."},
    NEXT(" The answer may\nbe too early, never too late."),
    {NULL, NULL, 0, NULL}};

static PyMethodDef virtual_methods[] = {
    {"advance", loop_advance, METH_O,
     "advance($self, seconds, /)\n--\n\n"
     "Moves the clock, and ends what is due by then, in the order of the deadlines. Callbacks run "
     "on this\n"
     "thread, and awaits wake in their event loops. How many it ended."},
    NEXT(""),
    {NULL, NULL, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, (void *)loop_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "A clock, and all contexts that derive from its background()."},
    {0, NULL}};

static PyType_Slot thread_slots[] = {
    {Py_tp_new, (void *)thread_loop_new},
    {Py_tp_doc,
     "ThreadLoop(*, name=None, boottime=False, start=False)\n--\n\n"
     "As the loop of libctx.background(), with threads of its own: `NAME-loop` and `NAME-calls`. "
     "With\n"
     "boottime its clock counts the time in which the system is suspended. It starts when it is "
     "needed first;\n"
     "with start, here."},
    {0, NULL}};

static PyType_Slot manual_slots[] = {{Py_tp_new, (void *)manual_loop_new},
                                     {Py_tp_methods, manual_methods},
                                     {Py_tp_doc,
                                      "ManualLoop(*, boottime=False, start=False)\n--\n\n"
                                      "A loop without threads, for an event loop: add_reader(loop, "
                                      "loop.dispatch). It is closed when "
                                      "this\n"
                                      "object goes."},
                                     {0, NULL}};

static PyType_Slot virtual_slots[] = {
    {Py_tp_new, (void *)virtual_loop_new},
    {Py_tp_methods, virtual_methods},
    {Py_tp_doc,
     "VirtualLoop()\n--\n\n"
     "A loop for tests, whose clock begins at 0 and moves by advance() alone. It is closed when "
     "this object goes."},
    {0, NULL}};

PyType_Spec loop_spec = {"libctx.Loop", sizeof(Loop), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
                             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                         slots};
PyType_Spec thread_loop_spec = {"libctx.ThreadLoop", sizeof(Loop), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, thread_slots};
PyType_Spec manual_loop_spec = {"libctx.ManualLoop", sizeof(Loop), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, manual_slots};
PyType_Spec virtual_loop_spec = {"libctx.VirtualLoop", sizeof(Loop), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, virtual_slots};
