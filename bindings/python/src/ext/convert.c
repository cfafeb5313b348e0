/* SPDX-License-Identifier: MIT */
/*
 * convert.c - results, times, causes and handles on their way between Python and C.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "ext.h"

const char context_capsule[] = "libctx.ctx_t";
const char canceler_capsule[] = "libctx.ctx_canceler_t";

PyObject *raise_result(int64_t result) {
  if (result == -ENOMEM) return PyErr_NoMemory();
  if (result == -EINVAL) {
    PyErr_SetString(PyExc_ValueError, "not a valid handle or argument of libctx");
    return NULL;
  }
  const char *text = ctx_strerror((int)result);
  if (result == -EREMOTE) text = "the handle belongs to another copy of libctx in this process";
  if (result == -ECHILD) text = "the context was made before this process was forked";
  if (result == -EPERM) text = "a descriptor that cannot be watched, such as a regular file";
  if (result == -ENOTSUP) text = "a context that can never be done has no descriptor";
  PyObject *arguments = Py_BuildValue("is", (int)-result, text);
  if (arguments) PyErr_SetObject(PyExc_OSError, arguments);
  Py_XDECREF(arguments);
  return NULL;
}

int check_context(PyObject *object) {
  if (Py_TYPE(object) == context_type) return 1;
  PyErr_Format(PyExc_TypeError, "expected a libctx.Context, not %R", Py_TYPE(object));
  return 0;
}

static int is_timedelta(PyObject *object) {
  PyObject *module = PyImport_ImportModule("datetime");
  PyObject *type = module ? PyObject_GetAttrString(module, "timedelta") : NULL;
  int is = type ? PyObject_IsInstance(object, type) : -1;
  Py_XDECREF(type);
  Py_XDECREF(module);
  return is;
}

/* A negative part of a timedelta is in its days alone; so -1 with no exception is a number of days. */
static int64_t part_of(PyObject *delta, const char *name) {
  PyObject *part = PyObject_GetAttrString(delta, name);
  int64_t number = part ? PyLong_AsLongLong(part) : -1;
  Py_XDECREF(part);
  return number;
}

static int from_timedelta(PyObject *delta, int64_t *ret_ns) {
  int64_t seconds = part_of(delta, "days") * 86400 + part_of(delta, "seconds");
  int64_t us = part_of(delta, "microseconds"), most = INT64_MAX / 1000000000 - 1;
  if (PyErr_Occurred()) return -1;
  *ret_ns = seconds > most    ? CTX_FOREVER
            : seconds < -most ? INT64_MIN
                              : seconds * 1000000000 + us * 1000;
  return 0;
}

/* Rounds up: no deadline is early. A time that does not fit is for ever, or long ago. */
static int from_number(PyObject *number, const char *wants, int64_t *ret_ns) {
  double ns = PyBool_Check(number) ? -1.0 : PyFloat_AsDouble(number);
  if (ns == -1.0 && (PyBool_Check(number) || PyErr_Occurred())) {
    if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError))
      PyErr_Format(PyExc_TypeError, "%s, not %R", wants, number);
    return -1;
  }
  if (isnan(ns)) {
    PyErr_SetString(PyExc_ValueError, "a time that is not a number");
    return -1;
  }
  ns = ceil(ns * 1e9);
  *ret_ns = ns >= 0x1p63 ? CTX_FOREVER : ns <= -0x1p63 ? INT64_MIN : (int64_t)ns;
  return 0;
}

int to_ns(PyObject *seconds, int64_t *ret_ns) {
  if (seconds == Py_None) return *ret_ns = CTX_FOREVER, 0;
  int delta = PyFloat_Check(seconds) || PyLong_Check(seconds) ? 0 : is_timedelta(seconds);
  if (delta < 0) return -1;
  if (delta) return from_timedelta(seconds, ret_ns);
  return from_number(seconds, "a time is a number of seconds, or a timedelta", ret_ns);
}

int to_when(PyObject *when, int64_t *ret_ns) {
  if (when == Py_None) return *ret_ns = CTX_FOREVER, 0;
  return from_number(when, "when is a number of seconds on the clock of time.monotonic()", ret_ns);
}

int to_limit(PyObject *timeout, int64_t *ret_ns) {
  if (to_ns(timeout, ret_ns) < 0) return -1;
  if (*ret_ns >= 0) return 0;
  PyErr_Format(PyExc_ValueError, "a wait cannot last %S seconds", timeout);
  return -1;
}

PyObject *from_ns(int64_t ns) { return PyFloat_FromDouble((double)ns / 1e9); }

static const ctx_key_t exception_key = {"Python exception"};

int to_cause(PyObject *reason, int err, const ctx_cause_t **ret) {
  *ret = NULL;
  if (reason == Py_None) return 0;
  PyObject *exceeded = err == CTX_DEADLINE_EXCEEDED ? Py_True : Py_False;
  /* (code, message, exception, origin, file, line, function, claim), or None if it says no more than err does */
  PyObject *parts = PyObject_CallFunctionObjArgs(hook_pack, reason, exceeded, NULL);
  if (!parts || parts == Py_None) {
    Py_XDECREF(parts);
    return parts ? 0 : -1;
  }
  int code, origin, line;
  const char *message, *file, *function, *claim;
  Py_ssize_t unused, length;
  PyObject *exception;
  ctx_cause_t *made;
  int result = -1;
  if (PyArg_ParseTuple(parts, "iyOiz#iz#z#", &code, &message, &exception, &origin, &file, &unused,
                       &line, &function, &unused, &claim, &length)) {
    int plain = claim || exception == Py_None;
    if (!plain) Py_INCREF(exception);
    result = claim ? ctx_cause_decode(claim, (size_t)length, &made)
                   : ctx_cause_new_at(code, message, origin, file, line, function,
                                      plain ? NULL : &exception_key, plain ? NULL : exception,
                                      plain ? NULL : drop_object, &made);
    if (result < 0 && !plain) Py_DECREF(exception);
    if (result < 0) raise_result(result);
  }
  Py_DECREF(parts);
  if (result < 0) return -1;
  *ret = made;
  return 0;
}

static PyObject *decode(const char *text) {
  if (!text) Py_RETURN_NONE;
  return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

/* (code, message, exception, origin, file, line, function, claim), of which Python makes exceptions; or None. */
PyObject *parts_of_cause(const ctx_cause_t *cause) {
  if (!cause) Py_RETURN_NONE;
  PyObject *exception = ctx_cause_data(cause, &exception_key);
  return Py_BuildValue("iNOiNiNN", ctx_cause_code(cause), decode(ctx_cause_message(cause)),
                       exception ? exception : Py_None, ctx_cause_origin(cause),
                       decode(ctx_cause_file(cause)), ctx_cause_line(cause),
                       decode(ctx_cause_function(cause)), claim_of_cause(cause));
}

/* None while live or not given. */
PyObject *cause_parts(PyObject *self, PyObject *Py_UNUSED(unused)) {
  const ctx_cause_t *cause = ctx_cause(((Context *)self)->ctx);
  return parts_of_cause(ctx_cause_given(cause) == 1 ? cause : NULL);
}

void *to_pointer(PyObject *handle, const char *capsule_name) {
  void *pointer = PyCapsule_CheckExact(handle) ? PyCapsule_GetPointer(handle, capsule_name)
                                               : PyLong_AsVoidPtr(handle);
  if (!pointer && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "a null handle");
  return pointer;
}
