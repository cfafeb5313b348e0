#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""libctx from Python, with nothing but ctypes: derive, cancel from another thread, poll the done
descriptor, read the error and the cause; then the same descriptor in an asyncio loop.

    from_python.py [path of libctx.so]      or by $CTX_LIB; else libctx.so.1 as the system finds it

Exits 0 only if everything it prints came true.
"""
import asyncio
import ctypes
import errno
import os
import select
import sys
import threading

POINTER, INT, INT64, TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_char_p
OUT = ctypes.POINTER(POINTER)  # where a function stores a handle that it hands out

CTX_CANCELED = -errno.ECANCELED
CTX_DEADLINE_EXCEEDED = -errno.ETIMEDOUT
MS = 1_000_000
WATCHDOG_MS = 60_000

lib = ctypes.CDLL((sys.argv[1:] or [os.environ.get("CTX_LIB", "libctx.so.1")])[0])


def declare(name, result, *arguments):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, arguments
    return function


ctx_background = declare("ctx_background", POINTER)
ctx_unref = declare("ctx_unref", POINTER, POINTER)
ctx_with_cancel = declare("ctx_with_cancel", INT, POINTER, OUT, OUT)
ctx_with_timeout = declare("ctx_with_timeout", INT, POINTER, INT64, OUT, OUT)
ctx_with_string = declare("ctx_with_string", INT, POINTER, TEXT, TEXT, OUT)
ctx_string = declare("ctx_string", TEXT, POINTER, TEXT)
ctx_err = declare("ctx_err", INT, POINTER)
ctx_done_fd = declare("ctx_done_fd", INT, POINTER)
ctx_cancel = declare("ctx_cancel", INT, POINTER)
ctx_cancel_with = declare("ctx_cancel_with", INT, POINTER, INT, POINTER)
ctx_canceler_unref = declare("ctx_canceler_unref", POINTER, POINTER)
ctx_cause = declare("ctx_cause", POINTER, POINTER)
ctx_cause_new = declare("ctx_cause_new", INT, INT, TEXT, OUT)
ctx_cause_message = declare("ctx_cause_message", TEXT, POINTER)
ctx_cause_unref = declare("ctx_cause_unref", POINTER, POINTER)
ctx_strerror = declare("ctx_strerror", TEXT, INT)
ctx_version_string = declare("ctx_version_string", TEXT)


def make(constructor, *arguments, handles):
    """Calls a constructor that hands out handles; a negative result is an errno, as OSError knows it."""
    out = [POINTER() for _ in range(handles)]
    result = constructor(*arguments, *map(ctypes.byref, out))
    if result < 0:
        raise OSError(-result, ctx_strerror(result).decode())
    return out


def done_fd(ctx):
    fd = ctx_done_fd(ctx)
    if fd < 0:
        raise OSError(-fd, ctx_strerror(fd).decode())
    return fd


def wait_readable(fd):
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(WATCHDOG_MS))


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: expected {wanted!r}, found {found!r}")
    print(f"{what}: {found.decode() if isinstance(found, bytes) else found}")


def cancel_from_a_thread():
    """The descriptor wakes a poll in this thread when another thread cancels, and the cause says why."""
    (request,) = make(ctx_with_string, ctx_background(), b"trace-id", b"4bf92f35", handles=1)
    ctx, canceler = make(ctx_with_cancel, request, handles=2)
    ctx_unref(request)  # ctx keeps what it needs of it

    def cancel():
        (cause,) = make(ctx_cause_new, -errno.EPIPE, b"the client went away", handles=1)
        ctx_cancel_with(canceler, CTX_CANCELED, cause)
        ctx_cause_unref(cause)

    expect("error while live", ctx_err(ctx), 0)
    fd = done_fd(ctx)
    thread = threading.Thread(target=cancel)
    thread.start()
    expect("poll saw the cancel of another thread", wait_readable(fd), True)
    thread.join()
    expect("error", ctx_strerror(ctx_err(ctx)), b"context canceled")
    expect("cause", ctx_cause_message(ctx_cause(ctx)), b"the client went away")
    expect("trace id, still there", ctx_string(ctx, b"trace-id"), b"4bf92f35")
    ctx_canceler_unref(canceler)
    ctx_unref(ctx)


def deadline():
    ctx, canceler = make(ctx_with_timeout, ctx_background(), 100 * MS, handles=2)
    expect("poll saw the deadline", wait_readable(done_fd(ctx)), True)
    expect("error", ctx_strerror(ctx_err(ctx)), b"context deadline exceeded")
    expect("error as a number", ctx_err(ctx), CTX_DEADLINE_EXCEEDED)
    ctx_canceler_unref(canceler)
    ctx_unref(ctx)


async def in_asyncio():
    """The descriptor in a foreign event loop: a coroutine awaits the end of the context."""
    ctx, canceler = make(ctx_with_cancel, ctx_background(), handles=2)
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    fd = done_fd(ctx)

    def on_done():
        loop.remove_reader(fd)  # it stays readable for ever
        done.set_result(ctx_err(ctx))

    loop.add_reader(fd, on_done)
    thread = threading.Thread(target=ctx_cancel, args=(canceler,))
    thread.start()
    err = await asyncio.wait_for(done, WATCHDOG_MS / 1000)
    thread.join()
    expect("asyncio woke up by", ctx_strerror(err), b"context canceled")
    ctx_canceler_unref(canceler)
    ctx_unref(ctx)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    print(f"libctx {ctx_version_string().decode()} in Python {sys.version.split()[0]}")
    cancel_from_a_thread()
    deadline()
    asyncio.run(in_asyncio())
