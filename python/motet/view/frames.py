"""The frames of a transcript: token ids with the text, the part and the repairs of each."""

from __future__ import annotations

import bisect
import itertools
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, cast

from motet import _core
from motet.message import Frame, Kind, Message, Repair, Role, Stop, ToolCall, ToolResult
from motet.view.message_frames import MessageFrame, message_frames

__all__ = ["TokenSpan", "TranscriptFrame", "frames_of_ids", "frames_of_messages", "token_texts"]

SpanPart: TypeAlias = Literal["header", "content", "marker"]

_MARKER_IDS = {word: _core.SPECIAL_TOKENS[spelling] for word, spelling in _core.MARKERS.items()}
_SPECIAL_IDS = frozenset(_core.SPECIAL_TOKENS.values())
_UNKNOWN_TEXT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Adjacent tokens and their text: one token, or several that share a character."""

    position: int
    """The index of its first token in the ids that the frame is from."""
    ids: tuple[int, ...]
    text: str
    part: SpanPart
    """`marker`: a special token; `header`: text between `<|start|>` and `<|message|>`."""
    repairs: tuple[Repair, ...] = ()
    """The repairs that begin within it, or concern its text."""


@dataclass(frozen=True, slots=True)
class TranscriptFrame:
    """A frame with its tokens."""

    index: int
    """From 0."""
    role: Role
    kind: Kind | None
    """What the frame becomes in a message. `None`: the header with which a prompt ends."""
    content: str
    """The content as it is parsed."""
    position: int
    """The index of its first token in the ids that the frame is from: those of the prompt or of the completion."""
    ids: array[int] = field(repr=False)
    """Header, content and stop token."""
    content_start: int
    """The index of the content's first token in `ids`."""
    content_end: int
    name: str | None = None
    channel: str | None = None
    recipient: str | None = None
    content_type: str | None = None
    stop: Stop | None = None
    repairs: tuple[Repair, ...] = ()
    call_id: str | None = None
    """Of a call its id, and of a result the id of its call."""
    message: int | None = None
    """The index of the message that it is from. `None`: the source has no messages."""
    step: int | None = None
    """The number of the step, from 1. `None`: not an answer of a run, nor a result in it."""

    @property
    def spans(self) -> tuple[TokenSpan, ...]:
        """The tokens with their texts, in order. Takes linear time."""
        by_place = _repairs_by_place(self)
        spans: list[TokenSpan] = []
        place = 0
        for ids, text in token_texts(self.ids):
            part = self._part(place, ids)
            repairs = [repair for offset in range(len(ids)) for repair in by_place.get(place + offset, ())]
            spans.append(TokenSpan(self.position + place, ids, text, part, tuple(dict.fromkeys(repairs))))
            place += len(ids)
        return tuple(spans)

    def _part(self, place: int, ids: tuple[int, ...]) -> SpanPart:
        if ids[0] in _SPECIAL_IDS and not self.content_start <= place < self.content_end:
            return "marker"
        return "content" if self.content_start <= place < self.content_end else "header"

    @property
    def tokens(self) -> int:
        """The number of its tokens."""
        return len(self.ids)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form. `tokens` has the ids, and for each the length of its text in code points; tokens that share a
        character have length 0, except for the last of them. `tokens` of a repair are the first and behind the last of
        those that it concerns."""
        from dataclasses import asdict

        texts = token_texts(self.ids)
        return {
            "index": self.index,
            "role": self.role,
            "kind": self.kind,
            **{
                name: value
                for name in ("name", "channel", "recipient", "content_type", "stop", "call_id", "message", "step")
                if (value := getattr(self, name)) is not None
            },
            "content": self.content,
            "position": self.position,
            "text": "".join([text for _, text in texts]),
            "tokens": {
                "ids": list(self.ids),
                "lengths": [length for ids, text in texts for length in (*[0] * (len(ids) - 1), len(text))],
            },
            "content_start": self.content_start,
            "content_end": self.content_end,
            "repairs": [
                {**asdict(repair), "tokens": [places.start, places.stop]}
                for repair in self.repairs
                for places in [_extent(self, repair)]
            ],
        }


def _repairs_by_place(frame: TranscriptFrame) -> dict[int, list[Repair]]:
    """The repairs of each token that they concern."""
    by_place: dict[int, list[Repair]] = {}
    for repair in frame.repairs:
        for place in _extent(frame, repair):
            by_place.setdefault(place, []).append(repair)
    return by_place


def _extent(frame: TranscriptFrame, repair: Repair) -> range:
    """The places of the tokens that a repair concerns: the one at its position, and those that its text reaches to."""
    first = place = min(max(repair.position - frame.position, 0), max(len(frame.ids) - 1, 0))
    text = ""
    while place < len(frame.ids):
        text += _text_of(frame.ids[place : place + 1])
        place += 1
        if len(text) >= len(repair.text) or not repair.text.startswith(text):
            break
    return range(first, place)


def token_texts(ids: Sequence[int]) -> list[tuple[tuple[int, ...], str]]:
    """The text of each token; tokens that share a character stand together. Numbers that are no ids give U+FFFD."""
    if not ids:
        return []
    try:
        text, offsets = _core.decode_with_offsets(ids)
    except ValueError:
        return [((token,), _text_of([token])) for token in ids]
    texts: list[tuple[tuple[int, ...], str]] = []
    first, start, end = 0, 0, offsets[0][1]
    for place in range(1, len(ids)):
        low, high = offsets[place]
        if low >= end:
            texts.append((tuple(ids[first:place]), text[start:end]))
            first, start = place, low
        end = max(end, high)
    texts.append((tuple(ids[first:]), text[start:end]))
    return texts


def _text_of(ids: Sequence[int]) -> str:
    try:
        return _core.decode(ids)
    except ValueError:
        return _UNKNOWN_TEXT


@dataclass(slots=True)
class _Bounds:
    """Where the tokens of a frame are."""

    event: _core.Event
    start: int
    content_start: int
    content_end: int = -1
    end: int = -1
    is_exact: bool = True
    """False if no marker precedes the content: its place is looked for in the text."""


def frames_of_ids(
    ids: Sequence[int],
    *,
    role: Role | None = "assistant",
    opened: str | None = None,
    tools: Iterable[Any] | None = None,
    stripped: Literal["auto", "always", "never"] = "auto",
) -> tuple[list[TranscriptFrame], tuple[Repair, ...]]:
    """The frames of a prompt or a completion, and all repairs. Arguments: see `motet.parse`.

    A header without content at the end, as a prompt has it, is a frame of kind `None`.
    """
    parser = _core.StreamParser(role, opened=opened, tools=tools, stripped=stripped)
    tokens = array("I", [token if 0 <= token <= _MAX_NUMBER else _MAX_NUMBER for token in ids])
    bounds: list[_Bounds] = []
    repairs: list[Repair] = []
    for place, count in _runs(tokens):
        chunk = tokens[place : place + count]
        _read_events(parser.feed(chunk), place, count, tokens, bounds, repairs)
    _read_events(parser.close(), len(tokens), 0, tokens, bounds, repairs)
    for before, bound in itertools.pairwise(bounds):
        if before.end < 0:
            before.content_end = before.end = bound.start
    parsed = parser.completion.frames
    _locate(bounds, parsed, tokens)
    _join(bounds, len(tokens))
    if role is None:
        repairs = [repair for repair in repairs if repair.code not in _OF_COMPLETIONS]
    frames = [
        _frame(index, bound, frame, tokens) for index, (bound, frame) in enumerate(zip(bounds, parsed, strict=False))
    ]
    end = bounds[-1].end if bounds else 0
    if end < len(tokens):
        rest = tokens[end:]
        header_role: Role = role if role is not None and not bounds else _role_of(rest)
        frames.append(TranscriptFrame(len(frames), header_role, None, "", end, rest, len(rest), len(rest)))
    return _with_repairs(frames, repairs), tuple(repairs)


def _with_repairs(frames: list[TranscriptFrame], repairs: Iterable[Repair]) -> list[TranscriptFrame]:
    """The frames, each with the repairs from its first token on; the end of the input belongs to the last."""
    starts = [frame.position for frame in frames]
    own: dict[int, list[Repair]] = {}
    for repair in repairs:
        own.setdefault(max(bisect.bisect_right(starts, repair.position) - 1, 0), []).append(repair)
    return [replace(frame, repairs=tuple(own[index])) if index in own else frame for index, frame in enumerate(frames)]


_OF_COMPLETIONS = ("foreign_role", "truncated_header")
"""Repairs of what a completion must not have, and a prompt has: other roles, and a header at its end."""
_KIND_OF_ROLE: dict[str, Kind] = {
    "system": "system_content",
    "developer": "developer_content",
    "user": "text",
    "tool": "tool_result",
}
_MAX_NUMBER = 0xFFFFFFFF
"""Stands for numbers that an array of ids cannot hold; the parser reads it as U+FFFD, too."""


def _role_of(header: Sequence[int]) -> Role:
    """The role that a header names; an unfinished one is the assistant's, as prompts end so."""
    text = _text_of([token for token in header if token not in _SPECIAL_IDS])
    for role in ("system", "developer", "user", "tool"):
        if text.startswith(role):
            return role
    return "assistant"


def _runs(tokens: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The places of special tokens, each alone, and of the runs between them: place and length."""
    start = 0
    for place, token in enumerate(tokens):
        if token in _SPECIAL_IDS:
            if start < place:
                yield start, place - start
            yield place, 1
            start = place + 1
    if start < len(tokens):
        yield start, len(tokens) - start


def _read_events(
    events: Iterable[_core.Event],
    place: int,
    count: int,
    tokens: Sequence[int],
    bounds: list[_Bounds],
    repairs: list[Repair],
) -> None:
    """Sets the bounds of the frames that begin and end in the events of a run of tokens."""
    is_marker = count == 1 and tokens[place] in _SPECIAL_IDS
    missing_end: int | None = None
    """Where the header begins that ends a frame without a stop token."""
    for event in events:
        if event.repair is not None:
            repairs.append(event.repair)
            missing_end = event.repair.position
        elif event.type == "end" and bounds:
            bound = bounds[-1]
            if event.stop is not None and is_marker:
                bound.content_end, bound.end = place, place + 1
            else:
                end = missing_end if missing_end is not None and missing_end >= bound.content_start else place
                bound.content_end = bound.end = end if count else len(tokens)
        elif event.type == "start":
            start = bounds[-1].end if bounds else 0
            if bounds and start < 0:
                bounds[-1].content_end = bounds[-1].end = start = place
            content_start = place + 1 if is_marker else start
            bounds.append(_Bounds(event, start, max(content_start, start), is_exact=is_marker))


def _locate(bounds: Sequence[_Bounds], parsed: Sequence[Frame], tokens: Sequence[int]) -> None:
    """Sets the bounds of contents that no marker precedes, by their texts."""
    if all(bound.is_exact for bound in bounds):
        return
    texts = token_texts(tokens)
    text = "".join([part for _, part in texts])
    starts: list[int] = []
    start = 0
    for ids, part in texts:
        starts += [start] * len(ids)
        start += len(part)
    starts.append(start)
    cursor, last_end = 0, 0
    for bound, frame in zip(bounds, parsed, strict=False):
        bound.start = max(bound.start, last_end) if bound.is_exact else last_end
        if not bound.is_exact and (place := text.find(frame.content, cursor)) >= 0:
            bound.content_start = max(bisect.bisect_right(starts, place) - 1, last_end)
            bound.content_end = max(bisect.bisect_left(starts, place + len(frame.content)), bound.content_start)
            bound.end = max(bound.end, bound.content_end) if frame.stop else bound.content_end
            cursor = place + len(frame.content)
        last_end = max(bound.end, last_end)


def _join(bounds: Sequence[_Bounds], count: int) -> None:
    """Makes each frame begin where the one before it ends, so that every token is in one frame."""
    last_end = 0
    for bound in bounds:
        bound.start = last_end
        bound.end = last_end = min(max(count if bound.end < 0 else bound.end, bound.start), count)
        content_end = bound.end if bound.content_end < 0 else bound.content_end
        bound.content_start = min(max(bound.content_start, bound.start), bound.end)
        bound.content_end = min(max(content_end, bound.content_start), bound.end)


def _frame(index: int, bound: _Bounds, frame: Frame, tokens: array[int]) -> TranscriptFrame:
    start = bound.start
    kind = bound.event.kind
    if kind == "stray":
        kind = _KIND_OF_ROLE.get(frame.role, kind)
    return TranscriptFrame(
        index,
        frame.role,
        kind,
        frame.content,
        start,
        tokens[start : bound.end],
        bound.content_start - start,
        bound.content_end - start,
        frame.name,
        frame.channel,
        frame.recipient,
        frame.content_type,
        frame.stop,
        call_id=bound.event.call_id,
    )


def frames_of_messages(
    messages: Iterable[Message],
    *,
    steps: Sequence[int | None] = (),
    sampled: Sequence[array[int] | None] = (),
) -> tuple[list[TranscriptFrame], list[Repair]]:
    """The frames of messages, and the repairs of answers whose sampled ids are known. Reasoning is never left out.

    `steps` and `sampled`: the step and the sampled ids of each message.
    """
    frames: list[TranscriptFrame] = []
    repairs: list[Repair] = []
    for index, message in enumerate(messages):
        step = steps[index] if index < len(steps) else None
        ids = sampled[index] if index < len(sampled) else None
        if ids:
            read, mended = frames_of_ids(ids)
            calls = iter([part for part in message.content if isinstance(part, ToolCall)])
            read = [_with_call_id(frame, calls) for frame in read]
            repairs += mended
        else:
            read = [_frame_of_part(source) for source in message_frames(message)]
        frames += [replace(frame, message=index, step=step) for frame in read]
    return [replace(frame, index=index) for index, frame in enumerate(frames)], repairs


def _with_call_id(frame: TranscriptFrame, calls: Iterator[ToolCall]) -> TranscriptFrame:
    """The frame of a call with the id that the message has for it."""
    if frame.kind != "tool_call":
        return frame
    call = next(calls, None)
    return frame if call is None else replace(frame, call_id=call.id)


def _frame_of_part(source: MessageFrame) -> TranscriptFrame:
    frame = source.frame
    ids = _ids_of_frame(frame)
    marker = _MARKER_IDS["message"]
    start = ids.index(marker) + 1 if marker in ids else 0
    end = len(ids) - 1 if len(ids) > start and ids[-1] in _core.STOP_TOKENS else len(ids)
    call_id: str | None = None
    if isinstance(source.part, ToolCall):
        call_id = source.part.id
    elif isinstance(source.part, ToolResult):
        call_id = source.part.tool_call_id
    return TranscriptFrame(
        0,
        frame.role,
        cast("Kind", source.part.type),
        frame.content,
        0,
        ids,
        start,
        end,
        frame.name,
        frame.channel,
        frame.recipient,
        frame.content_type,
        frame.stop,
        call_id=call_id or None,
    )


def _ids_of_frame(frame: Frame) -> array[int]:
    """The ids of a frame; those of its content alone if its header cannot be written."""
    try:
        return array("I", _core.render_frames([frame])[0])
    except ValueError:
        return _core.encode_array(frame.content)
