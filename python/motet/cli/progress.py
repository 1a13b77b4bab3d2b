"""Progress on standard error, as a line that is overwritten."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from motet._context import Closing
from motet.cli.terminal import unfiltered

__all__ = ["ProgressLine"]

_INTERVAL = 0.2
"""Seconds between two updates."""


class ProgressLine(Closing):
    """How many bytes of a file are done, or another text. Shown on terminals only."""

    def __init__(self, what: str, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._stream = unfiltered(stream or sys.stderr)
        self._clock = clock
        self._shown_at = clock()
        self._width = 0

    def show(self, done: int, total: int | None) -> None:
        """At most five times a second; not in the first 0.2 seconds."""
        now = self._clock()
        if now - self._shown_at < _INTERVAL or not self._stream.isatty():
            return
        self._shown_at = now
        share = f" of {total / 1e6:,.0f} MB, {done / total:.0%}" if total else " MB"
        self._write(f"{self._what}: {done / 1e6:,.0f}{share}")

    def say(self, text: str) -> None:
        """Shows a text in place of the figures."""
        if self._stream.isatty():
            self._write(f"{self._what}: {text}")

    def close(self) -> None:
        """Clears the line, before other output."""
        if self._width:
            self._write("")

    def _write(self, text: str) -> None:
        self._stream.write(f"\r{text:<{self._width}}\r{text}" if text else f"\r{'':<{self._width}}\r")
        self._stream.flush()
        self._width = len(text)
