"""Doing what a `Loop` asks for: models asked and tools called, with and without `await`. Nothing is decided here."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import queue
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from motet._core import Event
from motet.answers import Answer
from motet.closing import AsyncClosing, Closing
from motet.loop import Ask, Decide, Execute, Loop, Ready, Told
from motet.message import Message, ToolCall
from motet.runs import CallRecord, Run, Step
from motet.streams import AnswerStream, AsyncAnswerStream
from motet.tools import result_text

__all__ = ["AsyncRunStream", "AsyncStepLoop", "PendingCall", "PendingStep", "RunStream", "StepLoop"]


class Asker(Protocol):
    """What a loop needs of an atom."""

    @property
    def ask(self) -> Callable[..., Answer[Any]]: ...
    @property
    def aask(self) -> Callable[..., Awaitable[Answer[Any]]]: ...
    @property
    def stream(self) -> Callable[..., AnswerStream]: ...
    @property
    def astream(self) -> Callable[..., AsyncAnswerStream]: ...


# Tools.


def _execute(calls: tuple[Ready, ...], *, parallel: bool) -> None:
    """Makes calls: side by side in threads, or one after the other."""
    if not parallel:
        for one in calls:
            _execute_together((one,))
    else:
        _execute_together(calls)


def _execute_together(calls: tuple[Ready, ...]) -> None:
    ended: queue.SimpleQueue[tuple[Ready, Any, BaseException | None]] = queue.SimpleQueue()
    for one in calls:
        one.begin()
        # A thread that is left behind when its time is up must not keep the process alive.
        work = contextvars.copy_context().run
        threading.Thread(target=work, args=(_make, one, ended), name=f"tool-{one.call.name}", daemon=True).start()
    waiting = {id(one): one for one in calls}
    while waiting:
        deadline = min([one.started + one.timeout for one in waiting.values() if one.timeout is not None], default=None)
        try:
            # Without a time limit a thread that waits could not be interrupted on every platform.
            left = 3600.0 if deadline is None else max(deadline - time.monotonic(), 0.0)
            one, value, error = ended.get(timeout=left)
        except queue.Empty:
            for late in [one for one in waiting.values() if one.timeout is not None]:
                if time.monotonic() >= late.started + (late.timeout or 0.0):
                    late.end(error=_too_late(late))
                    del waiting[id(late)]
            continue
        if waiting.pop(id(one), None) is not None:
            if error is not None and not isinstance(error, Exception):
                raise error
            one.end(value, error)


def _make(one: Ready, ended: queue.SimpleQueue[tuple[Ready, Any, BaseException | None]]) -> None:
    try:
        value = one.make()
        if inspect.isawaitable(value):
            value = asyncio.run(_awaited(value))
        ended.put((one, value, None))
    except BaseException as error:
        ended.put((one, None, error))


async def _awaited(value: Any) -> Any:
    return await value


def _too_late(one: Ready) -> TimeoutError:
    return TimeoutError(f"no result within {one.timeout:g} s; the tool may still be at work")


async def _aexecute(calls: tuple[Ready, ...], *, parallel: bool) -> None:
    if not parallel:
        for one in calls:
            await _aexecute_one(one)
        return
    import anyio

    for one in calls:
        one.begin()
    async with anyio.create_task_group() as group:
        for one in calls:
            group.start_soon(_amake, one)


async def _aexecute_one(one: Ready) -> None:
    one.begin()
    await _amake(one)


async def _amake(one: Ready) -> None:
    import anyio

    with anyio.move_on_after(one.timeout):
        try:
            if one.tool.is_async:
                value = await one.make()
            else:
                value = await anyio.to_thread.run_sync(one.make, abandon_on_cancel=True)
                value = await value if inspect.isawaitable(value) else value
        except Exception as error:
            one.end(error=error)
        else:
            one.end(value)
        return
    one.end(error=_too_late(one))


def _told(step: Step) -> Iterator[Event]:
    """The results of a step's calls, as events."""
    for place, record in enumerate(step.calls):
        index = len(step.message.content) + place
        header = ("tool", f"functions.{record.call.name}", "commentary", "assistant", None)
        yield Event("start", "tool_result", index, "", *header)
        yield Event("delta", "tool_result", index, record.content, *header)
        yield Event("end", "tool_result", index, "", *header, "end")


# Runs.


class RunStream(Closing):
    """The events of a run, step by step: what the model writes, and what the tools answer. `run` is the run so far."""

    def __init__(self, brain: Asker, loop: Loop, *, parallel: bool, listen: bool) -> None:
        self._brain = brain
        self._loop = loop
        self._parallel = parallel
        self._listen = listen
        self._events = self._drive()

    @property
    def run(self) -> Run:
        """The run so far."""
        return self._loop.run

    def __iter__(self) -> Iterator[Any]:
        return self._events

    def _drive(self) -> Generator[Any, Any, None]:
        commands = self._loop.commands()
        answer: Any = None
        failed: BaseException | None = None
        while True:
            try:
                command = commands.send(answer) if failed is None else commands.throw(failed)
            except StopIteration:
                return
            answer, failed = None, None
            try:
                match command:
                    case Ask(prompt, options) if self._listen:
                        with self._brain.stream(prompt, **options) as stream:
                            yield from stream
                            answer = stream.answer
                    case Ask(prompt, options):
                        answer = self._brain.ask(prompt, **options)
                    case Execute(calls):
                        _execute(calls, parallel=self._parallel)
                    case Told(step):
                        if self._listen:
                            yield from _told(step)
                    case Decide() as pending:
                        answer = yield pending
            except Exception as error:
                failed = error

    def close(self) -> None:
        """Ends the run where it is, and closes the connection; the state is in `run`."""
        self._events.close()

    def finish(self) -> Run:
        """Goes on to the end. Gives the run."""
        for _ in self._events:
            pass
        return self.run


class AsyncRunStream(AsyncClosing):
    """`RunStream`, awaited."""

    def __init__(self, brain: Asker, loop: Loop, *, parallel: bool, listen: bool) -> None:
        self._brain = brain
        self._loop = loop
        self._parallel = parallel
        self._listen = listen
        self._events = self._drive()
        self._decided: Any = None

    @property
    def run(self) -> Run:
        """The run so far."""
        return self._loop.run

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._events

    async def _drive(self) -> AsyncGenerator[Any, None]:
        commands = self._loop.commands()
        answer: Any = None
        failed: BaseException | None = None
        while True:
            try:
                command = commands.send(answer) if failed is None else commands.throw(failed)
            except StopIteration:
                return
            answer, failed = None, None
            try:
                match command:
                    case Ask(prompt, options) if self._listen:
                        async with self._brain.astream(prompt, **options) as stream:
                            async for event in stream:
                                yield event
                            answer = stream.answer
                    case Ask(prompt, options):
                        answer = await self._brain.aask(prompt, **options)
                    case Execute(calls):
                        await _aexecute(calls, parallel=self._parallel)
                    case Told(step):
                        if self._listen:
                            for event in _told(step):
                                yield event
                    case Decide() as pending:
                        yield pending
                        answer = self._decided
            except Exception as error:
                failed = error

    async def aclose(self) -> None:
        """Ends the run where it is, and closes the connection; the state is in `run`."""
        await self._events.aclose()

    async def finish(self) -> Run:
        """Goes on to the end. Gives the run."""
        async for _ in self._events:
            pass
        return self.run


# By hand.


class PendingCall:
    """A call that waits for a decision."""

    def __init__(self, loop: Loop, ready: Ready) -> None:
        self._loop = loop
        self._ready = ready
        self._decided: tuple[Ready, CallRecord | None] | None = None

    @property
    def call(self) -> ToolCall:
        return self._ready.call

    @property
    def name(self) -> str:
        return self.call.name

    @property
    def arguments(self) -> str:
        return self.call.arguments

    def args(self) -> Any:
        """The arguments as Python values."""
        return self.call.args()

    def approve(self) -> None:
        """It is made as it stands."""
        self._decided = (self._ready, None)

    def deny(self, reason: str = "the user denied the call") -> None:
        """It is not made, and the model is told why."""
        self.give({"error": reason, "signal": "error:constraint"}, signal="error:constraint")

    def replace(self, arguments: str) -> None:
        """It is made with other arguments (JSON); the model sees them as its own. Raises `InvalidArgumentsError`."""
        self._decided = (self._loop.ready(self._ready.place, replace(self.call, arguments=arguments)), None)

    def give(self, value: Any, *, signal: Any = "success") -> None:
        """It is not made: this value is its result."""
        content, whole = result_text(value)
        self._decided = (self._ready, CallRecord(self.call, signal, content, 0.0, whole))

    def __repr__(self) -> str:
        return f"PendingCall({self.name}, {self.arguments})"


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A step whose calls wait for decisions. What is not decided when the loop goes on is denied."""

    n: int
    message: Message
    calls: tuple[PendingCall, ...]

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def reasoning(self) -> str:
        return self.message.reasoning

    def approve(self) -> None:
        """All its calls are made."""
        for call in self.calls:
            call.approve()

    def deny(self, reason: str = "the user denied the call") -> None:
        """None of its calls is made."""
        for call in self.calls:
            call.deny(reason)

    def decisions(self) -> list[tuple[Ready, CallRecord | None]]:
        """What was decided about each call."""
        decided = []
        for call in self.calls:
            if call._decided is None:
                call.deny("nobody approved the call")
            assert call._decided is not None
            decided.append(call._decided)
        return decided


def _pending(loop: Loop, command: Decide) -> PendingStep:
    calls = tuple([PendingCall(loop, ready) for ready in command.calls])
    return PendingStep(command.step.n, command.step.message, calls)


class StepLoop(RunStream):
    """A run by hand: each step is yielded before its calls are made."""

    def __iter__(self) -> Iterator[PendingStep]:
        command = next(self._events, None)
        while command is not None:
            step = _pending(self._loop, command)
            yield step
            try:
                command = self._events.send(step.decisions())
            except StopIteration:
                return


class AsyncStepLoop(AsyncRunStream):
    """`StepLoop`, awaited."""

    async def __aiter__(self) -> AsyncIterator[PendingStep]:
        async for command in self._events:
            step = _pending(self._loop, command)
            yield step
            self._decided = step.decisions()
