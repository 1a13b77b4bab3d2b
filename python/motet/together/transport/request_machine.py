"""One request, from the first attempt to the last event, without doing any of it.

`Exchange.steps` is a generator: it yields what is to be done (open, wait, read) and the events that came, and is sent
what happened. `drivers.py` does the doing, once with and once without `await`. So every rule about retries, deadlines,
broken answers and what is kept of them stands here, one time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import httpx

from motet._core import Event
from motet._retry import RetryPolicy
from motet.backend import Attempt, Reply
from motet.errors import (
    ApiError,
    ConnectionFailedError,
    MotetError,
    RequestTimeoutError,
    StreamError,
    StreamTruncatedError,
)
from motet.message import Completion
from motet.metrics import Time, Usage
from motet.together.errors import (
    bad_payload,
    from_error_object,
    from_exception,
    request_id,
    retry_after,
    shown_cause,
)
from motet.together.transport.sse import EventReader, EventTooLongError

__all__ = ["Call", "DeadlinePassed", "Exchange", "Open", "Opened", "Read", "Sleep", "Step"]

MAX_BODY_BYTES = 64 * 1024 * 1024
"""An answer of one piece has a few hundred kilobytes at most; what is longer is a fault or an attack."""
LONGEST_WAIT = 60.0
"""Seconds. A service that asks to wait longer is told to the caller, who can."""
FIRST_WAIT, LAST_WAIT = 1.0, 10.0
"""Seconds between attempts, where the service does not say: doubled each time, as the SDK does it."""


class Reader(Protocol):
    """A lane's reader of choices."""

    notes: list[str]

    def read(self, choice: Mapping[str, Any]) -> list[Event]: ...
    def close(self, finish: str | None, stop_reason: object) -> list[Event]: ...
    @property
    def completion(self) -> Completion: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as the SDK takes it."""

    endpoint: Literal["chat", "completions"]
    arguments: Mapping[str, Any]
    stream: bool
    reader: Reader
    key: str | None = field(repr=False)
    lane_reason: str
    retries: int
    timeout: float | None
    first_token_timeout: float | None
    prompt_tokens: int | None = None
    response_format: Literal["service", "prompt"] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Open:
    """Send the request. The answer is `Opened`, or the exception."""

    call: Call


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer has begun."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait. There is no answer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Read:
    """Read on. The answer is bytes, empty at the end, or the exception."""


class DeadlinePassed(Exception):
    """The time was up before anything came."""


Step: TypeAlias = Open | Sleep | Read | list[Event]


class Exchange:
    """One request and its answer. `deadline` is the clock's time at which a driver has to stop waiting."""

    def __init__(self, call: Call, *, began: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._call = call
        self._clock = clock
        self._began = clock() if began is None else began
        self._attempts: list[Attempt] = []
        self._first: float | None = None
        self._ended: float | None = None
        self._status: int | None = None
        self._request_id: str | None = None
        self._answer = _Answer(call)

    @property
    def deadline(self) -> float | None:
        """When to stop waiting for the next thing."""
        call, ends = self._call, []
        if call.timeout is not None:
            ends.append(self._began + call.timeout)
        if call.first_token_timeout is not None and self._first is None:
            ends.append(self._began + call.first_token_timeout)
        return min(ends, default=None)

    @property
    def reply(self) -> Reply:
        """What there is of it."""
        call, answer = self._call, self._answer
        completion = call.reader.completion
        return Reply(
            completion,
            completion.lane,
            call.lane_reason,
            answer.model,
            answer.usage,
            answer.finish,
            self._request_id or answer.id,
            Time(
                (self._ended or self._clock()) - self._began,
                None if self._first is None or not call.stream else self._first - self._began,
            ),
            tuple(self._attempts),
            call.prompt_tokens,
            (*call.notes, *answer.notes, *call.reader.notes),
            call.response_format,
        )

    def steps(self) -> Generator[Step, Any, None]:
        """What is to be done. Raises the exception that ends the request, with what arrived in its `partial`."""
        try:
            yield from self._steps()
        except MotetError as error:
            raise self._with_partial(error) from error.__cause__
        finally:
            self._ended = self._clock()

    def _steps(self) -> Generator[Step, Any, None]:
        yield from self._connect()
        while not self._answer.ended:
            got = yield Read()
            if isinstance(got, Exception) and self._answer.finish is not None:
                # The service had said that the answer is whole; what is missing is its usage.
                self._answer.notes.append(f"the connection broke after the answer ({type(got).__name__})")
                got = b""
            if isinstance(got, Exception):
                cut = self._cut(got)
                raise cut from shown_cause(cut, got, self._call.key)
            events = self._answer.feed(got) if got else self._answer.close()
            if events:
                self._first = self._first or self._clock()
            late = self._deadline_passed() and self._answer.finish is None and not self._answer.ended
            # What came before a fault is delivered before it is raised.
            if events:
                yield events
            if self._answer.error is not None:
                raise self._answer.error
            if late:
                raise self._too_late()

    def _connect(self) -> Generator[Step, Any, None]:
        while True:
            if self._deadline_passed():
                raise RequestTimeoutError("the time was up before the request was sent")
            got = yield Open(self._call)
            if isinstance(got, Opened):
                self._attempts.append(Attempt(str(got.status)))
                self._status = got.status
                self._request_id = request_id(got.headers)
                self._answer.content_type = got.headers.get("content-type", "")
                return
            late = isinstance(got, DeadlinePassed)
            error = self._too_late() if late else from_exception(got, self._call.key)
            billable = isinstance(error, RequestTimeoutError) or _was_sent(got)
            if isinstance(error, ConnectionFailedError | RequestTimeoutError) and self._deadline_passed():
                error = self._too_late()
            wait = self._wait_before_retry(error, got)
            status = getattr(error, "status", None)
            outcome = str(status) if status else type(error).__name__
            self._attempts.append(Attempt(outcome, wait or 0.0, billable))
            if wait is None:
                raise error from shown_cause(error, got, self._call.key)
            yield Sleep(wait)

    def _wait_before_retry(self, error: MotetError, got: Exception) -> float | None:
        """Seconds to wait before another attempt. `None`: there is none."""
        tried = len(self._attempts)
        # An answer that did not come in time may have been made, and is billed for each attempt.
        unanswered = isinstance(error, RequestTimeoutError) and error.status is None
        if not error.retryable or unanswered:
            return None
        headers = got.response.headers if hasattr(got, "response") else {}
        if headers.get("x-should-retry") == "false":
            return None
        policy = RetryPolicy(self._call.retries + 1, FIRST_WAIT, LAST_WAIT, LONGEST_WAIT)
        wait = policy.wait_after(tried + 1, retry_after(headers))
        deadline = self.deadline
        if wait is not None and deadline is not None and self._clock() + wait >= deadline:
            return None
        return wait

    def _deadline_passed(self) -> bool:
        deadline = self.deadline
        return deadline is not None and self._clock() >= deadline

    def _too_late(self) -> RequestTimeoutError:
        call = self._call
        first = call.first_token_timeout if self._first is None else None
        if first is not None and (call.timeout is None or first < call.timeout):
            return RequestTimeoutError(f"no token came within first_token_timeout={first:g} s; the service may bill it")
        return RequestTimeoutError(f"the answer was not whole within timeout={call.timeout:g} s; it may be billed")

    def _cut(self, error: Exception) -> MotetError:
        """What broke the answer off."""
        if isinstance(error, DeadlinePassed) or self._deadline_passed():
            return self._too_late()
        if isinstance(error, httpx.DecodingError):
            return bad_payload("the answer's compression is broken", str(error), self._call.key)
        if not self._answer.begun and not self._call.stream:
            return from_exception(error, self._call.key)
        if not isinstance(error, httpx.HTTPError | httpx.StreamError | OSError):
            raise error
        silent = isinstance(error, httpx.TimeoutException)
        what = "fell silent" if silent else f"was cut ({type(error).__name__})"
        return StreamTruncatedError(
            f"the answer {what} before it was whole; what came is in .partial",
            reason="silence" if silent else "reset",
        )

    def _with_partial(self, error: MotetError) -> MotetError:
        reply = self.reply
        known: dict[str, Any] = {"usage": reply.usage}
        if reply.completion.frames or reply.usage is not None:
            # What was counted is billed, whether a word of it came or not.
            known["partial"] = reply
            known["raw"] = error.raw if error.raw is not None else reply.completion.text
        for name, value in known.items():
            setattr(error, name, value)
        if error.request_id is None:
            error.request_id = reply.request_id
        if isinstance(error, ApiError | StreamError):
            error.attempts = reply.attempts
        if isinstance(error, ApiError) and error.status is None and not isinstance(error, ConnectionFailedError):
            error.status = self._status
        return error


def _was_sent(error: Exception) -> bool:
    """Whether the request may have reached the service, although the connection failed."""
    cause = error.__cause__ or error
    if getattr(error, "status_code", None) in (504, 524):
        # A gateway passed it on and got no answer in time.
        return True
    return isinstance(cause, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError | httpx.ReadTimeout)


class _Answer:
    """The body of an answer: one JSON object, or a stream of them, whichever it turns out to be."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._events: EventReader | None = None
        self._whole: list[bytes] = []
        self._size = 0
        self._stop_reason: object = None
        self._chunks = 0
        self.begun = False
        self.ended = False
        self.content_type = ""
        self.id: str | None = None
        self.model: str | None = None
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.error: MotetError | None = None
        self.notes: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        if self._events is not None:
            return self._stream(data)
        self._whole.append(data)
        self._size += len(data)
        if self._size > MAX_BODY_BYTES:
            raise self._bad(f"the answer has more than {MAX_BODY_BYTES} bytes")
        if self.begun or not data.strip():
            return []
        head = b"".join(self._whole).removeprefix(_BOM).lstrip()
        if any(mark.startswith(head) and mark != head for mark in (_BOM, *_STREAM_MARKS)):
            return []
        self.begun = True
        if not _is_stream(head, self.content_type):
            return []
        self._events = EventReader()
        whole = b"".join(self._whole)
        self._whole.clear()
        return self._stream(whole)

    def _stream(self, data: bytes) -> list[Event]:
        assert self._events is not None
        heard: list[Event] = []
        try:
            for name, event in self._events.feed(data):
                heard += self._event(name, event)
                if self.ended:
                    break
        except EventTooLongError as error:
            self.error = self._bad(str(error))
        except MotetError as error:
            self.error = error
        return heard

    def _event(self, name: str, data: bytes) -> list[Event]:
        data = data.strip()
        if data == b"[DONE]":
            return self._end("no_finish")
        # Others keep a connection awake with events that say nothing.
        if name not in ("", "message", "error") or not data:
            return []
        if name == "error":
            raise from_error_object(_json_or_text(data), self._call.key)
        shape = self._json(data)
        self._chunks += 1
        return self._read(shape)

    def close(self) -> list[Event]:
        """The body has ended."""
        if self._events is None:
            body = b"".join(self._whole).removeprefix(_BOM)
            if not body.strip():
                raise self._bad("the answer is empty")
            events = self._read(self._json(body))
            if self.finish is None and not self._has_choices:
                raise self._bad("the answer has no choices", body)
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
        events = self._event(name, data)
        return events if self.ended else events + self._end("end")

    _has_choices = False

    def _read(self, shape: object) -> list[Event]:
        """One object: a whole answer or a chunk of it."""
        if not isinstance(shape, Mapping):
            raise self._bad(f"an object was expected, not {_json_name(shape)}", shape)
        if shape.get("error"):
            raise from_error_object(shape, self._call.key)
        if isinstance(shape.get("id"), str):
            self.id = shape["id"]
        if isinstance(shape.get("model"), str) and shape["model"]:
            self.model = shape["model"]
        self._take_usage(shape.get("usage"))
        choices = shape.get("choices")
        if choices is None:
            return []
        if not isinstance(choices, list):
            raise self._bad(f"choices must be a list, not {_json_name(choices)}", shape)
        events: list[Event] = []
        for choice in choices:
            if not isinstance(choice, Mapping):
                raise self._bad(f"a choice must be an object, not {_json_name(choice)}", shape)
            if choice.get("index") in (None, 0):
                events += self._choice(choice, shape)
        return events

    def _choice(self, choice: Mapping[str, Any], shape: object) -> list[Event]:
        self._has_choices = True
        self._take_usage(choice.get("usage"))
        try:
            events = self._call.reader.read(choice)
        except ValueError as error:
            raise self._bad(str(error), shape) from None
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish:
            self.finish = finish
            self._stop_reason = choice.get("stop_reason", choice.get("matched_stop"))
        return events

    def _take_usage(self, usage: object) -> None:
        if isinstance(usage, Mapping):
            read = Usage.read(usage)
            if read != Usage():
                self.usage = read

    def _end(self, reason: str) -> list[Event]:
        """The end of the answer; an error if the service did not say that it is whole."""
        self.ended = True
        reader = self._call.reader
        try:
            events = reader.close(self.finish, self._stop_reason)
        except ValueError as error:
            raise self._bad(str(error)) from None
        if self.finish is None:
            self.error = self._unfinished(reason)
        elif self.finish == "error":
            said = {"message": "the model failed (finish_reason 'error')", "type": "server"}
            self.error = from_error_object(said, self._call.key)
        elif self.usage is None:
            self.notes.append("the service sent no usage")
        return events

    def _unfinished(self, reason: str) -> MotetError:
        if self._events is not None and not self._chunks and reason != "half_event":
            return self._bad("the stream ended without a single chunk")
        why = {
            "end": "the connection was closed",
            "half_event": "it broke off within an event",
            "no_finish": "no finish_reason came",
        }[reason]
        return StreamTruncatedError(
            f"the answer ended before it was whole: {why}; what came is in .partial", reason=reason
        )

    def _json(self, data: bytes) -> object:
        try:
            return json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            html = "HTML, perhaps of a proxy, where " if data.lstrip()[:1] == b"<" else ""
            where = f"chunk {self._chunks}" if self._events is not None else "the answer"
            kind = "UTF-8" if isinstance(error, UnicodeDecodeError) else "JSON"
            raise self._bad(f"{where} is {html or 'not '}{'an answer was expected' if html else kind}", data) from None

    def _bad(self, what: str, body: object = None) -> MotetError:
        return bad_payload(what, body, self._call.key)


_BOM = b"\xef\xbb\xbf"
_STREAM_MARKS = (b"data:", b"event:", b":", b"id:", b"retry:")


def _is_stream(head: bytes, content_type: str) -> bool:
    """Whether a body is a stream of events: it begins like one, whatever it says of itself."""
    if head[:1] in (b"{", b"[", b"<"):
        return False
    if head.startswith(_STREAM_MARKS):
        return True
    return content_type.startswith("text/event-stream")


def _json_or_text(data: bytes) -> object:
    text = data.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _json_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null", bool: "true or false"}
    return names.get(type(value), "a number")
