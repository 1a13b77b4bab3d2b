"""A deadline for the reads of a body in async code.

A cancel scope for each read sets and cancels a timer each time, which takes longer than reading the event. Here one
timer serves all reads of a body.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio

from motet.together.transport.cancellation import is_asyncio
from motet.together.transport.request_machine import DeadlinePassed

__all__ = ["TaskDeadline"]


class TaskDeadline:
    """Reads a body up to a deadline, a time of `clock`. For one task at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._timer_end = 0.0
        self._end = 0.0
        self._reading_task: asyncio.Task[Any] | None = None
        self._passed = False

    async def read(self, chunks: AsyncIterator[bytes], end: float | None) -> bytes:
        """The next chunk, empty at the end of the body. Raises `DeadlinePassed` at `end`. `None`: no deadline."""
        if end is None:
            return await anext(chunks, b"")
        if not is_asyncio():
            with anyio.move_on_after(max(end - self._clock(), 0)):
                return await anext(chunks, b"")
            raise DeadlinePassed
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        self._end, self._reading_task = end, task
        if self._timer is None or end < self._timer_end:
            # A later end needs no other timer: this one sets the next when it fires.
            self._start_timer()
        try:
            return await anext(chunks, b"")
        except asyncio.CancelledError:
            if self._passed:
                self._passed = False
                # As in `asyncio.timeout`: another cancellation of the task goes before the deadline.
                if task.uncancel() <= cancellations:
                    raise DeadlinePassed from None
            raise
        finally:
            self._reading_task = None
            if self._passed:
                # The HTTP client took the cancellation for itself.
                self._passed = False
                task.uncancel()

    def close(self) -> None:
        """Ends the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self) -> None:
        self.close()
        self._timer_end = self._end
        seconds = max(self._end - self._clock(), 0)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._reading_task is None:
            return
        if self._clock() < self._end:
            self._start_timer()
            return
        self._passed = True
        self._reading_task.cancel()
