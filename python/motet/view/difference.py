"""The difference of two transcripts: by frame, and within frames by token."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from motet import _core
from motet.view.edit_script import StepBudget, changed_regions, common_prefix
from motet.view.frames import TranscriptFrame, token_texts
from motet.view.sources import transcript
from motet.view.transcript import Transcript, channel_of

__all__ = ["Change", "Difference", "FramePair", "Parting", "diff"]

Frames: TypeAlias = Sequence[TranscriptFrame]

_TEXT_BEFORE = 24
"""Tokens of the frame before the parting that `Parting.before` has: one or two lines of a terminal."""

_STEPS_OF_PAIR = 50_000
"""316 changed tokens: a frame that was written anew leaves steps for the frames behind it."""


@dataclass(frozen=True, slots=True)
class Change:
    """Adjacent tokens of A in whose place B has others: `a[a_start:a_end]` and `b[b_start:b_end]`; one may be empty."""

    a_start: int
    a_end: int
    b_start: int
    b_end: int


@dataclass(frozen=True, slots=True)
class FramePair:
    """A frame of A and the frame of B in its place."""

    a: TranscriptFrame | None
    """`None`: B has a frame that A lacks."""
    b: TranscriptFrame | None
    changes: tuple[Change, ...] = ()
    """In places of the two frames' `ids`. Empty: the frames are equal."""

    @property
    def has_equal_text(self) -> bool:
        """Whether the texts are equal. Equal texts of different tokens are a tokenization that is not motet's."""
        return self.a is not None and self.b is not None and _bytes(self.a.ids) == _bytes(self.b.ids)


@dataclass(frozen=True, slots=True)
class Parting:
    """The first place at which the tokens differ: a prefix cache holds nothing from here on."""

    position: int
    """The number of equal tokens before it."""
    a_frame: int | None
    """The index of A's frame. `None`: A has ended."""
    b_frame: int | None
    a_place: int
    """The place in `ids` of A's frame. 0 if A has ended."""
    b_place: int
    a_id: int | None
    """A's token. `None`: A has ended."""
    b_id: int | None
    before: str
    """The text of up to 24 equal tokens before it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two transcripts. Made by `motet.diff`."""

    a: Transcript
    b: Transcript
    frames: tuple[FramePair, ...]
    """All frames of both, in order."""
    parting: Parting | None
    """`None`: the tokens are equal."""
    ids: tuple[array[int], array[int]] = field(repr=False, compare=False)
    """The ids of A and of B."""

    @property
    def equal(self) -> bool:
        """Whether all tokens are equal."""
        return self.parting is None

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of all frames, in places of `a.ids` and `b.ids`."""
        changes: list[Change] = []
        a_start = b_start = 0
        for pair in self.frames:
            changes += [
                Change(
                    change.a_start + a_start, change.a_end + a_start, change.b_start + b_start, change.b_end + b_start
                )
                for change in pair.changes
            ]
            a_start += 0 if pair.a is None else len(pair.a.ids)
            b_start += 0 if pair.b is None else len(pair.b.ids)
        return tuple(changes)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: `a` and `b` (`title`, `source`, `tokens`), `equal`, `parting`, and `frames`.

        `frames` has a dict for each pair that differs: `a` and `b` (`index`, `role`, `channel`, `name`, `recipient`,
        `step`; or null), `equal_text`, and `changes` with places, ids and texts.
        """
        from dataclasses import asdict

        return {
            "a": {"title": self.a.title, "source": self.a.source, "tokens": len(self.ids[0])},
            "b": {"title": self.b.title, "source": self.b.source, "tokens": len(self.ids[1])},
            "equal": self.equal,
            "parting": None if self.parting is None else asdict(self.parting),
            "frames": [
                {
                    "a": _heading(pair.a),
                    "b": _heading(pair.b),
                    "equal_text": pair.has_equal_text,
                    "changes": [_change_dict(pair, change) for change in pair.changes],
                }
                for pair in self.frames
                if pair.changes
            ],
        }


def diff(a: Any, b: Any, **options: Any) -> Difference:
    """The difference of two completions, prompts, conversations, answers or runs.

    - `a`, `b`: what `motet.transcript` takes, or its results.
    - `options`: how raw input is parsed: see `motet.transcript`.

    Frames are aligned by their tokens, and those that differ by role and channel. The changes within pairs of frames
    are the smallest possible up to some 300 changed tokens. Beyond that, all between the equal tokens at the begin and
    at the end of a frame is one change. Takes linear time.
    """
    first, second = transcript(a, **options), transcript(b, **options)
    ids = (first.ids, second.ids)
    budget = StepBudget()
    pairs = tuple([_with_changes(pair, budget) for pair in _aligned(first.frames, second.frames)])
    return Difference(first, second, pairs, _parting(first, second, ids), ids)


def _aligned(a: Frames, b: Frames) -> Iterator[FramePair]:
    """Pairs of equal frames, and between them pairs of frames of one role and channel."""
    # Each level has a budget of its own: where all frames differ, the first one uses up its own.
    by_channel = StepBudget()
    for pairs, a_rest, b_rest in _stretches(a, b, lambda frame: frame.ids.tobytes(), StepBudget()):
        yield from pairs
        for similar, a_alone, b_alone in _stretches(a_rest, b_rest, _role_and_channel, by_channel):
            yield from similar
            yield from [FramePair(frame, None) for frame in a_alone]
            yield from [FramePair(None, frame) for frame in b_alone]


def _role_and_channel(frame: TranscriptFrame) -> tuple[str, str]:
    return frame.role, channel_of(frame)


def _stretches(
    a: Frames, b: Frames, key_of: Callable[[TranscriptFrame], object], budget: StepBudget
) -> Iterator[tuple[Iterable[FramePair], Frames, Frames]]:
    """Pairs of frames with equal keys, and the frames behind them, up to the next pair, whose keys differ."""
    regions = changed_regions([key_of(frame) for frame in a], [key_of(frame) for frame in b], budget)
    a_place = b_place = 0
    for a_start, a_end, b_start, b_end in [*regions, (len(a), len(a), len(b), len(b))]:
        yield map(FramePair, a[a_place:a_start], b[b_place:b_start]), a[a_start:a_end], b[b_start:b_end]
        a_place, b_place = a_end, b_end


def _with_changes(pair: FramePair, budget: StepBudget) -> FramePair:
    if pair.a is None or pair.b is None:
        lengths = [0 if frame is None else len(frame.ids) for frame in (pair.a, pair.b)]
        return replace(pair, changes=(Change(0, lengths[0], 0, lengths[1]),) if any(lengths) else ())
    steps = min(budget.left, _STEPS_OF_PAIR)
    share = StepBudget(steps)
    regions = changed_regions(pair.a.ids, pair.b.ids, share)
    budget.left -= steps - max(share.left, 0)
    return replace(pair, changes=tuple([Change(*region) for region in regions]))


def _parting(a: Transcript, b: Transcript, ids: tuple[array[int], array[int]]) -> Parting | None:
    position = common_prefix(*ids)
    if position == len(ids[0]) == len(ids[1]):
        return None
    a_frame, a_place = _frame_at(a, position)
    b_frame, b_place = _frame_at(b, position)
    start = max(position - _TEXT_BEFORE, position - a_place if a_frame is not None else position - b_place, 0)
    return Parting(
        position,
        a_frame,
        b_frame,
        a_place,
        b_place,
        ids[0][position] if position < len(ids[0]) else None,
        ids[1][position] if position < len(ids[1]) else None,
        _text(ids[0][start:position]),
    )


def _frame_at(transcript: Transcript, position: int) -> tuple[int | None, int]:
    """The index of the frame that has a token, and the token's place in it."""
    start = 0
    for frame in transcript.frames:
        if position < start + len(frame.ids):
            return frame.index, position - start
        start += len(frame.ids)
    return None, 0


def _text(ids: Sequence[int]) -> str:
    return "".join([text for _, text in token_texts(ids)])


def _bytes(ids: array[int]) -> bytes:
    try:
        return _core.decode_bytes(ids)
    except ValueError:
        return _text(ids).encode("utf-8", "surrogatepass")


def _heading(frame: TranscriptFrame | None) -> dict[str, Any] | None:
    if frame is None:
        return None
    names = ("index", "role", "channel", "name", "recipient", "step")
    return {name: value for name in names if (value := getattr(frame, name)) is not None}


def _change_dict(pair: FramePair, change: Change) -> dict[str, Any]:
    a = pair.a.ids[change.a_start : change.a_end] if pair.a else array("I")
    b = pair.b.ids[change.b_start : change.b_end] if pair.b else array("I")
    return {
        "a": {"start": change.a_start, "ids": list(a), "text": _text(a)},
        "b": {"start": change.b_start, "ids": list(b), "text": _text(b)},
    }
