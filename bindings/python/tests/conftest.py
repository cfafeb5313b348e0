# SPDX-License-Identifier: MIT
"""What the tests share: a watchdog, a thread that waits in the tree, and Python programs of their own."""

import asyncio
import ctypes
import errno
import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import libctx
import pytest
import uvloop

WATCHDOG = 60.0  # seconds; only what hangs waits so long. pytest's own ends a test after five times that


def throw(error: BaseException) -> None:
    raise error


def until(condition: Callable[[], object]) -> None:
    """Waits for something that no call waits for."""
    end = time.monotonic() + WATCHDOG
    while not condition():
        assert time.monotonic() < end, "the watchdog"
        time.sleep(0.001)


def collected(condition: Callable[[], object]) -> bool:
    gc.collect()
    return bool(condition())


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def with_few_descriptors(call: Callable[[], None]) -> int:
    """Makes the call with no descriptor to spare, with one, and so on, until it succeeds; how often it was refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [number for number in range(1000) if not Path(f"/proc/self/fd/{number}").is_symlink()]
    try:
        for refused in range(100):
            resource.setrlimit(resource.RLIMIT_NOFILE, (free[refused], hard))
            try:
                call()
                return refused
            except OSError as error:
                assert error.errno == errno.EMFILE
            gc.collect()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    raise AssertionError("it never succeeds")


class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks".split()]
    _fields_ += [("fordblks", ctypes.c_size_t), ("keepcost", ctypes.c_size_t)]


mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Mallinfo


def in_use() -> tuple[int, int]:
    """What Python's allocator and malloc have given out: blocks and bytes."""
    gc.collect()
    info = mallinfo2()
    return sys.getallocatedblocks(), info.uordblks + info.hblkhd


def python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=WATCHDOG,
        check=False,
    )


Run = Callable[[Coroutine[Any, Any, Any]], Any]
AnyRun = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """asyncio.run(), on asyncio's own loop and on uvloop."""
    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop

    def run_in_loop(main: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)

    return run_in_loop


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def anyrun(request: pytest.FixtureRequest) -> AnyRun:
    """Runs a main function, which uses anyio, on each event loop."""
    if request.param == "trio":
        return partial(anyio.run, backend="trio")
    return partial(anyio.run, backend_options={"use_uvloop": request.param == "uvloop"})


@pytest.fixture
def clock() -> Iterator[libctx.VirtualLoop]:
    """Time that a test moves: current() is on it."""
    with libctx.VirtualLoop() as loop, libctx.use(loop.background()):
        yield loop


@pytest.fixture
def default_sigint() -> Iterator[None]:
    """Ctrl-C is KeyboardInterrupt, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """Holds the requests of a stream back."""
    event = threading.Event()
    yield event
    event.set()


C_LIBRARY = r"""
#include <ctx/ctx.h>
#include <pthread.h>
#include <time.h>

/* Waits for a context of its caller; what ended it. */
int work(ctx_t *ctx) { return ctx_wait(ctx, CTX_FOREVER) == 1 ? ctx_err(ctx) : 0; }

const char *trace_id(ctx_t *ctx) { return ctx_string(ctx, "trace-id"); }

static void *stop_soon(void *canceler) {
  ctx_cause_t *cause;
  if (ctx_cause_new(-32, "the client went away", &cause) == 0) {
    ctx_cancel_with(canceler, CTX_CANCELED, cause);
    ctx_cause_unref(cause);
  }
  ctx_canceler_unref(canceler);
  return NULL;
}

static int waited;

static void wait_for(ctx_t *ctx, void *other) {
  (void)ctx;
  waited = ctx_wait(other, 20000000000);
}

/* Arms a callback that waits for another context, twenty seconds at most. */
int hold(ctx_t *ctx, ctx_t *other) {
  waited = -1;
  return ctx_after_func(ctx, wait_for, other, NULL, 0, NULL);
}

/* What it waited for has come. */
int held(void) { return waited; }

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static int calls;

static void count(void) {
  pthread_mutex_lock(&lock);
  ++calls;
  pthread_cond_broadcast(&more);
  pthread_mutex_unlock(&lock);
}

static void on_end(ctx_t *ctx, void *arg) {
  (void)ctx, (void)arg;
  count();
}

/* Arms a callback of C, which counts, and which the end of the context does not keep. */
int watch(ctx_t *ctx) { return ctx_after_func(ctx, on_end, NULL, NULL, 0, NULL); }

/* Begins to count, from nothing. */
void begin(void) {
  pthread_mutex_lock(&lock);
  calls = 0;
  pthread_mutex_unlock(&lock);
}

/* Waits until so many have been counted, twenty seconds at most; whether they have. */
int counted(int n) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += 20;
  pthread_mutex_lock(&lock);
  while (calls < n && !pthread_cond_timedwait(&more, &lock, &end)) continue;
  int all = calls >= n;
  pthread_mutex_unlock(&lock);
  return all;
}

static void *cancel_and_count(void *canceler) {
  ctx_cancel(canceler);
  ctx_canceler_unref(canceler);
  count();
  return NULL;
}

/* Cancels from a thread of its own, and counts when that has returned. */
int cancel_elsewhere(ctx_canceler_t *canceler) {
  pthread_t thread;
  return pthread_create(&thread, NULL, cancel_and_count, ctx_canceler_ref(canceler)) ? -1 : pthread_detach(thread);
}

/* Cancels from a thread of its own. */
int stop(ctx_canceler_t *canceler) {
  pthread_t thread;
  return pthread_create(&thread, NULL, stop_soon, ctx_canceler_ref(canceler)) ? -1 : pthread_detach(thread);
}
"""


@pytest.fixture(scope="session")
def c_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A C library that was linked with the libctx.so.1 that is installed under $CTX_PREFIX."""
    prefix = os.environ.get("CTX_PREFIX")
    assert prefix, "CTX_PREFIX is to name where the C library is installed"
    folder = tmp_path_factory.mktemp("c")
    (folder / "work.c").write_text(C_LIBRARY)
    libraries = next(Path(prefix).glob("lib*/**/libctx.so.1")).parent
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", folder / "libwork.so", folder / "work.c", f"-I{prefix}/include",
         f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-lctx", "-pthread"],
        check=True,
    )  # fmt: skip
    return folder / "libwork.so"


Told = list[type[BaseException]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What sys.unraisablehook was told."""
    told: Told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(args.exc_type))
    return told


def cause_parts(ctx: libctx.Context) -> tuple[int, str]:
    """What another language reads: code and message."""
    found = ctx._cause_parts()
    assert found is not None
    return found[:2]
