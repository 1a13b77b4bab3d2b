"""A run of a tool loop, as a value that can be saved and gone on with, and its files.

Two files make a run safe: the checkpoint, replaced as a whole after each answer and after its calls, and beside it the
journal, to which a line goes before each call and after it. So after a crash it is known which calls were made, which
were not, and of which it cannot be known.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from motet._atomic_files import append, lock, sweep, write_whole
from motet.asking.episode import Episode
from motet.errors import ConfigError
from motet.message import Message, ToolCall, ToolResult, part_from_dict, part_to_dict
from motet.metrics import Metrics

__all__ = ["CallRecord", "Run", "Signal", "Step", "Store"]

VERSION = 1

Signal: TypeAlias = Literal["success", "error:constraint", "error:malfunction"]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call, and what became of it."""

    call: ToolCall
    signal: Signal | None = None
    """`success`; `error:constraint`: what was asked for cannot be done, and the model is told why;
    `error:malfunction`: the tool failed. `None`: it has not ended."""
    content: str = ""
    """What the model is told."""
    seconds: float = 0.0
    whole: str | None = None
    """The whole result, if the model is shown less of it."""
    begun: bool = False
    """Whether it was begun and did not end, as far as is known: then it may have done its work, or not."""

    @property
    def result(self) -> ToolResult:
        """What goes back to the model."""
        return ToolResult(self.call.id, self.content, self.call.name)

    def to_dict(self) -> dict[str, Any]:
        shape: dict[str, Any] = {"call": part_to_dict(self.call)}
        if self.signal is not None:
            shape |= {"signal": self.signal, "content": self.content, "seconds": self.seconds}
        if self.whole is not None:
            shape["whole"] = self.whole
        if self.begun:
            shape["begun"] = True
        return shape

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> CallRecord:
        match shape:
            case {
                "call": Mapping() as call,
                "signal": str(signal),
                "content": str(content),
                "seconds": int() | float() as seconds,
            }:
                whole = shape.get("whole")
                if signal in get_args(Signal) and isinstance(whole, str | None):
                    return cls(_call(call), cast("Signal", signal), content, seconds, whole)
            case {"call": Mapping() as call} if "signal" not in shape and isinstance(shape.get("begun", False), bool):
                return cls(_call(call), begun=shape.get("begun", False))
        raise ValueError(f"not the dict of a call's record: {shape!r:.200}")


@dataclass(frozen=True, slots=True)
class Step:
    """One answer of the model, and the calls that it made."""

    n: int
    """From 1 on."""
    message: Message
    calls: tuple[CallRecord, ...]
    metrics: Metrics
    model: str | None = None
    """The model that answered."""

    @property
    def done(self) -> bool:
        """Whether each of its calls has a result."""
        return all(record.signal is not None for record in self.calls)

    @property
    def results(self) -> tuple[Message, ...]:
        """What goes back to the model: one message with the results that there are, or none."""
        known = tuple([record.result for record in self.calls if record.signal is not None])
        return (Message("tool", known),) if known else ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "message": self.message.to_dict(wire=True),
            "calls": [record.to_dict() for record in self.calls],
            "metrics": self.metrics.to_dict(),
            "model": self.model,
        }

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Step:
        return cls(
            shape["n"],
            Message.from_dict(shape["message"], wire=True),
            tuple([CallRecord.from_dict(record) for record in shape["calls"]]),
            Metrics.from_dict(shape["metrics"]),
            shape.get("model"),
        )


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """A tool loop so far: a value. `brain.resume(run)` goes on with it."""

    slug: str
    asked: tuple[Message, ...]
    """What the model was asked at first."""
    before: Episode
    """What the run goes on from."""
    steps: tuple[Step, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options of the asking, those that JSON can hold."""
    aborted: tuple[Metrics, ...] = ()
    """What requests took that gave no step: answers that were cut, or were not what was asked for."""
    output: Any = None
    """The answer, of the type that was asked for. `None` as long as there is none; not saved."""

    @property
    def done(self) -> bool:
        """Whether the model has answered."""
        return bool(self.steps) and not self.steps[-1].calls

    @property
    def text(self) -> str:
        """The answer. Empty as long as there is none."""
        return self.steps[-1].message.text if self.done else ""

    @property
    def episode(self) -> Episode:
        """The conversation so far, without calls whose results are missing."""
        episode, asked = self.before, self.asked
        for step in self.steps:
            if not step.done:
                break
            episode = episode.add(asked, step.message)
            asked = step.results
        return episode

    @property
    def messages(self) -> tuple[Message, ...]:
        """All of it: what was asked, what the model said, and what the tools answered so far."""
        said = [message for step in self.steps for message in (step.message, *step.results)]
        return (*self.before.messages, *self.asked, *said)

    @property
    def next_input(self) -> tuple[Message, ...]:
        """What the model is to be asked next: the question, or the results of its calls."""
        return self.steps[-1].results if self.steps else self.asked

    @property
    def unfinished(self) -> tuple[ToolCall, ...]:
        """The calls that were begun and did not end: it is not known whether they did their work."""
        last = self.steps[-1].calls if self.steps else ()
        return tuple([record.call for record in last if record.begun])

    @property
    def metrics(self) -> Metrics:
        """What all of it took: the sum of the steps and of what was aborted. `None` where one is not known."""
        return Metrics.sum([*[step.metrics for step in self.steps], *self.aborted])

    def fork(self, n: int) -> Run:
        """The run as it was after step `n` (0: before the first), to go on from there in another way."""
        if not 0 <= n <= len(self.steps):
            raise ValueError(f"the run has steps 0 to {len(self.steps)}, not {n}")
        return replace(self, steps=self.steps[:n], output=None)

    def __repr__(self) -> str:
        state = "done" if self.done else "not done"
        return f"Run({self.slug!r}, {len(self.steps)} steps, {state}, cost={self.metrics.cost.cash.total})"

    def to_dict(self) -> dict[str, Any]:
        """For JSON. Its shape has a version."""
        return {
            "motet_run": VERSION,
            "slug": self.slug,
            "before": self.before.to_dict(),
            "asked": [message.to_dict(wire=True) for message in self.asked],
            "options": dict(self.options),
            "steps": [step.to_dict() for step in self.steps],
            "aborted": [metrics.to_dict() for metrics in self.aborted],
        }

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Run:
        """The inverse of `to_dict`. Raises `ValueError` for anything else."""
        version = shape.get("motet_run") if isinstance(shape, Mapping) else None
        if version != VERSION:
            known = "not a saved run" if version is None else f"a saved run of version {version}, and this is {VERSION}"
            raise ValueError(f"{known}: {shape!r:.120}")
        try:
            if not isinstance(shape["options"], Mapping):
                raise TypeError("its options are no object")
            return cls(
                shape["slug"],
                tuple([Message.from_dict(message, wire=True) for message in shape["asked"]]),
                Episode.from_dict(shape["before"]),
                tuple([Step.from_dict(step) for step in shape["steps"]]),
                shape["options"],
                tuple([Metrics.from_dict(metrics) for metrics in shape["aborted"]]),
            )
        except (ArithmeticError, AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"a saved run that lacks something, or has something else there: {error!r}") from error

    def save(self, path: str | Path) -> None:
        """Writes it as JSON; the file is the old one or the new one, never half of it."""
        write_whole(Path(path), json.dumps(self.to_dict(), ensure_ascii=False))

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Reads what `save` or a checkpoint wrote, with what the journal beside it knows of the calls.

        Raises `ConfigError` that names the file.
        """
        return Store(Path(path)).load()


class Store:
    """The files of a run: the checkpoint, and the journal of what happened since.

    Each checkpoint has a key, and each line of the journal bears the key of the checkpoint that it belongs to: lines
    that an older checkpoint left behind say nothing of a newer one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.journal = self.path.with_name(self.path.name + ".journal")
        self._key: str | None = None
        self._loaded: Run | None = None
        self._handle: int | None = None

    def open(self, *, fresh: bool) -> None:
        """Takes the files for one loop: two that went on with the same run would make its calls twice. `fresh`: for a
        new run, which must not take the place of one that is not done, or of something else."""
        try:
            self._handle = lock(self.journal, wait=False)
        except BlockingIOError:
            raise ConfigError(f"another loop has {self.journal}, here or in another process; end it first") from None
        try:
            if fresh:
                self._refuse_to_lose()
            elif self._loaded is not None and self._loaded != self.load():
                raise ConfigError(f"{self.path} was gone on with elsewhere in the meantime; resume it anew")
        except BaseException:
            self.close()
            raise
        sweep(self.path)

    def _refuse_to_lose(self) -> None:
        if not self.path.exists() or not self.path.stat().st_size:
            return
        try:
            done = self.load().done
        except ConfigError:
            raise ConfigError(f"{self.path} holds something else than a run, which would be lost") from None
        if not done:
            raise ConfigError(f"{self.path} holds a run that is not done; resume it, or move it away")

    def close(self) -> None:
        """Lets others have the files."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def save(self, run: Run) -> None:
        """Writes the checkpoint: what the journal said is in it, so the journal begins anew."""
        key = secrets.token_hex(8)
        write_whole(self.path, json.dumps({**run.to_dict(), "journal": key}, ensure_ascii=False))
        self._key = key
        if self._handle is not None:
            # Should the process end before this, the old lines have another key.
            os.ftruncate(self._handle, 0)
            if run.done:
                with contextlib.suppress(OSError):
                    self.journal.unlink()

    def begin(self, place: int, call: ToolCall) -> None:
        """A call is going to be made. When this returns, the disk knows; if it raises, the call must not be made."""
        self._write({"begin": place, "call": part_to_dict(call)})

    def end(self, place: int, record: CallRecord) -> None:
        """A call was made, and this is what became of it."""
        self._write({"end": place, "record": record.to_dict()})

    def _write(self, line: dict[str, Any]) -> None:
        assert self._handle is not None
        data = (json.dumps({"of": self._key, **line}, ensure_ascii=True) + "\n").encode("ascii")
        append(self._handle, data, self.journal)

    def load(self) -> Run:
        """The run, with what the journal knows of the calls of its last step. Raises `ConfigError`."""
        try:
            shape = json.loads(self.path.read_text("utf-8", "surrogatepass"))
            run = Run.from_dict(shape)
            self._key = shape.get("journal")
            if run.steps and not run.steps[-1].done:
                calls = list(run.steps[-1].calls)
                for line in self._lines():
                    if "begin" in line:
                        calls[line["begin"]] = CallRecord(_call(line["call"]), begun=True)
                    else:
                        calls[line["end"]] = CallRecord.from_dict(line["record"])
                run = replace(run, steps=(*run.steps[:-1], replace(run.steps[-1], calls=tuple(calls))))
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise ConfigError(f"{self.path} cannot be resumed: {error}") from error
        self._loaded = run
        return run

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The journal's lines of this checkpoint. The end of a line that was torn was never acknowledged: what it was
        to say did not happen. Raises `ValueError` for a damaged line: a call that it named might be made again."""
        try:
            data = self.journal.read_bytes()
        except FileNotFoundError:
            return
        for number, text in enumerate(data.split(b"\n")[:-1], 1):
            try:
                line = json.loads(text)
                if line["of"] == self._key:
                    yield line
            except (ValueError, LookupError, TypeError) as error:
                raise ValueError(f"line {number} of {self.journal} is damaged: {error!r}") from error


def _call(shape: Mapping[str, Any]) -> ToolCall:
    part = part_from_dict(shape)
    if not isinstance(part, ToolCall):
        raise ValueError(f"not the dict of a call: {shape!r:.200}")
    return part
