# SPDX-License-Identifier: MIT
"""The current context follows contextvars."""

import asyncio
import contextvars

import libctx
import pytest
from conftest import Run, in_thread
from libctx import background, current, scope, use, with_cancel


def test_background_if_none_was_set() -> None:
    assert current() == background()


def test_use() -> None:
    outer, inner = with_cancel(background()).ctx, with_cancel(background()).ctx
    with use(outer):
        with use(inner) as given:
            assert given is inner is current()
        assert current() is outer
    assert current() == background()


def test_only_a_context_can_be_current() -> None:
    for wrong in (None, with_cancel(background())):
        with pytest.raises(TypeError, match="Context"), use(wrong):  # type: ignore[arg-type]
            pass
    assert current() == background()


def test_a_plain_thread_starts_afresh() -> None:
    seen: list[libctx.Context] = []
    with use(with_cancel(background()).ctx) as ctx:
        in_thread(lambda: seen.append(current())).join()
        in_thread(lambda c=contextvars.copy_context(): seen.append(c.run(current))).join()  # type: ignore[misc]
    assert seen == [background(), ctx]


def test_tasks_and_to_thread_inherit_it(run: Run) -> None:
    async def task() -> libctx.Context:
        await asyncio.sleep(0)
        return current()

    async def main() -> None:
        with use(with_cancel(background()).ctx) as ctx:
            child = asyncio.create_task(task())
            assert await asyncio.to_thread(current) is ctx
        assert await child is ctx  # as it was when the task was made
        assert current() == background()

    run(main())


def test_scope_sets_it(run: Run) -> None:
    async def main() -> None:
        async with scope(background()) as ctx:
            assert current() is ctx
            assert await asyncio.to_thread(current) is ctx
            with libctx.with_cancel(current()) as inner:
                assert inner.err() is None
        assert current() == background()

    run(main())


def test_tasks_do_not_share_it(run: Run) -> None:
    async def one() -> bool:
        async with scope(background()) as ctx:
            for _ in range(3):
                await asyncio.sleep(0)
            return current() is ctx

    async def main() -> None:
        assert await asyncio.gather(*(one() for _ in range(10))) == [True] * 10

    run(main())
