/* SPDX-License-Identifier: MIT */
/*
 * derive.c - the functions that make contexts, and libctx.Key.
 */
#include <errno.h>
#include <limits.h>

#include "ext.h"

PyTypeObject *key_type;

static ctx_t *parent_of(PyObject *object) {
  return check_context(object) ? ((Context *)object)->ctx : NULL;
}

static PyObject *background(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
  return steal_context(ctx_background());
}

static PyObject *todo(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
  return steal_context(ctx_todo());
}

static PyObject *with_cancel(PyObject *Py_UNUSED(module), PyObject *parent) {
  ctx_t *ctx, *from = parent_of(parent);
  ctx_canceler_t *canceler;
  if (!from) return NULL;
  int result = ctx_with_cancel(from, &ctx, &canceler);
  return result < 0 ? raise_result(result) : steal_derived(ctx, canceler);
}

static PyObject *with_time(PyObject *args, PyObject *kwargs, const char *format, char **names,
                           int (*to)(PyObject *, int64_t *),
                           int (*derive)(ctx_t *, int64_t, const ctx_cause_t *, ctx_t **,
                                         ctx_canceler_t **)) {
  PyObject *parent, *seconds, *reason = Py_None;
  ctx_t *ctx, *from;
  ctx_canceler_t *canceler;
  const ctx_cause_t *cause;
  int64_t ns;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names, &parent, &seconds, &reason))
    return NULL;
  from = parent_of(parent);
  if (!from || to(seconds, &ns) < 0 || to_cause(reason, CTX_DEADLINE_EXCEEDED, &cause) < 0)
    return NULL;
  int result = derive(from, ns, cause, &ctx, &canceler);
  ctx_cause_unref(cause);
  return result < 0 ? raise_result(result) : steal_derived(ctx, canceler);
}

static PyObject *with_timeout(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"", "seconds", "cause", NULL};
  return with_time(args, kwargs, "OO|$O:with_timeout", names, to_ns, ctx_with_timeout_cause);
}

static PyObject *with_deadline(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"", "when", "cause", NULL};
  return with_time(args, kwargs, "OO|$O:with_deadline", names, to_when, ctx_with_deadline_cause);
}

static PyObject *with_idle(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"", "seconds", "cause", NULL};
  return with_time(args, kwargs, "OO|$O:with_idle", names, to_ns, ctx_with_idle);
}

static PyObject *with_grace(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"", "seconds", NULL};
  PyObject *parent, *seconds;
  ctx_t *ctx, *from;
  ctx_canceler_t *canceler;
  int64_t ns;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:with_grace", names, &parent, &seconds))
    return NULL;
  from = parent_of(parent);
  if (!from || to_ns(seconds, &ns) < 0) return NULL;
  int result = ctx_with_grace(from, ns, &ctx, &canceler);
  return result < 0 ? raise_result(result) : steal_derived(ctx, canceler);
}

static PyObject *without_cancel(PyObject *Py_UNUSED(module), PyObject *parent) {
  ctx_t *ctx, *from = parent_of(parent);
  if (!from) return NULL;
  int result = ctx_without_cancel(from, &ctx);
  return result < 0 ? raise_result(result) : steal_context(ctx);
}

ctx_t **contexts_of(PyObject *tuple, const char *wants, size_t *ret_n) {
  size_t n = (size_t)PyTuple_Size(tuple), i = 0;
  if (n == 0) {
    PyErr_SetString(PyExc_TypeError, wants);
    return NULL;
  }
  ctx_t **ctxs = PyMem_Calloc(n, sizeof *ctxs);
  if (!ctxs) return (ctx_t **)PyErr_NoMemory();
  while (i < n && (ctxs[i] = parent_of(PyTuple_GetItem(tuple, (Py_ssize_t)i)))) ++i;
  *ret_n = n;
  if (i == n) return ctxs;
  PyMem_Free(ctxs);
  return NULL;
}

static PyObject *merge(PyObject *Py_UNUSED(module), PyObject *parents) {
  size_t n;
  ctx_t **from = contexts_of(parents, "merge() wants at least one context", &n), *ctx;
  if (!from) return NULL;
  ctx_canceler_t *canceler;
  int result = ctx_merge(from, n, &ctx, &canceler);
  PyMem_Free(from);
  return result < 0 ? raise_result(result) : steal_derived(ctx, canceler);
}

static PyObject *with_fd(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"", "fd", "events", NULL};
  PyObject *parent, *file;
  long long events;
  ctx_t *ctx, *from;
  ctx_canceler_t *canceler;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOL:with_fd", names, &parent, &file, &events))
    return NULL;
  from = parent_of(parent);
  int fd = from ? PyObject_AsFileDescriptor(file) : -1;
  if (fd < 0) return NULL;
  uint32_t bits = events < 0 || events > UINT32_MAX ? UINT32_MAX : (uint32_t)events; /* refused */
  int result = ctx_with_fd(from, fd, bits, &ctx, &canceler);
  if (result == -EINVAL && events == 0) {
    PyErr_SetString(PyExc_ValueError,
                    "with_fd() wants at least one event, such as select.POLLRDHUP");
    return NULL;
  }
  return result < 0 ? raise_result(result) : steal_derived(ctx, canceler);
}

static PyObject *with_signal(PyObject *Py_UNUSED(module), PyObject *args) {
  Py_ssize_t n = PyTuple_Size(args) - 1;
  if (n < 1) {
    PyErr_SetString(PyExc_TypeError, "with_signal() wants a context and signals");
    return NULL;
  }
  ctx_t *ctx, *from = parent_of(PyTuple_GetItem(args, 0));
  ctx_canceler_t *canceler;
  if (!from) return NULL;
  int *signals = PyMem_Calloc((size_t)n, sizeof *signals);
  if (!signals) return PyErr_NoMemory();
  PyObject *made = NULL;
  for (Py_ssize_t i = 0; i < n; ++i) {
    long number = PyLong_AsLong(PyTuple_GetItem(args, i + 1));
    if (number == -1 && PyErr_Occurred()) goto end;
    signals[i] = number < INT_MIN || number > INT_MAX ? -1 : (int)number;
  }
  int result = ctx_with_signal(from, signals, (size_t)n, &ctx, &canceler);
  if (result == -EINVAL)
    PyErr_SetString(
        PyExc_ValueError,
        "with_signal() wants signals that this thread blocks, so not SIGKILL or "
        "SIGSTOP: call signal.pthread_sigmask(signal.SIG_BLOCK, ...) before any thread starts");
  else
    made = result < 0 ? raise_result(result) : steal_derived(ctx, canceler);
end:
  PyMem_Free(signals);
  return made;
}

/*
 * The tree holds a value in a tuple with its key, which its address identifies; a tuple of the key alone hides.
 * A tuple, because a value may hold another context, and so on: Python frees a long chain of tuples in constant
 * stack.
 */
static PyObject *with_tuple(PyObject *parent, Key *key, PyObject *value) {
  ctx_t *ctx, *from = parent_of(parent);
  if (!from) return NULL;
  PyObject *held =
      value ? PyTuple_Pack(2, (PyObject *)key, value) : PyTuple_Pack(1, (PyObject *)key);
  if (!held) return NULL;
  int result = ctx_with_value(from, &key->key, held, drop_object, &ctx);
  if (result >= 0) return steal_context(ctx);
  Py_DECREF(held);
  return raise_result(result);
}

static PyObject *with_value(PyObject *Py_UNUSED(module), PyObject *args) {
  PyObject *parent, *value;
  Key *key;
  if (!PyArg_ParseTuple(args, "OO!O:with_value", &parent, key_type, &key, &value)) return NULL;
  return with_tuple(parent, key, value);
}

static PyObject *without_value(PyObject *Py_UNUSED(module), PyObject *args) {
  PyObject *parent;
  Key *key;
  if (!PyArg_ParseTuple(args, "OO!:without_value", &parent, key_type, &key)) return NULL;
  return with_tuple(parent, key, NULL);
}

static PyObject *with_string(PyObject *Py_UNUSED(module), PyObject *args) {
  PyObject *parent;
  const char *name, *value;
  ctx_t *ctx, *from;
  if (!PyArg_ParseTuple(args, "Osz:with_string", &parent, &name, &value)) return NULL;
  from = parent_of(parent);
  if (!from) return NULL;
  int result = ctx_with_string(from, name, value, &ctx);
  return result < 0 ? raise_result(result) : steal_context(ctx);
}

static PyObject *with_name(PyObject *Py_UNUSED(module), PyObject *args) {
  PyObject *parent;
  const char *name;
  ctx_t *ctx, *from;
  if (!PyArg_ParseTuple(args, "Os:with_name", &parent, &name)) return NULL;
  from = parent_of(parent);
  if (!from) return NULL;
  int result = ctx_with_name(from, name, &ctx);
  return result < 0 ? raise_result(result) : steal_context(ctx);
}

static PyObject *key_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"", NULL};
  PyObject *name;
  Py_ssize_t length;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U:Key", names, &name)) return NULL;
  const char *text = PyUnicode_AsUTF8AndSize(name, &length);
  if (!text) return NULL;
  Key *self = (Key *)PyType_GenericAlloc(type, 0);
  if (!self) return NULL;
  Py_INCREF(name);
  self->name = name;
  self->key.name = text;
  return (PyObject *)self;
}

static void key_dealloc(PyObject *self) {
  Py_XDECREF(((Key *)self)->name);
  free_object(self);
}

static PyObject *key_repr(PyObject *self) {
  return PyUnicode_FromFormat("<libctx.Key %R at %p>", ((Key *)self)->name, (void *)self);
}

static PyObject *key_name(PyObject *self, void *Py_UNUSED(closure)) {
  Py_INCREF(((Key *)self)->name);
  return ((Key *)self)->name;
}

static PyMethodDef key_methods[] = {
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL}, {NULL, NULL, 0, NULL}};

static PyGetSetDef key_properties[] = {{"name", key_name, NULL, "For people to read.", NULL},
                                       {NULL, NULL, NULL, NULL, NULL}};

static PyType_Slot key_slots[] = {{Py_tp_new, (void *)key_new},
                                  {Py_tp_dealloc, (void *)key_dealloc},
                                  {Py_tp_repr, (void *)key_repr},
                                  {Py_tp_methods, key_methods},
                                  {Py_tp_getset, key_properties},
                                  {Py_tp_doc,
                                   "Key(name, /)\n--\n\n"
                                   "A key of with_value(): USER = Key[User]('user'). Two keys are "
                                   "different, whatever their names."},
                                  {0, NULL}};

PyType_Spec key_spec = {"libctx.Key", sizeof(Key), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                        key_slots};

#define KEYWORDS(function) (PyCFunction)(void (*)(void)) function, METH_VARARGS | METH_KEYWORDS

PyMethodDef derive_functions[] = {
    {"background", background, METH_NOARGS,
     "background()\n--\n\nThe root of all contexts: never done, no deadline, no values."},
    {"todo", todo, METH_NOARGS,
     "todo()\n--\n\nA second root, for code that does not know yet which context it should use."},
    {"with_cancel", with_cancel, METH_O,
     "with_cancel(parent, /)\n--\n\nDerives a context that its canceler can end."},
    {"with_timeout", KEYWORDS(with_timeout),
     "with_timeout(parent, /, seconds, *, cause=None)\n--\n\n"
     "Derives a context that also ends that many seconds from now, with DeadlineExceeded; None for "
     "never.\n"
     "Here as everywhere, seconds are a number or a datetime.timedelta.\n"
     "If this deadline fires, cause (an exception or a text) is the context's cause."},
    {"with_deadline", KEYWORDS(with_deadline),
     "with_deadline(parent, /, when, *, cause=None)\n--\n\n"
     "As with_timeout(), at a time on the clock of parent.now(): that of time.monotonic() and "
     "loop.time(),\n"
     "unless the parent's loop has another."},
    {"with_idle", KEYWORDS(with_idle),
     "with_idle(parent, /, seconds, *, cause=None)\n--\n\n"
     "A context that also ends, with DeadlineExceeded, when it was not touched for that long: see "
     "Context.touch()."},
    {"with_grace", KEYWORDS(with_grace),
     "with_grace(parent, /, seconds)\n--\n\n"
     "Derives a context that ends that many seconds after its parent, so that work in hand can "
     "finish."},
    {"without_cancel", without_cancel, METH_O,
     "without_cancel(parent, /)\n--\n\nDerives a context that keeps the parent's values and "
     "nothing else."},
    {"merge", merge, METH_VARARGS,
     "merge(*parents)\n--\n\n"
     "Derives a context that ends with the first of its parents; its values are those of the first "
     "one."},
    {"with_fd", KEYWORDS(with_fd),
     "with_fd(parent, /, fd, events)\n--\n\n"
     "Derives a context that also ends, with Canceled, when select.poll() would report one of the\n"
     "events on a descriptor, or POLLERR or POLLHUP: such as a client that hangs up\n"
     "(select.POLLRDHUP). Nothing is read. fd is a number or has a fileno(). It stays the "
     "caller's,\n"
     "and open until the context is done. The code of its cause is the events that came."},
    {"with_signal", with_signal, METH_VARARGS,
     "with_signal(parent, /, *signals)\n--\n\n"
     "Derives a context that also ends, with Canceled, when the process is sent one of the "
     "signals.\n"
     "That needs no Python code to run, so it also ends waits in C. The code of its cause "
     "is\n"
     "the signal's number. Block the signals by signal.pthread_sigmask() before any thread "
     "starts;\n"
     "no handler runs for them."},
    {"with_value", with_value, METH_VARARGS,
     "with_value(parent, key, value, /)\n--\n\n"
     "Derives a context that carries a value. A value that refers to its own context keeps it "
     "for ever."},
    {"without_value", without_value, METH_VARARGS,
     "without_value(parent, key, /)\n--\n\n"
     "Derives a context that hides a value of that key."},
    {"with_name", with_name, METH_VARARGS,
     "with_name(parent, name, /)\n--\n\n"
     "The parent with a name that its repr() and those of its children show, for people."},
    {"with_string", with_string, METH_VARARGS,
     "with_string(parent, name, value, /)\n--\n\n"
     "Derives a context that carries text, which every language of the process finds by its name. "
     "None hides\n"
     "a text of that name."},
    {NULL, NULL, 0, NULL}};
