/* SPDX-License-Identifier: MIT */
/*
 * propagate.c - contexts into headers and out of them, and causes as text. The headers are any mapping of Python,
 * and dictionaries take a short way.
 */
#include <errno.h>
#include <string.h>

#include "ext.h"

typedef struct {
  ctx_formats_t formats;
  PyObject *headers; /* borrowed */
  PyObject *held;    /* what the library borrows until its next call */
} Map;

/* The names of the library, made once; a timeout_ms is made anew each time. NULL and an exception. */
static PyObject *name_of(const char *text) {
  static const char *const texts[] = {"traceparent", "tracestate", "baggage", "grpc-timeout",
                                      "TRACEPARENT", "TRACESTATE", "BAGGAGE"};
  static PyObject *names[sizeof texts / sizeof *texts];
  for (size_t i = 0; i < sizeof texts / sizeof *texts; ++i) {
    if (strcmp(text, texts[i]) != 0) continue;
    if (!names[i]) names[i] = PyUnicode_InternFromString(text);
    Py_XINCREF(names[i]);
    return names[i];
  }
  return PyUnicode_FromString(text);
}

static int set_header(const char *name, const char *text, void *map) {
  PyObject *headers = ((Map *)map)->headers, *key = name_of(name);
  PyObject *value = key ? PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace") : NULL;
  int result = value ? PyObject_SetItem(headers, key, value) : -1;
  Py_XDECREF(value);
  Py_XDECREF(key);
  return result == 0 ? 0 : 1;
}

/* The value for a name, a new reference; or NULL, with an exception unless there is none. */
static PyObject *look_up(PyObject *headers, PyObject *key) {
  if (PyDict_CheckExact(headers)) {
    PyObject *value = PyDict_GetItemWithError(headers, key);
    Py_XINCREF(value);
    return value;
  }
  PyObject *value = PyObject_GetItem(headers, key);
  if (!value && PyErr_ExceptionMatches(PyExc_KeyError)) PyErr_Clear();
  return value;
}

/* After an exception it finds nothing more. */
static int64_t get_header(const char *name, const char **text, void *arg) {
  Map *map = arg;
  if (PyErr_Occurred()) return -1;
  PyObject *key = name_of(name);
  PyObject *value = key ? look_up(map->headers, key) : NULL, *old = map->held;
  Py_XDECREF(key);
  map->held = value;
  Py_XDECREF(old);
  if (!value) return -1;
  Py_ssize_t length;
  if (PyUnicode_Check(value))
    return (*text = PyUnicode_AsUTF8AndSize(value, &length)) ? length : -1;
  PyErr_Format(PyExc_TypeError, "the text of a header is a str, not %R", Py_TYPE(value));
  return -1;
}

/* A timeout that is given is longer than nothing: 0 stands for none. */
static int to_timeout(PyObject *seconds, int64_t *ret_ns) {
  if (seconds == Py_None) return *ret_ns = 0, 0;
  if (to_ns(seconds, ret_ns) < 0) return -1;
  if (*ret_ns > 0) return 0;
  PyErr_Format(PyExc_ValueError, "a timeout cannot be %S seconds", seconds);
  return -1;
}

static void set_flags(Map *map, int grpc_timeout, int trace, int baggage, int environment) {
  map->formats.size = sizeof map->formats;
  map->formats.flags = (grpc_timeout ? CTX_FORMAT_GRPC_TIMEOUT : 0) |
                       (trace ? CTX_FORMAT_TRACE : 0) | (baggage ? CTX_FORMAT_BAGGAGE : 0) |
                       (environment ? CTX_FORMAT_ENVIRONMENT : 0);
}

static PyObject *raise_of_map(int result) {
  if (PyErr_Occurred()) return NULL;
  if (result == -EINVAL) {
    PyErr_SetString(PyExc_ValueError,
                    "the name of a timeout is a token, such as x-request-timeout-ms");
    return NULL;
  }
  return raise_result(result);
}

static PyObject *inject(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"",      "headers", "timeout_ms",  "grpc_timeout",
                          "trace", "baggage", "environment", NULL};
  PyObject *ctx, *headers = NULL;
  Map map = {0};
  int grpc_timeout = 0, trace = 1, baggage = 1, environment = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O$zpppp:inject", names, &ctx, &headers,
                                   &map.formats.timeout_ms, &grpc_timeout, &trace, &baggage,
                                   &environment) ||
      !check_context(ctx))
    return NULL;
  set_flags(&map, grpc_timeout, trace, baggage, environment);
  if (headers == Py_None) headers = NULL;
  if (headers) Py_INCREF(headers);
  map.headers = headers ? headers : PyDict_New();
  if (!map.headers) return NULL;
  int result = ctx_inject(((Context *)ctx)->ctx, &map.formats, set_header, &map);
  if (result == 0 && !PyErr_Occurred()) return map.headers;
  Py_DECREF(map.headers);
  if (result == CTX_CANCELED || result == CTX_DEADLINE_EXCEEDED) return raise_end(ctx);
  return raise_of_map(result);
}

static PyObject *extract(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"",
                          "",
                          "timeout_ms",
                          "grpc_timeout",
                          "trace",
                          "baggage",
                          "environment",
                          "default_timeout",
                          "maximum_timeout",
                          NULL};
  PyObject *parent, *seconds = Py_None, *most = Py_None;
  Map map = {0};
  int grpc_timeout = 0, trace = 1, baggage = 1, environment = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$zppppOO:extract", names, &parent,
                                   &map.headers, &map.formats.timeout_ms, &grpc_timeout, &trace,
                                   &baggage, &environment, &seconds, &most) ||
      !check_context(parent) || to_timeout(seconds, &map.formats.default_ns) < 0 ||
      to_timeout(most, &map.formats.maximum_ns) < 0)
    return NULL;
  set_flags(&map, grpc_timeout, trace, baggage, environment);
  ctx_t *ctx;
  ctx_canceler_t *canceler;
  int result =
      ctx_extract(((Context *)parent)->ctx, &map.formats, get_header, &map, &ctx, &canceler);
  Py_XDECREF(map.held);
  if (result == 0 && !PyErr_Occurred()) return steal_derived(ctx, canceler);
  if (result == 0) ctx_unref(ctx), ctx_canceler_unref(canceler);
  if (result == -EBADMSG && !PyErr_Occurred()) {
    PyErr_SetString(PyExc_ValueError, "a malformed timeout");
    return NULL;
  }
  return raise_of_map(result);
}

static PyObject *with_baggage(PyObject *Py_UNUSED(module), PyObject *args) {
  PyObject *parent;
  const char *name, *value;
  ctx_t *ctx;
  if (!PyArg_ParseTuple(args, "Osz:with_baggage", &parent, &name, &value) || !check_context(parent))
    return NULL;
  int result = ctx_with_baggage(((Context *)parent)->ctx, name, value, &ctx);
  if (result == -EINVAL) {
    PyErr_SetString(PyExc_ValueError, "the name of a member is a token, such as user-id");
    return NULL;
  }
  if (result == -E2BIG) {
    PyErr_SetString(PyExc_ValueError, "a baggage has at most 64 members and 8192 bytes");
    return NULL;
  }
  return result < 0 ? raise_result(result) : steal_context(ctx);
}

PyObject *context_baggage(PyObject *self, PyObject *args) {
  const ctx_t *ctx = ((Context *)self)->ctx;
  const char *name;
  PyObject *fallback = Py_None, *value = NULL;
  if (!PyArg_ParseTuple(args, "s|O:baggage", &name, &fallback)) return NULL;
  char some[256], *text = some;
  int64_t length = ctx_baggage(ctx, name, some, sizeof some);
  if (length == -ENOENT) {
    Py_INCREF(fallback);
    return fallback;
  }
  if (length >= (int64_t)sizeof some) {
    text = PyMem_Malloc((size_t)length + 1);
    if (!text) return PyErr_NoMemory();
    ctx_baggage(ctx, name, text, (size_t)length + 1);
  }
  value =
      length < 0 ? raise_result(length) : PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "replace");
  if (text != some) PyMem_Free(text);
  return value;
}

PyObject *context_require(PyObject *self, PyObject *seconds) {
  int64_t ns;
  if (to_ns(seconds, &ns) < 0) return NULL;
  if (ns < 0) {
    PyErr_Format(PyExc_ValueError, "work cannot take %S seconds", seconds);
    return NULL;
  }
  int result = ctx_require(((Context *)self)->ctx, ns);
  if (result == 0) Py_RETURN_NONE;
  if (ctx_err(((Context *)self)->ctx) != 0) return raise_end(self);
  if (result != CTX_DEADLINE_EXCEEDED) return raise_result(result);
  PyObject *errors = PyImport_ImportModule("libctx._errors");
  PyObject *type = errors ? PyObject_GetAttrString(errors, "DeadlineExceeded") : NULL;
  if (type) PyErr_SetString(type, "less time remains than the work needs");
  Py_XDECREF(type);
  Py_XDECREF(errors);
  return NULL;
}

static PyObject *text_of_cause(const ctx_cause_t *cause, const char *who) {
  char text[CTX_CAUSE_TEXT];
  int64_t length = ctx_cause_encode(cause, who, text, sizeof text);
  return length < 0 ? raise_result(length) : PyUnicode_FromStringAndSize(text, (Py_ssize_t)length);
}

PyObject *claim_of_cause(const ctx_cause_t *cause) {
  if (ctx_cause_peer(cause)) return text_of_cause(cause, NULL);
  Py_RETURN_NONE;
}

static PyObject *encode_cause(PyObject *Py_UNUSED(module), PyObject *args) {
  PyObject *reason;
  const char *who = NULL;
  const ctx_cause_t *cause;
  if (!PyArg_ParseTuple(args, "O|z:encode_cause", &reason, &who)) return NULL;
  if (reason == Py_None) {
    PyErr_SetString(PyExc_TypeError, "a cause is an exception or a text, not None");
    return NULL;
  }
  /* One that says no more than one of the ends says something beside the other. */
  if (to_cause(reason, CTX_CANCELED, &cause) < 0 ||
      (!cause && to_cause(reason, CTX_DEADLINE_EXCEEDED, &cause) < 0))
    return NULL;
  PyObject *text = text_of_cause(cause, who);
  ctx_cause_unref(cause);
  return text;
}

static PyObject *decode_cause(PyObject *Py_UNUSED(module), PyObject *object) {
  Py_ssize_t length;
  ctx_cause_t *cause;
  const char *text = PyUnicode_AsUTF8AndSize(object, &length);
  if (!text) {
    if (PyErr_ExceptionMatches(PyExc_TypeError))
      PyErr_Format(PyExc_TypeError, "the text of a cause is a str, not %R", Py_TYPE(object));
    return NULL;
  }
  int result = ctx_cause_decode(text, (size_t)length, &cause);
  if (result == -EBADMSG) {
    PyErr_SetString(PyExc_ValueError, "a malformed text of a cause");
    return NULL;
  }
  if (result < 0) return raise_result(result);
  const char *message = ctx_cause_message(cause), *peer = ctx_cause_peer(cause);
  PyObject *parts = Py_BuildValue(
      "iNiNN", ctx_cause_code(cause),
      PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace"),
      ctx_cause_origin(cause), PyUnicode_DecodeUTF8(peer, (Py_ssize_t)strlen(peer), "replace"),
      text_of_cause(cause, NULL));
  ctx_cause_unref(cause);
  return parts;
}

#define KEYWORDS(function) (PyCFunction)(void (*)(void)) function, METH_VARARGS | METH_KEYWORDS

PyMethodDef propagate_functions[] = {
    {"inject", KEYWORDS(inject),
     "inject(ctx, /, headers=None, *, timeout_ms=None, grpc_timeout=False, trace=True, "
     "baggage=True, environment=False)\n--\n\n"
     "Writes what a context carries into a mapping, a new dictionary if there is none, and returns "
     "that:\n"
     "the time that remains, in milliseconds under the name of timeout_ms and as grpc-timeout, "
     "traceparent\n"
     "and tracestate, and the baggage. With environment, names are as in os.environ. What the "
     "context does\n"
     "not have, or what is not well formed, is left out. Raises the error of a context that is "
     "done."},
    {"extract", KEYWORDS(extract),
     "extract(parent, headers, /, *, timeout_ms=None, grpc_timeout=False, trace=True, "
     "baggage=True, environment=False, default_timeout=None, maximum_timeout=None)\n--\n\n"
     "Derives a context as the mapping says, for the work that a request asks for. Its timeout is "
     "default_timeout\n"
     "if the mapping has none, and never longer than maximum_timeout, both in seconds. Trace and "
     "baggage are\n"
     "those of the mapping alone, not the parent's. What is malformed of these is left out; a "
     "malformed timeout\n"
     "is a ValueError. Names are looked up in lower case."},
    {"with_baggage", with_baggage, METH_VARARGS,
     "with_baggage(parent, name, value, /)\n--\n\n"
     "Derives a context whose baggage has a member set; None removes it."},
    {"encode_cause", encode_cause, METH_VARARGS,
     "encode_cause(reason, who=None, /)\n--\n\n"
     "A reason as text for a header, a trailer or a variable of the environment: code, message and "
     "origin, in\n"
     "at most 511 characters that need no more encoding. who says so, such as the name of this "
     "service;\n"
     "a reason that came from elsewhere keeps whose it was."},
    {"decode_cause", decode_cause, METH_O, "decode_cause(text, /)\n--\n\nFor that of _errors.py."},
    {NULL, NULL, 0, NULL}};
