"""Doing what an `Exchange` asks for: with and without `await`. Nothing is decided here."""

from __future__ import annotations

import collections
import contextlib
import itertools
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import anyio
import httpx
import together

from motet._context import AsyncClosing, Closing
from motet._core import Event
from motet.backend import Reply
from motet.together.transport.bounded_body import guard
from motet.together.transport.cancellation import gently
from motet.together.transport.deadline import until
from motet.together.transport.request_machine import Call, DeadlinePassed, Exchange, Open, Opened, Read, Sleep

__all__ = ["AsyncStream", "Stream"]


def _timeout(client: Any, exchange: Exchange) -> Any:
    """The HTTP client's own time limits; the wait for a free connection, which is one on no socket, is cut to what is
    left."""
    limits = client.timeout
    given = limits if isinstance(limits, httpx.Timeout) else httpx.Timeout(limits)
    left = _left(exchange)
    if left is None:
        return given
    parts = given.as_dict()
    return httpx.Timeout(**{**parts, "pool": min(left, parts["pool"] or left)})


def _request(client: Any, call: Call, exchange: Exchange) -> Any:
    """The SDK's call, whose answer is not read yet."""
    resource = client.chat.completions if call.endpoint == "chat" else client.completions
    arguments = dict(call.arguments)
    if call.stream:
        arguments["stream"] = True
    return resource.with_streaming_response.create(**arguments, timeout=_timeout(client, exchange))


def _left(exchange: Exchange) -> float | None:
    return None if exchange.deadline is None else max(exchange.deadline - time.monotonic(), 0)


class _Work:
    """A stream's work, apart from the stream: whoever drops that drops its generator too, and there is no cycle for
    which garbage has to be collected."""

    def __init__(self, client: Any, prepare: Callable[[], Exchange]) -> None:
        self.client = client
        self.prepare = prepare
        self.exchange: Exchange | None = None
        self.stack = contextlib.ExitStack()
        self.socket: Any = None
        self.closing = False

    def open(self, call: Call, exchange: Exchange) -> tuple[Opened, Iterator[bytes]]:
        with until(exchange.deadline):
            response = self.stack.enter_context(_request(self.client, call, exchange))
        http = response.http_response
        guard(http)
        network = http.extensions.get("network_stream")
        self.socket = network.get_extra_info("socket") if network is not None else None
        chunks = http.iter_bytes()
        place = next(_places)
        _reading[place] = chunks
        self.stack.callback(_reading.pop, place)
        return Opened(http.status_code, http.headers), chunks

    def forget(self) -> None:
        """What becomes of a stream that nobody closed. It may be found while garbage is collected, in the midst of
        anything, such as the HTTP client's own lock; so it hangs up at once, and the client is told later."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
        _forgotten.append(self.stack.pop_all())


_reading: dict[int, Iterator[bytes]] = {}
"""The bodies that are being read. As garbage they would close themselves, and wait for the client's lock."""
_places = itertools.count()
_forgotten: collections.deque[contextlib.ExitStack] = collections.deque()


def _close_forgotten() -> None:
    while _forgotten:
        with contextlib.suppress(Exception):
            _forgotten.popleft().close()


def _run(work: _Work) -> Generator[Event, None, None]:
    _close_forgotten()
    exchange = work.exchange = work.prepare()
    steps = exchange.steps()
    answer: Any = None
    chunks: Iterator[bytes] = iter(())
    with work.stack:
        while True:
            try:
                step = steps.send(answer)
            except StopIteration:
                return
            answer = None
            match step:
                case Open(call):
                    try:
                        answer, chunks = work.open(call, exchange)
                    except Exception as error:
                        answer = error
                case Sleep(seconds):
                    time.sleep(seconds)
                case Read():
                    try:
                        with until(exchange.deadline):
                            answer = next(chunks, b"")
                    except Exception as error:
                        answer = error
                case events:
                    try:
                        yield from events
                    except GeneratorExit:
                        if not work.closing:
                            work.forget()
                        raise


class Stream(Closing):
    """Events while they arrive."""

    def __init__(self, client: together.Together, prepare: Callable[[], Exchange]) -> None:
        self._work = _Work(client, prepare)
        self._iterator = _run(self._work)

    def __iter__(self) -> Iterator[Event]:
        return self._iterator

    def close(self) -> None:
        """Closes the connection; the service stops writing."""
        self._work.closing = True
        self._iterator.close()
        self._work.stack.close()

    @property
    def reply(self) -> Reply:
        """The reply; while events still come, what there is of it. Raises `ValueError` before anything was asked."""
        return _reply(self._work.exchange)


def _reply(exchange: Exchange | None) -> Reply:
    if exchange is None:
        raise ValueError("nothing has been asked yet: iterate over the stream first")
    return exchange.reply


class AsyncStream(AsyncClosing):
    """`Stream`, awaited."""

    def __init__(self, client: together.AsyncTogether, prepare: Callable[[], Awaitable[Exchange]]) -> None:
        self._client = client
        self._prepare = prepare
        self._exchange: Exchange | None = None
        self._stack = contextlib.AsyncExitStack()
        self._iterator = self._run()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._iterator

    async def _run(self) -> AsyncGenerator[Event, None]:
        exchange = self._exchange = await self._prepare()
        steps = exchange.steps()
        answer: Any = None
        chunks: Any = None
        async with self._stack:
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration:
                    return
                answer = None
                match step:
                    case Open(call):
                        answer, chunks = await self._open(call, exchange)
                    case Sleep(seconds):
                        await anyio.sleep(seconds)
                    case Read():
                        answer = await self._read(chunks, exchange)
                    case events:
                        for event in events:
                            yield event

    async def _open(self, call: Call, exchange: Exchange) -> tuple[Any, Any]:
        return await gently(lambda: self._open_in_time(call, exchange))

    async def _open_in_time(self, call: Call, exchange: Exchange) -> tuple[Any, Any]:
        with anyio.move_on_after(_left(exchange)):
            try:
                request = _request(self._client, call, exchange)
                response = await self._stack.enter_async_context(request)
                guard(response.http_response)
                return Opened(response.status_code, response.headers), response.http_response.aiter_bytes()
            except Exception as error:
                return error, None
        return DeadlinePassed(), None

    @staticmethod
    async def _read(chunks: Any, exchange: Exchange) -> Any:
        with anyio.move_on_after(_left(exchange)):
            try:
                return await anext(chunks, b"")
            except Exception as error:
                return error
        return DeadlinePassed()

    async def aclose(self) -> None:
        """Closes the connection; the service stops writing."""
        await self._iterator.aclose()
        await self._stack.aclose()

    @property
    def reply(self) -> Reply:
        """The reply; while events still come, what there is of it. Raises `ValueError` before anything was asked."""
        return _reply(self._exchange)
