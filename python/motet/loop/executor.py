"""Runs the tool calls of a step in threads and tasks."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import inspect
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from motet.loop.machine import PreparedCall

__all__ = ["MAX_PARALLEL_CALLS", "aexecute", "execute"]

MAX_PARALLEL_CALLS = 32
"""Calls that run at the same time; further ones start as these end."""

_Outcome: TypeAlias = tuple[PreparedCall, tuple[str, str | None], BaseException | None]
"""A call, the texts of its result, and what it raised."""


def execute(calls: tuple[PreparedCall, ...], *, parallel: bool) -> None:
    """Runs calls, one thread each. A disk error or a non-`Exception` stops the run: no new call starts, and running
    ones are joined so that their results are recorded."""
    outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
    scheduler = CallScheduler(calls, parallel=parallel)
    while scheduler.has_work():
        for call in scheduler.start():
            # Daemon: a thread that outlives its time limit must not keep the process alive.
            run_in_context = contextvars.copy_context().run
            threading.Thread(
                target=run_in_context, args=(_run, call, outcomes.put), name=f"tool-{call.call.name}", daemon=True
            ).start()
        if scheduler.has_work():
            with contextlib.suppress(queue.Empty):
                # On some platforms a wait without a time limit cannot be interrupted by Ctrl-C.
                scheduler.end(outcomes.get(timeout=scheduler.seconds(3600.0)))
            scheduler.give_up()
    scheduler.check()


async def aexecute(calls: tuple[PreparedCall, ...], *, parallel: bool) -> None:
    """`execute`, awaited: async tools run as tasks, sync ones in threads."""
    outcomes: asyncio.Queue[_Outcome] = asyncio.Queue()
    scheduler = CallScheduler(calls, parallel=parallel)
    tasks: dict[int, asyncio.Task[None]] = {}
    try:
        while scheduler.has_work():
            for call in scheduler.start():
                tasks[id(call)] = asyncio.create_task(_arun(call, outcomes.put_nowait))
            if scheduler.has_work():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(scheduler.seconds(None)):
                        scheduler.end(await outcomes.get())
                for late in scheduler.give_up():
                    tasks[id(late)].cancel()
    finally:
        running = [task for task in tasks.values() if not task.done()]
        for task in running:
            task.cancel()
        if running:
            # Half a second for their clean-up; tasks that ignore the cancellation stay in the background.
            _, stuck = await asyncio.wait(running, timeout=0.5)
            _background_tasks.update(stuck)
            for task in stuck:
                task.add_done_callback(_background_tasks.discard)
    scheduler.check()


_background_tasks: set[asyncio.Task[None]] = set()
"""Strong references: asyncio keeps only weak ones to tasks."""


class CallScheduler:
    """The waiting and the running calls of a step."""

    def __init__(self, calls: tuple[PreparedCall, ...], *, parallel: bool) -> None:
        self._waiting = collections.deque(calls)
        self._running: dict[int, PreparedCall] = {}
        self._max_running = MAX_PARALLEL_CALLS if parallel else 1
        self._failure: BaseException | None = None

    def has_work(self) -> bool:
        """True while calls run, or wait and may start."""
        return bool(self._running) or (bool(self._waiting) and self._failure is None)

    def start(self) -> Iterator[PreparedCall]:
        """Begins as many waiting calls as may run, and yields each for its thread or task."""
        while self._waiting and self._failure is None and len(self._running) < self._max_running:
            call = self._waiting.popleft()
            try:
                call.begin()
            except Exception as error:
                self._failure = error
            else:
                self._running[id(call)] = call
                yield call

    def seconds(self, default: float | None) -> float | None:
        """Seconds until the first running call exceeds its time limit; `default` without one."""
        deadlines = [call.deadline for call in self._running.values() if call.deadline is not None]
        return max(min(deadlines) - time.monotonic(), 0.0) if deadlines else default

    def end(self, outcome: _Outcome) -> None:
        """Records an outcome. That of a call which was given up before is ignored."""
        call, texts, error = outcome
        if self._running.pop(id(call), None) is None:
            return
        if error is not None and not isinstance(error, Exception):
            # Its work may be done or not: the call counts as started, without an end.
            self._failure = self._failure or error
            return
        self._record(call, texts, error)

    def give_up(self) -> list[PreparedCall]:
        """The running calls that exceed their time limit; each is recorded as failed."""
        now = time.monotonic()
        late = [call for call in self._running.values() if call.deadline is not None and call.deadline <= now]
        for call in late:
            del self._running[id(call)]
            self._record(call, error=call.timeout_error())
        return late

    def _record(
        self, call: PreparedCall, texts: tuple[str, str | None] = ("", None), error: Exception | None = None
    ) -> None:
        try:
            call.end(texts, error)
        except Exception as error:
            self._failure = self._failure or error

    def check(self) -> None:
        """Raises the error that stopped the run, if there is one."""
        if self._failure is not None:
            raise self._failure


def _run(call: PreparedCall, on_end: Callable[[_Outcome], None]) -> None:
    try:
        value = call.invoke()
        if inspect.isawaitable(value):
            value = asyncio.run(with_timeout(value, call))
        texts = call.result_text(value)
    except BaseException as error:
        on_end((call, ("", None), tool_failure(error)))
    else:
        on_end((call, texts, None))


def tool_failure(error: BaseException) -> BaseException:
    """The error of a tool. A `CancelledError` raised inside a tool is that tool's failure, not a cancellation of the
    run."""
    return RuntimeError("it was cancelled") if isinstance(error, asyncio.CancelledError) else error


async def with_timeout(value: Any, call: PreparedCall) -> Any:
    """Awaits the coroutine of a call, and cancels it when its time limit ends."""
    try:
        async with asyncio.timeout(call.timeout) as limit:
            return await value
    except TimeoutError:
        if limit.expired():
            raise call.timeout_error() from None
        raise


async def _arun(call: PreparedCall, on_end: Callable[[_Outcome], None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    try:
        value, texts = (call.invoke(), None) if call.tool.is_async else await _in_thread(call)
        if inspect.isawaitable(value):
            texts = call.result_text(await value)
    except BaseException as error:
        if task.cancelling():
            raise
        on_end((call, ("", None), tool_failure(error)))
    else:
        assert texts is not None
        on_end((call, texts, None))


async def _in_thread(call: PreparedCall) -> tuple[Any, tuple[str, str | None] | None]:
    """Runs a sync tool in a thread: its value, and the texts of its result unless the value is awaitable.

    A daemon thread, not an executor: executor threads are joined at exit.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, Any, BaseException | None]] = loop.create_future()

    def settle(*result: Any) -> None:
        if not done.done():
            done.set_result(result)

    def work() -> None:
        value, texts, error = None, None, None
        try:
            value = call.invoke()
            texts = None if inspect.isawaitable(value) else call.result_text(value)
        except BaseException as raised:
            error = raised
        # The loop may be closed by now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, texts, error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name=f"tool-{call.call.name}", daemon=True).start()
    value, texts, error = await done
    if error is not None:
        raise error
    return value, texts
