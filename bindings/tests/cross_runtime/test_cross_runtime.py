# SPDX-License-Identifier: MIT
"""One process, one tree: Python, Rust and C end together, and the reason comes back.

    test_cross_runtime.py <libhandler.so> <libworker.so> <libctx.so.1 of the prefix> [<order>]

order: wheel-first or library-first, who brings the libctx of this process; without it, both, each in a
process of its own.
"""

import asyncio
import ctypes
import errno
import faulthandler
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
import uuid
from pathlib import Path

ORDERS = {"wheel-first", "library-first"}
handler_file, worker_file, installed_file = map(os.path.realpath, sys.argv[1:4])
order = sys.argv[4] if len(sys.argv) > 4 else None
if order == "library-first":
    ctypes.CDLL(handler_file)  # with all it needs, before libctx of Python

import libctx  # noqa: E402
from request import WATCHDOG, Seen, handler, mapped, request  # noqa: E402

DEADLINE, CANCELED = -errno.ETIMEDOUT, -errno.ECANCELED


async def ready(server: socket.socket) -> None:
    """Until the C loop greets: then Rust and C are waiting."""
    assert await asyncio.get_running_loop().sock_recv(server, 64) == b"ready\n"


class OneTree(unittest.TestCase):
    """In one process, in this order: the last test brings a second copy of the library into it."""

    def setUp(self) -> None:
        faulthandler.dump_traceback_later(WATCHDOG, exit=True)
        self.trace_id = uuid.uuid4().hex

    def tearDown(self) -> None:
        faulthandler.cancel_dump_traceback_later()

    def handle(self, seconds: float, client) -> Seen:
        seen = asyncio.run(request(handler(handler_file), seconds, self.trace_id, client))
        self.assertEqual(len({seen.rust.thread, seen.c.thread, os.getpid()}), 3)  # each on its own thread
        return seen

    def test_1_exactly_one_libctx_is_mapped(self) -> None:
        handler(handler_file)
        expected = libctx.library_path() if order == "wheel-first" else installed_file
        self.assertEqual(mapped(), {os.path.realpath(expected)})
        self.assertEqual(Path(libctx.library_path()).name, "libctx.so.1")

    def test_2_the_deadline_of_python_ends_all_three(self) -> None:
        async def client(server: socket.socket, task: asyncio.Task) -> None:
            pass

        seen = self.handle(0.2, client)
        self.assertIsInstance(seen.error, libctx.DeadlineExceeded)
        self.assertEqual((seen.rust.err, seen.c.err), (DEADLINE, DEADLINE))
        self.assertEqual(seen.c.cancel_ns, 0)  # it was not C
        for woken_ns in (seen.woken_ns, seen.rust.woken_ns, seen.c.woken_ns):
            self.assertGreaterEqual(woken_ns, seen.deadline_ns)

    def test_3_c_cancels_with_a_cause_and_python_raises_with_that_text(self) -> None:
        words = f"I have heard enough, {uuid.uuid4().hex}"

        async def client(server: socket.socket, task: asyncio.Task) -> None:
            await ready(server)
            await asyncio.get_running_loop().sock_sendall(server, words.encode() + b"\n")

        seen = self.handle(WATCHDOG, client)
        self.assertIsInstance(seen.error, libctx.Canceled)
        cause = seen.error.__cause__
        self.assertIsInstance(cause, libctx.Cause)
        self.assertEqual((str(cause), cause.code), (words, -errno.EPIPE))
        self.assertEqual((seen.rust.err, seen.c.err), (CANCELED, CANCELED))
        self.assertEqual(seen.rust.cause, words.encode())
        for woken_ns in (seen.woken_ns, seen.rust.woken_ns, seen.c.woken_ns):
            self.assertGreaterEqual(woken_ns, seen.c.cancel_ns)
        self.assertGreater(seen.c.cancel_ns, 0)

    def test_4_rust_and_c_read_the_trace_id_and_end_with_the_task(self) -> None:
        async def client(server: socket.socket, task: asyncio.Task) -> None:
            await ready(server)
            task.cancel("the server shuts down")

        seen = self.handle(WATCHDOG, client)
        self.assertEqual((seen.rust.trace_id, seen.c.trace_id), (self.trace_id.encode(),) * 2)
        self.assertIsInstance(seen.error, asyncio.CancelledError)
        self.assertEqual((seen.rust.err, seen.c.err), (CANCELED, CANCELED))
        self.assertEqual((seen.rust.cause, seen.c.cause), (b"the server shuts down",) * 2)

    def test_5_after_all_that_it_is_still_one(self) -> None:
        self.assertEqual(len(mapped()), 1)

    def test_6_a_handle_of_another_copy_is_a_clear_error_everywhere(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = shutil.copy(installed_file, Path(folder, "libctx.so.1"))
            other = ctypes.CDLL(file)
            self.assertEqual(len(mapped()), 2)  # so the other tests do see a second one
        ctx, canceler = ctypes.c_void_p(), ctypes.c_void_p()
        other.ctx_background.restype = ctypes.c_void_p
        root = ctypes.c_void_p(other.ctx_background())
        self.assertEqual(other.ctx_with_cancel(root, ctypes.byref(ctx), ctypes.byref(canceler)), 0)

        for kind, handle in ((libctx.Context, ctx.value), (libctx.Canceler, canceler.value)):
            with self.assertRaisesRegex(OSError, "another copy of libctx") as caught:
                kind.from_handle(handle)
            self.assertEqual(caught.exception.errno, errno.EREMOTE)

        own = libctx.with_cancel(libctx.background())
        serve = handler(handler_file).handler_serve
        self.assertEqual(serve(ctx.value, own.cancel.handle, -1, None), -errno.EREMOTE)
        start = ctypes.CDLL(worker_file).worker_start
        self.assertEqual(start(ctx, canceler, -1, None, None, None), -errno.EREMOTE)

        self.assertEqual(other.ctx_err(ctx), 0)  # and nothing has happened to it
        other.ctx_canceler_unref(canceler)
        other.ctx_unref(ctx)


if __name__ == "__main__":
    if order is None:
        for each in sorted(ORDERS):
            print(f"-- {each}", flush=True)
            subprocess.run([sys.executable, *sys.argv[:4], each], check=True)
    else:
        assert order in ORDERS, order
        result = unittest.main(argv=sys.argv[:1], verbosity=2, exit=False).result
        bad = len(result.failures) + len(result.errors)
        print(f"{result.testsRun - bad} passed, {bad} failed", flush=True)
        sys.exit(bad > 0 or result.testsRun == 0)
