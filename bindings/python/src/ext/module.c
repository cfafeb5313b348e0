/* SPDX-License-Identifier: MIT */
/*
 * module.c - libctx._core itself: its types, what it needs of the package's Python code, and the
 * functions about the library as a whole.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>

#include "ext.h"

PyObject *hook_err, *hook_cause, *hook_origin, *hook_done, *hook_pack, *hook_variables,
    *hook_is_async;

static PyObject *setup(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"err", "cause", "origin", "done", "pack", "variables", "is_async", NULL};
  PyObject *err, *cause, *origin, *done, *pack, *variables, *is_async;
  if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0) {
    PyErr_SetString(PyExc_ImportError,
                    "libctx is for the main interpreter: one tree cannot call back into several");
    return NULL;
  }
  if (watch_ready() < 0 ||
      !PyArg_ParseTupleAndKeywords(args, kwargs, "$OOOOOOO:setup", names, &err, &cause, &origin,
                                   &done, &pack, &variables, &is_async))
    return NULL;
  PyObject **hooks[] = {&hook_err,  &hook_cause,     &hook_origin,  &hook_done,
                        &hook_pack, &hook_variables, &hook_is_async},
           *given[] = {err, cause, origin, done, pack, variables, is_async};
  for (int i = 0; i < 7; ++i) {
    PyObject *old = *hooks[i];
    Py_INCREF(given[i]);
    *hooks[i] = given[i];
    Py_XDECREF(old);
  }
  Py_RETURN_NONE;
}

/* In parts, so that Ctrl-C ends it. */
static PyObject *shutdown_loop(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs) {
  static char *names[] = {"timeout", NULL};
  PyObject *timeout = Py_None;
  int64_t left;
  int result;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:shutdown", names, &timeout)) return NULL;
  if (to_limit(timeout, &left) < 0) return NULL;
  do {
    int64_t part = left < 100000000 ? left : 100000000;
    if (left != CTX_FOREVER) left -= part;
    PyObject *outer = interrupt_begin();
    Py_BEGIN_ALLOW_THREADS;
    result = ctx_shutdown(part);
    Py_END_ALLOW_THREADS;
    if (interrupt_end(outer) < 0 || PyErr_CheckSignals() < 0) return NULL;
  } while (result == -ETIMEDOUT && left > 0);
  if (result == 0) Py_RETURN_TRUE;
  if (result == -ETIMEDOUT) Py_RETURN_FALSE;
  return raise_result(result);
}

static PyObject *version(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
  return PyUnicode_FromString(ctx_version_string());
}

static PyObject *library_path(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused)) {
  Dl_info info;
  if (!dladdr((void *)(uintptr_t)ctx_version, &info)) return raise_result(-ENOENT);
  return PyUnicode_DecodeFSDefault(info.dli_fname);
}

static PyMethodDef functions[] = {
    {"setup", (PyCFunction)(void (*)(void))setup, METH_VARARGS | METH_KEYWORDS,
     "setup(*, err, cause, origin, done, pack, variables, is_async)\n--\n\n"
     "Sets the Python code of the package that the types here call."},
    {"close", gil_close, METH_NOARGS,
     "close()\n--\n\nFrom now on no callback enters Python: for atexit."},
    {"before_fork", gil_before_fork, METH_NOARGS,
     "before_fork()\n--\n\nUntil the fork is over, no other thread enters Python."},
    {"after_fork", gil_after_fork, METH_NOARGS, "after_fork()\n--\n\nFor the parent of a fork."},
    {"in_child", gil_in_child, METH_NOARGS, "in_child()\n--\n\nFor the child of a fork."},
    {"shutdown", (PyCFunction)(void (*)(void))shutdown_loop, METH_VARARGS | METH_KEYWORDS,
     "shutdown(timeout=None)\n--\n\n"
     "An orderly end, for atexit: ends all contexts, in all languages of the process, has their\n"
     "callbacks run, and waits for those. Contexts that are made from then on are done already.\n\n"
     "True: nothing runs any more; False: that many seconds passed first."},
    {"version", version, METH_NOARGS, "version()\n--\n\nThe version of the C library in use."},
    {"library_path", library_path, METH_NOARGS,
     "library_path()\n--\n\nThe file of the C library in use, which everything in the process "
     "shares."},
    {NULL, NULL, 0, NULL}};

static PyTypeObject *thread_loop_type, *manual_loop_type, *virtual_loop_type;

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_core", "The C side of libctx.", -1, functions, NULL, NULL, NULL, NULL};

static int add_type(PyObject *module, const char *name, PyType_Spec *spec, PyTypeObject *base,
                    PyTypeObject **ret) {
  *ret = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
  return *ret ? PyModule_AddObjectRef(module, name, (PyObject *)*ret) : -1;
}

PyMODINIT_FUNC PyInit__core(void) {
  PyObject *module = PyModule_Create(&definition);
  if (!module) return NULL;
  gil_opened();
  if (PyModule_AddFunctions(module, derive_functions) < 0 ||
      PyModule_AddFunctions(module, wait_functions) < 0 ||
      PyModule_AddFunctions(module, propagate_functions) < 0 ||
      PyModule_AddFunctions(module, process_functions) < 0 ||
      add_type(module, "Context", &context_spec, NULL, &context_type) < 0 ||
      add_type(module, "Canceler", &canceler_spec, NULL, &canceler_type) < 0 ||
      add_type(module, "Derived", &derived_spec, &PyTuple_Type, &derived_type) < 0 ||
      add_type(module, "Key", &key_spec, NULL, &key_type) < 0 ||
      add_type(module, "Watch", &watch_spec, NULL, &watch_type) < 0 ||
      add_type(module, "Queue", &queue_spec, NULL, &queue_type) < 0 ||
      add_type(module, "Group", &group_spec, NULL, &group_type) < 0 ||
      add_type(module, "Loop", &loop_spec, NULL, &loop_type) < 0 ||
      add_type(module, "ThreadLoop", &thread_loop_spec, loop_type, &thread_loop_type) < 0 ||
      add_type(module, "ManualLoop", &manual_loop_spec, loop_type, &manual_loop_type) < 0 ||
      add_type(module, "VirtualLoop", &virtual_loop_spec, loop_type, &virtual_loop_type) < 0)
    Py_CLEAR(module);
  return module;
}
