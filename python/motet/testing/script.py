"""What a scripted server is to answer: completions as the model writes them, and faults on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from motet import _core

__all__ = ["FAULTS", "Fault", "Turn"]

FAULTS: Final[Mapping[str, str]] = {
    # Instead of an answer.
    "status": "an HTTP status, with headers and a body",
    "reset_before": "the connection is reset before anything is answered",
    "close_before": "the connection is closed before anything is answered",
    "silence_before": "nothing is ever answered",
    "reset_after": "what was asked for is done, but the connection is reset before the answer",
    "redirect": "a redirect to another host",
    "html": "a page of HTML with the status 200",
    "empty": "nothing, with the status 200",
    "null": "`null`, with the status 200",
    "list": "`[]`, with the status 200",
    "not_json": "half a JSON object, with the status 200",
    "no_choices": "an answer without choices",
    "wrong_types": "an answer whose fields have other types",
    "json_body": "one JSON object, although a stream was asked for",
    "error_body": "an object with `error`, with the status 200",
    # Within an answer.
    "reset": "the connection is reset",
    "close": "the connection is closed",
    "silence": "nothing more comes",
    "comments": "nothing more comes but comments, for ever",
    "half_event": "half an event, then the end",
    "bad_json": "an event that is not JSON",
    "bad_utf8": "an event that is not UTF-8",
    "html_event": "HTML in place of an event",
    "error_data": "an error as the data of an event",
    "error_event": "an event named `error`",
    "huge_event": "an event of nine million bytes",
    "duplicate": "an event comes twice",
    "no_finish": "the stream ends well, but no finish_reason came",
    # Without harm, or nearly.
    "bom": "a byte order mark at the front",
    "crlf": "lines end with carriage return and line feed",
    "no_done": "the stream ends without `[DONE]`",
    "no_usage": "no usage is sent",
    "after_done": "more data after `[DONE]`",
    "null_choice": "an event without choices in the middle",
    "pings": "comments and empty events between the others",
}
"""All kinds of faults, and what happens."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong."""

    kind: str
    """One of `FAULTS`."""
    after: int | None = None
    """How many events of a stream are sent before it, `[DONE]` being one; of an answer in one piece, how many bytes.
    `None`: it comes at once, and in one piece halfway."""
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """Of a `status` fault: a text, or what is sent as JSON. `None`: an error as the service writes them."""

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"no fault is named {self.kind!r}; known are {', '.join(FAULTS)}")


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer."""

    completion: str | Sequence[int] = "<|channel|>final<|message|><|return|>"
    """As the model writes it: text with markers, or token ids; the stop token included."""
    fault: Fault | None = None
    model: str | None = None
    """The model that answers. `None`: the one that was asked."""
    usage: Mapping[str, Any] | None = None
    """`None`: counted."""
    cached: int | None = None
    """Tokens of the prompt that the service had cached. `None`: it does not say."""
    reasoning_tokens: bool = False
    """Whether the usage says how many tokens are reasoning."""
    delay: float = 0.0
    """Seconds before the answer, and between its events."""
    slice: int | None = None
    """Bytes written at once. `None`: an event at once."""

    def __post_init__(self) -> None:
        written = self.completion
        if not isinstance(written, str) and not (
            isinstance(written, Sequence) and all(isinstance(token, int) for token in written)
        ):
            raise TypeError(f"a completion must be a text or token ids, not {written!r:.80}")
        if self.slice is not None and self.slice < 1:
            raise ValueError(f"slice must be a number of bytes from 1 on, not {self.slice!r}")

    @property
    def ids(self) -> list[int]:
        """What the model wrote, as token ids."""
        if isinstance(self.completion, str):
            return _core.encode(self.completion, special="token")
        return list(self.completion)

    @classmethod
    def of(cls, item: Turn | Fault | str | Sequence[int]) -> Turn:
        """A turn, from the ways in which people write one."""
        if isinstance(item, Turn):
            return item
        return cls(fault=item) if isinstance(item, Fault) else cls(item)
