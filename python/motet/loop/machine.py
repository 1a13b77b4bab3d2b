"""The tool loop: ask, call, answer, until the model has answered. It knows `ask` and tools, and never tokens.

`Loop.commands` decides and waits for nothing: it yields what is to be asked and called, and is sent what came. The
drivers at the end do that, with and without `await`.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

from motet.asking.answer import Answer
from motet.asking.request import Options, Prompt, conversation, seconds
from motet.catalog import Spec, to_money
from motet.errors import (
    ConfigError,
    InvalidArgumentsError,
    MotetError,
    ToolConstraintError,
    ToolResultError,
    UnfinishedCallError,
    UnknownToolError,
)
from motet.limits import Limits
from motet.loop.limit_tracker import Bounds, worst_case
from motet.loop.run import CallRecord, Run, Signal, Step, Store
from motet.message import Message, Text, ToolCall
from motet.schema.output import Output
from motet.schema.tool import Tool, builtin_tools, result_text, to_tool

__all__ = ["Ask", "Command", "Decide", "Execute", "Loop", "Ready", "RunOptions", "Told", "Unfinished", "refused"]

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
    """Seconds, from when the run was begun or gone on with. Default: no limit."""
    max_repeats: int | None
    """How often the very same calls may be made in a row. Default: 5."""


_OF_LIMITS = tuple(Limits.__dataclass_fields__)
_OF_LOOP = ("checkpoint", "parallel", "allow_text_calls", "tool_timeout", "by_hand")
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
    record: CallRecord | None = None
    timeout: float | None = None
    """Seconds, from when it is begun."""
    started: float = 0.0

    @property
    def deadline(self) -> float | None:
        """When its time is up, by the monotonic clock."""
        return None if self.timeout is None else self.started + self.timeout

    def begin(self) -> None:
        """To be called before the call is made, which counts as begun from here on. Raises if the disk cannot hold
        that, or if there is no time left."""
        self.timeout = self.loop.time_for(self.tool)
        if self.loop.store is not None:
            self.loop.store.begin(self.place, self.call)
        self.started = time.monotonic()
        self.loop.note(self.place, CallRecord(self.call, begun=True))

    def told(self, value: Any) -> tuple[str, str | None]:
        """A result, as the model is told of it. It is the tool's own time that this takes: a value may be made while it
        is written."""
        return result_text(value, self.tool.max_result)

    def end(self, told: tuple[str, str | None] = ("", None), error: Exception | None = None) -> None:
        """To be called when the call was made, with what `told` gave or what was raised."""
        if self.record is not None:
            return
        content, whole = told
        signal: Signal = "success"
        if error is not None:
            signal, content, whole = *_failed(error), None
        self.record = CallRecord(self.call, signal, content, time.monotonic() - self.started, whole)
        self.loop.note(self.place, self.record)
        if self.loop.store is not None:
            self.loop.store.end(self.place, self.record)

    def late(self) -> TimeoutError:
        """What the model is told when its time is up."""
        return TimeoutError(f"no result within {self.timeout:g} s; the tool may still be at work")


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


def _failed(error: Exception) -> tuple[Signal, str]:
    """The signal of what a tool raised, and what the model is told of it."""
    if isinstance(error, ToolConstraintError):
        return "error:constraint", _told(str(error), "error:constraint")
    said = str(error) if isinstance(error, ToolResultError) else f"{type(error).__name__}: {error}"
    return "error:malfunction", _told(said, "error:malfunction")


def _told(message: str, signal: Signal) -> str:
    """An error, as the model is told of it."""
    message = message[:_LONGEST_ERROR].encode("utf-8", "backslashreplace").decode("utf-8")
    return json.dumps({"error": message, "signal": signal}, ensure_ascii=False)


class Loop:
    """A run and what decides how it goes on. `run` is the state; it is replaced, never changed."""

    def __init__(
        self,
        run: Run,
        tools: Sequence[Tool],
        *,
        bounds: Bounds,
        options: Mapping[str, Any],
        store: Store | None,
        allow_text_calls: bool,
        tool_timeout: float | None,
        parallel: bool = True,
        by_hand: bool = False,
        fresh: bool = True,
        policy: Unfinished = "raise",
    ) -> None:
        self.run = run
        self.store = store
        self.bounds = bounds
        self.parallel = parallel
        self._tools = {tool.name: tool for tool in tools}
        self._options = dict(options)
        self._allow_text_calls = allow_text_calls
        self._tool_timeout = tool_timeout
        self._by_hand = by_hand
        self._fresh = fresh
        self._policy = policy

    @classmethod
    def begin(cls, spec: Spec, prompt: Prompt, options: Mapping[str, Any], *, by_hand: bool = False) -> Loop:
        """A new run."""
        before, asked = conversation(prompt, options.get("on"), options.get("briefs") or ())
        options = {**options, "by_hand": True} if by_hand else options
        run = Run(spec.slug, asked, before, options=_saved(options))
        return cls._of(run, spec, options, None)

    @classmethod
    def resume(
        cls,
        spec: Spec,
        state: Run | str | Path,
        options: Mapping[str, Any],
        policy: Unfinished = "raise",
        *,
        by_hand: bool = False,
    ) -> Loop:
        """A run that goes on: with its own options, where none are given."""
        if policy not in ("raise", "rerun", "skip") and not callable(policy):
            raise ValueError(f"unfinished must be 'raise', 'rerun', 'skip' or a function, not {policy!r}")
        if given := {"briefs", "on"} & set(options):
            raise TypeError(f"{', '.join(sorted(given))} cannot be given to a run that has begun")
        store = None
        if not isinstance(state, Run):
            store = Store(state)
            state = store.load()
        if options.get("checkpoint") is not None and (store is None or Path(options["checkpoint"]) != store.path):
            store = Store(options["checkpoint"])
        if state.options.get("by_hand") and not by_hand:
            raise ConfigError("the run was made by hand, and nobody has approved its calls; go on with steps(run)")
        options = {**state.options, **options, **({"by_hand": True} if by_hand else {})}
        run = replace(state, options=_saved(options))
        return cls._of(run, spec, options, store, fresh=False, policy=policy)

    @classmethod
    def _of(cls, run: Run, spec: Spec, options: Mapping[str, Any], store: Store | None, **how: Any) -> Loop:
        unknown = set(options) - set(RunOptions.__annotations__) - {"output", "by_hand"}
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
        functions_and_builtin = [*functions, *builtin_tools(given)]
        names = [tool.name for tool in functions_and_builtin]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"two tools have the name {', '.join(sorted(doubled))}")
        own = {*_OF_LIMITS, *_OF_LOOP, *_OF_CONVERSATION}
        rest = {name: value for name, value in options.items() if name not in own}
        if how.get("fresh", True) and options.get("checkpoint") is not None:
            store = Store(options["checkpoint"])
        return cls(
            run,
            functions_and_builtin,
            bounds=Bounds(Limits(**limits), lambda: worst_case(spec)),
            options={**rest, "tools": functions, "builtin_tools": tuple(given)},
            store=store,
            allow_text_calls=bool(options.get("allow_text_calls")),
            tool_timeout=seconds(options.get("tool_timeout"), "tool_timeout"),
            parallel=bool(options.get("parallel", True)),
            by_hand=bool(options.get("by_hand")),
            **how,
        )

    def commands(self) -> Generator[Command, Any, None]:
        """What is to be done. Whatever is raised has the run so far in its `state`."""
        try:
            if self.store is not None:
                self.store.open(fresh=self._fresh)
            self._save()
            if self.run.steps and not self.run.steps[-1].done:
                self._settle_unfinished()
                yield from self._call()
            while not self.run.done:
                yield from self._ask()
                if not self.run.done:
                    yield from self._call()
                elif self._by_hand:
                    yield Decide(self.run.steps[-1], ())
            if self.run.output is None:
                # It was answered in another process, that did not live to tell.
                self.run = replace(self.run, output=Output.of(self._options.get("output", str)).read(self.run.text)[0])
        except GeneratorExit:
            raise
        except BaseException as error:
            with contextlib.suppress(AttributeError):
                error.state = self.run  # type: ignore[attr-defined]
            raise
        finally:
            if self.store is not None:
                self.store.close()

    def note(self, place: int, record: CallRecord) -> None:
        """What is known of a call of the last step."""
        step = self.run.steps[-1]
        calls = (*step.calls[:place], record, *step.calls[place + 1 :])
        self.run = replace(self.run, steps=(*self.run.steps[:-1], replace(step, calls=calls)))

    def left(self, answer: Answer[Any]) -> None:
        """An answer was left before its end. It is no step, but it is paid for."""
        if answer.completion.frames:
            self.run = replace(self.run, aborted=(*self.run.aborted, answer.metrics))
            self._save()

    # The model.

    def _ask(self) -> Generator[Command, Any, None]:
        limited, bounds = self.bounds.of_asking(self.run, self._options.get("timeout"))
        options = {**self._options, **limited, "on": self.run.episode}
        if self.run.steps:
            # To demand a call again and again would never end.
            options["tool_choice"] = "none" if options.get("tool_choice") == "none" else None
        try:
            answer: Answer[Any] = yield Ask(self.run.next_input, options)
        except MotetError as error:
            if isinstance(error.partial, Answer):
                self.left(error.partial)
            if (name := self.bounds.met(self.run, error, bounds)) is not None:
                raise self.bounds.reached(self.run, name, error) from error
            raise
        message = self._with_own_ids(answer.message)
        calls = tuple([CallRecord(call) for call in message.tool_calls])
        step = Step(len(self.run.steps) + 1, message, calls, answer.metrics, answer.model)
        self.run = replace(self.run, steps=(*self.run.steps, step), output=answer.output)
        self._save()

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

    def time_for(self, tool: Tool) -> float | None:
        """Seconds that a call may take. Raises `MaxTimeError` if none are left."""
        limits = [limit for limit in (tool.timeout, self._tool_timeout) if limit is not None][:1]
        left = self.bounds.time_left(self.run)
        return min([*limits, *([] if left is None else [left])], default=None)

    def _call(self) -> Generator[Command, Any, None]:
        self._check_repeats()
        ready: list[Ready] = []
        for place, record in enumerate(self.run.steps[-1].calls):
            if record.signal is not None:
                continue
            try:
                ready.append(self._ready(self.run.steps[-1], place, record.call))
            except (ToolConstraintError, InvalidArgumentsError) as error:
                self.note(place, refused(record.call, str(error)))
        if self._by_hand:
            decided = yield Decide(self.run.steps[-1], tuple(ready))
            ready = [one for one, record in decided if record is None]
            for one, record in decided:
                self.note(one.place, record or CallRecord(one.call))
        if ready:
            yield Execute(tuple(ready))
        # What a person replaced stands in the message, too: the model is to see what was called.
        step = self.run.steps[-1]
        calls = iter(step.calls)
        parts = tuple([next(calls).call if isinstance(part, ToolCall) else part for part in step.message.content])
        done = replace(step, message=replace(step.message, content=parts))
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
            raise UnknownToolError(
                f"there is no tool {call.name}; the tools are: {known}", name=call.name, known=tuple(self._tools)
            )
        return Ready(self, place, call, tool, tool.bind(call.arguments))

    def _check_repeats(self) -> None:
        most = self.bounds.limits.max_repeats
        made = [[_same(record.call) for record in step.calls] for step in self.run.steps]
        same = 0
        for calls in reversed(made):
            if calls != made[-1]:
                break
            same += 1
        if most is not None and same > most:
            raise self.bounds.reached(self.run, "max_repeats")

    def _settle_unfinished(self) -> None:
        """Decides about calls that were begun and did not end, here or in another process."""
        unclear = []
        for place, record in enumerate(self.run.steps[-1].calls):
            if not record.begun:
                continue
            call, tool = record.call, self._tools.get(record.call.name)
            if self._policy == "rerun" or (tool is not None and tool.idempotent):
                self.note(place, CallRecord(call))
            elif self._policy == "skip":
                content = _told("it is not known whether the tool did its work", "error:malfunction")
                self.note(place, CallRecord(call, "error:malfunction", content))
            elif self._policy == "raise":
                unclear.append(call)
            else:
                self.note(place, _decided(call, self._policy))
        if unclear:
            names = ", ".join([f"{call.name}({call.arguments})" for call in unclear])
            raise UnfinishedCallError(
                f"the run was interrupted within {names}, and whether that did its work is not known; "
                "resume with unfinished='rerun', 'skip', or a function from the call to its result",
                calls=tuple(unclear),
            )

    def _save(self) -> None:
        if self.store is not None:
            self.store.save(self.run)


def refused(call: ToolCall, why: str) -> CallRecord:
    """A call that is not made."""
    return CallRecord(call, "error:constraint", _told(why, "error:constraint"))


def _decided(call: ToolCall, policy: Callable[[ToolCall], Any]) -> CallRecord:
    """The result that a caller's function gives an unfinished call; what it raises is told as a tool's errors are."""
    try:
        content, whole = result_text(policy(call))
    except Exception as error:
        return CallRecord(call, *_failed(error))
    return CallRecord(call, "success", content, 0.0, whole)


def _same(call: ToolCall) -> Any:
    """What two calls have in common that are the same: spaces between the arguments make no other call."""
    try:
        return call.name, json.dumps(json.loads(call.arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return call.name, call.arguments


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
