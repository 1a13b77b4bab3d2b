"""One request, from the first attempt to the last event, without I/O.

`RequestMachine.steps` is a generator: it yields commands (open, sleep, read) and events, and receives the results.
`io_drivers.py` performs the commands, with and without `await`, so the rules for retries, deadlines, broken responses
and partial answers stand here once.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import httpx

from motet._core import Event
from motet._retry import RetryPolicy
from motet.backend import Attempt, Reply, TokenTrace
from motet.errors import (
    ApiError,
    ConnectionFailedError,
    MotetError,
    RequestTimeoutError,
    StreamError,
    StreamTruncatedError,
)
from motet.metrics import Time
from motet.together.errors import bad_payload, from_exception, request_id, retry_after, shown_cause
from motet.together.transport.response_body import ChoiceReader, ResponseBody

__all__ = [
    "READ",
    "DeadlinePassed",
    "Open",
    "Opened",
    "Read",
    "RequestMachine",
    "SdkCall",
    "Sleep",
    "Step",
]

MAX_RETRY_AFTER = 60.0
"""Seconds. A longer `Retry-After` is left to the caller, in the error's `.retry_after`."""
FIRST_WAIT, LAST_WAIT = 1.0, 10.0
"""Seconds between attempts without `Retry-After`: doubled each time, as in the SDK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkCall:
    """A request in the SDK's terms, and what reading its response needs."""

    endpoint: Literal["chat", "completions", "page"]
    """`page`: another page, at the `path` of the arguments."""
    arguments: Mapping[str, Any]
    stream: bool
    reader: ChoiceReader
    key: str | None = field(repr=False)
    lane_reason: str
    retries: int
    timeout: float | None
    first_token_timeout: float | None
    prompt_tokens: int | None = None
    prompt_ids: array[int] | None = field(default=None, repr=False)
    response_format: Literal["service", "prompt"] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Open:
    """Command: send the request. The result is `Opened`, or the exception."""

    call: SdkCall


@dataclass(frozen=True, slots=True)
class Opened:
    """The headers of a response have arrived."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sleep:
    """Command: wait. No result."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Read:
    """Command: read the next chunk. The result is its bytes, empty at the end, or the exception."""


READ = Read()


class DeadlinePassed(Exception):
    """The deadline passed before the result of a command arrived."""


Step: TypeAlias = Open | Sleep | Read | list[Event]


class RequestMachine:
    """One request and its response. `deadline` is the time of the clock at which a driver stops waiting."""

    def __init__(
        self, call: SdkCall, *, start_time: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._call = call
        self._clock = clock
        self._start_time = clock() if start_time is None else start_time
        self._first_event_time: float | None = None
        self._end_time: float | None = None
        self._attempts: list[Attempt] = []
        self._status: int | None = None
        self._request_id: str | None = None
        self._interrupted = False
        self._body = ResponseBody(call.reader, call.key)
        limits = [limit for limit in (call.timeout, call.first_token_timeout) if limit is not None]
        self.deadline = self._start_time + min(limits) if limits else None
        """The earliest end of `timeout` and, before the first event, `first_token_timeout`. `None`: no deadline."""

    @property
    def reply(self) -> Reply:
        """The reply so far."""
        call, body = self._call, self._body
        completion = call.reader.completion
        return Reply(
            completion,
            completion.lane,
            call.lane_reason,
            body.model,
            body.usage,
            body.finish,
            self._request_id or body.id,
            Time(
                (self._end_time or self._clock()) - self._start_time,
                None
                if self._first_event_time is None or not call.stream
                else self._first_event_time - self._start_time,
            ),
            tuple(self._attempts),
            call.prompt_tokens,
            (*call.notes, *body.notes, *call.reader.notes),
            call.response_format,
            call.reader.sampled,
            self._token_trace,
            call.reader.prefix_tokens,
            call.reader.raw_text,
        )

    @property
    def _token_trace(self) -> TokenTrace | None:
        prompt_ids, sampled = self._call.prompt_ids, self._call.reader.new_ids
        if prompt_ids is None or sampled is None:
            return None
        return TokenTrace(prompt_ids, sampled, self._call.reader.logprobs)

    def interrupt(self) -> None:
        """Reads no more of the body: the events that have arrived are the last ones, and no error is raised."""
        self._interrupted = True

    def steps(self) -> Generator[Step, Any, None]:
        """The commands and events of the request. Raises the exception that ends it, with the reply so far in
        `.partial`."""
        try:
            yield from self._connect()
            yield from self._read_body()
        except MotetError as error:
            raise self._with_partial(error) from error.__cause__
        finally:
            self._end_time = self._clock()

    def _read_body(self) -> Generator[Step, Any, None]:
        body = self._body
        while not body.ended:
            result = yield READ
            if isinstance(result, Exception) and body.finish is not None:
                # The finish reason has arrived, so the answer is complete; only the usage may be missing.
                body.notes.append(f"the connection broke after the answer ({type(result).__name__})")
                result = b""
            if isinstance(result, Exception):
                error = self._read_error(result)
                raise error from shown_cause(error, result, self._call.key)
            events = body.feed(result) if result else body.close()
            if events and self._first_event_time is None:
                self._first_event_time = self._clock()
                timeout = self._call.timeout
                self.deadline = None if timeout is None else self._start_time + timeout
            late = self._deadline_passed() and body.finish is None and not body.ended
            # Events that arrived before a fault are delivered before it is raised.
            if events:
                yield events
            if self._interrupted and body.finish is None:
                return
            if body.error is not None:
                raise body.error
            if late:
                raise self._timeout_error()

    def _connect(self) -> Generator[Step, Any, None]:
        while True:
            if self._deadline_passed():
                raise RequestTimeoutError("the time was up before the request was sent")
            result = yield Open(self._call)
            if isinstance(result, Opened):
                self._attempts.append(Attempt(str(result.status)))
                self._status = result.status
                self._request_id = request_id(result.headers)
                self._body.content_type = result.headers.get("content-type", "")
                return
            late = isinstance(result, DeadlinePassed)
            error = self._timeout_error() if late else from_exception(result, self._call.key)
            may_be_billed = isinstance(error, RequestTimeoutError) or _was_sent(result)
            if isinstance(error, ConnectionFailedError | RequestTimeoutError) and self._deadline_passed():
                error = self._timeout_error()
            wait = self._wait_before_retry(error, result)
            status = getattr(error, "status", None)
            outcome = str(status) if status else type(error).__name__
            self._attempts.append(Attempt(outcome, wait or 0.0, may_be_billed))
            if wait is None:
                raise error from shown_cause(error, result, self._call.key)
            yield Sleep(wait)

    def _wait_before_retry(self, error: MotetError, cause: Exception) -> float | None:
        """Seconds to wait before the next attempt. `None`: there is none."""
        # A request without a response in time may have been answered, and each attempt is billed.
        unanswered = isinstance(error, RequestTimeoutError) and error.status is None
        if not error.retryable or unanswered:
            return None
        headers = cause.response.headers if hasattr(cause, "response") else {}
        if headers.get("x-should-retry") == "false":
            return None
        policy = RetryPolicy(self._call.retries + 1, FIRST_WAIT, LAST_WAIT, MAX_RETRY_AFTER)
        wait = policy.wait_after(len(self._attempts) + 1, retry_after(headers))
        deadline = self.deadline
        if wait is not None and deadline is not None and self._clock() + wait >= deadline:
            return None
        return wait

    def _deadline_passed(self) -> bool:
        deadline = self.deadline
        return deadline is not None and self._clock() >= deadline

    def _timeout_error(self) -> RequestTimeoutError:
        call = self._call
        first = call.first_token_timeout if self._first_event_time is None else None
        if first is not None and (call.timeout is None or first < call.timeout):
            return RequestTimeoutError(f"no token came within first_token_timeout={first:g} s; the service may bill it")
        return RequestTimeoutError(f"the answer was not whole within timeout={call.timeout:g} s; it may be billed")

    def _read_error(self, cause: Exception) -> MotetError:
        """The error for an exception while the body was read."""
        if isinstance(cause, DeadlinePassed) or self._deadline_passed():
            return self._timeout_error()
        if isinstance(cause, httpx.DecodingError):
            return bad_payload("the answer's compression is broken", str(cause), self._call.key)
        if not self._body.started and not self._call.stream:
            return from_exception(cause, self._call.key)
        if not isinstance(cause, httpx.HTTPError | httpx.StreamError | OSError):
            raise cause
        silent = isinstance(cause, httpx.TimeoutException)
        what = "fell silent" if silent else f"was cut ({type(cause).__name__})"
        return StreamTruncatedError(
            f"the answer {what} before it was whole; the received part is in .partial",
            reason="silence" if silent else "reset",
        )

    def _with_partial(self, error: MotetError) -> MotetError:
        reply = self.reply
        error.usage = reply.usage
        if reply.completion.frames or reply.usage is not None:
            # Counted tokens are billed, even if none of their text arrived.
            error.partial = reply
            error.raw = error.raw if error.raw is not None else reply.completion.text
        if error.request_id is None:
            error.request_id = reply.request_id
        if isinstance(error, ApiError | StreamError):
            error.attempts = reply.attempts
        if isinstance(error, ApiError) and error.status is None and not isinstance(error, ConnectionFailedError):
            error.status = self._status
        return error


def _was_sent(error: Exception) -> bool:
    """True if the request may have reached the service although the connection failed."""
    cause = error.__cause__ or error
    if getattr(error, "status_code", None) in (504, 524):
        # A gateway forwarded the request and got no response in time.
        return True
    return isinstance(cause, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError | httpx.ReadTimeout)
