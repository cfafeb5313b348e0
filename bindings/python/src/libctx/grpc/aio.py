# SPDX-License-Identifier: MIT
"""The same for grpc.aio, on asyncio.

    server = grpc.aio.server(interceptors=[libctx.grpc.aio.ServerInterceptor(stopping)])
    channel = libctx.grpc.aio.intercept_channel(grpc.aio.insecure_channel(target))
"""

from ._aio_channel import cause, intercept_channel
from ._aio_server import ServerInterceptor

__all__ = ["ServerInterceptor", "cause", "intercept_channel"]
