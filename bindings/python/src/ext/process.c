/* SPDX-License-Identifier: MIT */
/*
 * process.c - contexts that go to other processes, and come from them.
 */
#include <errno.h>

#include "ext.h"

static PyObject *export_context(PyObject *Py_UNUSED(module), PyObject *ctx) {
  char text[CTX_EXPORT_SIZE];
  ctx_watch_t *watch;
  if (!check_context(ctx)) return NULL;
  int result = ctx_export(((Context *)ctx)->ctx, text, sizeof text, &watch);
  if (result == -E2BIG) {
    PyErr_SetString(PyExc_ValueError, "a context of more than 1024 strings, or a megabyte of them");
    return NULL;
  }
  if (result == -ENOTSUP) return PyErr_SetFromErrno((errno = ENOTSUP, PyExc_OSError));
  if (result < 0) return raise_result(result);
  PyObject *armed = steal_watch(watch, NULL);
  return armed ? Py_BuildValue("sN", text, armed) : NULL;
}

static PyObject *import_context(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"", "text", NULL};
  PyObject *parent;
  const char *text = NULL;
  ctx_t *ctx;
  ctx_canceler_t *canceler;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|z:import_context", names, &parent, &text) ||
      !check_context(parent))
    return NULL;
  int result = ctx_import(text, ((Context *)parent)->ctx, &ctx, &canceler);
  if (result == -EBADMSG) {
    PyErr_SetString(PyExc_ValueError, text ? "a text that is no export of libctx"
                                           : "LIBCTX has a text that is no export of libctx");
    return NULL;
  }
  return result < 0 ? raise_result(result) : steal_derived(ctx, canceler);
}

PyMethodDef process_functions[] = {
    {"export_context", export_context, METH_O,
     "export_context(ctx, /)\n--\n\nThe text and the watch of an Export."},
    {"import_context", (PyCFunction)(void (*)(void))import_context, METH_VARARGS | METH_KEYWORDS,
     "import_context(parent, /, text=None)\n--\n\n"
     "Derives a context that also ends with the one that a process above has exported to this one, "
     "by the\n"
     "environment variable LIBCTX: when that one ends, or when its process is gone, however. Its "
     "deadline is\n"
     "the earlier of both, and of strings that both have it has the exported ones. Where there is "
     "no "
     "such\n"
     "variable this is with_cancel(). A text that came in another way is the second argument.\n\n"
     "A ValueError: the text is not of libctx. A PermissionError: this process may not look at the "
     "other one."},
    {NULL, NULL, 0, NULL}};
