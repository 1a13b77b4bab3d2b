"""The deadline of the reads of a body in async code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import anyio
import pytest

from motet.together.transport import task_deadline
from motet.together.transport.request_machine import DeadlinePassed
from motet.together.transport.task_deadline import TaskDeadline


async def silence() -> AsyncIterator[bytes]:
    await anyio.sleep_forever()
    yield b""


async def data(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await anyio.sleep(0)
        yield chunk


@pytest.mark.parametrize("is_asyncio", [True, False])
def test_read_ends_at_its_deadline(is_asyncio: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_deadline, "is_asyncio", lambda: is_asyncio)

    async def read() -> None:
        limit = TaskDeadline()
        with pytest.raises(DeadlinePassed):
            await limit.read(silence(), time.monotonic() - 1)
        # The task is not cancelled by it, and the next read has a deadline of its own.
        chunks = data(b"a")
        assert [await limit.read(chunks, time.monotonic() + 60) for _ in range(2)] == [b"a", b""]
        assert await limit.read(data(b"b"), None) == b"b"
        limit.close()

    asyncio.run(read())


def test_one_timer_serves_later_deadlines() -> None:
    now = 0.0

    async def read() -> None:
        nonlocal now
        limit = TaskDeadline(lambda: now)
        assert await limit.read(data(b"a"), 1000.0) == b"a"
        timer = limit._timer
        reading = asyncio.create_task(limit.read(silence(), 2000.0))
        await asyncio.sleep(0)
        assert limit._timer is timer
        now = 1000.0
        limit._fire()
        await asyncio.sleep(0)
        assert not reading.done() and limit._timer is not timer
        now = 2000.0
        limit._fire()
        with pytest.raises(DeadlinePassed):
            await reading
        limit.close()

    asyncio.run(read())


def test_cancellation_goes_before_the_deadline() -> None:
    async def read() -> None:
        limit = TaskDeadline()
        reading = asyncio.create_task(limit.read(silence(), time.monotonic() + 60))
        await asyncio.sleep(0)
        limit._end = 0.0
        limit._fire()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        limit.close()

    asyncio.run(read())
