/* SPDX-License-Identifier: MIT */
/*
 * ext.h - shared by the files of libctx._core: its types, and the functions between Python and C.
 *
 * The extension keeps to the stable ABI of Python 3.11 and to libctx's public headers. Every function
 * here wants the GIL, but enter_python() and those of handed.c.
 */
#ifndef LIBCTX_EXT_H
#define LIBCTX_EXT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <ctx/ctx.h>
#include <structmember.h>

typedef struct {
  PyObject ob_base;
  PyObject *weak; /* the weak references to it, for Python */
  ctx_t *ctx;     /* one reference */
} Context;

typedef struct {
  PyObject ob_base;
  ctx_canceler_t *canceler; /* one reference */
} Canceler;

typedef struct {
  PyObject ob_base;
  PyObject *name; /* a str, whose UTF-8 form key.name is */
  ctx_key_t key;
} Key;

typedef struct {
  PyObject ob_base;
  ctx_watch_t *watch;  /* one reference */
  struct armed *armed; /* of a callback, one reference; else NULL */
} Watch;

typedef struct {
  PyObject ob_base;
  ctx_queue_t *queue; /* one reference */
} Queue;

typedef struct {
  PyObject ob_base;
  ctx_loop_t *loop; /* one reference */
} Loop;

extern PyTypeObject *context_type, *canceler_type, *derived_type, *key_type, *watch_type,
    *queue_type, *loop_type, *group_type;
extern PyType_Spec context_spec, canceler_spec, derived_spec, key_spec, watch_spec, queue_spec,
    loop_spec, thread_loop_spec, manual_loop_spec, virtual_loop_spec, group_spec;
extern PyMethodDef derive_functions[], wait_functions[], propagate_functions[], process_functions[];

/* What Python code of the package does for the types here; see _core.setup(). */
extern PyObject *hook_err, *hook_cause, *hook_origin, *hook_done, *hook_pack, *hook_variables,
    *hook_is_async;

/* gil.c: the way in for callbacks, from any thread; 0 if the interpreter is going away. */
int enter_python(PyGILState_STATE *state);
void gil_opened(void);
PyObject *gil_close(PyObject *module, PyObject *unused);
PyObject *gil_before_fork(PyObject *module, PyObject *unused);
PyObject *gil_after_fork(PyObject *module, PyObject *unused);
PyObject *gil_in_child(PyObject *module, PyObject *unused);

/* handed.c: without the GIL, all but those that say so. */
struct armed;
struct armed *armed_new(PyObject *carried); /* takes (run, arguments), unless it is NULL */
void armed_run(ctx_t *ctx, void *armed);    /* the ctx_fn and the ctx_drop_fn of one */
void armed_drop(void *armed);
void armed_forget(struct armed *armed); /* by its watch; NULL does nothing */
int armed_stop(struct armed *armed,
               int wait);       /* after the library's stop answered 0; with the GIL */
void drop_object(void *object); /* a ctx_drop_fn that gives back a Python reference */
void handed_in_child(void);

/* interrupt.c: a call that may run callbacks is between begin and end. */
PyObject *interrupt_begin(void);
int interrupt_end(PyObject *outer);        /* 0; or -1, and the exception that leaves the call */
void interrupt_report(PyObject *callback); /* what it raised: kept for the call, or reported */

/* convert.c */
PyObject *raise_result(int64_t result); /* a negative result as an exception; NULL */
PyObject *raise_end(PyObject *ctx);     /* the error of a Context that is done; NULL */
int check_context(PyObject *object);    /* 1, or 0 and TypeError */
/* The handles of a tuple, borrowed, in memory for PyMem_Free(); or NULL and an exception. In derive.c. */
ctx_t **contexts_of(PyObject *tuple, const char *wants, size_t *ret_n);
/* A time in seconds: 0, or -1 and an exception; None: CTX_FOREVER. */
int to_ns(PyObject *seconds, int64_t *ret_ns);    /* from now; a number or a timedelta */
int to_when(PyObject *when, int64_t *ret_ns);     /* on a clock; a number */
int to_limit(PyObject *timeout, int64_t *ret_ns); /* as to_ns(), not negative */
PyObject *from_ns(int64_t ns);                    /* seconds, a float */
int to_cause(PyObject *reason, int err,           /* of a context that ends with err; None: NULL */
             const ctx_cause_t **ret);            /* 0 or -1; the caller owns it */
PyObject *parts_of_cause(const ctx_cause_t *cause); /* for Python's side; None for NULL */
void *to_pointer(PyObject *handle,
                 const char *capsule_name); /* from an int or a capsule, or NULL */

/* The steal_... take the handle's reference, also when they fail. */
PyObject *steal_context(ctx_t *ctx);
PyObject *steal_canceler(ctx_canceler_t *canceler);
PyObject *steal_derived(ctx_t *ctx, ctx_canceler_t *canceler);
PyObject *steal_watch(ctx_watch_t *watch, struct armed *armed);

extern const char context_capsule[], canceler_capsule[];

/*
 * wait.c: a wait of the library, without the GIL. A signal interrupts it: Python's handlers then run, and if none
 * raises the wait goes on. Returns 1, 0 if the limit came first, or -1 and an exception.
 */
int wait_with_signals(int (*wait)(void *arg, int64_t left_ns), void *arg, PyObject *timeout);

/* propagate.c: the text of a cause that came from elsewhere, else None. */
PyObject *claim_of_cause(const ctx_cause_t *cause);

/* Methods of Context that stand with what they are about: in convert.c, propagate.c, wait.c and watch.c. */
PyObject *context_baggage(PyObject *self, PyObject *args);
PyObject *context_require(PyObject *self, PyObject *seconds);
PyObject *context_wait(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *context_wait_done(PyObject *self, PyObject *unused);
PyObject *context_await(PyObject *self);
PyObject *cause_parts(PyObject *self, PyObject *unused);
PyObject *context_after(PyObject *self, PyObject *args, PyObject *kwargs);
int watch_ready(void); /* 0, or -1 and an exception */

/* Ends a heap type's instance: its memory, then its reference to the type. */
static inline void free_object(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

#endif
