"""Cancelling without harm.

What asyncio cancels stops wherever it waits, and the HTTP client is not ready for that everywhere: a connection that is
just being opened, or given back, would stay in its pool as busy for ever. What anyio cancels stops where it is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

__all__ = ["gently", "to_the_end"]

T = TypeVar("T")


async def gently(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Does the work; if the task is cancelled meanwhile, it is stopped as anyio stops it."""
    if not _is_asyncio():
        return await work()
    scope = anyio.CancelScope()

    async def within() -> T:
        with scope:
            return await work()
        raise asyncio.CancelledError

    task = asyncio.create_task(within())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait([task])
        raise


async def to_the_end(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Does the work whole, even if the task is cancelled meanwhile."""
    with anyio.CancelScope(shield=True):
        await (asyncio.shield(asyncio.create_task(work())) if _is_asyncio() else work())


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
