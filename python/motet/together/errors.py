"""Failures of requests as exceptions of motet. The only module that reads HTTP statuses.

Exceptions never contain the key: `redact` removes it from everything that a server sends back.
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

_MESSAGE_CHARS, _RAW_CHARS, _READ_CHARS = 300, 2000, 20_000
"""Characters of a response: quoted in a message, kept in `.raw`, and read at all."""

# Keys of any vendor: servers echo the one that was sent.
_KEYS = re.compile(r"(?i)\b(?:sk|tgp|key|gsk|hf|xai|pat)[-_][A-Za-z0-9_\-]{12,}|(?<=bearer )\S+")


def redact(text: str, key: str | None) -> str:
    """The text without the key and without anything that looks like a key."""
    # A shorter text is not a key and may occur in common words.
    if key and len(key) >= 8:
        text = text.replace(key, "[key]")
    return _KEYS.sub("[key]", text)


def from_exception(error: Exception, key: str | None) -> MotetError:
    """The exception for what the SDK or its HTTP client raised before a response began."""
    if isinstance(error, MotetError):
        return error
    if isinstance(error.__cause__, MotetError):
        # A transport, such as a cassette, raised it; the SDK wraps unknown exceptions as failed connections.
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
    """The exception for an error response of a store that is not requested through the SDK."""
    return _from_status(response.status_code, response.text, response.headers, key)


def existing_file(response: httpx.Response) -> str | None:
    """The id of the file that already has these bytes, if the response refuses a duplicate; else `None`."""
    if response.status_code != 409:
        return None
    try:
        shape = response.json()
    except ValueError:
        return None
    name = shape.get("file_id") if isinstance(shape, Mapping) else None
    return name if isinstance(name, str) else None


def shown_cause(error: MotetError, cause: BaseException, key: str | None) -> BaseException | None:
    """The cause that a traceback may show. `None` if it is the error itself, or if its text may contain a key: the SDK
    quotes the whole body of a response."""
    if cause is error or cause.__cause__ is error:
        return None
    link: BaseException | None = cause
    while link is not None:
        if isinstance(link, together.APIStatusError) or redact(str(link), key) != str(link):
            return None
        link = link.__cause__ or link.__context__
    return cause


def from_error_object(shape: object, key: str | None) -> ApiError:
    """The exception for an error within a response with status 200: under the key `error`, an event of that name, or an
    object that says that it is one."""
    inner = (shape.get("error") or shape) if isinstance(shape, Mapping) else shape
    words = inner if isinstance(inner, str) else ""
    if isinstance(inner, Mapping):
        words = " ".join(str(inner.get(name, "")) for name in ("type", "code", "status"))
    words = words[:_RAW_CHARS].lower()
    numbers = [int(number) for number in re.findall(r"\b[45]\d\d\b", words)]
    statuses = [status for pattern, status in _STATUS_OF_WORDS if re.search(pattern, words)]
    status = next(iter(numbers + statuses), None)
    error = _from_status(status, shape, {}, key)
    error.status = None
    return error


_STATUS_OF_WORDS = (
    (r"rate.?limit|too.?many", 429),
    (r"overload|unavailable|capacity", 503),
    (r"authenti|invalid_api_key", 401),
    (r"quota|credit|billing", 402),
    (r"permission|forbidden", 403),
    (r"not.?found", 404),
    (r"context_length|invalid_request|bad.?request", 400),
    (r"server|internal|api_error", 500),
)

_OVERFLOW = re.compile(
    r"(?i)context.{0,12}(length|window|size)|maximum context|context_length_exceeded|prompt is too long"
    r"|input.{0,20}too long|longer than the (model|maximum)|max_new_tokens.{0,30}must be|exceeds? the (model|max)"
    r"|reduce the length|too many tokens|exceeds? the available context|max_prompt_tokens"
)


_CLASSES: Mapping[int, tuple[type[ApiError], str]] = {
    400: (InvalidRequestError, "the service refuses the request"),
    401: (AuthenticationError, "the service does not know the key"),
    402: (QuotaError, "the account has no credit left"),
    403: (AccessDeniedError, "the key may not do this"),
    404: (NotFoundError, "the service has no such model or page"),
    408: (RequestTimeoutError, "the service gave up waiting"),
    409: (ApiError, "the service is busy with a conflicting request"),
    413: (InvalidRequestError, "the service refuses the request"),
    416: (InvalidRequestError, "the service refuses the request"),
    422: (InvalidRequestError, "the service refuses the request"),
    429: (RateLimitError, "too many requests"),
    503: (OverloadedError, "the service has too much to do"),
    529: (OverloadedError, "the service has too much to do"),
}


def _from_status(status: int | None, body: object, headers: Mapping[str, str], key: str | None) -> ApiError:
    text = _shown(body, key)
    details: dict[str, Any] = {"status": status, "raw": text or None, "request_id": request_id(headers)}
    tail = f": {text[:_MESSAGE_CHARS]}" if text else ""
    if status in (None, 400, 403, 413, 422, 500, 502) and _OVERFLOW.search(text):
        tokens, limit = _overflow_counts(body, text)
        return ContextOverflowError(
            f"the prompt and its answer do not fit into the model's context{tail}",
            tokens=tokens,
            limit=limit,
            **details,
        )
    if status is not None and 300 <= status < 400:
        target = redact(headers.get("location", "elsewhere"), key)
        hint = "motet follows no redirect, since it would carry the request there; check base_url"
        return ApiError(f"the service points to {target} (HTTP {status}); {hint}", **details)
    kind, what = _class_of(status, text)
    where = f"HTTP {status}" if status else "the service broke off with an error"
    if what:
        where = f"{what} ({where})"
    if kind is AuthenticationError:
        where += "; check TOGETHER_API_KEY, or the api_key that you gave"
    wait = retry_after(headers)
    if issubclass(kind, RateLimitError | OverloadedError):
        details["retry_after"] = wait
    if kind is RateLimitError and wait is not None:
        where += f"; it asks to wait {wait:g} s"
    if status == 409:
        details["retryable"] = True
    return kind(f"{where}{tail}", **details)


def _class_of(status: int | None, text: str) -> tuple[type[ApiError], str]:
    """The exception of a status, and what it says."""
    if status == 429 and re.search(r"(?i)insufficient_quota|credit|billing", text):
        return _CLASSES[402]
    if status is not None and status in _CLASSES:
        return _CLASSES[status]
    return (ServerError, "the service failed") if status is not None and status >= 500 else (ApiError, "")


def _shown(body: object, key: str | None) -> str:
    """The text of an error's body without the key, of limited length."""
    # Redacted before it is cut: half a key would not be recognised.
    text = _message(body)[:_READ_CHARS].encode("utf-8", "replace").decode()
    return redact(text, key)[:_RAW_CHARS]


def _message(body: object) -> str:
    """The message of an error's body with its details, from the usual keys; else the whole body."""
    if isinstance(body, Mapping):
        inner = body.get("error") or body
        if isinstance(inner, str):
            return inner
        if isinstance(inner, Mapping):
            for name in ("message", "detail", "msg"):
                if isinstance(inner.get(name), str):
                    code = inner.get("code")
                    message = f"{inner[name]} ({code})" if isinstance(code, str) and code else str(inner[name])
                    return "; ".join([message, *_details(inner)])
        return json.dumps(body, ensure_ascii=False, default=str)
    if isinstance(body, bytes):
        return body[:_READ_CHARS].decode("utf-8", "replace")
    return "" if body is None else str(body)


def _details(error: Mapping[str, Any]) -> list[str]:
    """What services put beside the message: OpenRouter the provider, its own response and the reasons of a refusal in
    `metadata`, Groq the completion that it could not parse in `failed_generation`."""
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    details = []
    for label, value in (
        ("provider", metadata.get("provider_name")),
        ("reasons", metadata.get("reasons")),
        ("raw", metadata.get("raw")),
        ("failed_generation", error.get("failed_generation")),
    ):
        if value:
            details.append(
                f"{label}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)}"
            )
    return details


_LIMIT = re.compile(r"(?i)(?:maximum|limit|context (?:length|size|window)|up to|<=)[^0-9]{0,40}(\d[\d,]*)")


_N_CTX = re.compile(r"\bn_ctx\W{0,4}(\d+)")
"""The context in messages of LM Studio, which name the prompt first."""


def _overflow_counts(body: object, text: str) -> tuple[int | None, int | None]:
    """The tokens of the request and the limit: from fields of llama.cpp, else from the message."""
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    if isinstance(inner, Mapping):
        fields = (inner.get("n_prompt_tokens"), inner.get("n_ctx"))
        if all(isinstance(field, int) for field in fields):
            return fields
    numbers = {_number(number) for number in re.findall(r"\b\d{1,3}(?:,\d{3})+\b|\b\d+\b", text)}
    match = _N_CTX.search(text) or _LIMIT.search(text)
    limit = _number(match[1]) if match else min(numbers, default=None)
    if limit is None or len(numbers) < 2:
        return None, limit if match else None
    # If the message has the tokens of prompt and answer as well, the largest number is their sum, or there is none.
    others = numbers - {limit}
    tokens = max(others) if max(others) > limit else sum(others)
    return tokens if tokens > limit else None, limit


def _number(text: str) -> int:
    return int(text.replace(",", "")[:12])


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after` (a number or a date). `None`: absent or invalid."""
    try:
        seconds = float(headers["retry-after-ms"]) / 1000
    except (KeyError, ValueError):
        text = headers.get("retry-after", "")
        try:
            seconds = float(text)
        except ValueError:
            try:
                # A date has whole seconds: one that has just passed means now.
                date = email.utils.parsedate_to_datetime(text)
                date = date if date.tzinfo is not None else date.replace(tzinfo=datetime.UTC)
                seconds = max(date.timestamp() - time.time(), 0.0)
            except (ValueError, OverflowError):
                return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def request_id(headers: Mapping[str, str]) -> str | None:
    """The service's id of the request."""
    return next((headers[name] for name in ("x-request-id", "cf-ray", "x-amzn-trace-id") if name in headers), None)


def bad_payload(what: str, body: object, key: str | None, **known: Any) -> BadPayloadError:
    """The exception for a response that cannot be read; the message quotes its beginning."""
    text = _shown(body, key)
    excerpt = f"; it begins {text[:200]!r}" if text else ""
    return BadPayloadError(f"{what}{excerpt}", raw=text or None, **known)
