"""Runs by hand: the caller decides on each call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from motet.loop.machine import AwaitDecision, Loop, PreparedCall, denied
from motet.loop.run import CallRecord, Signal
from motet.loop.runner import AsyncRunStream, RunStream
from motet.message import Message, ToolCall

__all__ = ["AsyncStepLoop", "PendingCall", "PendingStep", "StepLoop"]

Decision: TypeAlias = tuple[PreparedCall, CallRecord | None]
"""A call, and the record that replaces it; `None`: the call runs."""


class PendingCall:
    """A call that awaits a decision."""

    def __init__(self, loop: Loop, prepared: PreparedCall) -> None:
        self._loop = loop
        self._prepared = prepared
        self.decision: Decision | None = None

    @property
    def call(self) -> ToolCall:
        return self._prepared.call

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
        """Runs the call unchanged."""
        self.decision = (self._prepared, None)

    def deny(self, reason: str = "the user denied the call") -> None:
        """Does not run the call; `reason` is its result."""
        self.decision = (self._prepared, denied(self.call, reason))

    def replace(self, arguments: str | Mapping[str, Any]) -> None:
        """Runs the call with other arguments, JSON or a dict; the conversation shows them as the model's. Raises
        `InvalidArgumentsError`."""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        self.decision = (self._loop.prepared_call(self._prepared.place, replace(self.call, arguments=arguments)), None)

    def give(self, value: Any, *, signal: Signal = "success") -> None:
        """Does not run the call; `value` is its result."""
        content, full_content = self._prepared.result_text(value)
        self.decision = (self._prepared, CallRecord(self.call, signal, content, 0.0, full_content))

    def __repr__(self) -> str:
        return f"PendingCall({self.name}, {self.arguments})"


@dataclass(frozen=True, slots=True)
class PendingStep:
    """A step whose calls await decisions. Calls without a decision are denied when the loop continues."""

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
        """Approves all calls."""
        for call in self.calls:
            call.approve()

    def deny(self, reason: str = "the user denied the call") -> None:
        """Denies all calls."""
        for call in self.calls:
            call.deny(reason)

    def decisions(self) -> list[Decision]:
        """The decision on each call, in order."""
        decisions = []
        for call in self.calls:
            if call.decision is None:
                call.deny("the call was not approved")
            assert call.decision is not None
            decisions.append(call.decision)
        return decisions


def _pending(loop: Loop, command: AwaitDecision) -> PendingStep:
    calls = tuple([PendingCall(loop, call) for call in command.calls])
    return PendingStep(command.step.n, command.step.message, calls)


class StepLoop(RunStream):
    """A run by hand: each step is yielded before its calls run."""

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
            self._result = step.decisions()
