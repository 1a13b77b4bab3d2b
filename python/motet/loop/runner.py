"""Carries out the commands of a loop, sync and async side by side."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

from motet import _core
from motet._context import AsyncClosing, Closing
from motet._core import Event
from motet.asking.answer import Answer
from motet.asking.client import ModelClient
from motet.asking.request import PreparedRequest
from motet.loop.executor import aexecute, execute
from motet.loop.machine import Ask, AwaitDecision, Execute, Loop, ToolResultsReady
from motet.loop.run import Run, Step

__all__ = ["AsyncRunStream", "RunStream"]


def _result_events(step: Step) -> Iterator[Event]:
    """The results of a step's calls, as events."""
    for place, record in enumerate(step.calls):
        index = len(step.message.content) + place
        # A built-in tool's recipient is its whole name.
        author = record.call.recipient or _core.function_recipient(record.call.name)
        header = ("tool", author, "commentary", "assistant", None)
        yield Event("start", "tool_result", index, "", *header)
        yield Event("delta", "tool_result", index, record.content, *header)
        yield Event("end", "tool_result", index, "", *header, "end")


class RunStream(Closing):
    """The events of a run: those of each answer, then those of its tool results. `run` is the run so far."""

    def __init__(self, client: ModelClient, loop: Loop, *, stream_events: bool) -> None:
        self._client = client
        self._loop = loop
        self._stream_events = stream_events
        self._events = self._drive()

    @property
    def run(self) -> Run:
        """The run so far."""
        return self._loop.run

    def __iter__(self) -> Iterator[Any]:
        return self._events

    def _drive(self) -> Generator[Any, Any, None]:
        answer: Any = None
        failed: BaseException | None = None
        with contextlib.closing(self._loop.commands()) as commands:
            while True:
                try:
                    command = commands.send(answer) if failed is None else commands.throw(failed)
                except StopIteration:
                    return
                answer, failed = None, None
                try:
                    match command:
                        case Ask(prepared) if self._stream_events:
                            answer = yield from self._stream(prepared)
                        case Ask(prepared):
                            answer = self._client.ask(prepared)
                        case Execute(calls):
                            execute(calls, parallel=self._loop.parallel)
                        case ToolResultsReady(step):
                            if self._stream_events:
                                yield from _result_events(step)
                        case AwaitDecision() as pending:
                            answer = yield pending
                except GeneratorExit:
                    raise
                except BaseException as error:
                    failed = error

    def _stream(self, prepared: PreparedRequest) -> Generator[Event, None, Answer[Any]]:
        with self._client.stream(prepared) as stream:
            try:
                yield from stream
                return stream.answer
            except Exception:
                raise
            except BaseException:
                # On close or Ctrl-C, record the partial answer here; errors carry their own.
                with contextlib.suppress(ValueError):
                    self._loop.record_aborted(stream.answer)
                raise

    def close(self) -> None:
        """Stops the run and closes the connection; `run` keeps the state."""
        self._events.close()

    def finish(self) -> Run:
        """Runs to the end and returns the run."""
        for _ in self._events:
            pass
        return self.run


class AsyncRunStream(AsyncClosing):
    """`RunStream`, awaited."""

    def __init__(self, client: ModelClient, loop: Loop, *, stream_events: bool) -> None:
        self._client = client
        self._loop = loop
        self._stream_events = stream_events
        self._events = self._drive()
        self._result: Any = None

    @property
    def run(self) -> Run:
        """The run so far."""
        return self._loop.run

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._events

    async def _drive(self) -> AsyncGenerator[Any, None]:
        answer: Any = None
        failed: BaseException | None = None
        with contextlib.closing(self._loop.commands()) as commands:
            while True:
                try:
                    command = commands.send(answer) if failed is None else commands.throw(failed)
                except StopIteration:
                    return
                answer, failed = None, None
                try:
                    match command:
                        case Ask(prepared) if self._stream_events:
                            async with contextlib.aclosing(self._stream(prepared)) as events:
                                async for event in events:
                                    yield event
                            answer = self._result
                        case Ask(prepared):
                            answer = await self._client.aask(prepared)
                        case Execute(calls):
                            await aexecute(calls, parallel=self._loop.parallel)
                        case ToolResultsReady(step):
                            if self._stream_events:
                                for event in _result_events(step):
                                    yield event
                        case AwaitDecision() as pending:
                            yield pending
                            answer = self._result
                except GeneratorExit:
                    raise
                except BaseException as error:
                    failed = error

    async def _stream(self, prepared: PreparedRequest) -> AsyncGenerator[Event, None]:
        async with self._client.astream(prepared) as stream:
            try:
                async for event in stream:
                    yield event
                self._result = stream.answer
            except Exception:
                raise
            except BaseException:
                # On close or Ctrl-C, record the partial answer here; errors carry their own.
                with contextlib.suppress(ValueError):
                    self._loop.record_aborted(stream.answer)
                raise

    async def aclose(self) -> None:
        """Stops the run and closes the connection; `run` keeps the state."""
        await self._events.aclose()

    async def finish(self) -> Run:
        """Runs to the end and returns the run."""
        async for _ in self._events:
            pass
        return self.run
