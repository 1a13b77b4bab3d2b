"""Crashes within the process: the n-th operation on a file, a tool or a model raises `Crash`."""

from __future__ import annotations

import collections
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


class Crash(BaseException):
    """Simulates the end of the process: not an `Exception`, and the memory is discarded."""


class CrashPoint:
    """Counts side effects, and raises at the n-th."""

    def __init__(self) -> None:
        self.left = 0
        self._lock = threading.Lock()

    def tick(self) -> None:
        with self._lock:
            self.left -= 1
            off = self.left == 0
        if off:
            raise Crash


CRASH_POINT = CrashPoint()


@contextmanager
def crash_points() -> Iterator[None]:
    """Each write has a crash point before it and one in the middle. Nothing waits for the disk: it is not the machine
    that crashes here."""
    real: dict[str, Any] = {name: getattr(os, name) for name in ("write", "replace", "ftruncate")}

    def write(handle: int, data: bytes) -> Any:
        CRASH_POINT.tick()
        half = len(data) // 2
        written = real["write"](handle, data[:half])
        CRASH_POINT.tick()
        return written + real["write"](handle, data[half:])

    def replace(*names: Any) -> None:
        CRASH_POINT.tick()
        real["replace"](*names)
        CRASH_POINT.tick()

    def ftruncate(handle: int, size: int) -> None:
        # A process that has crashed does not mend what it has written.
        if CRASH_POINT.left != 0:
            CRASH_POINT.tick()
            real["ftruncate"](handle, size)

    CRASH_POINT.left = 0
    with (
        mock.patch("os.write", write),
        mock.patch("os.replace", replace),
        mock.patch("os.ftruncate", ftruncate),
        mock.patch("os.fsync", lambda handle: CRASH_POINT.tick()),
    ):
        yield
    CRASH_POINT.left = 0


class World:
    """The side effects of tool calls, which survive crashes."""

    def __init__(self) -> None:
        self.done: collections.Counter[int] = collections.Counter()
        self._lock = threading.Lock()

    def act(self, x: int, *, seconds: float = 0) -> int:
        """Counts `x` after some time, with a crash point before and one after."""
        CRASH_POINT.tick()
        if seconds:
            time.sleep(seconds)
        with self._lock:
            self.done[x] += 1
        CRASH_POINT.tick()
        return x
