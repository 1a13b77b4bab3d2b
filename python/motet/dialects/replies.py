"""What the writers of all three APIs share: the end of a reply, failures, and the events that clients see."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from motet import _core
from motet._core import Event
from motet._surrogates import is_unicode
from motet.message import Message, Preamble, Reasoning, ToolCall

__all__ = [
    "ApiFailure",
    "Finish",
    "ReplyEnd",
    "ReplyUsage",
    "ReplyWriter",
    "Shape",
    "VisibleEvents",
    "compact_json",
    "message_events",
    "named_event",
]

Shape: TypeAlias = dict[str, Any]
Finish: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]

_VISIBLE = frozenset(("reasoning", "preamble", "text", "tool_call"))
"""Kinds of frames that are the assistant's: a tool's result that the model invented is not part of its answer."""


@dataclass(frozen=True, slots=True)
class ReplyUsage:
    """Tokens of a request and its reply."""

    input: int
    """Tokens of the prompt, cached ones included."""
    output: int
    """Tokens of the reply, reasoning included."""
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class ReplyEnd:
    """Why a reply ended, and what it used."""

    finish: Finish
    usage: ReplyUsage
    stop_sequence: str | None = None
    """The client's stop string that ended the reply. `None`: none did, or it is unknown which."""


@dataclass(frozen=True, slots=True)
class ApiFailure:
    """A failed request, before it has the shape of an API."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    """OpenAI's word for the failure, as `context_length_exceeded`."""
    retry_after: float | None = None
    """Seconds."""
    tokens: int | None = None
    """Tokens of a request that is too long."""
    limit: int | None = None
    """Tokens of the context."""


class ReplyWriter(Protocol):
    """Events of a reply become events of an API's stream, and its whole reply."""

    def start(self) -> list[Shape]:
        """The events before the first token."""

    def feed(self, event: Event) -> list[Shape]:
        """The events for an event of the parser."""

    def end(self, end: ReplyEnd) -> list[Shape]:
        """The events of the end. `whole` is then the reply."""

    def fail(self, failure: ApiFailure) -> list[Shape]:
        """The events that say that the reply broke off."""

    @property
    def whole(self) -> Shape:
        """The reply as one object."""

    @staticmethod
    def encode(shape: Shape) -> bytes:
        """An event of the stream as bytes."""

    @property
    def trailer(self) -> bytes:
        """The bytes behind the last event."""


def compact_json(value: Any) -> str:
    """JSON without blanks. Half a surrogate pair, which UTF-8 has no bytes for, is escaped."""
    text = _encode(value)
    return text if is_unicode(text) else json.dumps(value, separators=(",", ":"))


def named_event(shape: Shape) -> bytes:
    """An event of a stream whose events bear their type as a name."""
    return f"event: {shape['type']}\ndata: {compact_json(shape)}\n\n".encode()


# One encoder: `json.dumps` makes one for each call, which takes as long as an event.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class VisibleEvents:
    """Chooses the events that clients see: those of reasoning, texts and calls; with `single_call`, of one call."""

    def __init__(self, *, single_call: bool) -> None:
        self._single_call = single_call
        self._call_index: int | None = None
        self.hidden_calls = 0
        """Calls that were left out."""

    def shows(self, event: Event) -> bool:
        """Whether clients see the event."""
        kind = event.kind
        if kind not in _VISIBLE:
            return False
        if kind != "tool_call" or not self._single_call:
            return True
        if self._call_index is None:
            self._call_index = event.index
        self.hidden_calls += event.type == "start" and event.index != self._call_index
        return event.index == self._call_index


def message_events(message: Message, first_index: int = 0) -> Iterator[Event]:
    """The events of a whole message, as a parser gives them."""
    for index, part in enumerate(message.content, first_index):
        header: tuple[Any, ...] = ("assistant", None, None, None, None)
        call_id: str | None = None
        if isinstance(part, ToolCall):
            kind, text, call_id = "tool_call", part.arguments, part.id
            header = ("assistant", part.name, "commentary", _core.function_recipient(part.name), None)
        elif isinstance(part, Reasoning):
            kind, text = "reasoning", part.text
        else:
            kind, text = ("preamble" if isinstance(part, Preamble) else "text"), getattr(part, "text", "")
        yield Event("start", kind, index, "", *header, None, None, call_id)
        if text:
            yield Event("delta", kind, index, text, *header, None, None, call_id)
        yield Event("end", kind, index, "", *header, "end", None, call_id)


def error_type(status: int, names: Mapping[int, str]) -> str:
    """The word of an API for a status."""
    return names.get(status) or names.get(status // 100 * 100, names[500])
