"""Doing what a `Loop` asks for: models asked and tools called, with and without `await`. Nothing is decided here."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import inspect
import json
import queue
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from motet._context import AsyncClosing, Closing
from motet._core import Event
from motet.asking.answer import Answer
from motet.asking.stream import AnswerStream, AsyncAnswerStream
from motet.loop.machine import Ask, Decide, Execute, Loop, Ready, Told, refused
from motet.loop.run import CallRecord, Run, Signal, Step
from motet.message import Message, ToolCall

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

SIDE_BY_SIDE = 32
"""Calls that run at the same time; further ones wait for one of them to end."""


def _execute(calls: tuple[Ready, ...], *, parallel: bool) -> None:
    """Makes calls, each in a thread of its own. What the disk refuses, and what is no `Exception`, ends the run: no
    further call is begun then, and those at work are waited for, so that what they did is known."""
    ended: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
    running = _Running(calls, parallel=parallel)
    while running.more():
        for one in running.begin():
            # A thread that is left behind when its time is up must not keep the process alive.
            work = contextvars.copy_context().run
            threading.Thread(
                target=work, args=(_make, one, ended.put), name=f"tool-{one.call.name}", daemon=True
            ).start()
        if running.more():
            with contextlib.suppress(queue.Empty):
                # Without a time limit a thread that waits could not be interrupted on every platform.
                running.end(ended.get(timeout=running.seconds(3600.0)))
            running.give_up()
    running.check()


async def _aexecute(calls: tuple[Ready, ...], *, parallel: bool) -> None:
    """`_execute`, awaited: async tools are tasks, and others have threads."""
    ended: asyncio.Queue[_Ended] = asyncio.Queue()
    running = _Running(calls, parallel=parallel)
    tasks: dict[int, asyncio.Task[None]] = {}
    try:
        while running.more():
            for one in running.begin():
                tasks[id(one)] = asyncio.create_task(_amake(one, ended.put_nowait))
            if running.more():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(running.seconds(None)):
                        running.end(await ended.get())
                for late in running.give_up():
                    tasks[id(late)].cancel()
    finally:
        left = [task for task in tasks.values() if not task.done()]
        for task in left:
            task.cancel()
        if left:
            # They may have to clean up; but those that do not heed it are left behind.
            _, behind = await asyncio.wait(left, timeout=0.5)
            _left_behind.update(behind)
            for task in behind:
                task.add_done_callback(_left_behind.discard)
    running.check()


_left_behind: set[asyncio.Task[None]] = set()
"""A task that nobody holds may vanish, with a warning."""

_Ended: TypeAlias = tuple[Ready, tuple[str, str | None], BaseException | None]


class _Running:
    """The calls of a step: those that wait, and those at work."""

    def __init__(self, calls: tuple[Ready, ...], *, parallel: bool) -> None:
        self._waiting = collections.deque(calls)
        self._at_work: dict[int, Ready] = {}
        self._most = SIDE_BY_SIDE if parallel else 1
        self._failed: BaseException | None = None

    def more(self) -> bool:
        return bool(self._at_work) or (bool(self._waiting) and self._failed is None)

    def begin(self) -> Iterator[Ready]:
        """Begins as many as may be at work, and gives them to be made."""
        while self._waiting and self._failed is None and len(self._at_work) < self._most:
            one = self._waiting.popleft()
            try:
                one.begin()
            except Exception as error:
                self._failed = error
            else:
                self._at_work[id(one)] = one
                yield one

    def seconds(self, default: float | None) -> float | None:
        """Until the first of them has to be given up."""
        ends = [one.deadline for one in self._at_work.values() if one.deadline is not None]
        return max(min(ends) - time.monotonic(), 0.0) if ends else default

    def end(self, ended: _Ended) -> None:
        """One has ended. What was given up before is heard no more."""
        one, told, error = ended
        if self._at_work.pop(id(one), None) is None:
            return
        if error is not None and not isinstance(error, Exception):
            # It may have done its work or not: it counts as begun, and not as ended.
            self._failed = self._failed or error
            return
        self._note(one, told, error)

    def give_up(self) -> list[Ready]:
        """Those whose time is up."""
        now = time.monotonic()
        late = [one for one in self._at_work.values() if one.deadline is not None and one.deadline <= now]
        for one in late:
            del self._at_work[id(one)]
            self._note(one, error=one.late())
        return late

    def _note(self, one: Ready, told: tuple[str, str | None] = ("", None), error: Exception | None = None) -> None:
        try:
            one.end(told, error)
        except Exception as error:
            self._failed = self._failed or error

    def check(self) -> None:
        """Raises what ended the run."""
        if self._failed is not None:
            raise self._failed


def _make(one: Ready, ended: Callable[[_Ended], None]) -> None:
    try:
        value = one.make()
        if inspect.isawaitable(value):
            value = asyncio.run(_within(value, one))
        told = one.told(value)
    except BaseException as error:
        ended((one, ("", None), _heard(error)))
    else:
        ended((one, told, None))


def _heard(error: BaseException) -> BaseException:
    """What a tool raised. That something within it was cancelled is its own failure, and nobody else's."""
    return RuntimeError("it was cancelled") if isinstance(error, asyncio.CancelledError) else error


async def _within(value: Any, one: Ready) -> Any:
    """Cancels what takes too long: nobody waits for it any more."""
    try:
        async with asyncio.timeout(one.timeout) as limit:
            return await value
    except TimeoutError:
        if limit.expired():
            raise one.late() from None
        raise


async def _amake(one: Ready, ended: Callable[[_Ended], None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    try:
        value, told = (one.make(), None) if one.tool.is_async else await _in_thread(one)
        if inspect.isawaitable(value):
            told = one.told(await value)
    except BaseException as error:
        if task.cancelling():
            raise
        ended((one, ("", None), _heard(error)))
    else:
        assert told is not None
        ended((one, told, None))


async def _in_thread(one: Ready) -> tuple[Any, tuple[str, str | None] | None]:
    """A call of a function that is not async: what it gave, and that as text, unless it is to be awaited. Not with a
    pool, whose threads keep a process alive."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, Any, BaseException | None]] = loop.create_future()

    def settle(*result: Any) -> None:
        if not done.done():
            done.set_result(result)

    def work() -> None:
        value, told, error = None, None, None
        try:
            value = one.make()
            told = None if inspect.isawaitable(value) else one.told(value)
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):
            # If the loop has ended, nobody waits.
            loop.call_soon_threadsafe(settle, value, told, error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name=f"tool-{one.call.name}", daemon=True).start()
    value, told, error = await done
    if error is not None:
        raise error
    return value, told


def _told(step: Step) -> Iterator[Event]:
    """The results of a step's calls, as events."""
    for place, record in enumerate(step.calls):
        index = len(step.message.content) + place
        # The name of a built-in tool is whole.
        author = record.call.recipient or f"functions.{record.call.name}"
        header = ("tool", author, "commentary", "assistant", None)
        yield Event("start", "tool_result", index, "", *header)
        yield Event("delta", "tool_result", index, record.content, *header)
        yield Event("end", "tool_result", index, "", *header, "end")


# Runs.


class RunStream(Closing):
    """The events of a run, step by step: what the model writes, and what the tools answer. `run` is the run so far."""

    def __init__(self, brain: Asker, loop: Loop, *, listen: bool) -> None:
        self._brain = brain
        self._loop = loop
        self._listen = listen
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
                        case Ask(prompt, options) if self._listen:
                            answer = yield from self._heard(prompt, options)
                        case Ask(prompt, options):
                            answer = self._brain.ask(prompt, **options)
                        case Execute(calls):
                            _execute(calls, parallel=self._loop.parallel)
                        case Told(step):
                            if self._listen:
                                yield from _told(step)
                        case Decide() as pending:
                            answer = yield pending
                except GeneratorExit:
                    raise
                except BaseException as error:
                    failed = error

    def _heard(self, prompt: Any, options: Any) -> Generator[Event, None, Answer[Any]]:
        with self._brain.stream(prompt, **options) as stream:
            try:
                yield from stream
                return stream.answer
            except Exception:
                raise
            except BaseException:
                # Somebody leaves it, or Ctrl-C ends it: errors bring along what arrived, and these do not.
                with contextlib.suppress(ValueError):
                    self._loop.left(stream.answer)
                raise

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

    def __init__(self, brain: Asker, loop: Loop, *, listen: bool) -> None:
        self._brain = brain
        self._loop = loop
        self._listen = listen
        self._events = self._drive()
        self._given: Any = None

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
                        case Ask(prompt, options) if self._listen:
                            async with contextlib.aclosing(self._heard(prompt, options)) as events:
                                async for event in events:
                                    yield event
                            answer = self._given
                        case Ask(prompt, options):
                            answer = await self._brain.aask(prompt, **options)
                        case Execute(calls):
                            await _aexecute(calls, parallel=self._loop.parallel)
                        case Told(step):
                            if self._listen:
                                for event in _told(step):
                                    yield event
                        case Decide() as pending:
                            yield pending
                            answer = self._given
                except GeneratorExit:
                    raise
                except BaseException as error:
                    failed = error

    async def _heard(self, prompt: Any, options: Any) -> AsyncGenerator[Event, None]:
        async with self._brain.astream(prompt, **options) as stream:
            try:
                async for event in stream:
                    yield event
                self._given = stream.answer
            except Exception:
                raise
            except BaseException:
                # Somebody leaves it, or Ctrl-C ends it: errors bring along what arrived, and these do not.
                with contextlib.suppress(ValueError):
                    self._loop.left(stream.answer)
                raise

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
        self._decided = (self._ready, refused(self.call, reason))

    def replace(self, arguments: str | Mapping[str, Any]) -> None:
        """It is made with other arguments, as JSON or as values; the model sees them as its own. Raises
        `InvalidArgumentsError`."""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        self._decided = (self._loop.ready(self._ready.place, replace(self.call, arguments=arguments)), None)

    def give(self, value: Any, *, signal: Signal = "success") -> None:
        """It is not made: this value is its result."""
        content, whole = self._ready.told(value)
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
            self._given = step.decisions()
