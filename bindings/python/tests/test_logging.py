# SPDX-License-Identifier: MIT
"""The trace of the current context in log records."""

import asyncio
import io
import logging
from collections.abc import Iterator

import libctx
import libctx.logging
import pytest

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def logger() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(libctx.logging.Filter(["request-id"]))
    handler.setFormatter(logging.Formatter("%(trace_id)s %(span_id)s %(request_id)s %(message)s"))
    logger = logging.getLogger("test_logging")
    logger.addHandler(handler)
    yield logger, written
    logger.removeHandler(handler)


Logger = tuple[logging.Logger, io.StringIO]


def test_without_a_trace(logger: Logger) -> None:
    logger[0].error("text")
    with libctx.use(libctx.with_string(libctx.background(), "traceparent", "no trace")):
        logger[0].error("text")
    assert logger[1].getvalue() == "- - - text\n" * 2


def test_the_trace_of_the_current_context(logger: Logger) -> None:
    async def task() -> None:
        logger[0].getChild("below").error("text")

    ctx = libctx.extract(libctx.background(), {"traceparent": PARENT}).ctx
    with libctx.use(libctx.with_string(ctx, "request-id", "seven")):
        asyncio.run(task())
    assert logger[1].getvalue() == "4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7 seven text\n"


def test_arguments() -> None:
    with pytest.raises(TypeError, match="several names"):
        libctx.logging.Filter("request-id")
