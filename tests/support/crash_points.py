"""Crashes within the process: whatever touches the world fails for the n-th time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


class Crash(BaseException):
    """The process ends here: no handler of `Exception` sees it, and what was in memory is gone."""


class Bomb:
    """Counts what touches the world, and goes off at the n-th time."""

    def __init__(self) -> None:
        self.left = 0
        self._lock = threading.Lock()

    def tick(self) -> None:
        with self._lock:
            self.left -= 1
            off = self.left == 0
        if off:
            raise Crash


BOMB = Bomb()


@contextmanager
def ticking() -> Iterator[None]:
    """Each write to a file ticks before it, and in the middle of it. Nothing waits for the disk: it is not the machine
    that crashes here."""
    real: dict[str, Any] = {name: getattr(os, name) for name in ("write", "replace", "ftruncate")}

    def write(handle: int, data: bytes) -> Any:
        BOMB.tick()
        half = len(data) // 2
        written = real["write"](handle, data[:half])
        BOMB.tick()
        return written + real["write"](handle, data[half:])

    def replace(*names: Any) -> None:
        BOMB.tick()
        real["replace"](*names)
        BOMB.tick()

    def ftruncate(handle: int, size: int) -> None:
        # A process that has crashed does not mend what it has written.
        if BOMB.left != 0:
            BOMB.tick()
            real["ftruncate"](handle, size)

    BOMB.left = 0
    with (
        mock.patch("os.write", write),
        mock.patch("os.replace", replace),
        mock.patch("os.ftruncate", ftruncate),
        mock.patch("os.fsync", lambda handle: BOMB.tick()),
    ):
        yield
    BOMB.left = 0
