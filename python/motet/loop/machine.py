"""The decisions of the tool loop: ask, call tools, send results, until the model answers without calls.

`Loop.commands` is a generator that yields commands and receives their results; it performs no I/O but the checkpoint's.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

from motet.asking.answer import Answer
from motet.asking.correction import correction_of
from motet.asking.options import Options, PreparedOptions, seconds
from motet.asking.request import PreparedRequest, Prompt, prepare, resolve_conversation
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
from motet.loop.checkpoint import CheckpointStore
from motet.loop.limit_tracker import LimitTracker, worst_case
from motet.loop.run import CallRecord, Run, Signal, Step
from motet.message import Message, Text, ToolCall
from motet.metrics import Metrics
from motet.schema.builtin import builtin_tools
from motet.schema.tool import Tool, result_text, to_tool

__all__ = [
    "Ask",
    "AwaitDecision",
    "Command",
    "Execute",
    "Loop",
    "PreparedCall",
    "RunOptions",
    "ToolResultsReady",
    "Unfinished",
    "denied",
]

Unfinished: TypeAlias = Literal["raise", "rerun", "skip"] | Callable[[ToolCall], Any]


class RunOptions(Options, total=False):
    """Options of `run`, `steps` and `resume`, and of their async twins: `Options`, and these. `max_tokens`,
    `max_reasoning_tokens` and `max_cost` limit the whole run."""

    checkpoint: str | Path | None
    """A file for the run after each step, with a journal of the calls beside it."""
    parallel: bool
    """True (default): calls of one step run in parallel; results keep their order."""
    allow_text_calls: bool
    """True: calls parsed from text run as well, where a quoted call looks like a real one. Default: False."""
    tool_timeout: float | None
    """Seconds for a call whose tool has no timeout of its own. Default: no limit."""
    max_steps: int | None
    """Requests to the model, from 1. Default: 20."""
    max_time: float | None
    """Seconds from the start of the run, or from its resumption. Default: no limit."""
    max_repeats: int | None
    """Identical sets of calls in consecutive steps, from 1. Default: 5."""
    answer_at_limit: bool
    """True: the last request that `max_steps` allows offers no tools, so that the model answers. Default: False.
    `on_limit="answer"` includes it. That also has the model answer where `max_reasoning_tokens` is used up, and where
    `max_repeats` is reached: repeated calls are then refused, and the next request offers no tools."""


_LIMIT_OPTIONS = tuple(Limits.__dataclass_fields__)
_LOOP_OPTIONS = ("checkpoint", "parallel", "allow_text_calls", "tool_timeout", "answer_at_limit", "by_hand")
_CONVERSATION_OPTIONS = ("briefs", "on", "tools", "builtin_tools", "fallbacks")


@dataclass(frozen=True, slots=True)
class Ask:
    """Command: send this request. The result is an `Answer`; an error is thrown into the generator."""

    prepared: PreparedRequest


@dataclass(slots=True)
class PreparedCall:
    """A call with a known tool and valid arguments, ready to run."""

    loop: Loop
    place: int
    """Index of the call in its step."""
    call: ToolCall
    tool: Tool
    invoke: Callable[[], Any]
    record: CallRecord | None = None
    timeout: float | None = None
    """Seconds from the start of the call; `None`: no limit."""
    start_time: float = 0.0

    @property
    def deadline(self) -> float | None:
        """End of the call's time on the monotonic clock."""
        return None if self.timeout is None else self.start_time + self.timeout

    def begin(self) -> None:
        """Records that the call starts. Raises `OSError` if the journal cannot be written and `MaxTimeError` if no time
        is left; the call must not run then."""
        self.timeout = self.loop.time_for(self.tool)
        if self.loop.store is not None:
            self.loop.store.begin(self.place, self.call)
        self.start_time = time.monotonic()
        self.loop.record(self.place, CallRecord(self.call, started=True))

    def result_text(self, value: Any) -> tuple[str, str | None]:
        """The result text for the model, and the complete text if that is a shortened form. Serialising belongs to the
        call's own time: a value may be computed while it is written."""
        return result_text(value, self.tool.max_result)

    def end(self, text: tuple[str, str | None] = ("", None), error: Exception | None = None) -> None:
        """Records the outcome: the texts of `result_text`, or the error that the call raised."""
        if self.record is not None:
            return
        content, full_content = text
        signal: Signal = "success"
        if error is not None:
            signal, content, full_content = *_error_result(error), None
        self.record = CallRecord(self.call, signal, content, time.monotonic() - self.start_time, full_content)
        self.loop.record(self.place, self.record)
        if self.loop.store is not None:
            self.loop.store.end(self.place, self.record)

    def timeout_error(self) -> TimeoutError:
        """The error of a call whose time is over."""
        return TimeoutError(f"no result within {self.timeout:g} s; the tool may still be at work")


@dataclass(frozen=True, slots=True)
class Execute:
    """Command: run these calls; `begin` each, invoke it, `end` it. No result."""

    calls: tuple[PreparedCall, ...]


@dataclass(frozen=True, slots=True)
class AwaitDecision:
    """Command: let the caller decide on these calls. The result is a list of `(PreparedCall, CallRecord | None)`; a
    record replaces the call's result."""

    step: Step
    calls: tuple[PreparedCall, ...]


@dataclass(frozen=True, slots=True)
class ToolResultsReady:
    """Command: the results of this step are complete. No result."""

    step: Step


Command: TypeAlias = Ask | Execute | AwaitDecision | ToolResultsReady

_MAX_ERROR_CHARS = 2000
"""Characters of an error text in a tool result."""


def _error_result(error: Exception) -> tuple[Signal, str]:
    """Signal and result text of an error that a tool raised."""
    if isinstance(error, ToolConstraintError):
        return "error:constraint", _error_text(str(error), "error:constraint")
    text = str(error) if isinstance(error, ToolResultError) else f"{type(error).__name__}: {error}"
    return "error:malfunction", _error_text(text, "error:malfunction")


def _error_text(message: str, signal: Signal) -> str:
    message = message[:_MAX_ERROR_CHARS].encode("utf-8", "backslashreplace").decode("utf-8")
    return json.dumps({"error": message, "signal": signal}, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """The options of a loop besides those of its requests."""

    allow_text_calls: bool = False
    tool_timeout: float | None = None
    parallel: bool = True
    answer_at_limit: bool = False
    by_hand: bool = False
    policy: Unfinished = "raise"
    """For calls that started before a resumption and have no recorded end."""


class Loop:
    """A run and the decisions on how it continues. `run` is the state; it is replaced, never changed."""

    def __init__(
        self,
        run: Run,
        spec: Spec,
        tools: Sequence[Tool],
        *,
        options: PreparedOptions,
        limits: LimitTracker,
        settings: LoopSettings,
        store: CheckpointStore | None,
        fresh: bool,
    ) -> None:
        self.run = run
        self.store = store
        self.parallel = settings.parallel
        self._spec = spec
        self._tools = {tool.name: tool for tool in tools}
        self._options = options
        self._limits = limits
        self._settings = settings
        self._fresh = fresh

    @classmethod
    def begin(
        cls, spec: Spec, prompt: Prompt, output: Any, options: Mapping[str, Any], *, by_hand: bool = False
    ) -> Loop:
        """A new run."""
        options = {**options, "by_hand": True} if by_hand else options
        tools, builtin = _tools(options)
        prepared = _prepared_options(output, options, tools, builtin)
        episode, messages = resolve_conversation(prompt, prepared.on, prepared.briefs)
        run = Run(spec.slug, messages, episode, options=_saved(options))
        path = options.get("checkpoint")
        store = None if path is None else CheckpointStore(path)
        return cls._of(run, spec, (*tools, *builtin), prepared, options, store=store, fresh=True)

    @classmethod
    def resume(
        cls,
        spec: Spec,
        state: Run | str | Path,
        output: Any,
        options: Mapping[str, Any],
        policy: Unfinished = "raise",
        *,
        by_hand: bool = False,
    ) -> Loop:
        """A run that continues, with its own options where `options` has none."""
        if policy not in ("raise", "rerun", "skip") and not callable(policy):
            raise ValueError(f"unfinished must be 'raise', 'rerun', 'skip' or a function, not {policy!r}")
        if fixed := sorted({"briefs", "on"} & set(options)):
            raise TypeError(f"{', '.join(fixed)} cannot change when a run is resumed")
        store = None
        if not isinstance(state, Run):
            store = CheckpointStore(state)
            state = store.load()
        path = options.get("checkpoint")
        if path is not None and (store is None or Path(path) != store.path):
            store = CheckpointStore(path)
        if state.options.get("by_hand") and not by_hand:
            raise ConfigError("the run was made by hand and its calls need approval; continue it with steps(run)")
        options = {**state.options, **options, **({"by_hand": True} if by_hand else {})}
        tools, builtin = _tools(options)
        prepared = _prepared_options(output, options, tools, builtin)
        run = replace(state, options=_saved(options))
        return cls._of(run, spec, (*tools, *builtin), prepared, options, store=store, fresh=False, policy=policy)

    @classmethod
    def _of(
        cls,
        run: Run,
        spec: Spec,
        tools: Sequence[Tool],
        prepared: PreparedOptions,
        options: Mapping[str, Any],
        *,
        store: CheckpointStore | None,
        fresh: bool,
        policy: Unfinished = "raise",
    ) -> Loop:
        limits = {name: options[name] for name in _LIMIT_OPTIONS if name in options}
        if limits.get("max_cost") is not None:
            limits["max_cost"] = to_money(limits["max_cost"], "max_cost", floats=True)
        settings = LoopSettings(
            allow_text_calls=bool(options.get("allow_text_calls")),
            tool_timeout=seconds(options.get("tool_timeout"), "tool_timeout"),
            parallel=bool(options.get("parallel", True)),
            answer_at_limit=bool(options.get("answer_at_limit")),
            by_hand=bool(options.get("by_hand")),
            policy=policy,
        )
        tracker = LimitTracker(Limits(**limits), lambda: worst_case(spec))
        return cls(run, spec, tools, options=prepared, limits=tracker, settings=settings, store=store, fresh=fresh)

    def commands(self) -> Generator[Command, Any, None]:
        """The commands of the loop, in order. Every error that is raised carries the run so far in `.state`."""
        try:
            if self.store is not None:
                self.store.open(fresh=self._fresh)
            self._save()
            if self.run.steps and not self.run.steps[-1].done:
                self._settle_unfinished()
                yield from self._call()
            while not self.run.done:
                yield from self._ask()
                if self.run.steps[-1].correction is not None:
                    continue
                if not self.run.done:
                    yield from self._call()
                elif self._settings.by_hand:
                    yield AwaitDecision(self.run.steps[-1], ())
            if self.run.output is None:
                # A resumed run that was already done: its output is not saved.
                self.run = replace(self.run, output=self._options.output.read(self.run.text)[0])
        except GeneratorExit:
            raise
        except BaseException as error:
            with contextlib.suppress(AttributeError):
                error.state = self.run  # type: ignore[attr-defined]
            raise
        finally:
            if self.store is not None:
                self.store.close()

    def record(self, place: int, record: CallRecord) -> None:
        """Sets the record of a call of the last step."""
        step = self.run.steps[-1]
        calls = (*step.calls[:place], record, *step.calls[place + 1 :])
        self.run = replace(self.run, steps=(*self.run.steps[:-1], replace(step, calls=calls)))

    def record_aborted(self, answer: Answer[Any]) -> None:
        """Records an answer that ended early: it makes no step, but it is paid for."""
        if answer.completion.frames:
            self.run = replace(self.run, aborted=(*self.run.aborted, answer.metrics))
            self._save()

    # The model.

    def _ask(self) -> Generator[Command, Any, None]:
        options, limits = self._limits.options_for_next_request(self.run, self._options)
        # An invalid output is asked for again in a step of its own, which the limits and the checkpoint count.
        options = replace(options, on=self.run.episode, briefs=(), retries=0)
        if self.run.steps and options.tool_choice != "none":
            # A forced call in every step would never end.
            options = replace(options, tool_choice=None)
        if self._must_answer():
            options = replace(options, tools=(), builtin_tools=(), tool_choice=None)
        try:
            answer: Answer[Any] = yield Ask(prepare(self._spec, self.run.next_input, options))
        except MotetError as error:
            if (correction := self._correction(error)) is not None:
                self._add_step(error.partial, correction)
                return
            if isinstance(error.partial, Answer):
                self.record_aborted(error.partial)
            if (name := self._limits.exceeded_limit(self.run, error, limits)) is not None:
                raise self._limits.limit_error(self.run, name, error) from error
            raise
        self._add_step(answer)

    def _must_answer(self) -> bool:
        """True if the next request offers no tools."""
        is_last = len(self.run.steps) + 1 == self._limits.limits.max_steps
        answers = self._options.on_limit == "answer"
        return (is_last and (answers or self._settings.answer_at_limit)) or (answers and self._repeats_too_often())

    def _add_step(self, answer: Answer[Any], correction: Message | None = None) -> None:
        message = self._with_unique_ids(answer.message)
        calls = tuple([CallRecord(call) for call in message.tool_calls])
        number = len(self.run.steps) + 1
        # Of a salvaged answer the episode has no ids: its message is rendered anew.
        sampled = answer.episode.exchanges[-1].sampled if answer.episode.exchanges else answer.sampled
        step = Step(number, message, calls, answer.metrics, answer.model, correction, sampled, answer.token_trace)
        self.run = replace(self.run, steps=(*self.run.steps, step), output=answer.output)
        self._save()

    def _correction(self, error: MotetError) -> Message | None:
        """The message to the model about an invalid output. `None`: there is no other try, and the error carries the
        cost of all tries."""
        tries = list(itertools.takewhile(lambda step: step.correction is not None, reversed(self.run.steps)))
        max_steps = self._limits.limits.max_steps
        has_step = max_steps is None or len(self.run.steps) + 1 < max_steps
        correction = correction_of(error)
        if correction is not None and len(tries) < self._options.retries and has_step:
            return correction
        if tries and correction is not None:
            metrics = Metrics.sum([error.partial.metrics, *[step.metrics for step in tries]])
            error.cost = metrics.cost.cash.total
            error.args = (f"{error}; {len(tries) + 1} tries cost {error.cost} dollars",)
        return None

    def _with_unique_ids(self, message: Message) -> Message:
        """The message with call ids that are unique in the conversation: some servers count from 0 in each answer."""
        used_ids = {call.id for earlier in self.run.messages for call in earlier.tool_calls}
        content = []
        for part in message.content:
            if isinstance(part, ToolCall):
                call_id, number = part.id or "call", 1
                while call_id in used_ids:
                    number += 1
                    call_id = f"{part.id or 'call'}-{number}"
                used_ids.add(call_id)
                part = part if call_id == part.id else replace(part, id=call_id)
            content.append(part)
        return replace(message, content=tuple(content))

    # The tools.

    def time_for(self, tool: Tool) -> float | None:
        """Seconds that a call may take; `None`: no limit. Raises `MaxTimeError` if the run has no time left."""
        own = tool.timeout if tool.timeout is not None else self._settings.tool_timeout
        left = self._limits.time_left(self.run)
        return min([limit for limit in (own, left) if limit is not None], default=None)

    def _call(self) -> Generator[Command, Any, None]:
        if self._repeats_too_often():
            if self._options.on_limit == "raise":
                raise self._limits.limit_error(self.run, "max_repeats")
            for place, record in enumerate(self.run.steps[-1].calls):
                if record.signal is None:
                    self.record(place, denied(record.call, "the same calls were made before; answer without them"))
        prepared: list[PreparedCall] = []
        for place, record in enumerate(self.run.steps[-1].calls):
            if record.signal is not None:
                continue
            try:
                prepared.append(self._prepared_call(self.run.steps[-1], place, record.call))
            except (ToolConstraintError, InvalidArgumentsError) as error:
                self.record(place, denied(record.call, str(error)))
        if self._settings.by_hand:
            decisions = yield AwaitDecision(self.run.steps[-1], tuple(prepared))
            prepared = [call for call, record in decisions if record is None]
            for call, record in decisions:
                self.record(call.place, record or CallRecord(call.call))
        if prepared:
            yield Execute(tuple(prepared))
        # The caller may have changed arguments: the message shows the calls as they were made.
        step = self.run.steps[-1]
        calls = iter(step.calls)
        parts = tuple([next(calls).call if isinstance(part, ToolCall) else part for part in step.message.content])
        sampled = step.sampled if parts == step.message.content else None
        done = replace(step, message=replace(step.message, content=parts), sampled=sampled)
        self.run = replace(self.run, steps=(*self.run.steps[:-1], done))
        self._save()
        yield ToolResultsReady(done)

    def _prepared_call(self, step: Step, place: int, call: ToolCall) -> PreparedCall:
        """The call if the loop may run it. Raises the error that becomes its result otherwise."""
        if not call.trusted:
            if not self._settings.allow_text_calls:
                raise ToolConstraintError("calls that are read from text are not run; answer without tools")
            if _follows_answer(step.message, place):
                raise ToolConstraintError("a call that stands behind an answer is not run")
        self._check_call_limit(place, call)
        return self.prepared_call(place, call)

    def _check_call_limit(self, place: int, call: ToolCall) -> None:
        tool = self._tools.get(call.name)
        if tool is None or tool.max_calls is None:
            return
        earlier = [record for step in self.run.steps[:-1] for record in step.calls]
        records = [*earlier, *self.run.steps[-1].calls[:place]]
        count = sum(record.call.name == call.name and record.signal != "error:constraint" for record in records)
        if count >= tool.max_calls:
            raise ToolConstraintError(f"{call.name} has reached its limit of {tool.max_calls} calls; answer without it")

    def prepared_call(self, place: int, call: ToolCall) -> PreparedCall:
        """A call of one of the run's tools. Raises `UnknownToolError` or `InvalidArgumentsError`."""
        tool = self._tools.get(call.name)
        if tool is None:
            names = ", ".join(self._tools) or "none"
            raise UnknownToolError(
                f"there is no tool {call.name}; the tools are: {names}", name=call.name, known=tuple(self._tools)
            )
        return PreparedCall(self, place, call, tool, tool.bind(call.arguments))

    def _repeats_too_often(self) -> bool:
        max_repeats = self._limits.limits.max_repeats
        if max_repeats is None or not self.run.steps:
            return False
        calls_by_step = [[_call_key(record.call) for record in step.calls] for step in self.run.steps]
        repeats = 0
        for calls in reversed(calls_by_step):
            if calls != calls_by_step[-1]:
                break
            repeats += 1
        return repeats > max_repeats

    def _settle_unfinished(self) -> None:
        """Applies the policy to calls that started, here or in another process, and have no recorded end."""
        policy = self._settings.policy
        unclear = []
        for place, record in enumerate(self.run.steps[-1].calls):
            if not record.started:
                continue
            call, tool = record.call, self._tools.get(record.call.name)
            if policy == "rerun" or (tool is not None and tool.idempotent):
                self.record(place, CallRecord(call))
            elif policy == "skip":
                content = _error_text("it is not known whether the tool did its work", "error:malfunction")
                self.record(place, CallRecord(call, "error:malfunction", content))
            elif policy == "raise":
                unclear.append(call)
            else:
                self.record(place, _result_of_policy(call, policy))
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


def _tools(options: Mapping[str, Any]) -> tuple[list[Tool], list[Tool]]:
    """The functions and the built-in tools of a run. Raises `TypeError` and `ConfigError`."""
    unknown = sorted(set(options) - set(RunOptions.__annotations__) - {"by_hand"})
    if unknown:
        listed = ", ".join(sorted(RunOptions.__annotations__))
        raise TypeError(f"unknown option {', '.join(unknown)}; options are {listed}")
    implementations = options.get("builtin_tools") or {}
    if not isinstance(implementations, Mapping):
        raise TypeError("in a run, builtin_tools must be a dict with their implementations: {'python': run_code}")
    functions = [to_tool(tool) for tool in options.get("tools") or ()]
    builtin = builtin_tools(implementations)
    names = [tool.name for tool in (*functions, *builtin)]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two tools have the name {', '.join(duplicates)}")
    return functions, builtin


def _prepared_options(
    output: Any, options: Mapping[str, Any], functions: Sequence[Tool], builtin: Sequence[Tool]
) -> PreparedOptions:
    """The options of the run's requests: without the limits, which the tracker divides over the requests."""
    excluded = {*_LIMIT_OPTIONS, *_LOOP_OPTIONS}
    own = {name: value for name, value in options.items() if name not in excluded}
    builtin_names = tuple(options.get("builtin_tools") or {}) if builtin else ()
    return PreparedOptions.of(output, {**own, "tools": functions, "builtin_tools": builtin_names})


def denied(call: ToolCall, reason: str) -> CallRecord:
    """The record of a call that is not made."""
    return CallRecord(call, "error:constraint", _error_text(reason, "error:constraint"))


def _result_of_policy(call: ToolCall, policy: Callable[[ToolCall], Any]) -> CallRecord:
    """The result that the caller's function gives an unfinished call; its errors are results like those of tools."""
    try:
        content, full_content = result_text(policy(call))
    except Exception as error:
        return CallRecord(call, *_error_result(error))
    return CallRecord(call, "success", content, 0.0, full_content)


def _call_key(call: ToolCall) -> Any:
    """Equal for calls that differ only in the white space and key order of their arguments."""
    try:
        return call.name, json.dumps(json.loads(call.arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return call.name, call.arguments


def _saved(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a saved run keeps: JSON values that mean the same in another process."""
    json_options = {}
    for name, value in options.items():
        if name in (*_CONVERSATION_OPTIONS, "checkpoint", "budget"):
            continue
        value = str(value) if isinstance(value, Decimal) else value
        try:
            json_options[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            continue
    return json_options


def _follows_answer(message: Message, place: int) -> bool:
    """True if answer text stands before the call at `place`."""
    calls = -1
    for part in message.content:
        if isinstance(part, Text) and part.text.strip():
            return True
        calls += isinstance(part, ToolCall)
        if calls == place:
            return False
    return False
