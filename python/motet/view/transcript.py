"""Transcripts: a completion, a prompt, a conversation or a run as one value."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from motet._atomic_files import write_whole
from motet.message import Repair
from motet.metrics import Metrics
from motet.view import euphony, html
from motet.view.frames import TokenSpan, TranscriptFrame

__all__ = ["PairedCall", "TokenSpan", "Transcript", "TranscriptFrame", "TranscriptStep", "channel_of", "pair_calls"]

Source: TypeAlias = Literal["completion", "prompt", "conversation", "run", "exchange"]


@dataclass(frozen=True, slots=True)
class PairedCall:
    """A tool call and its result."""

    call: int
    """The index of the call's frame."""
    result: int | None
    """The index of the result's frame. `None`: the call has no result in the transcript."""
    signal: str | None = None
    """How the call ended: see `CallRecord.signal`. `None`: not known."""
    seconds: float | None = None
    """The duration of the call. `None`: not known."""


@dataclass(frozen=True, slots=True)
class TranscriptStep:
    """A request of a run and its answer."""

    n: int
    """From 1."""
    model: str | None = None
    """Model name in the response. `None`: not known."""
    metrics: Metrics | None = None
    """`None`: not known."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is known of a completion, a prompt, a conversation or a run. Made by `motet.transcript`."""

    title: str
    source: Source
    frames: tuple[TranscriptFrame, ...]
    repairs: tuple[Repair, ...] = ()
    """All repairs; those of a frame are in `frame.repairs`, too."""
    calls: tuple[PairedCall, ...] = ()
    """The tool calls, in order."""
    steps: tuple[TranscriptStep, ...] = ()
    metrics: Metrics | None = None
    """The sum over the steps and over requests that gave no step. `None`: not known."""
    notes: tuple[str, ...] = ()
    """What the source has and the frames do not show."""
    _tokens: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def ids(self) -> array[int]:
        """The ids of all frames."""
        ids: array[int] = array("I")
        for frame in self.frames:
            ids.extend(frame.ids)
        return ids

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens by channel, by motet's own count: of the assistant `analysis`, `commentary`, `final` and `markup`, of
        other frames their roles, markers included. They sum to the number of ids."""
        if not self._tokens:
            self._tokens.update(count_tokens(self.frames))
        return dict(self._tokens)

    def tokens_of_step(self, n: int) -> dict[str, int]:
        """`tokens` of the assistant's frames of a step."""
        return count_tokens([frame for frame in self.frames if frame.step == n and frame.role == "assistant"])

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: `title`, `source`, `frames` (see `TranscriptFrame.to_dict`), `repairs`, `calls`, `steps`,
        `metrics`, `tokens`, `notes`."""
        from dataclasses import asdict

        return {
            "title": self.title,
            "source": self.source,
            "frames": [frame.to_dict() for frame in self.frames],
            "repairs": [asdict(repair) for repair in self.repairs],
            "calls": [asdict(call) for call in self.calls],
            "steps": [
                {
                    "n": step.n,
                    "model": step.model,
                    "metrics": None if step.metrics is None else step.metrics.to_dict(),
                    "tokens": self.tokens_of_step(step.n),
                }
                for step in self.steps
            ],
            "metrics": None if self.metrics is None else self.metrics.to_dict(),
            "tokens": self.tokens,
            "notes": list(self.notes),
        }

    def to_euphony(self) -> dict[str, Any]:
        """The JSON form of a conversation that OpenAI's viewer euphony reads: a message for each frame."""
        metadata = {"source": self.source, "tokens": self.tokens, "notes": list(self.notes)}
        return euphony.conversation(self.title, self.frames, metadata)

    def to_html(self) -> str:
        """One HTML page that needs no server and no network."""
        return html.page([self.to_dict()])

    def save(self, path: str | Path) -> None:
        """Writes the HTML page to a file, replacing it atomically."""
        write_whole(Path(path), self.to_html())

    def _repr_html_(self) -> str:
        """For notebooks: the page in a frame of its own, whose scripts and styles cannot touch the notebook."""
        return html.frame(self.to_html())


def count_tokens(frames: Iterable[TranscriptFrame]) -> dict[str, int]:
    """Tokens by channel: see `Transcript.tokens`."""
    counts: dict[str, int] = {}
    for frame in frames:
        content = frame.content_end - frame.content_start
        if frame.role == "assistant":
            channel = channel_of(frame)
            counts[channel] = counts.get(channel, 0) + content
            counts["markup"] = counts.get("markup", 0) + frame.tokens - content
        else:
            counts[frame.role] = counts.get(frame.role, 0) + frame.tokens
    return {name: count for name, count in counts.items() if count}


def channel_of(frame: TranscriptFrame) -> str:
    """The channel of an assistant's frame, where none is written the usual one; of other frames the role. `markup`: a
    header without content."""
    if frame.role != "assistant":
        return frame.role
    return frame.channel or ("final" if frame.kind == "text" else "markup" if frame.kind is None else "commentary")


def pair_calls(
    frames: Sequence[TranscriptFrame], outcomes: Mapping[tuple[int | None, str], tuple[str | None, float]] | None = None
) -> tuple[PairedCall, ...]:
    """The calls of frames with their results: by id, and where results have none, by the tool's name in order.

    `outcomes`: signal and seconds of calls, by step and id.
    """
    waiting: list[TranscriptFrame] = []
    results: dict[int, int] = {}
    calls = [frame for frame in frames if frame.kind == "tool_call"]
    for frame in frames:
        if frame.kind == "tool_call":
            waiting.append(frame)
        elif frame.kind == "tool_result":
            call = _call_of(frame, waiting)
            if call is not None:
                waiting.remove(call)
                results[call.index] = frame.index
    pairs: list[PairedCall] = []
    for call in calls:
        signal, seconds = (outcomes or {}).get((call.step, call.call_id or ""), (None, None))
        pairs.append(PairedCall(call.index, results.get(call.index), signal, seconds))
    return tuple(pairs)


def _call_of(result: TranscriptFrame, waiting: Sequence[TranscriptFrame]) -> TranscriptFrame | None:
    if result.call_id is not None:
        return next((call for call in waiting if call.call_id == result.call_id), None)
    return next((call for call in waiting if call.recipient == result.name), None)
