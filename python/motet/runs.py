"""A run of a tool loop, as a value that can be saved and gone on with, and its files.

Two files make a run safe: the checkpoint, replaced as a whole after each step, and beside it the journal, to which a
line goes before each call and after it. So after a crash it is known which calls were made, which were not, and of
which it cannot be known.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from motet.episode import Episode
from motet.errors import ConfigError
from motet.message import Message, ToolCall, ToolResult
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
    `error:malfunction`: the tool failed. `None`: it was not made yet."""
    content: str = ""
    """What the model is told."""
    seconds: float = 0.0
    whole: str | None = None
    """The whole result, if the model is shown less of it."""

    @property
    def result(self) -> ToolResult:
        """What goes back to the model."""
        return ToolResult(self.call.id, self.content, self.call.name)

    def to_dict(self) -> dict[str, Any]:
        shape: dict[str, Any] = {"call": self.call.to_dict(), "trusted": self.call.trusted}
        if self.signal is not None:
            shape |= {"signal": self.signal, "content": self.content, "seconds": self.seconds}
        if self.whole is not None:
            shape["whole"] = self.whole
        return shape

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> CallRecord:
        call = replace(ToolCall.from_dict(shape["call"]), trusted=shape.get("trusted", True))
        return cls(call, shape.get("signal"), shape.get("content", ""), shape.get("seconds", 0.0), shape.get("whole"))


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

    def to_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "message": self.message.to_dict(),
            "calls": [record.to_dict() for record in self.calls],
            "metrics": self.metrics.to_dict(),
            "model": self.model,
        }

    @classmethod
    def from_dict(cls, shape: Mapping[str, Any]) -> Step:
        return cls(
            shape["n"],
            Message.from_dict(shape["message"]),
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
            episode = episode.add(asked, step.message)
            if not step.done:
                break
            asked = (Message("tool", tuple([record.result for record in step.calls])),)
        return episode

    @property
    def messages(self) -> tuple[Message, ...]:
        """All of it: what was asked, what the model said, and what the tools answered."""
        results = self._results()
        return (*self.episode.messages, *results)

    def _results(self) -> tuple[Message, ...]:
        last = self.steps[-1] if self.steps else None
        if last is None:
            return self.asked
        if last.calls and last.done:
            return (Message("tool", tuple([record.result for record in last.calls])),)
        return ()

    @property
    def next_input(self) -> tuple[Message, ...]:
        """What the model is to be asked next: the question, or the results of its calls."""
        return self._results()

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
            "asked": [message.to_dict() for message in self.asked],
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
            return cls(
                shape["slug"],
                tuple([Message.from_dict(message) for message in shape["asked"]]),
                Episode.from_dict(shape["before"]),
                tuple([Step.from_dict(step) for step in shape["steps"]]),
                shape["options"],
                tuple([Metrics.from_dict(metrics) for metrics in shape["aborted"]]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"a saved run that lacks something: {error!r}") from error

    def save(self, path: str | Path) -> None:
        """Writes it as JSON; the file is the old one or the new one, never half of it."""
        write_whole(Path(path), json.dumps(self.to_dict(), ensure_ascii=False))

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Reads what `save` or a checkpoint wrote, with what the journal beside it knows of the calls.

        Raises `ConfigError` that names the file.
        """
        return Store(Path(path)).load()[0]


def write_whole(path: Path, text: str) -> None:
    """Replaces a file as a whole: written beside it, flushed to the disk, then renamed."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """A rename is on the disk when the folder is. Where folders cannot be opened, there is no more to be done."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Store:
    """The files of a run: the checkpoint, and the journal of the calls of its last step."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path.with_name(path.name + ".journal")

    def save(self, run: Run) -> None:
        """Writes the checkpoint. What the journal said of finished steps is in it, so the journal begins anew."""
        run.save(self.path)
        if run.steps and run.steps[-1].done:
            with contextlib.suppress(FileNotFoundError):
                self.journal.unlink()

    def begin(self, n: int, place: int, call: ToolCall) -> None:
        """A call is going to be made. When this returns, the disk knows; if it raises, the call must not be made."""
        self._write({"begin": [n, place], "id": call.id, "name": call.name})

    def end(self, n: int, place: int, record: CallRecord) -> None:
        """A call was made, and this is what became of it."""
        self._write({"end": [n, place], "record": record.to_dict()})

    def _write(self, line: dict[str, Any]) -> None:
        data = (json.dumps(line, ensure_ascii=True) + "\n").encode("ascii")
        handle = os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            written = os.write(handle, data)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes went into {self.journal}")
            os.fsync(handle)
        finally:
            os.close(handle)

    def load(self) -> tuple[Run, tuple[int, ...]]:
        """The run, and the places of those calls in its last step that were begun and not ended."""
        try:
            run = Run.from_dict(json.loads(self.path.read_text("utf-8", "surrogatepass")))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.path} cannot be resumed: {error}") from error
        if not run.steps or run.steps[-1].done:
            return run, ()
        last = run.steps[-1]
        calls, begun = list(last.calls), set()
        for line in self._lines():
            n, place = line.get("begin") or line.get("end") or (0, 0)
            if n != last.n or not 0 <= place < len(calls):
                continue
            if "begin" in line:
                begun.add(place)
            else:
                begun.discard(place)
                calls[place] = CallRecord.from_dict(line["record"])
        step = replace(last, calls=tuple(calls))
        unfinished = tuple(sorted(place for place in begun if calls[place].signal is None))
        return replace(run, steps=(*run.steps[:-1], step)), unfinished

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The journal's whole lines. One that was torn was never acknowledged: what it was to say did not happen."""
        try:
            data = self.journal.read_bytes()
        except FileNotFoundError:
            return
        for line in data.split(b"\n")[:-1]:
            try:
                yield json.loads(line)
            except ValueError:
                continue
