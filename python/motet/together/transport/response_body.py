"""The body of a response: one JSON object or a stream of them becomes events, usage and a finish reason."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from typing import Any, Protocol

from motet._core import Event
from motet.errors import MotetError, StreamTruncatedError
from motet.message import Completion
from motet.metrics import Usage
from motet.together.errors import bad_payload, from_error_object, redact
from motet.together.finish_reasons import cut_error, normalised_finish
from motet.together.lanes.id_pages import SglangChoices
from motet.together.lanes.token_ids import VERBOSE
from motet.together.transport.sse import EventReader, EventTooLongError
from motet.together.usage import consistent_usage, read_usage

__all__ = ["ChoiceReader", "ResponseBody"]

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Limit for a response that is not a stream: real ones have a few hundred kilobytes."""
MAX_FINISH_CHARS = 100
"""Of a finish reason that is kept."""


class ChoiceReader(Protocol):
    """Reads the choices of a response in one lane."""

    notes: list[str]
    prefix_tokens: dict[str, int]

    def read(self, choice: Mapping[str, Any]) -> list[Event]: ...
    def close(self, finish: str | None, stop_reason: object) -> list[Event]: ...
    @property
    def completion(self) -> Completion: ...
    @property
    def sampled(self) -> array[int] | None: ...
    @property
    def new_ids(self) -> array[int] | None: ...
    @property
    def logprobs(self) -> array[float] | None: ...
    @property
    def raw_text(self) -> str | None: ...


class ResponseBody:
    """A body while it arrives: a JSON object or a stream of events, recognised by its first bytes."""

    def __init__(self, reader: ChoiceReader, key: str | None) -> None:
        self._reader = reader
        self._key = key
        self._events: EventReader | None = None
        """`None`: the body is one JSON object, or has not started."""
        self._chunks: list[bytes] = []
        self._size = 0
        self._stop_reason: object = None
        self._service_finish = ""
        """The finish reason as the service wrote it."""
        self._event_count = 0
        self._has_choices = False
        self._sglang_choices = SglangChoices()
        self.started = False
        self.ended = False
        self.content_type = ""
        self.id: str | None = None
        self.model: str | None = None
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.error: MotetError | None = None
        """The error that ends the request, to be raised after the events have been delivered."""
        self.notes: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        """The events in the next chunk of the body."""
        if self._events is not None:
            return self._read_stream(data)
        self._chunks.append(data)
        self._size += len(data)
        if self._size > MAX_BODY_BYTES:
            raise self._bad_payload(f"the answer has more than {MAX_BODY_BYTES} bytes")
        if self.started or not data.strip():
            return []
        head = b"".join(self._chunks).removeprefix(_BYTE_ORDER_MARK).lstrip()
        if any(prefix.startswith(head) and prefix != head for prefix in (_BYTE_ORDER_MARK, *_STREAM_PREFIXES)):
            return []
        self.started = True
        if not _is_stream(head, self.content_type):
            return []
        self._events = EventReader()
        received = b"".join(self._chunks)
        self._chunks.clear()
        return self._read_stream(received)

    def _read_stream(self, data: bytes) -> list[Event]:
        assert self._events is not None
        events: list[Event] = []
        try:
            for name, event_data in self._events.feed(data):
                events += self._read_event(name, event_data)
                if self.ended:
                    break
        except EventTooLongError as error:
            self.error = self._bad_payload(str(error))
        except MotetError as error:
            self.error = error
        return events

    def _read_event(self, name: str, data: bytes) -> list[Event]:
        data = data.strip()
        if data == b"[DONE]":
            return self._end("no_finish")
        # Other events keep the connection alive and carry no data.
        if name not in ("", "message", "error") or not data:
            return []
        if name == "error":
            raise from_error_object(_json_or_text(data), self._key)
        shape = self._json(data)
        self._event_count += 1
        return self._read_object(shape)

    def close(self) -> list[Event]:
        """The events of the end of the body."""
        if self._events is None:
            body = b"".join(self._chunks).removeprefix(_BYTE_ORDER_MARK)
            if not body.strip():
                raise self._bad_payload("the answer is empty")
            events = self._read_object(self._json(body))
            if self.finish is None and not self._has_choices:
                raise self._bad_payload("the answer has no choices", body)
            return events + self._end("no_finish")
        rest = self._events.close()
        if rest is None:
            return self._end("end")
        name, data = rest
        try:
            json.loads(data)
        except (ValueError, RecursionError):
            if data.strip() != b"[DONE]" and self.finish is None:
                return self._end("half_event")
            return self._end("end")
        events = self._read_event(name, data)
        return events if self.ended else events + self._end("end")

    def _read_object(self, shape: object) -> list[Event]:
        """The events of one object: a whole answer or a chunk of it."""
        # `dict` and not `Mapping`, whose check takes eight times as long: the object is read from JSON.
        if not isinstance(shape, dict):
            raise self._bad_payload(f"an object was expected, not {_json_type(shape)}", shape)
        if shape.get("error") or shape.get("object") == "error":
            raise from_error_object(shape, self._key)
        groq = shape.get("x_groq")
        if isinstance(groq, dict) and groq.get("error"):
            # Why Groq stopped a stream early.
            raise from_error_object(groq, self._key)
        if isinstance(shape.get("meta_info"), dict):
            try:
                shape = self._sglang_choices.read(shape)
            except ValueError as error:
                raise self._bad_payload(str(error), shape) from None
        identifier = shape.get("id", shape.get("request_id"))
        if isinstance(identifier, str):
            self.id = identifier
        model = shape.get("model")
        if isinstance(model, str) and model:
            self.model = model
        self._add_usage(read_usage(shape))
        choices = shape.get("choices")
        if choices is None:
            return []
        if not isinstance(choices, list):
            raise self._bad_payload(f"choices must be a list, not {_json_type(choices)}", shape)
        events: list[Event] = []
        for choice in choices:
            if not isinstance(choice, dict):
                raise self._bad_payload(f"a choice must be an object, not {_json_type(choice)}", shape)
            if VERBOSE in shape:
                choice = {**choice, VERBOSE: shape[VERBOSE]}
            if choice.get("index") in (None, 0):
                events += self._read_choice(choice, shape)
        return events

    def _read_choice(self, choice: Mapping[str, Any], shape: object) -> list[Event]:
        self._has_choices = True
        self._add_usage(read_usage(choice))
        if choice.get("error"):
            raise from_error_object(choice, self._key)
        try:
            events = self._reader.read(choice)
        except ValueError as error:
            raise self._bad_payload(str(error), shape) from None
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish:
            # Unknown reasons are quoted in errors, and a server may echo the key anywhere.
            self._service_finish = redact(finish[:MAX_FINISH_CHARS], self._key)
            self.finish = normalised_finish(self._service_finish)
            self._stop_reason = choice.get("stop_reason", choice.get("matched_stop"))
        return events

    def _add_usage(self, usage: Usage | None) -> None:
        # Some services send zeros in the chunks before the one with the counts, or after it.
        if usage is not None and (self.usage is None or usage.input or usage.output):
            self.usage = usage

    def _end(self, reason: str) -> list[Event]:
        """The events of the end of the answer. Sets `error` if no finish reason came."""
        self.ended = True
        try:
            events = self._reader.close(self.finish, self._stop_reason)
        except ValueError as error:
            raise self._bad_payload(str(error)) from None
        self.error = self._truncated(reason) if self.finish is None else cut_error(self._service_finish)
        if self.finish is not None:
            self._check_usage()
        return events

    def _check_usage(self) -> None:
        if self.usage is None:
            self.notes.append("the service sent no usage")
            return
        self.usage, notes = consistent_usage(self.usage, self._reader.completion)
        self.notes += notes

    def _truncated(self, reason: str) -> MotetError:
        if self._events is not None and not self._event_count and reason != "half_event":
            return self._bad_payload("the stream ended without a single chunk")
        why = {
            "end": "the connection was closed",
            "half_event": "it broke off within an event",
            "no_finish": "no finish_reason came",
        }[reason]
        return StreamTruncatedError(
            f"the answer ended before it was whole: {why}; the received part is in .partial", reason=reason
        )

    def _json(self, data: bytes) -> object:
        try:
            text = data.decode("utf-8").strip(_JSON_SPACE)
            value, end = _decode(text)
            # `json.loads`, which looks for white space twice, would take a third longer for a chunk.
            return value if end == len(text) else json.loads(text)
        except (ValueError, RecursionError) as error:
            where = f"chunk {self._event_count}" if self._events is not None else "the answer"
            if data.lstrip()[:1] == b"<":
                what = "HTML, perhaps of a proxy, where an answer was expected"
            else:
                what = f"not {'UTF-8' if isinstance(error, UnicodeDecodeError) else 'JSON'}"
            raise self._bad_payload(f"{where} is {what}", data) from None

    def _bad_payload(self, what: str, body: object = None) -> MotetError:
        return bad_payload(what, body, self._key)


_decode = json.JSONDecoder().raw_decode
_JSON_SPACE = " \t\n\r"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STREAM_PREFIXES = (b"data:", b"event:", b":", b"id:", b"retry:")


def _is_stream(head: bytes, content_type: str) -> bool:
    """True if a body is a stream of events. Its first bytes decide; the content type may be wrong."""
    if head[:1] in (b"{", b"[", b"<"):
        return False
    if head.startswith(_STREAM_PREFIXES):
        return True
    return content_type.startswith("text/event-stream")


def _json_or_text(data: bytes) -> object:
    text = data.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null", bool: "true or false"}
    return names.get(type(value), "a number")
