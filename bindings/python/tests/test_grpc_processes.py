# SPDX-License-Identifier: MIT
"""Calls of gRPC from one process to another, each with threads or on asyncio."""

import queue
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import WATCHDOG, in_thread, python

SERVER = {
    "threads": """
import sys, grpc, libctx, libctx.grpc
from concurrent.futures import ThreadPoolExecutor

def handler(request, context):
    ctx = libctx.current()
    print("begun", ctx.string("traceparent"), flush=True)
    ctx.wait()
    print(repr(ctx.err()), ctx.cause(), ctx.cause().peer if isinstance(ctx.cause(), libctx.Cause) else None, flush=True)
    ctx.check()

parent, stop = libctx.with_cancel(libctx.background())
server = grpc.server(ThreadPoolExecutor(4), interceptors=[libctx.grpc.ServerInterceptor(parent, name="server")])
server.add_registered_method_handlers("t", {"unary": grpc.unary_unary_rpc_method_handler(handler)})
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
sys.stdin.readline()
stop("maintenance")
sys.stdin.readline()
server.stop(None).wait()
""",
    "asyncio": """
import asyncio, sys, grpc, libctx, libctx.grpc

async def handler(request, context):
    ctx = libctx.current()
    print("begun", ctx.string("traceparent"), flush=True)
    try:
        await asyncio.sleep(3600)
    finally:
        print(repr(ctx.err()), ctx.cause(), ctx.cause().peer if isinstance(ctx.cause(), libctx.Cause) else None, flush=True)

async def main():
    parent, stop = libctx.with_cancel(libctx.background())
    server = grpc.aio.server(interceptors=[libctx.grpc.aio.ServerInterceptor(parent, name="server")])
    server.add_registered_method_handlers("t", {"unary": grpc.unary_unary_rpc_method_handler(handler)})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    stop("maintenance")
    await asyncio.to_thread(sys.stdin.readline)
    await server.stop(None)

asyncio.run(main())
""",
}

# Cancels when its standard input says so, and prints how the call has ended.
CLIENT = {
    "threads": """
import sys, threading, grpc, libctx, libctx.grpc

channel = libctx.grpc.intercept_channel(grpc.insecure_channel(sys.argv[1]), name="client")
ctx, cancel = libctx.with_cancel(libctx.extract(libctx.background(), {"traceparent": sys.argv[2]}).ctx)
threading.Thread(target=lambda: sys.stdin.readline() and cancel("no longer needed"), daemon=True).start()
try:
    with libctx.use(ctx), libctx.timeout(float(sys.argv[3]) if sys.argv[3] else None, cause="too slow"):
        channel.unary_unary("/t/unary")(b"")
except libctx.Error as error:
    print(repr(error), error.__cause__, flush=True)
except grpc.RpcError as error:
    print(error.code().name, libctx.grpc.cause(error), libctx.grpc.cause(error).peer, flush=True)
threading.Event().wait()
""",
    "asyncio": """
import asyncio, sys, grpc, libctx, libctx.grpc

async def main():
    async with libctx.grpc.aio.intercept_channel(grpc.aio.insecure_channel(sys.argv[1]), name="client") as channel:
        ctx, cancel = libctx.with_cancel(libctx.extract(libctx.background(), {"traceparent": sys.argv[2]}).ctx)
        asyncio.get_running_loop().add_reader(0, lambda: sys.stdin.readline() and cancel("no longer needed"))
        ctx = libctx.with_timeout(ctx, float(sys.argv[3]) if sys.argv[3] else None, cause="too slow").ctx
        try:
            with libctx.use(ctx):
                await channel.unary_unary("/t/unary")(b"")
        except libctx.Error as error:
            print(repr(error), error.__cause__, flush=True)
        except grpc.RpcError as error:
            print(error.code().name, libctx.grpc.cause(error), libctx.grpc.cause(error).peer, flush=True)
        await asyncio.sleep(3600)  # a channel that closes takes its companions with it

asyncio.run(main())
""",
}

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SERVERS = pytest.mark.parametrize("server", SERVER)
CLIENTS = pytest.mark.parametrize("client", CLIENT)


class Program:
    def __init__(self, program: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = in_thread(self._read)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.strip())

    def line(self, timeout: float = WATCHDOG) -> str:
        return self._lines.get(timeout=timeout)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WATCHDOG)
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextmanager
def running(program: str, *arguments: str) -> Iterator[Program]:
    it = Program(program, *arguments)
    try:
        yield it
    finally:
        it.kill()


@SERVERS
@CLIENTS
def test_a_reason_goes_over(server: str, client: str) -> None:
    """The first companion may be overtaken by its cancel; for those after it the server waits."""
    told = "Canceled('context canceled') no longer needed client"
    with running(SERVER[server]) as serving:
        address = f"127.0.0.1:{serving.line()}"
        for number in range(3):
            with running(CLIENT[client], address, PARENT, "") as calling:
                assert serving.line() == f"begun {PARENT}"
                calling.go_on()
                assert calling.line() == "Canceled('context canceled') no longer needed"
                assert serving.line() in (told, "Canceled('context canceled') the call was canceled None")[: 1 if number else 2]


@SERVERS
@CLIENTS
def test_a_deadline_goes_over(server: str, client: str) -> None:
    with running(SERVER[server]) as serving:
        address = f"127.0.0.1:{serving.line()}"
        for seconds in ("0.5", "5", "50"):  # one may be too short for the call to get there
            with running(CLIENT[client], address, PARENT, seconds) as calling:
                assert calling.line() == "DeadlineExceeded('context deadline exceeded') too slow"
                try:
                    assert serving.line(float(seconds)) == f"begun {PARENT}"
                except queue.Empty:
                    continue
                assert serving.line().startswith("DeadlineExceeded('context deadline exceeded') ")
                return
        raise AssertionError("no call got there")


@SERVERS
@CLIENTS
def test_the_end_of_a_server_goes_back(server: str, client: str) -> None:
    with running(SERVER[server]) as serving:
        with running(CLIENT[client], f"127.0.0.1:{serving.line()}", PARENT, "60") as calling:
            assert serving.line() == f"begun {PARENT}"
            serving.go_on()
            assert serving.line() == "Canceled('context canceled') maintenance None"
            assert calling.line() == "UNAVAILABLE maintenance server"


@SERVERS
@CLIENTS
def test_a_client_that_is_killed(server: str, client: str) -> None:
    with running(SERVER[server]) as serving:
        with running(CLIENT[client], f"127.0.0.1:{serving.line()}", PARENT, "60"):
            assert serving.line() == f"begun {PARENT}"
        assert serving.line() == "Canceled('context canceled') the call was canceled None"


def test_grpcio_is_needed_only_by_who_asks() -> None:
    result = python("""
import sys, libctx, libctx.asgi
print("grpc" in sys.modules)
sys.modules["grpc"] = None
try:
    import libctx.grpc
except ImportError as error:
    print(error)
""")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "False\nlibctx.grpc needs grpcio: pip install grpcio\n"
