"""What services write beside the message of an error: it stands in the error, and decides its kind."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import motet
from tests.support.fault_cases import DONE, InMemoryService, check_error, outcome, sse

pytestmark = pytest.mark.usefixtures("quick")

RAW = '{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}'
DETAILS: list[tuple[int, Any, type[motet.ApiError], list[str]]] = [
    (
        502,
        {"error": {"message": "Provider returned error", "code": 502, "metadata": {"provider_name": "A", "raw": "no GPU"}}},
        motet.ServerError,
        ["Provider returned error", "provider: A", "raw: no GPU"],
    ),
    (
        403,
        {
            "error": {
                "code": 403,
                "message": "flagged",
                "metadata": {"reasons": ["violence"], "flagged_input": "How", "provider_name": "A"},
            }
        },
        motet.AccessDeniedError,
        ["flagged", 'reasons: ["violence"]', "provider: A"],
    ),
    (
        429,
        {"error": {"message": "Provider returned error", "metadata": {"raw": {"detail": "slow down"}}}},
        motet.RateLimitError,
        ['raw: {"detail": "slow down"}'],
    ),
    (
        400,
        {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": RAW, "provider_name": "A"}}},
        motet.ContextOverflowError,
        ["210000 tokens"],
    ),
    (
        400,
        {
            "error": {
                "message": "Failed to call a function.",
                "type": "invalid_request_error",
                "code": "tool_use_failed",
                "failed_generation": '{"name": "get_weather", "arguments": {"city',
            }
        },
        motet.InvalidRequestError,
        ["Failed to call a function.", "tool_use_failed", 'failed_generation: {"name": "get_weather"'],
    ),
    (400, {"object": "error", "message": "bad request", "type": "BadRequestError", "code": 400}, motet.InvalidRequestError, ["bad request"]),
    (500, {"error": "the model crashed"}, motet.ServerError, ["the model crashed"]),
    (400, {"detail": "no such model is loaded"}, motet.InvalidRequestError, ["no such model is loaded"]),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "words"), DETAILS)
@pytest.mark.parametrize("how", ["ask", "astream"])
def test_details_of_an_error_are_kept(
    how: str, status: int, body: Any, kind: type[motet.ApiError], words: list[str], runner: asyncio.Runner
) -> None:
    service = InMemoryService()
    service.tell(json.dumps(body).encode(), status=status)
    error = check_error(outcome(service.atom(max_retries=0), how, runner=runner).error, kind, status=status)
    for word in words:
        assert word in str(error)
        assert word in error.raw


IN_STREAM: list[tuple[bytes, type[motet.ApiError], str]] = [
    # SGLang.
    (
        sse({"object": "error", "message": "out of memory", "type": "InternalServerError", "code": 500}),
        motet.ServerError,
        "out of memory",
    ),
    # vLLM.
    (sse({"error": {"message": "engine dead", "type": "InternalServerError", "code": 500}}), motet.ServerError, "engine dead"),
    # OpenRouter.
    (
        sse(
            {
                "error": {"code": 502, "message": "Provider disconnected", "metadata": {"provider_name": "A", "raw": "reset"}},
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            }
        ),
        motet.ServerError,
        "provider: A; raw: reset",
    ),
    (
        sse({"choices": [{"index": 0, "delta": {}, "error": {"code": 429, "message": "slow down"}}]}),
        motet.RateLimitError,
        "slow down",
    ),
    # Groq.
    (
        sse({"choices": [{"index": 0, "delta": {}}], "x_groq": {"id": "req_1", "error": "internal server error"}}),
        motet.ServerError,
        "internal server error",
    ),
    # LM Studio.
    (
        b'event: error\ndata: {"error":{"message":"Compute error."},"message":"Compute error."}\n\n',
        motet.ApiError,
        "Compute error.",
    ),
    # llama.cpp: as older versions write it, and a prompt that does not fit.
    (b'error: {"code":500,"message":"slot unavailable","type":"server_error"}\n\n', motet.ServerError, "slot unavailable"),
    (
        sse({"error": {"code": 400, "message": "request (9000 tokens) exceeds the available context size (4096 tokens)"}}),
        motet.ContextOverflowError,
        "9000 tokens",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("event", "kind", "words"), IN_STREAM)
@pytest.mark.parametrize("how", ["stream", "astream"])
def test_error_within_a_stream_keeps_what_arrived(
    how: str, event: bytes, kind: type[motet.ApiError], words: str, runner: asyncio.Runner
) -> None:
    service = InMemoryService()
    service.tell(
        sse({"choices": [{"index": 0, "delta": {"content": "Half"}}]}),
        event,
        *([DONE] if b"error:" not in event else []),
    )
    result = outcome(service.atom(), how, runner=runner)
    error = check_error(result.error, kind)
    assert words in str(error)
    assert error.partial.text == "Half"


def test_overflow_within_a_stream_knows_its_counts(runner: asyncio.Runner) -> None:
    service = InMemoryService()
    service.tell(IN_STREAM[-1][0])
    error = check_error(outcome(service.atom(), "stream", runner=runner).error, motet.ContextOverflowError)
    assert (error.tokens, error.limit) == (9000, 4096)
