# SPDX-License-Identifier: MIT
"""The first host: HTTP in, gRPC out. Each request has a context, which the call takes along.

edge.py LISTEN ORDERS    both as host:port
"""

import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator

import fastapi
import grpc
import libctx
import libctx.asgi
import libctx.grpc
import uvicorn

proto, services = grpc.protos_and_services("shop.proto")
LISTEN, ORDERS = sys.argv[1:]


@contextlib.asynccontextmanager
async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
    async with libctx.grpc.aio.intercept_channel(grpc.aio.insecure_channel(ORDERS), name="edge") as channel:
        app.state.orders = services.ShopStub(channel)
        yield


app = fastapi.FastAPI(lifespan=lifespan)


def say(**said: object) -> None:
    print(json.dumps({"who": "edge", "at": time.monotonic_ns(), **said}), flush=True)


def say_ended(ctx: libctx.Context) -> None:
    late = isinstance(ctx.err(), libctx.DeadlineExceeded)
    say(late=late, cause=libctx.encode_cause(ctx.cause()))


@app.get("/order/{name}")
async def order(name: str) -> dict[str, str]:
    ctx = libctx.current()
    left = ctx.remaining()
    say(left=sys.maxsize if left is None else int(left * 1e9))
    ctx.after(say_ended, ctx)
    receipt = await app.state.orders.Order(proto.Item(name=name))
    return {"receipt": receipt.text}


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # first of all, before any thread starts
    stopping = libctx.with_signal(libctx.background(), signal.SIGTERM).ctx
    served = libctx.asgi.ContextMiddleware(app, libctx.with_grace(stopping, 0.5).ctx, maximum_timeout=60, name="edge")
    host, port = LISTEN.split(":")
    server = uvicorn.Server(uvicorn.Config(served, host=host, port=int(port), log_level="warning"))
    stopping.after(setattr, server, "should_exit", True)  # no new connections
    server.run()


if __name__ == "__main__":
    main()
