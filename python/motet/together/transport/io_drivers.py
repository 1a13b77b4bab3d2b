"""Performs the commands of a `RequestMachine`, with and without `await`. Decides nothing."""

from __future__ import annotations

import collections
import contextlib
import itertools
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import together

from motet._context import AsyncClosing, Closing, asingle, single
from motet._core import Event
from motet.backend import Reply
from motet.together.transport.bounded_body import guard
from motet.together.transport.cancellation import run_cancellable
from motet.together.transport.chunked_body import read_in_large_steps
from motet.together.transport.deadline import deadline
from motet.together.transport.request_machine import (
    DeadlinePassed,
    Open,
    Opened,
    Read,
    RequestMachine,
    SdkCall,
    Sleep,
)
from motet.together.transport.task_deadline import TaskDeadline

__all__ = ["AsyncStream", "Stream"]

REST_SECONDS = 0.1
"""How long the end of a body is awaited behind the end of an answer. A connection whose body was read to its end serves
the next request; any other is closed, and the next request waits for a new one."""


def _timeout(client: Any, machine: RequestMachine) -> httpx.Timeout:
    """The HTTP client's time limits, with the wait for a free connection cut to the deadline: that wait is on no
    socket, so `deadline` does not see it."""
    limits = client.timeout
    timeout = limits if isinstance(limits, httpx.Timeout) else httpx.Timeout(limits)
    seconds = _seconds_left(machine)
    if seconds is None:
        return timeout
    parts = timeout.as_dict()
    return httpx.Timeout(**{**parts, "pool": min(seconds, parts["pool"] or seconds)})


def _sdk_request(client: Any, call: SdkCall, machine: RequestMachine) -> Any:
    """The SDK's call, as a context manager of the response."""
    if call.endpoint == "page":
        return _page_request(client, **call.arguments, timeout=_timeout(client, machine))
    resource = client.chat.completions if call.endpoint == "chat" else client.completions
    arguments = dict(call.arguments)
    if call.stream:
        arguments["stream"] = True
    return resource.with_streaming_response.create(**arguments, timeout=_timeout(client, machine))


def _page_request(client: Any, *, path: str, body: object, timeout: httpx.Timeout) -> Any:
    """A request to a page that the SDK does not know, as a context manager of the response."""

    def create(extra_headers: dict[str, str]) -> Any:
        return client.post(path, cast_to=object, body=body, options={"headers": extra_headers, "timeout": timeout})

    # The class adds the header by which the SDK leaves the response unread.
    streaming = type(client.completions.with_streaming_response)
    return streaming(SimpleNamespace(create=create)).create()


def _seconds_left(machine: RequestMachine) -> float | None:
    return None if machine.deadline is None else max(machine.deadline - time.monotonic(), 0)


def _reply(machine: RequestMachine | None) -> Reply:
    if machine is None:
        raise ValueError("nothing has been asked yet: iterate over the stream first")
    return machine.reply


class _StreamState:
    """The state of a `Stream` without the stream object: a dropped stream is then part of no reference cycle, and its
    generator is finalised at once."""

    def __init__(self, prepare: Callable[[], tuple[together.Together, RequestMachine]]) -> None:
        self.prepare = prepare
        self.client: together.Together | None = None
        self.machine: RequestMachine | None = None
        self.stack = contextlib.ExitStack()
        self.socket: Any = None
        self.closing = False

    def open(self, call: SdkCall, machine: RequestMachine) -> tuple[Opened, Iterator[bytes]]:
        with deadline(machine.deadline):
            response = self.stack.enter_context(_sdk_request(self.client, call, machine))
        http = response.http_response
        guard(http)
        network = http.extensions.get("network_stream")
        self.socket = network.get_extra_info("socket") if network is not None else None
        # `iter_bytes` would look for a content encoding in each chunk; the body decompresses itself.
        chunks = http.iter_bytes() if http.is_stream_consumed else http.iter_raw()
        number = next(_body_numbers)
        _open_bodies[number] = chunks
        self.stack.callback(_open_bodies.pop, number)
        return Opened(http.status_code, http.headers), chunks

    def finalise(self) -> None:
        """Finaliser for an unclosed stream. May run inside the garbage collector while the client's lock is held:
        shuts the socket down now, and defers the client's part."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
        _deferred.append(self.stack.pop_all())


_open_bodies: dict[int, Iterator[bytes]] = {}
"""Bodies that are being read. Held here because a collected body closes itself, which would wait for the client's lock
inside the garbage collector."""
_body_numbers = itertools.count()
_deferred: collections.deque[contextlib.ExitStack] = collections.deque()
"""Connections of unclosed streams, to be returned to their pool by the next request of any thread."""


def _close_deferred() -> None:
    while _deferred:
        with contextlib.suppress(Exception):
            _deferred.popleft().close()


def _read_rest(chunks: Iterator[bytes]) -> None:
    with contextlib.suppress(Exception), deadline(time.monotonic() + REST_SECONDS):
        for _ in chunks:
            pass


async def _aread_rest(chunks: Any) -> None:
    with contextlib.suppress(Exception), anyio.move_on_after(REST_SECONDS):
        async for _ in chunks:
            pass


def _batches(state: _StreamState) -> Generator[list[Event], None, None]:
    _close_deferred()
    state.client, machine = state.prepare()
    state.machine = machine
    steps = machine.steps()
    result: Any = None
    chunks: Iterator[bytes] = iter(())
    with state.stack:
        while True:
            try:
                step = steps.send(result)
            except StopIteration:
                _read_rest(chunks)
                return
            result = None
            match step:
                case Read():
                    try:
                        with deadline(machine.deadline):
                            result = next(chunks, b"")
                    except Exception as error:
                        result = error
                case list():
                    try:
                        yield step
                    except GeneratorExit:
                        if not state.closing:
                            state.finalise()
                        raise
                case Open(call):
                    try:
                        result, chunks = state.open(call, machine)
                    except Exception as error:
                        result = error
                case Sleep(seconds):
                    time.sleep(seconds)


class Stream(Closing):
    """Events while they arrive. The request is sent when the first is read."""

    def __init__(self, prepare: Callable[[], tuple[together.Together, RequestMachine]]) -> None:
        """`prepare` makes the client and the machine when the first event is read."""
        self._state = _StreamState(prepare)
        self._iterator = _batches(self._state)
        self._events = single(self._iterator)

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def batches(self) -> Iterator[list[Event]]:
        """The events of each chunk of the body together. In place of the iteration over single events."""
        return self._iterator

    def interrupt(self) -> None:
        """Ends the answer behind the events that have arrived; the connection is closed then."""
        if self._state.machine is not None:
            self._state.machine.interrupt()

    def close(self) -> None:
        """Closes the connection; the service then stops generating."""
        self._state.closing = True
        self._iterator.close()
        self._state.stack.close()

    @property
    def reply(self) -> Reply:
        """The reply so far. Raises `ValueError` before the request is sent."""
        return _reply(self._state.machine)


class AsyncStream(AsyncClosing):
    """`Stream`, awaited."""

    def __init__(self, prepare: Callable[[], Awaitable[tuple[together.AsyncTogether, RequestMachine]]]) -> None:
        """`prepare` makes the client and the machine in the event loop that sends the request."""
        self._prepare = prepare
        self._client: together.AsyncTogether | None = None
        self._machine: RequestMachine | None = None
        self._stack = contextlib.AsyncExitStack()
        self._iterator = self._batches()
        self._events = asingle(self._iterator)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    def batches(self) -> AsyncIterator[list[Event]]:
        """The events of each chunk of the body together. In place of the iteration over single events."""
        return self._iterator

    def interrupt(self) -> None:
        """Ends the answer behind the events that have arrived; the connection is closed then."""
        if self._machine is not None:
            self._machine.interrupt()

    async def _batches(self) -> AsyncGenerator[list[Event], None]:
        self._client, machine = await self._prepare()
        self._machine = machine
        steps = machine.steps()
        result: Any = None
        chunks: Any = None
        limit = TaskDeadline()
        self._stack.callback(limit.close)
        async with self._stack:
            while True:
                try:
                    step = steps.send(result)
                except StopIteration:
                    await _aread_rest(chunks)
                    return
                result = None
                match step:
                    case Read():
                        try:
                            result = await limit.read(chunks, machine.deadline)
                        except Exception as error:
                            result = error
                    case list():
                        yield step
                    case Open(call):
                        result, chunks = await self._open(call, machine)
                    case Sleep(seconds):
                        await anyio.sleep(seconds)

    async def _open(self, call: SdkCall, machine: RequestMachine) -> tuple[Any, Any]:
        return await run_cancellable(lambda: self._open_in_time(call, machine))

    async def _open_in_time(self, call: SdkCall, machine: RequestMachine) -> tuple[Any, Any]:
        with anyio.move_on_after(_seconds_left(machine)):
            try:
                request = _sdk_request(self._client, call, machine)
                response = await self._stack.enter_async_context(request)
                http = response.http_response
                guard(http)
                if call.stream:
                    read_in_large_steps(http)
                chunks = http.aiter_bytes() if http.is_stream_consumed else http.aiter_raw()
                return Opened(response.status_code, response.headers), chunks
            except Exception as error:
                return error, None
        return DeadlinePassed(), None

    async def aclose(self) -> None:
        """Closes the connection; the service then stops generating."""
        await self._iterator.aclose()
        await self._stack.aclose()

    @property
    def reply(self) -> Reply:
        """The reply so far. Raises `ValueError` before the request is sent."""
        return _reply(self._machine)
