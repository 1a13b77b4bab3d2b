"""A run of a tool loop as a value, and how it is read back from its files."""

from __future__ import annotations

import json
import operator
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from motet._atomic_files import write_whole
from motet.asking.episode import Episode, sampled_from_list
from motet.backend import TokenTrace
from motet.errors import ConfigError
from motet.message import Message, ToolCall, ToolResult, part_from_dict, part_to_dict
from motet.metrics import Metrics

__all__ = ["CallRecord", "Run", "Signal", "Step", "call_from_dict", "journal_path", "read_checkpoint"]

VERSION = 1

Signal: TypeAlias = Literal["success", "error:constraint", "error:malfunction"]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A tool call and its outcome."""

    call: ToolCall
    signal: Signal | None = None
    """`success`; `error:constraint`: the call cannot be carried out, and the result says why; `error:malfunction`: the
    tool failed. `None`: the call has not ended."""
    content: str = ""
    """The result text that the model reads."""
    seconds: float = 0.0
    """Duration of the call, from 0 on."""
    full_content: str | None = None
    """The complete result where `content` is a shortened form of it, else `None`."""
    started: bool = False
    """True if the call started and no end is recorded: its work may be done or not."""

    @property
    def whole(self) -> str | None:
        """Alias of `full_content`."""
        return self.full_content

    @property
    def begun(self) -> bool:
        """Alias of `started`."""
        return self.started

    @property
    def result(self) -> ToolResult:
        """The tool result for the next request."""
        return ToolResult(self.call.id, self.content, self.call.name)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; keys are `call`, `signal`, `content`, `seconds`, `whole`, `begun`."""
        shape: dict[str, Any] = {"call": part_to_dict(self.call)}
        if self.signal is not None:
            shape |= {"signal": self.signal, "content": self.content, "seconds": self.seconds}
        if self.full_content is not None:
            shape["whole"] = self.full_content
        if self.started:
            shape["begun"] = True
        return shape

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> CallRecord:
        """The inverse of `to_dict`. Raises `ValueError` for any other shape."""
        match shape:
            case {
                "call": Mapping() as call,
                "signal": str(signal),
                "content": str(content),
                "seconds": int() | float() as seconds,
            }:
                full_content = shape.get("whole")
                if signal in get_args(Signal) and isinstance(full_content, str | None):
                    return cls(call_from_dict(call), cast("Signal", signal), content, seconds, full_content)
            case {"call": Mapping() as call} if "signal" not in shape and isinstance(shape.get("begun", False), bool):
                return cls(call_from_dict(call), started=shape.get("begun", False))
        raise ValueError(f"not the dict of a call's record: {shape!r:.200}")


@dataclass(frozen=True, slots=True)
class Step:
    """One answer of the model and the calls in it."""

    n: int
    """Ordinal of the step, from 1."""
    message: Message
    calls: tuple[CallRecord, ...]
    metrics: Metrics
    model: str | None = None
    """Model name in the response, `None` if the response has none."""
    correction: Message | None = None
    """The message to the model about its invalid output. `None`: the answer was accepted."""
    sampled: array[int] | None = field(default=None, compare=False, repr=False)
    """The ids that the model sampled, for later prompts of the ids lane. `None`: not known, or calls were changed."""
    token_trace: TokenTrace | None = field(default=None, compare=False, repr=False)
    """The ids of prompt and answer as they were sent and sampled. `None`: not known; it is not saved."""

    @property
    def done(self) -> bool:
        """True if each call has a result."""
        return all(record.signal is not None for record in self.calls)

    @property
    def results(self) -> tuple[Message, ...]:
        """One message with the results so far, the correction of an invalid output, or no message."""
        if self.correction is not None:
            return (self.correction,)
        results = tuple([record.result for record in self.calls if record.signal is not None])
        return (Message("tool", results),) if results else ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "n": self.n,
            "message": self.message.to_dict(wire=True),
            "calls": [record.to_dict() for record in self.calls],
            "metrics": self.metrics.to_dict(),
            "model": self.model,
            **({} if self.correction is None else {"correction": self.correction.to_dict(wire=True)}),
            **({} if self.sampled is None else {"sampled": list(self.sampled)}),
        }

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Step:
        """The inverse of `to_dict`. Raises `ArithmeticError`, `KeyError`, `TypeError` or `ValueError` for any other
        shape."""
        correction = shape.get("correction")
        return cls(
            shape["n"],
            Message.from_dict(shape["message"], wire=True),
            tuple([CallRecord.from_dict(record) for record in shape["calls"]]),
            Metrics.from_dict(shape["metrics"]),
            shape.get("model"),
            None if correction is None else Message.from_dict(correction, wire=True),
            sampled_from_list(shape.get("sampled")),
        )


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """The state of a tool loop: an immutable value. `atom.resume(run)` continues it."""

    slug: str
    """Slug of the atom."""
    initial_messages: tuple[Message, ...]
    """The prompt of the run."""
    prior_episode: Episode
    """The conversation before the run."""
    steps: tuple[Step, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options of the run that JSON can hold."""
    aborted: tuple[Metrics, ...] = ()
    """Metrics of requests that gave no step: cut answers, and answers of the wrong type."""
    output: Any = None
    """The answer, of the requested type. `None` until the run is done; not saved."""
    _folded: tuple[tuple[Step, ...], Episode] | None = field(default=None, compare=False)
    """The steps that `episode` has folded so far, and the episode of them: each step is folded once per run."""

    @property
    def asked(self) -> tuple[Message, ...]:
        """Alias of `initial_messages`."""
        return self.initial_messages

    @property
    def before(self) -> Episode:
        """Alias of `prior_episode`."""
        return self.prior_episode

    @property
    def done(self) -> bool:
        """True if the model has answered without tool calls, and the answer was accepted."""
        return bool(self.steps) and not self.steps[-1].calls and self.steps[-1].correction is None

    @property
    def text(self) -> str:
        """Text of the answer; empty until the run is done."""
        return self.steps[-1].message.text if self.done else ""

    @property
    def episode(self) -> Episode:
        """The conversation so far, up to the last step whose calls all have results."""
        done = tuple([step for step in self.steps if step.done])
        steps, episode = self._folded or ((), self.prior_episode)
        if len(steps) > len(done) or not all(map(operator.is_, steps, done)):
            steps, episode = (), self.prior_episode
        for place in range(len(steps), len(done)):
            input_messages = done[place - 1].results if place else self.initial_messages
            episode = episode.add(input_messages, done[place].message, done[place].sampled, done[place].token_trace)
        object.__setattr__(self, "_folded", (done, episode))
        return episode

    @property
    def messages(self) -> tuple[Message, ...]:
        """All messages: the conversation before the run, the prompt, the answers and the tool results so far."""
        answers = [message for step in self.steps for message in (step.message, *step.results)]
        return (*self.prior_episode.messages, *self.initial_messages, *answers)

    @property
    def next_input(self) -> tuple[Message, ...]:
        """Input of the next request: the prompt, or the results of the last step's calls."""
        return self.steps[-1].results if self.steps else self.initial_messages

    @property
    def unfinished(self) -> tuple[ToolCall, ...]:
        """Calls that started and have no recorded end: their work may be done or not."""
        last_calls = self.steps[-1].calls if self.steps else ()
        return tuple([record.call for record in last_calls if record.started])

    @property
    def metrics(self) -> Metrics:
        """Sum over the steps and the aborted requests; a figure is `None` where one of them is unknown."""
        return Metrics.sum([*[step.metrics for step in self.steps], *self.aborted])

    def fork(self, n: int) -> Run:
        """The run as it was after step `n`, from 0 (before the first step). Raises `ValueError` outside that range."""
        if not 0 <= n <= len(self.steps):
            raise ValueError(f"n must be between 0 and {len(self.steps)}, the number of steps: {n}")
        return replace(self, steps=self.steps[:n], output=None)

    def __repr__(self) -> str:
        state = "done" if self.done else "not done"
        return f"Run({self.slug!r}, {len(self.steps)} steps, {state}, cost={self.metrics.cost.cash.total})"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; `motet_run` is its version."""
        return {
            "motet_run": VERSION,
            "slug": self.slug,
            "before": self.prior_episode.to_dict(),
            "asked": [message.to_dict(wire=True) for message in self.initial_messages],
            "options": dict(self.options),
            "steps": [step.to_dict() for step in self.steps],
            "aborted": [metrics.to_dict() for metrics in self.aborted],
        }

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Run:
        """The inverse of `to_dict`. Raises `ValueError` for any other shape."""
        version = shape.get("motet_run") if isinstance(shape, Mapping) else None
        if version is None:
            raise ValueError(f"not a saved run: {shape!r:.120}")
        if version != VERSION:
            raise ValueError(f"saved run has version {version}, expected {VERSION}: {shape!r:.120}")
        try:
            if not isinstance(shape["options"], Mapping):
                raise TypeError("options must be an object")
            return cls(
                shape["slug"],
                tuple([Message.from_dict(message, wire=True) for message in shape["asked"]]),
                Episode.from_dict(shape["before"]),
                tuple([Step.from_dict(step) for step in shape["steps"]]),
                shape["options"],
                tuple([Metrics.from_dict(metrics) for metrics in shape["aborted"]]),
            )
        except (ArithmeticError, AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"saved run has a missing or invalid field: {error!r}") from error

    def save(self, path: str | Path) -> None:
        """Writes the JSON form to `path`, replacing the file atomically."""
        write_whole(Path(path), json.dumps(self.to_dict(), ensure_ascii=False))

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Reads a file of `save` or a checkpoint, with the calls in the journal beside it.

        Raises `ConfigError`, which names the file, if it cannot be read.
        """
        return read_checkpoint(Path(path))[0]


def journal_path(path: Path) -> Path:
    """The journal of a checkpoint: its name with `.journal` added."""
    return path.with_name(path.name + ".journal")


def read_checkpoint(path: Path) -> tuple[Run, str | None]:
    """The run of a checkpoint, with the calls of its last step as the journal records them, and the checkpoint's key.

    Raises `ConfigError`, which names the file, if it cannot be read.
    """
    try:
        shape = json.loads(path.read_text("utf-8", "surrogatepass"))
        run = Run.from_dict(shape)
        key = shape.get("journal")
        if run.steps and not run.steps[-1].done:
            calls = list(run.steps[-1].calls)
            for line in _journal_lines(journal_path(path), key):
                if "begin" in line:
                    calls[line["begin"]] = CallRecord(call_from_dict(line["call"]), started=True)
                else:
                    calls[line["end"]] = CallRecord.from_dict(line["record"])
            run = replace(run, steps=(*run.steps[:-1], replace(run.steps[-1], calls=tuple(calls))))
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be resumed: {_read_fault(error)}") from error
    return run, key


def _read_fault(error: Exception) -> str:
    """Why a file is not a run."""
    match error:
        case json.JSONDecodeError() if not error.doc.strip():
            return "it is empty"
        case json.JSONDecodeError():
            return f"it is not JSON, from line {error.lineno}, column {error.colno}; it may be cut or another file"
        case UnicodeDecodeError():
            return f"it is not UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}"
        case RecursionError():
            return "its JSON is nested too deeply"
        case OSError():
            return (error.strerror or str(error)).lower()
        case LookupError():
            return f"its journal is of another run: {error!r}"
    return str(error)


def _journal_lines(journal: Path, key: str | None) -> Iterator[dict[str, Any]]:
    """The journal's lines of the checkpoint with this key.

    A torn last line is skipped: its write was never acknowledged, so its call was not made. Any other damaged line
    raises `ValueError`: skipping it could repeat the call that it records.
    """
    try:
        data = journal.read_bytes()
    except FileNotFoundError:
        return
    for number, text in enumerate(data.split(b"\n")[:-1], 1):
        try:
            line = json.loads(text)
            if line["of"] == key:
                yield line
        except (ValueError, LookupError, TypeError) as error:
            raise ValueError(f"line {number} of {journal} is damaged: {error!r}") from error


def call_from_dict(shape: Mapping[str, Any]) -> ToolCall:
    """A tool call from its JSON form. Raises `ValueError` for any other part."""
    part = part_from_dict(shape)
    if not isinstance(part, ToolCall):
        raise ValueError(f"not the dict of a call: {shape!r:.200}")
    return part
