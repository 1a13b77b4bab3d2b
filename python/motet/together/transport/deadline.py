"""A deadline for every wait on a socket: connecting, sending, the headers, each chunk of a body.

The time limits of an HTTP client restart with each byte, so a server that sends one byte now and then never exceeds
them. Async code is cancelled instead; this module serves the blocking client.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import httpcore

__all__ = ["deadline", "install"]

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class deadline:
    """Within the block, waits of this thread end at `end`, a time of `time.monotonic`. `None`: no deadline."""

    # A class, because a generator as a context manager takes three times as long, at each chunk of a body.
    __slots__ = ("_end", "_token")

    def __init__(self, end: float | None) -> None:
        self._end = end

    def __enter__(self) -> None:
        self._token = _deadline.set(self._end)

    def __exit__(self, *_: object) -> None:
        _deadline.reset(self._token)


def install(client: Any) -> None:
    """Makes an `httpx.Client` keep deadlines.

    Replaces the network backend of its connection pools through private attributes: httpx accepts no network backend,
    and a transport of our own would lose its proxies and mounts. If a version of httpx has other attributes, nothing is
    replaced, and the client's own time limits remain.
    """
    transports = [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
    for pool in [getattr(transport, "_pool", None) for transport in transports]:
        backend = getattr(pool, "_network_backend", None)
        if isinstance(backend, httpcore.NetworkBackend) and not isinstance(backend, _Backend):
            vars(pool)["_network_backend"] = _Backend(backend)


def _remaining(limit: float | None, error: type[Exception]) -> float | None:
    """A time limit, shortened to the deadline. Raises `error` if the deadline has passed: 0 would mean non-blocking."""
    end = _deadline.get()
    if end is None:
        return limit
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise error("the deadline has passed")
    return seconds if limit is None else min(seconds, limit)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _remaining(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _remaining(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        limit = _remaining(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, limit))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        limit = _remaining(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, limit, local_address, socket_options))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        limit = _remaining(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_unix_socket(path, limit, socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)
