# SPDX-License-Identifier: MIT
"""The same requests for people: who ends them, who hears of it, and how soon.

    demo.py <libhandler.so>
"""

import asyncio
import os
import socket
import sys
import time
import uuid

from request import Seen, handler, mapped, request

PICTURE = """
   Python  asyncio  async with libctx.scope(ctx)   derives the context, 2 s
     |
     |  ctx.handle, an integer
     v
   Rust    tokio    ctx.done().await               reads trace-id {rust}
     |
     |  ctx_t *
     v
   C       epoll    ctx_done_fd(ctx) in its set    reads trace-id {c}

   one process {pid}, three threads, one libctx:
   {library}"""

library = handler(sys.argv[1])
canceled_ns = 0  # when Python canceled


async def ready(server: socket.socket) -> None:
    """All three wait when the C loop greets; and a moment later they are asleep, for a fair measurement."""
    await asyncio.get_running_loop().sock_recv(server, 64)
    await asyncio.sleep(0.1)


async def patient(server: socket.socket, task: "asyncio.Task[None]") -> None:
    """Waits for as long as it takes."""


async def outspoken(server: socket.socket, task: "asyncio.Task[None]") -> None:
    """Says to the C loop that it does not."""
    await ready(server)
    await asyncio.get_running_loop().sock_sendall(server, b"the client has heard enough\n")


async def stopped(server: socket.socket, task: "asyncio.Task[None]") -> None:
    """Its task is canceled, by asyncio's own means."""
    global canceled_ns
    await ready(server)
    canceled_ns = time.monotonic_ns()
    task.cancel("the server shuts down")


def show(title: str, seen: Seen, since_ns: int) -> None:
    assert seen.error is not None
    reason = seen.error.__cause__ or seen.error
    words = f"{type(seen.error).__name__}: {reason}"
    print(f"\n   {title}")
    for name, woken_ns, heard in (
        ("Python", seen.woken_ns, words),
        ("Rust", seen.rust.woken_ns, f"{seen.rust.err}, {seen.rust.cause.decode()}"),
        ("C", seen.c.woken_ns, f"{seen.c.err}, {seen.c.cause.decode()}"),
    ):
        print(f"     {name:<7} +{(woken_ns - since_ns) / 1000:6.0f} us   {heard}", flush=True)


async def main() -> None:
    trace_id = uuid.uuid4().hex[:8]
    print(f"\n   Python sets trace-id {trace_id}, and two seconds for the request ...", flush=True)
    late = await request(library, 2.0, trace_id, patient)
    texts = {"rust": late.rust.trace_id.decode(), "c": late.c.trace_id.decode()}
    (copy,) = mapped()
    print(PICTURE.format(**texts, pid=os.getpid(), library=copy))
    assert set(texts.values()) == {trace_id}

    print("\n   Awake after the end of the context, and what each was told:")
    show("The deadline that Python has set passes", late, late.deadline_ns)
    quit_ = await request(library, 2.0, trace_id, outspoken)
    show("C cancels, with a cause", quit_, quit_.c.cancel_ns)
    stop = await request(library, 2.0, trace_id, stopped)
    show("Python's task is canceled", stop, canceled_ns)


asyncio.run(main())
