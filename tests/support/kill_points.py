"""The moments at which a program of the tests may be killed.

They are: before and in the middle of a write, before and after a rename, before a flush, when a file is opened or a
folder made, before a file or folder is removed; and before a request is sent, when its response is there, and between
the chunks of its body.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any
from unittest import mock

import httpx

__all__ = ["KillPoint", "KillingTransport"]


class KillPoint:
    """Counts the moments, and kills the process at the n-th."""

    plain_write = staticmethod(os.write)
    """Not a moment."""

    def __init__(self, moment: int | None) -> None:
        self._moment = moment
        self.count = 0

    def tick(self) -> None:
        self.count += 1
        if self.count == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def watching_files(self) -> Iterator[None]:
        """Nothing waits for the disk: it is not the machine that crashes here."""
        with contextlib.ExitStack() as stack:
            for name, ticks in (("open", "a"), ("mkdir", "ba"), ("replace", "ba"), ("unlink", "b"), ("rmdir", "b")):
                stack.enter_context(mock.patch.object(os, name, self._ticking(getattr(os, name), ticks)))
            stack.enter_context(mock.patch.object(os, "write", self._write))
            stack.enter_context(mock.patch.object(os, "fsync", lambda handle: self.tick()))
            yield

    def _ticking(self, function: Any, ticks: str) -> Any:
        """A function with a moment before it, after it, or both: `b`, `a`, `ba`."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            if "b" in ticks:
                self.tick()
            result = function(*arguments, **keywords)
            if "a" in ticks:
                self.tick()
            return result

        return call

    def _write(self, handle: int, data: bytes) -> int:
        self.tick()
        half = len(data) // 2
        written = self.plain_write(handle, data[:half])
        self.tick()
        return written + self.plain_write(handle, data[half:])


class KillingTransport(httpx.HTTPTransport):
    """Real requests, with moments around and within each."""

    def __init__(self, point: KillPoint) -> None:
        super().__init__(verify=False)
        self._point = point

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._point.tick()
        response = super().handle_request(request)
        self._point.tick()
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Body(response.stream, self._point)
        return response


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, point: KillPoint) -> None:
        self._stream, self._point = stream, point

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._point.tick()
            yield chunk

    def close(self) -> None:
        self._stream.close()
