"""What users read of a service that refuses or breaks off: `make snapshots` rewrites this file."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from inline_snapshot import snapshot

from tests.support.fault_cases import (
    CUTS,
    DONE,
    SSE,
    STATUSES,
    InMemoryService,
    chunks_of,
    outcome,
    sse,
)

pytestmark = pytest.mark.usefixtures("quick")


def error_of(service: InMemoryService, how: str, runner: asyncio.Runner) -> str:
    result = outcome(service.atom("chat", max_retries=0), how, runner=runner)
    assert result.error is not None
    return f"{type(result.error).__name__}: {result.error}"


def encoded(body: Any) -> bytes:
    return body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()


def test_messages_of_statuses(runner: asyncio.Runner) -> None:
    service, messages = InMemoryService(), {}
    for number, (status, body, *_) in enumerate(STATUSES):
        service.tell(encoded(body), status=status, headers={"x-request-id": "r-7"})
        messages[f"{number}: {status}"] = error_of(service, "ask", runner)
    assert messages == snapshot(
        {
            "0: 301": "ApiError: the service points to elsewhere (HTTP 301); motet follows no redirect, since it would carry the request there; check base_url",
            "1: 307": "ApiError: the service points to elsewhere (HTTP 307); motet follows no redirect, since it would carry the request there; check base_url",
            "2: 400": "InvalidRequestError: the service refuses the request (HTTP 400): no [key]",
            "3: 401": "AuthenticationError: the service does not know the key (HTTP 401); check TOGETHER_API_KEY, or the api_key that you gave: Invalid API key provided: [key]",
            "4: 402": "QuotaError: the account has no credit left (HTTP 402): spending limit",
            "5: 403": "AccessDeniedError: the key may not do this (HTTP 403): not yours",
            "6: 404": "NotFoundError: the service has no such model or page (HTTP 404): no such model",
            "7: 408": "RequestTimeoutError: the service gave up waiting (HTTP 408): {}",
            "8: 409": "ApiError: the service is busy with a conflicting request (HTTP 409): busy",
            "9: 413": "InvalidRequestError: the service refuses the request (HTTP 413): <html>[key]</html>",
            "10: 418": "ApiError: HTTP 418",
            "11: 422": 'InvalidRequestError: the service refuses the request (HTTP 422): {"detail": [{"loc": ["body", "[key]"], "msg": "field required"}]}',
            "12: 429": "RateLimitError: too many requests (HTTP 429): slow down",
            "13: 429": "QuotaError: the account has no credit left (HTTP 429): You exceeded your current quota (insufficient_quota)",
            "14: 500": "ServerError: the service failed (HTTP 500): upstream [key]",
            "15: 502": "ServerError: the service failed (HTTP 502): <html>Bad Gateway</html>",
            "16: 503": "OverloadedError: the service has too much to do (HTTP 503): overloaded [key]",
            "17: 504": "ServerError: the service failed (HTTP 504)",
            "18: 524": "ServerError: the service failed (HTTP 524): ��\x00",
            "19: 529": "OverloadedError: the service has too much to do (HTTP 529)",
            "20: 599": "ServerError: the service failed (HTTP 599): xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        }
    )


def test_messages_of_broken_streams(runner: asyncio.Runner) -> None:
    service, messages = InMemoryService(), {}
    events = [*map(sse, chunks_of("chat"))]
    for name, (end, _) in CUTS.items():
        service.tell(*events[:4], end=end)
        messages[name] = error_of(service, "stream", runner)
    for name, piece in {
        "no JSON": b"data: {\n\n",
        "a list": b"data: []\n\n",
        "an error": sse({"error": {"message": "overloaded", "type": "server_error"}}),
        "the end at once": DONE,
    }.items():
        service.tell(piece, headers=SSE)
        messages[name] = error_of(service, "stream", runner)
    assert messages == snapshot(
        {
            "the end": "StreamTruncatedError: the answer ended before it was whole: the connection was closed; the received part is in .partial",
            "half an event": "StreamTruncatedError: the answer ended before it was whole: the connection was closed; the received part is in .partial",
            "a reset": "StreamTruncatedError: the answer was cut (ReadError) before it was whole; the received part is in .partial",
            "a hang-up": "StreamTruncatedError: the answer was cut (RemoteProtocolError) before it was whole; the received part is in .partial",
            "silence": "StreamTruncatedError: the answer fell silent before it was whole; the received part is in .partial",
            "no JSON": "BadPayloadError: chunk 0 is not JSON; it begins '{'",
            "a list": "BadPayloadError: an object was expected, not a list; it begins '[]'",
            "an error": "ServerError: the service failed (HTTP 500): overloaded",
            "the end at once": "BadPayloadError: the stream ended without a single chunk",
        }
    )
