/* SPDX-License-Identifier: MIT */
/*
 * context.c - libctx.Context: read it, hand it over.
 */
#include <errno.h>
#include <string.h>

#include "ext.h"

PyTypeObject *context_type;

PyObject *steal_context(ctx_t *ctx) {
  Context *self = PyObject_New(Context, context_type);
  if (self) self->weak = NULL, self->ctx = ctx;
  if (!self) ctx_unref(ctx);
  return (PyObject *)self;
}

static void context_dealloc(PyObject *self) {
  if (((Context *)self)->weak) PyObject_ClearWeakRefs(self);
  ctx_unref(((Context *)self)->ctx);
  free_object(self);
}

/* For a live context None at once; for one that is done the Python side makes the result. */
static PyObject *context_err(PyObject *self, PyObject *Py_UNUSED(unused)) {
  if (ctx_err(((Context *)self)->ctx) == 0) Py_RETURN_NONE;
  return PyObject_CallFunctionObjArgs(hook_err, self, NULL);
}

static PyObject *context_check(PyObject *self, PyObject *unused) {
  PyObject *err = context_err(self, unused);
  if (!err || err == Py_None) return err;
  PyErr_SetObject((PyObject *)Py_TYPE(err), err);
  Py_DECREF(err);
  return NULL;
}

PyObject *raise_end(PyObject *ctx) { return context_check(ctx, NULL); }

static PyObject *context_errno(PyObject *self, PyObject *Py_UNUSED(unused)) {
  return PyLong_FromLong(ctx_err(((Context *)self)->ctx));
}

static PyObject *context_cause(PyObject *self, PyObject *Py_UNUSED(unused)) {
  return PyObject_CallFunctionObjArgs(hook_cause, self, NULL);
}

static PyObject *context_origin(PyObject *self, PyObject *Py_UNUSED(unused)) {
  const ctx_cause_t *cause = ctx_cause(((Context *)self)->ctx);
  if (!cause) Py_RETURN_NONE;
  return PyObject_CallFunction(hook_origin, "i", ctx_cause_origin(cause));
}

static PyObject *context_ended_by(PyObject *self, PyObject *candidate) {
  if (!check_context(candidate)) return NULL;
  int result = ctx_ended_by(((Context *)self)->ctx, ((Context *)candidate)->ctx);
  return result < 0 ? raise_result(result) : PyBool_FromLong(result);
}

static PyObject *context_is_done(PyObject *self, void *Py_UNUSED(closure)) {
  return PyBool_FromLong(ctx_err(((Context *)self)->ctx) != 0);
}

static PyObject *context_cancelable(PyObject *self, void *Py_UNUSED(closure)) {
  return PyBool_FromLong(ctx_cancelable(((Context *)self)->ctx) == 1);
}

static PyObject *context_deadline(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int64_t ns;
  if (ctx_deadline(((Context *)self)->ctx, &ns) != 1) Py_RETURN_NONE;
  return from_ns(ns);
}

static PyObject *context_remaining(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int64_t ns = ctx_remaining(((Context *)self)->ctx);
  if (ns == CTX_FOREVER) Py_RETURN_NONE;
  return from_ns(ns);
}

static PyObject *context_remaining_ms(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int ms = ctx_remaining_ms(((Context *)self)->ctx);
  if (ms == -1) Py_RETURN_NONE;
  return ms < 0 ? raise_result(ms) : PyLong_FromLong(ms);
}

static PyObject *context_touch(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int result = ctx_touch(((Context *)self)->ctx);
  if (result == CTX_CANCELED || result == CTX_DEADLINE_EXCEEDED) Py_RETURN_FALSE;
  if (result < 0) return raise_result(result);
  Py_RETURN_TRUE;
}

static PyObject *context_now(PyObject *self, PyObject *Py_UNUSED(unused)) {
  return from_ns(ctx_now(((Context *)self)->ctx));
}

static PyObject *context_done_fd(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int fd = ctx_done_fd(((Context *)self)->ctx);
  return fd < 0 ? raise_result(fd) : PyLong_FromLong(fd);
}

static PyObject *context_done_fd_dup(PyObject *self, PyObject *Py_UNUSED(unused)) {
  int fd = ctx_done_fd_dup(((Context *)self)->ctx);
  return fd < 0 ? raise_result(fd) : PyLong_FromLong(fd);
}

static PyObject *context_value(PyObject *self, PyObject *args) {
  Key *key;
  PyObject *fallback = Py_None;
  if (!PyArg_ParseTuple(args, "O!|O:value", key_type, &key, &fallback)) return NULL;
  PyObject *held =
      ctx_value(((Context *)self)->ctx, &key->key); /* (key, value) or (key), of derive.c */
  PyObject *value = held && PyTuple_Size(held) == 2 ? PyTuple_GetItem(held, 1) : fallback;
  Py_INCREF(value);
  return value;
}

static PyObject *context_string(PyObject *self, PyObject *args) {
  const char *name;
  PyObject *fallback = Py_None;
  if (!PyArg_ParseTuple(args, "s|O:string", &name, &fallback)) return NULL;
  const char *text = ctx_string(((Context *)self)->ctx, name);
  if (text) return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
  Py_INCREF(fallback);
  return fallback;
}

static int add_string(const char *name, const char *value, void *dict) {
  PyObject *key = PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "surrogateescape");
  PyObject *text = PyUnicode_DecodeUTF8(value, (Py_ssize_t)strlen(value), "surrogateescape");
  int result = key && text ? PyDict_SetItem(dict, key, text) : -1;
  Py_XDECREF(key);
  Py_XDECREF(text);
  return result;
}

static PyObject *context_strings(PyObject *self, PyObject *Py_UNUSED(unused)) {
  PyObject *dict = PyDict_New();
  if (dict && ctx_strings(((Context *)self)->ctx, add_string, dict) < 0) Py_CLEAR(dict);
  return dict;
}

static PyObject *context_handle(PyObject *self, void *Py_UNUSED(closure)) {
  return PyLong_FromVoidPtr(((Context *)self)->ctx);
}

static void unref_capsule(PyObject *capsule) {
  ctx_unref(PyCapsule_GetPointer(capsule, context_capsule));
}

static PyObject *context_capsule_of(PyObject *self, PyObject *Py_UNUSED(unused)) {
  ctx_t *ctx = ctx_ref(((Context *)self)->ctx);
  if (!ctx) return raise_result(-EINVAL);
  PyObject *capsule = PyCapsule_New(ctx, context_capsule, unref_capsule);
  if (!capsule) ctx_unref(ctx);
  return capsule;
}

static PyObject *context_from_handle(PyObject *Py_UNUSED(type), PyObject *handle) {
  ctx_t *ctx = to_pointer(handle, context_capsule);
  if (!ctx) return NULL;
  if (ctx_ref(ctx)) return steal_context(ctx);
  return raise_result(ctx_cancelable(ctx)); /* refused for the same reason, which this returns */
}

/* Two objects of one context are equal: a handle that went out and came back is the same. */
static PyObject *context_compare(PyObject *self, PyObject *other, int op) {
  if ((op != Py_EQ && op != Py_NE) || Py_TYPE(other) != context_type) Py_RETURN_NOTIMPLEMENTED;
  return PyBool_FromLong((((Context *)self)->ctx == ((Context *)other)->ctx) == (op == Py_EQ));
}

static Py_hash_t context_hash(PyObject *self) {
  return (Py_hash_t)((uintptr_t)((Context *)self)->ctx >> 4);
}

/* The remaining time is part of the text, so its length may grow meanwhile: hence the room. */
static PyObject *context_repr(PyObject *self) {
  const ctx_t *ctx = ((Context *)self)->ctx;
  int length = ctx_describe(ctx, NULL, 0);
  if (length < 0) return raise_result(length);
  size_t size = (size_t)length + 64;
  char *text = PyMem_Malloc(size);
  if (!text) return PyErr_NoMemory();
  ctx_describe(ctx, text, size);
  PyObject *decoded = PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
  PyMem_Free(text);
  PyObject *result = decoded ? PyUnicode_FromFormat("<libctx.Context %U>", decoded) : NULL;
  Py_XDECREF(decoded);
  return result;
}

static PyMethodDef methods[] = {
    {"err", context_err, METH_NOARGS,
     "err($self, /)\n--\n\n"
     "None while live; once done the error, Canceled or DeadlineExceeded, with the cause as its "
     "__cause__.\n"
     "Each call makes a new exception, to raise or to look at."},
    {"check", context_check, METH_NOARGS,
     "check($self, /)\n--\n\nRaises err() if the context is done."},
    {"cause", context_cause, METH_NOARGS,
     "cause($self, /)\n--\n\n"
     "Why the context is done, as an exception; None while live. It is a copy of the exception "
     "given "
     "to the\n"
     "canceler, a Cause if the reason was a text or came from another language, or err() if nobody "
     "gave one.\n"
     "Bytes that are not UTF-8 in the text of a Cause are replaced."},
    {"origin", context_origin, METH_NOARGS,
     "origin($self, /)\n--\n\n"
     "Who ended the context, as its cause says: one of Origin, or another number; None while "
     "live."},
    {"ended_by", context_ended_by, METH_O,
     "ended_by($self, candidate, /)\n--\n\n"
     "Whether the candidate ended this context: itself, or its parent and whatever ended that. Of "
     "the "
     "parents of a merged context exactly one did, if it did not end by itself."},
    {"deadline", context_deadline, METH_NOARGS,
     "deadline($self, /)\n--\n\n"
     "The effective deadline, on the clock of now(); None for never."},
    {"remaining", context_remaining, METH_NOARGS,
     "remaining($self, /)\n--\n\nSeconds until the deadline, negative after it; None without one."},
    {"remaining_ms", context_remaining_ms, METH_NOARGS,
     "remaining_ms($self, /)\n--\n\n"
     "Milliseconds until the deadline, rounded up, 0 after it, as select.poll().poll() and C "
     "libraries\n"
     "take them; None without one."},
    {"touch", context_touch, METH_NOARGS,
     "touch($self, /)\n--\n\n"
     "Says that there was progress: the ends of all contexts of with_idle() at or above this one "
     "move. False if it is done."},
    {"now", context_now, METH_NOARGS,
     "now($self, /)\n--\n\n"
     "Now, on the clock of deadline(): time.monotonic(), but for contexts of a VirtualLoop and of "
     "loops with boottime=True."},
    {"value", context_value, METH_VARARGS,
     "value($self, key, default=None, /)\n--\n\nThe nearest value of a Key."},
    {"string", context_string, METH_VARARGS,
     "string($self, name, default=None, /)\n--\n\n"
     "The nearest text of a name, such as a trace id, set by any language.\n"
     "The error handler \"surrogateescape\" decodes bytes that are not UTF-8."},
    {"strings", context_strings, METH_NOARGS,
     "strings($self, /)\n--\n\n"
     "Every name that string() finds, with its text, the nearest first."},
    {"baggage", context_baggage, METH_VARARGS,
     "baggage($self, name, default=None, /)\n--\n\n"
     "The value of a member of the baggage, decoded; string(\"baggage\") is the text of all."},
    {"require", context_require, METH_O,
     "require($self, seconds, /)\n--\n\n"
     "Raises DeadlineExceeded if less time remains than work takes, so that nobody begins it in "
     "vain; and err() if the context is done."},
    {"done_fd", context_done_fd, METH_NOARGS,
     "done_fd($self, /)\n--\n\n"
     "A descriptor that polls readable for ever once the context is done. Borrowed: valid while "
     "this\n"
     "context is held; do not read or close it. OSError (ENOTSUP) for one that is never done.\n\n"
     "A context shares it with those that with_value() and with_string() derive from it.\n"
     "Event loops and selectors take a descriptor once: for further readers use done_fd_dup()."},
    {"done_fd_dup", context_done_fd_dup, METH_NOARGS,
     "done_fd_dup($self, /)\n--\n\n"
     "As done_fd(), but a descriptor of the caller's own, which the caller closes by os.close()."},
    {"fileno", context_done_fd, METH_NOARGS,
     "fileno($self, /)\n--\n\nThe same as done_fd(), so that select and selectors take a context."},
    {"wait_done", context_wait_done, METH_NOARGS,
     "wait_done($self, /)\n--\n\n"
     "What `await ctx` awaits, as a coroutine: for create_task() and the like."},
    {"wait", (PyCFunction)(void (*)(void))context_wait, METH_VARARGS | METH_KEYWORDS,
     "wait($self, /, timeout=None)\n--\n\n"
     "Blocks until the context is done, without the GIL; Ctrl-C ends it.\n\n"
     "True: done; False: that many seconds passed first."},
    {"after", (PyCFunction)(void (*)(void))context_after, METH_VARARGS | METH_KEYWORDS,
     "after($self, fn, /, *args, defer=False)\n--\n\n"
     "Arms fn(*args), to run once when the context is done: before cancel() returns, on its\n"
     "thread. fn is not async. If a deadline or another language ends the context, fn runs on a "
     "thread of the\n"
     "library; with defer it always does. Callbacks there begin in their order, and none waits "
     "for\n"
     "one that blocks. On a context that is done already fn runs at once.\n\n"
     "fn sees the context variables of the code that armed it, and so current(). Its exceptions "
     "go\n"
     "to sys.unraisablehook; only KeyboardInterrupt and SystemExit leave the cancel() that ran "
     "it."},
    {"capsule", context_capsule_of, METH_NOARGS,
     "capsule($self, /)\n--\n\n"
     "A PyCapsule named 'libctx.ctx_t' for extensions, which holds a reference of its own."},
    {"from_handle", context_from_handle, METH_O | METH_CLASS,
     "from_handle($type, handle, /)\n--\n\n"
     "The context of a ctx_t* that other code of this process holds, as an integer or a capsule. "
     "It takes a\n"
     "reference of its own. An integer that is no live handle is as dangerous as in ctypes."},
    {"_cause_parts", cause_parts, METH_NOARGS, NULL},
    {"_errno", context_errno, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef properties[] = {
    {"is_done", context_is_done, NULL, "Whether the context has ended.", NULL},
    {"cancelable", context_cancelable, NULL, "Whether the context can ever end.", NULL},
    {"handle", context_handle, NULL,
     "The ctx_t* as an integer, for ctypes and the like. Borrowed: "
     "valid while this context is held.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL}};

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Context, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL}};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, (void *)context_dealloc},
    {Py_am_await, (void *)context_await},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, properties},
    {Py_tp_repr, (void *)context_repr},
    {Py_tp_richcompare, (void *)context_compare},
    {Py_tp_hash, (void *)context_hash},
    {Py_tp_doc,
     "A context carries a cancel signal, a deadline and values from a caller to everything it "
     "calls.\n\n"
     "Its holder can read it, wait for it and derive from it, but not cancel it."},
    {0, NULL}};

PyType_Spec context_spec = {
    "libctx.Context", sizeof(Context), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};
