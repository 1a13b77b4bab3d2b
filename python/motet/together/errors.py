"""What goes wrong between us and a service, as exceptions of motet: the only place that reads HTTP statuses.

An exception names what happened and what to do, and never the key: `redact` takes it out of everything that a server
sends back.
"""

from __future__ import annotations

import datetime
import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import httpx
import together

from motet.errors import (
    AccessDeniedError,
    ApiError,
    AuthenticationError,
    BadPayloadError,
    ConnectionFailedError,
    ContextOverflowError,
    InvalidRequestError,
    MotetError,
    NotFoundError,
    OverloadedError,
    QuotaError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)

__all__ = [
    "bad_payload",
    "existing_file",
    "from_error_object",
    "from_exception",
    "from_response",
    "redact",
    "request_id",
    "retry_after",
    "shown_cause",
]

_EXCERPT, _LONG, _FAR = 300, 2000, 20_000
"""Characters of what a service said: in a message, in `.raw`, and those that are looked at."""

# What looks like a key, whoever's it is: servers echo the one they were sent.
_KEYS = re.compile(r"(?i)\b(?:sk|tgp|key|gsk|hf|xai|pat)[-_][A-Za-z0-9_\-]{12,}|(?<=bearer )\S+")


def redact(text: str, key: str | None) -> str:
    """The text without the key, and without whatever else looks like one."""
    # What is shorter than this is no key, and would be found in common words.
    if key and len(key) >= 8:
        text = text.replace(key, "[key]")
    return _KEYS.sub("[key]", text)


def from_exception(error: Exception, key: str | None) -> MotetError:
    """What the SDK or its HTTP client raised, before an answer began."""
    if isinstance(error, MotetError):
        return error
    if isinstance(error.__cause__, MotetError):
        # A transport raised it, such as a cassette; the SDK takes whatever it does not know for a failed connection.
        return error.__cause__
    if isinstance(error, together.APIStatusError):
        response = error.response
        return _from_status(response.status_code, error.body, response.headers, key)
    if isinstance(error, together.APITimeoutError | httpx.TimeoutException):
        cause = error.__cause__
        if isinstance(cause, httpx.ConnectTimeout | httpx.PoolTimeout):
            return ConnectionFailedError(f"the service was not reached in time ({type(cause).__name__})")
        return RequestTimeoutError(
            "no answer came in time; the service may have worked on the request and may bill it. "
            "Give timeout= more seconds, or stream, where each piece has the whole time"
        )
    if isinstance(error, together.APIConnectionError | httpx.TransportError):
        cause = error.__cause__ or error
        reason = redact(str(cause), key) or type(cause).__name__
        proxy = " (through a proxy; see HTTP_PROXY and HTTPS_PROXY)" if isinstance(cause, httpx.ProxyError) else ""
        return ConnectionFailedError(f"the service was not reached{proxy}: {reason}")
    if isinstance(error, httpx.HTTPError | httpx.InvalidURL | httpx.StreamError | together.TogetherError):
        return ApiError(f"{type(error).__name__}: {redact(str(error), key)}")
    raise error


def from_response(response: httpx.Response, key: str | None) -> ApiError:
    """An answer that is an error, of a store that the SDK does not ask itself."""
    return _from_status(response.status_code, response.text, response.headers, key)


def existing_file(response: httpx.Response) -> str | None:
    """The id of the file that has the bytes already, where a second one is refused. `None`: it is no such refusal."""
    if response.status_code != 409:
        return None
    try:
        shape = response.json()
    except ValueError:
        return None
    name = shape.get("file_id") if isinstance(shape, Mapping) else None
    return name if isinstance(name, str) else None


def shown_cause(error: MotetError, got: BaseException, key: str | None) -> BaseException | None:
    """What a traceback may show as the cause of an error. `None` if that is the error itself, or if it says a key, or
    may: the SDK quotes a server's whole body."""
    if got is error or got.__cause__ is error:
        return None
    link: BaseException | None = got
    while link is not None:
        if isinstance(link, together.APIStatusError) or redact(str(link), key) != str(link):
            return None
        link = link.__cause__ or link.__context__
    return got


def from_error_object(shape: object, key: str | None) -> ApiError:
    """An error that came in an answer that had begun well: under the key `error`, or as an event of that name."""
    inner = shape.get("error", shape) if isinstance(shape, Mapping) else shape
    words = inner if isinstance(inner, str) else ""
    if isinstance(inner, Mapping):
        words = " ".join(str(inner.get(name, "")) for name in ("type", "code", "status"))
    words = words[:_LONG].lower()
    numbers = [int(number) for number in re.findall(r"\b[45]\d\d\b", words)]
    named = [code for pattern, code in _NAMED if re.search(pattern, words)]
    status = next(iter(numbers + named), None)
    error = _from_status(status, shape, {}, key)
    error.status = None
    return error


_NAMED = (
    (r"rate.?limit|too.?many", 429),
    (r"overload|unavailable|capacity", 503),
    (r"authenti|invalid_api_key", 401),
    (r"quota|credit|billing", 402),
    (r"permission|forbidden", 403),
    (r"not.?found", 404),
    (r"context_length|invalid_request|bad.?request", 400),
    (r"server|internal", 500),
)

_OVERFLOW = re.compile(
    r"(?i)context.{0,12}(length|window|size)|maximum context|context_length_exceeded|prompt is too long"
    r"|input.{0,20}too long|longer than the (model|maximum)|max_new_tokens.{0,30}must be|exceeds? the (model|max)"
)


def _from_status(status: int | None, body: object, headers: Mapping[str, str], key: str | None) -> ApiError:
    said = _shown(body, key)
    known: dict[str, Any] = {"status": status, "raw": said or None, "request_id": request_id(headers)}
    what = f"HTTP {status}" if status else "the service broke off with an error"
    tail = f": {said[:_EXCERPT]}" if said else ""
    wait = retry_after(headers)
    if status in (400, 403, 413, 422) and _OVERFLOW.search(said):
        tokens, limit = _overflow_counts(body, said)
        return ContextOverflowError(
            f"the prompt and its answer do not fit into the model's context{tail}", tokens=tokens, limit=limit, **known
        )
    match status:
        case 400 | 413 | 416 | 422:
            return InvalidRequestError(f"the service refuses the request ({what}){tail}", **known)
        case 401:
            hint = "check TOGETHER_API_KEY, or the api_key that you gave"
            return AuthenticationError(f"the service does not know the key ({what}); {hint}{tail}", **known)
        case 402:
            return QuotaError(f"the account has no credit left ({what}){tail}", **known)
        case 403:
            return AccessDeniedError(f"the key may not do this ({what}){tail}", **known)
        case 404:
            return NotFoundError(f"the service has no such model or page ({what}){tail}", **known)
        case 408:
            return RequestTimeoutError(f"the service gave up waiting ({what}){tail}", **known)
        case 429 if re.search(r"(?i)insufficient_quota|credit|billing", said):
            return QuotaError(f"the account has no credit left ({what}){tail}", **known)
        case 429:
            asks = f"; it asks to wait {wait:g} s" if wait is not None else ""
            return RateLimitError(f"too many requests ({what}){asks}{tail}", retry_after=wait, **known)
        case 503 | 529:
            return OverloadedError(f"the service has too much to do ({what}){tail}", retry_after=wait, **known)
        case int() if status >= 500:
            return ServerError(f"the service failed ({what}){tail}", **known)
        case int() if 300 <= status < 400:
            target = headers.get("location", "elsewhere")
            hint = "motet follows no redirect, since it would carry the request there; check base_url"
            return ApiError(f"the service points to {redact(target, key)} ({what}); {hint}", **known)
        case 409:
            return ApiError(f"the service is busy with a conflicting request ({what}){tail}", retryable=True, **known)
        case _:
            return ApiError(f"{what}{tail}", **known)


def _shown(body: object, key: str | None) -> str:
    """What a body says, to be shown: without the key, and not without end."""
    # First redacted and then cut, since half a key is half a secret.
    said = _said(body)[:_FAR].encode("utf-8", "replace").decode()
    return redact(said, key)[:_LONG]


def _said(body: object) -> str:
    """What an error's body says, in whichever of the usual places."""
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        if isinstance(inner, str):
            return inner
        if isinstance(inner, Mapping):
            for name in ("message", "detail", "msg"):
                if isinstance(inner.get(name), str):
                    code = inner.get("code")
                    return f"{inner[name]} ({code})" if isinstance(code, str) and code else str(inner[name])
        return json.dumps(body, ensure_ascii=False, default=str)
    if isinstance(body, bytes):
        return body[:_FAR].decode("utf-8", "replace")
    return "" if body is None else str(body)


_LIMIT = re.compile(r"(?i)(?:maximum|limit|context (?:length|size|window)|up to|<=)[^0-9]{0,40}(\d[\d,]*)")


def _overflow_counts(body: object, said: str) -> tuple[int | None, int | None]:
    """How many tokens there are and how many may be: in fields of llama.cpp's, elsewhere in a sentence."""
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    if isinstance(inner, Mapping):
        fields = (inner.get("n_prompt_tokens"), inner.get("n_ctx"))
        if all(isinstance(field, int) for field in fields):
            return fields
    numbers = {_number(number) for number in re.findall(r"\b\d{1,3}(?:,\d{3})+\b|\b\d+\b", said)}
    named = _LIMIT.search(said)
    limit = _number(named[1]) if named else min(numbers, default=None)
    if limit is None or len(numbers) < 2:
        return None, limit if named else None
    # Where the prompt's tokens and the answer's are named too, the largest is the sum; or there is no sum.
    others = numbers - {limit}
    tokens = max(others) if max(others) > limit else sum(others)
    return tokens if tokens > limit else None, limit


def _number(text: str) -> int:
    return int(text.replace(",", "")[:12])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after`: a number or a date. `None`: nothing that makes sense."""
    try:
        seconds = float(headers["retry-after-ms"]) / 1000
    except (KeyError, ValueError):
        text = headers.get("retry-after", "")
        try:
            seconds = float(text)
        except ValueError:
            try:
                # A date has whole seconds, so one that has just passed means now.
                date = email.utils.parsedate_to_datetime(text)
                date = date if date.tzinfo is not None else date.replace(tzinfo=datetime.UTC)
                seconds = max(date.timestamp() - time.time(), 0.0)
            except (ValueError, OverflowError):
                return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def request_id(headers: Mapping[str, str]) -> str | None:
    """What the service calls the request."""
    return next((headers[name] for name in ("x-request-id", "cf-ray", "x-amzn-trace-id") if name in headers), None)


def bad_payload(what: str, body: object, key: str | None, **known: Any) -> BadPayloadError:
    """An answer that cannot be read; the message shows how it begins."""
    said = _shown(body, key)
    shown = f"; it begins {said[:200]!r}" if said else ""
    return BadPayloadError(f"{what}{shown}", raw=said or None, **known)
