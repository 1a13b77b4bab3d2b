"""Cancellation that leaves the HTTP client usable.

asyncio's cancellation interrupts a task wherever it waits. The HTTP client does not expect that everywhere: a
connection that is being opened or returned would stay busy in its pool. anyio's cancellation is delivered where the
client expects it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

__all__ = ["is_asyncio", "run_cancellable", "run_shielded"]

T = TypeVar("T")


async def run_cancellable(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs the coroutine; a cancellation of the calling task reaches it as a cancellation of anyio's."""
    if not is_asyncio():
        return await work()
    scope = anyio.CancelScope()

    async def scoped() -> T:
        with scope:
            return await work()
        raise asyncio.CancelledError

    task = asyncio.create_task(scoped())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        raise


async def run_shielded(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs the coroutine to its end, even if the calling task is cancelled."""
    with anyio.CancelScope(shield=True):
        await (asyncio.shield(asyncio.create_task(work())) if is_asyncio() else work())


def is_asyncio() -> bool:
    """True if the running event loop is asyncio's, and not trio's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
