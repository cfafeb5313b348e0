# SPDX-License-Identifier: MIT
"""Contexts over calls of gRPC: a server's handlers have the context of their call, and a client's calls end with theirs.

    server = grpc.server(pool, interceptors=[libctx.grpc.ServerInterceptor(stopping)])
    channel = libctx.grpc.intercept_channel(grpc.insecure_channel(target))

For grpc.aio the same names are in libctx.grpc.aio. docs/calls.md says what travels with a call.
"""

try:
    import grpc as _grpc  # noqa: F401
except ImportError as _missing:
    raise ImportError("libctx.grpc needs grpcio: pip install grpcio") from _missing

from . import aio as aio
from ._calls import cause
from ._channel import intercept_channel
from ._server import ServerInterceptor

__all__ = ["ServerInterceptor", "aio", "cause", "intercept_channel"]
