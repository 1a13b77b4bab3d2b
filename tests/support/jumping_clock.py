"""A clock that a test moves behind a deadline, for waits on real sockets."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpcore
import pytest
from httpcore._backends.sync import SyncStream

from motet.together.transport.request_machine import RequestMachine
from motet.together.transport.task_deadline import TaskDeadline

__all__ = ["TIMEOUT", "JumpingClock", "jumping_clock"]

TIMEOUT = 30.0
"""Seconds of a deadline that passes in a jump. Below the 60 seconds of silence after which the HTTP client gives up, so that
the jump passes the deadline alone; above what a busy machine takes for the requests."""
SLICE = 0.02
"""Seconds after which a read of a socket looks at the clock again."""


class JumpingClock:
    """The system's clock, ahead of it by the jumps."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._ahead

    def jump(self, seconds: float) -> None:
        self._ahead += seconds
        # The loop computed its wait before the jump.
        self._loop.call_soon_threadsafe(lambda: None)

    @contextmanager
    def jump_when(self, is_reached: Callable[[], bool], seconds: float = TIMEOUT) -> Iterator[None]:
        """Jumps once, as soon as the condition holds within the block."""
        is_over = threading.Event()

        def watch() -> None:
            while not is_reached():
                if is_over.wait(0.002):
                    return
            self.jump(seconds)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            is_over.set()
            watcher.join()


@contextmanager
def jumping_clock(runner: asyncio.Runner) -> Iterator[JumpingClock]:
    """Within the block, requests wait by this clock: those of threads, and those of the runner's loop."""
    loop: Any = runner.get_loop()
    clock = JumpingClock(loop)
    read = SyncStream.read

    def read_in_slices(stream: SyncStream, max_bytes: int, timeout: float | None = None) -> bytes:
        end = None if timeout is None else clock() + timeout
        while True:
            try:
                return read(stream, max_bytes, SLICE)
            except httpcore.ReadTimeout:
                if end is not None and clock() >= end:
                    raise

    with pytest.MonkeyPatch.context() as patch:
        for module in ("backend", "transport.deadline", "transport.io_drivers"):
            patch.setattr(f"motet.together.{module}.time", SimpleNamespace(monotonic=clock, sleep=time.sleep))
        patch.setitem(RequestMachine.__init__.__kwdefaults__, "clock", clock)
        patch.setattr(TaskDeadline.__init__, "__defaults__", (clock,))
        patch.setattr(loop, "time", clock)
        patch.setattr(SyncStream, "read", read_in_slices)
        yield clock
