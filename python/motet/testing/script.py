"""The script of a server: completions as the model writes them, and faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from motet import _core

__all__ = ["FAULTS", "Fault", "Turn"]

FAULTS: Final[Mapping[str, str]] = {
    # Instead of an answer.
    "status": "an HTTP status, with headers and a body",
    "reset_before": "the connection is reset before the response",
    "close_before": "the connection is closed before the response",
    "silence_before": "no response is sent",
    "reset_after": "the request is carried out, but the connection is reset before the response",
    "redirect": "a redirect to another host",
    "html": "a page of HTML with the status 200",
    "empty": "an empty body, with the status 200",
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
    "silence": "no more bytes are sent",
    "comments": "only comments are sent, without end",
    "half_event": "half an event, then the end",
    "bad_json": "an event that is not JSON",
    "bad_utf8": "an event that is not UTF-8",
    "html_event": "HTML in place of an event",
    "error_data": "an error as the data of an event",
    "error_event": "an event named `error`",
    "huge_event": "an event of nine million bytes",
    "duplicate": "an event is sent twice",
    "no_finish": "the stream ends with `[DONE]` and without a finish_reason",
    # Harmless.
    "bom": "a byte order mark at the front",
    "crlf": "lines end with carriage return and line feed",
    "no_done": "the stream ends without `[DONE]`",
    "no_usage": "no usage is sent",
    "after_done": "more data after `[DONE]`",
    "null_choice": "an event without choices in the middle",
    "pings": "comments and empty events between the others",
}
"""The kinds of faults, and what happens in each."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in place of a response, or within one."""

    kind: str
    """One of `FAULTS`."""
    after: int | None = None
    """Events of a stream that are sent before it, `[DONE]` included; bytes of a response that is not a stream. `None`:
    0 events, or half of the bytes."""
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """Of a `status` fault: a text, or a value that is sent as JSON. `None`: an error body as the service writes it."""

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"no fault is named {self.kind!r}; known are {', '.join(FAULTS)}")


@dataclass(frozen=True, slots=True)
class Turn:
    """One response."""

    completion: str | Sequence[int] = "<|channel|>final<|message|><|return|>"
    """What the model writes: text with markers, or token ids, with the stop token."""
    fault: Fault | None = None
    model: str | None = None
    """Model name in the response. `None`: that of the request."""
    finish: str | None = None
    """The finish reason, where the completion is not cut by a limit. `None`: what the completion says."""
    usage: Mapping[str, Any] | None = None
    """The usage object. `None`: counted from the prompt and the completion."""
    cached: int | None = None
    """Cached tokens of the prompt in the usage. `None`: not reported."""
    reasoning_tokens: bool = False
    """True: the usage has the count of reasoning tokens."""
    delay: float = 0.0
    """Seconds before the response, and between its events."""
    slice: int | None = None
    """Bytes per write, from 1. `None`: one event per write."""

    def __post_init__(self) -> None:
        completion = self.completion
        if not isinstance(completion, str) and not (
            isinstance(completion, Sequence) and all(isinstance(token, int) for token in completion)
        ):
            raise TypeError(f"a completion must be a text or token ids, not {completion!r:.80}")
        if self.slice is not None and self.slice < 1:
            raise ValueError(f"slice must be a number of bytes from 1 on, not {self.slice!r}")

    @property
    def ids(self) -> list[int]:
        """The completion as token ids."""
        if isinstance(self.completion, str):
            return _core.encode(self.completion, special="token")
        return list(self.completion)

    @classmethod
    def of(cls, item: Turn | Fault | str | Sequence[int]) -> Turn:
        """A turn from an item of a script: itself, a fault, or a completion."""
        if isinstance(item, Turn):
            return item
        return cls(fault=item) if isinstance(item, Fault) else cls(item)
