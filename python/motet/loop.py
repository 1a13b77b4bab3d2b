"""The tool loop: ask, call, answer, until the model has answered. It knows `ask` and tools, and never tokens.

`Loop.commands` decides and waits for nothing: it yields what is to be asked and called, and is sent what came. The
drivers at the end do that, with and without `await`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

from motet import _core
from motet.answers import Answer
from motet.catalog import Spec, to_money
from motet.errors import (
    ConfigError,
    InvalidArgumentsError,
    LimitError,
    MaxCostError,
    MaxStepsError,
    MaxTimeError,
    MaxTokensError,
    MotetError,
    RepeatedCallError,
    RequestTimeoutError,
    ToolConstraintError,
    TruncatedOutputError,
    UnfinishedCallError,
)
from motet.limits import Limits
from motet.message import Message, Reasoning, Text, ToolCall
from motet.metrics import Metrics, cash
from motet.question import Options, Prompt, conversation
from motet.runs import CallRecord, Run, Signal, Step, Store
from motet.tools import Tool, builtin_tools, result_text, to_tool

__all__ = ["Ask", "Command", "Decide", "Execute", "Loop", "Ready", "RunOptions", "Told", "Unfinished"]

Unfinished: TypeAlias = Literal["raise", "rerun", "skip"] | Callable[[ToolCall], Any]


class RunOptions(Options, total=False):
    """What `run`, `steps` and `resume` take, with their async twins: `Options`, and these. The limits `max_tokens`,
    `max_reasoning_tokens` and `max_cost` are for the whole run."""

    checkpoint: str | Path | None
    """A file that holds the run after each step; beside it a journal of the calls."""
    parallel: bool
    """Whether calls that the model makes together run side by side (the default); results keep their order."""
    allow_text_calls: bool
    """Whether calls are run that were read from text, where an answer that quotes one looks alike. Default: no."""
    tool_timeout: float | None
    """Seconds for a call, unless its tool says otherwise. Default: none."""
    max_steps: int | None
    """How often the model is asked. Default: 20."""
    max_time: float | None
    """Seconds for the whole run. Default: no limit."""
    max_repeats: int | None
    """How often the very same calls may be made in a row. Default: 5."""


_OF_LIMITS = tuple(Limits.__dataclass_fields__)
_OF_LOOP = ("checkpoint", "parallel", "allow_text_calls", "tool_timeout")
_OF_CONVERSATION = ("briefs", "on", "tools", "builtin_tools")


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the model. The answer is an `Answer`; an error is thrown in."""

    prompt: tuple[Message, ...]
    options: Mapping[str, Any]


@dataclass(slots=True)
class Ready:
    """A call that can be made."""

    loop: Loop
    place: int
    call: ToolCall
    tool: Tool
    make: Callable[[], Any]
    timeout: float | None
    record: CallRecord | None = None
    started: float = 0.0

    def begin(self) -> None:
        """To be called before the call is made, which counts as begun from here on. Raises if the disk cannot hold
        that."""
        if self.loop.store is not None:
            self.loop.store.begin(self.loop.run.steps[-1].n, self.place, self.call)
        self.started = time.monotonic()

    def end(self, value: Any = None, error: BaseException | None = None) -> None:
        """To be called when the call was made, with what it gave or raised."""
        if self.record is not None:
            return
        whole = None
        signal: Signal
        try:
            if error is not None:
                raise error
            signal = "success"
            content, whole = result_text(value, self.tool.max_result)
        except ToolConstraintError as refused:
            signal, content = "error:constraint", _told(str(refused), "error:constraint")
        except Exception as failed:
            said = f"{type(failed).__name__}: {failed}"[:_LONGEST_ERROR]
            signal, content = "error:malfunction", _told(said, "error:malfunction")
        self.record = CallRecord(self.call, signal, content, time.monotonic() - self.started, whole)
        if self.loop.store is not None:
            self.loop.store.end(self.loop.run.steps[-1].n, self.place, self.record)


@dataclass(frozen=True, slots=True)
class Execute:
    """Make these calls: `begin` each, call it, and `end` it. There is no answer."""

    calls: tuple[Ready, ...]


@dataclass(frozen=True, slots=True)
class Decide:
    """A person may decide about these calls. The answer is those that are to be made, as `(Ready, CallRecord | None)`:
    a record is a result that stands in for the call."""

    step: Step
    calls: tuple[Ready, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """The results of a step, as the model will be told of them. There is no answer."""

    step: Step


Command: TypeAlias = Ask | Execute | Decide | Told

_LONGEST_ERROR = 2000
"""Characters of an error's text that the model is shown."""


def _told(message: str, signal: Signal) -> str:
    """An error, as the model is told of it."""
    message = message.encode("utf-8", "backslashreplace").decode("utf-8")
    return json.dumps({"error": message, "signal": signal}, ensure_ascii=False)


class Loop:
    """A run and what decides how it goes on. `run` is the state; it is replaced, never changed."""

    def __init__(
        self,
        run: Run,
        tools: Sequence[Tool],
        *,
        limits: Limits,
        options: Mapping[str, Any],
        store: Store | None,
        allow_text_calls: bool,
        tool_timeout: float | None,
        worst_case: Callable[[], Decimal],
        by_hand: bool = False,
        unfinished: tuple[int, ...] = (),
        policy: Unfinished = "raise",
    ) -> None:
        self.run = run
        self.store = store
        self._tools = {tool.name: tool for tool in tools}
        self._limits = limits
        self._options = dict(options)
        self._allow_text_calls = allow_text_calls
        self._tool_timeout = tool_timeout
        self._by_hand = by_hand
        self._worst_case = worst_case
        self._unfinished = unfinished
        self._policy = policy
        self._began = time.monotonic()

    @classmethod
    def begin(cls, spec: Spec, prompt: Prompt, options: Mapping[str, Any], *, by_hand: bool = False) -> Loop:
        """A new run."""
        before, asked = conversation(prompt, options.get("on"), options.get("briefs") or ())
        run = Run(spec.slug, asked, before, options=_saved(options))
        return cls._of(run, spec, options, by_hand=by_hand)

    @classmethod
    def resume(cls, spec: Spec, state: Run | str | Path, options: Mapping[str, Any], policy: Unfinished) -> Loop:
        """A run that goes on: with its own options, where none are given."""
        unfinished: tuple[int, ...] = ()
        if not isinstance(state, Run):
            options = {"checkpoint": state, **options}
            state, unfinished = Store(Path(state)).load()
        options = {**state.options, **options}
        run = replace(state, options=_saved(options))
        return cls._of(run, spec, options, unfinished=unfinished, policy=policy)

    @classmethod
    def _of(cls, run: Run, spec: Spec, options: Mapping[str, Any], **how: Any) -> Loop:
        unknown = set(options) - set(RunOptions.__annotations__) - {"output"}
        if unknown:
            known = ", ".join(sorted(RunOptions.__annotations__))
            raise TypeError(f"unknown option {', '.join(sorted(unknown))}; known are {known}")
        limits = {name: options[name] for name in _OF_LIMITS if name in options}
        if limits.get("max_cost") is not None:
            limits["max_cost"] = to_money(limits["max_cost"], "max_cost")
        given = options.get("builtin_tools") or {}
        if not isinstance(given, Mapping):
            raise TypeError("in a run, builtin_tools must say who carries them out: {'python': run_code}")
        functions = [to_tool(one) for one in options.get("tools") or ()]
        names = [tool.name for tool in functions]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"two tools have the name {', '.join(sorted(doubled))}")
        own = {*_OF_LIMITS, *_OF_LOOP, *_OF_CONVERSATION}
        rest = {name: value for name, value in options.items() if name not in own}
        checkpoint = options.get("checkpoint")
        return cls(
            run,
            [*functions, *builtin_tools(given)],
            limits=Limits(**limits),
            options={**rest, "tools": functions, "builtin_tools": tuple(given)},
            store=None if checkpoint is None else Store(Path(checkpoint)),
            allow_text_calls=bool(options.get("allow_text_calls")),
            tool_timeout=options.get("tool_timeout"),
            worst_case=lambda: _worst_case(spec),
            **how,
        )

    def commands(self) -> Generator[Command, Any, None]:
        """What is to be done. Raises the error that ends the run, with the run so far in its `state`."""
        try:
            if self.run.steps and not self.run.steps[-1].done:
                self._settle_unfinished()
                yield from self._call()
            else:
                self._save()
            while not self.run.done:
                yield from self._ask()
                if not self.run.done:
                    yield from self._call()
                elif self._by_hand:
                    yield Decide(self.run.steps[-1], ())
        except (MotetError, OSError) as error:
            error.state = self.run  # type: ignore[union-attr]
            raise

    # The model.

    def _ask(self) -> Generator[Command, Any, None]:
        options, bounds = self._bounded()
        try:
            answer: Answer[Any] = yield Ask(self.run.next_input, options)
        except MotetError as error:
            if isinstance(error.partial, Answer):
                # It is no step, so resuming asks again; but it is paid for.
                self.run = replace(self.run, aborted=(*self.run.aborted, error.partial.metrics))
                self._save()
            if isinstance(error, TruncatedOutputError) and "max_tokens" in bounds:
                raise self._reached(MaxTokensError, "max_tokens", error) from error
            if isinstance(error, RequestTimeoutError) and "timeout" in bounds:
                raise self._reached(MaxTimeError, "max_time", error) from error
            raise
        message = self._with_own_ids(answer.message)
        calls = tuple([CallRecord(call) for call in message.tool_calls])
        step = Step(len(self.run.steps) + 1, message, calls, answer.metrics, answer.model)
        self.run = replace(self.run, steps=(*self.run.steps, step), output=answer.output)
        self._save()

    def _bounded(self) -> tuple[dict[str, Any], set[str]]:
        """The options of the next asking, none of them more than the limits leave; and which were cut down to that."""
        limits, steps = self._limits, self.run.steps
        if limits.max_steps is not None and len(steps) >= limits.max_steps:
            raise self._reached(MaxStepsError, "max_steps")
        options, bounds = {**self._options, "on": self.run.episode}, set()
        if steps:
            # To demand a call again and again would never end.
            options.pop("tool_choice", None)
        written = sum([_written(step) for step in steps])
        thought = sum([_thought(step) for step in steps])
        if limits.max_tokens is not None:
            left = limits.max_tokens - written
            if left < 1:
                raise self._reached(MaxTokensError, "max_tokens")
            if (options.get("max_tokens") or left) >= left:
                options["max_tokens"] = left
                bounds.add("max_tokens")
        if limits.max_reasoning_tokens is not None:
            left = limits.max_reasoning_tokens - thought
            if left < 1:
                raise self._reached(MaxTokensError, "max_reasoning_tokens")
            options["max_reasoning_tokens"] = left
        if limits.max_cost is not None:
            taken = [*[step.metrics for step in steps], *self.run.aborted]
            money = limits.max_cost - sum(map(self._cost, taken), Decimal(0))
            if money <= 0:
                raise self._reached(MaxCostError, "max_cost")
            options["max_cost"] = money
        if limits.max_time is not None:
            seconds = self._time_left()
            if options.get("timeout") is None or options["timeout"] >= seconds:
                options["timeout"] = seconds
                bounds.add("timeout")
        return options, bounds

    def _time_left(self) -> float:
        """Seconds that are left. Raises `MaxTimeError` if there are none."""
        assert self._limits.max_time is not None
        left = self._limits.max_time - (time.monotonic() - self._began)
        if left <= 0:
            raise self._reached(MaxTimeError, "max_time")
        return left

    def _cost(self, metrics: Metrics) -> Decimal:
        """What an answer cost. Where the service did not say, the worst: prompt and answer fill the context."""
        cost = metrics.cost.cash.total
        if cost is not None:
            return cost
        return self._worst_case()

    def _reached(self, kind: type[LimitError], name: str, error: MotetError | None = None) -> LimitError:
        limit = getattr(self._limits, name)
        partial = error.partial if error is not None else None
        return kind(
            f"the run has reached {name}={limit} after {len(self.run.steps)} steps; "
            "its state is in .state, and resume() goes on with it under a higher limit",
            limit=limit,
            partial=partial,
            cost=self.run.metrics.cost.cash.total,
        )

    def _with_own_ids(self, message: Message) -> Message:
        """The message, each call with an id that no other call of the conversation has: some servers count from 0 in
        each answer."""
        used = {call.id for earlier in self.run.messages for call in earlier.tool_calls}
        content = []
        for part in message.content:
            if isinstance(part, ToolCall):
                own, number = part.id or "call", 1
                while own in used:
                    number += 1
                    own = f"{part.id or 'call'}-{number}"
                used.add(own)
                part = part if own == part.id else replace(part, id=own)
            content.append(part)
        return replace(message, content=tuple(content))

    # The tools.

    def _call(self) -> Generator[Command, Any, None]:
        self._check_repeats()
        step = self.run.steps[-1]
        records = list(step.calls)
        ready: list[Ready] = []
        for place, record in enumerate(records):
            if record.signal is not None:
                continue
            try:
                ready.append(self._ready(step, place, record.call))
            except (ToolConstraintError, InvalidArgumentsError) as error:
                content = _told(str(error), "error:constraint")
                records[place] = replace(record, signal="error:constraint", content=content)
        if self._by_hand:
            decided = yield Decide(replace(step, calls=tuple(records)), tuple(ready))
            ready = []
            for one, record in decided:
                if record is not None:
                    records[one.place] = record
                else:
                    records[one.place] = CallRecord(one.call)
                    ready.append(one)
        if ready:
            yield Execute(tuple(ready))
            for one in ready:
                assert one.record is not None
                records[one.place] = one.record
        # What a person replaced stands in the message, too: the model is to see what was called.
        calls = iter(records)
        parts = tuple([next(calls).call if isinstance(part, ToolCall) else part for part in step.message.content])
        done = replace(step, message=replace(step.message, content=parts), calls=tuple(records))
        self.run = replace(self.run, steps=(*self.run.steps[:-1], done))
        self._save()
        yield Told(done)

    def _ready(self, step: Step, place: int, call: ToolCall) -> Ready:
        """The call, ready to be made. Raises what the model is told instead."""
        if not call.trusted:
            if not self._allow_text_calls:
                raise ToolConstraintError("calls that are read from text are not run; answer without tools")
            if _after_answer(step.message, place):
                raise ToolConstraintError("a call that stands behind an answer is not run")
        return self.ready(place, call)

    def ready(self, place: int, call: ToolCall) -> Ready:
        """A call of a tool that was given, with arguments that fit."""
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            raise ToolConstraintError(f"there is no tool {call.name}; the tools are: {known}")
        limits = [limit for limit in (tool.timeout, self._tool_timeout) if limit is not None][:1]
        if self._limits.max_time is not None:
            limits.append(self._time_left())
        return Ready(self, place, call, tool, tool.bind(call.arguments), min(limits, default=None))

    def _check_repeats(self) -> None:
        most = self._limits.max_repeats
        if most is None:
            return
        made = [[(record.call.name, record.call.arguments) for record in step.calls] for step in self.run.steps]
        same = 0
        for calls in reversed(made):
            if calls != made[-1]:
                break
            same += 1
        if same > most:
            raise self._reached(RepeatedCallError, "max_repeats")

    def _settle_unfinished(self) -> None:
        """Decides about calls that were begun in another process and not ended there."""
        step = self.run.steps[-1]
        records = list(step.calls)
        unclear = []
        for place in self._unfinished:
            call = records[place].call
            tool = self._tools.get(call.name)
            if self._policy == "rerun" or (tool is not None and tool.idempotent):
                continue
            if self._policy == "skip":
                content = _told("it is not known whether the tool did its work", "error:malfunction")
                records[place] = replace(records[place], signal="error:malfunction", content=content)
            elif callable(self._policy):
                content, whole = result_text(self._policy(call))
                records[place] = CallRecord(call, "success", content, 0.0, whole)
            else:
                unclear.append(call)
        if unclear:
            names = ", ".join([f"{call.name}({call.arguments})" for call in unclear])
            raise UnfinishedCallError(
                f"the run was interrupted within {names}, and whether that did its work is not known; "
                "resume with unfinished='rerun', 'skip', or a function from the call to its result",
                calls=tuple(unclear),
            )
        self.run = replace(self.run, steps=(*self.run.steps[:-1], replace(step, calls=tuple(records))))

    def _save(self) -> None:
        if self.store is not None:
            self.store.save(self.run)


def _saved(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a saved run keeps: those that JSON can hold, and that mean the same elsewhere."""
    kept = {}
    for name, value in options.items():
        if name in (*_OF_CONVERSATION, "checkpoint", "output", "budget"):
            continue
        value = str(value) if isinstance(value, Decimal) else value
        try:
            kept[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            continue
    return kept


def _worst_case(spec: Spec) -> Decimal:
    """What an answer costs at most: a context full of the dearer kind of tokens."""
    price, context = spec.cost.cash, spec.gain.size.context.tokens or 0
    dearest = max((cash(price, context, 0) or 0, cash(price, 0, context) or 0))
    if not dearest:
        raise ConfigError(
            f"the service sent no usage, and the worst case of {spec.slug} is not known; give price= and context="
        )
    return Decimal(dearest)


def _after_answer(message: Message, place: int) -> bool:
    """Whether an answer begins before a call."""
    seen = -1
    for part in message.content:
        if isinstance(part, Text) and part.text.strip():
            return True
        seen += isinstance(part, ToolCall)
        if seen == place:
            return False
    return False


def _written(step: Step) -> int:
    """The tokens of a step; motet's own count, if the service gave none."""
    counted = step.metrics.size.tokens.output
    return counted if counted is not None else sum(_core.count(text) for text in _texts(step.message))


def _thought(step: Step) -> int:
    by_channel = step.metrics.size.tokens.by_channel
    return by_channel["analysis"] if by_channel is not None else _core.count(step.message.reasoning)


def _texts(message: Message) -> list[str]:
    return [
        part.arguments if isinstance(part, ToolCall) else part.text
        for part in message.content
        if isinstance(part, ToolCall | Text | Reasoning)
    ]
