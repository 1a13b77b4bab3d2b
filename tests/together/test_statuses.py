"""Statuses as errors, for requests and for the list of models."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

import motet
from tests.support.fault_cases import (
    HOWS,
    LANES,
    STATUSES,
    Body,
    InMemoryService,
    check_error,
    outcome,
    whole_of,
)
from tests.support.server_scripts import KEY, SLUG

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(("status", "body", "kind", "attempts"), STATUSES)
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", HOWS)
def test_statuses(
    how: str, lane: str, status: int, body: Any, kind: type[motet.ApiError], attempts: int, runner: asyncio.Runner
) -> None:
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"location": "http://elsewhere.test/v1", "x-request-id": "r-7"}
    service = InMemoryService()
    # Whole; broken off; and with the key where the excerpt ends: the status says enough.
    for pieces, end in (([data], None), ([data], httpx.ReadError("reset")), ([b"x" * 290, KEY.encode() * 900], None)):
        sent = service.tell(*pieces, end=end, status=status, headers=headers)
        result = outcome(service.atom(lane), how, runner=runner)
        if pieces[0] is not data and kind is motet.QuotaError and status == 429:
            continue
        error = check_error(result.error, kind, status=status, request_id="r-7", partial=None, usage=None, cost=None)
        assert [attempt.outcome for attempt in error.attempts] == [str(status)] * attempts
        assert len(service.requests) == attempts
        assert {request.url.host for request in service.requests} == {"service.test"}, "no redirect is followed"
        assert error.retryable == (attempts > 1)
        assert len(str(error)) < 600
        assert len(error.raw or "") <= 2000
        assert sent.closed
        if result.left is not None:
            assert (result.left.text, result.left.metrics.cost.cash.total) == ("", None)


OVERFLOWS: list[tuple[int, Any, int | None, int | None]] = [
    # As services write it, from public issues; Together's gpt-oss sends none.
    (
        422,
        {
            "error": {
                "message": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 2019 `inputs` tokens and 30 `max_new_tokens`"
            }
        },
        2049,
        2048,
    ),
    (
        403,
        {
            "error": {
                "message": "Input token count + `max_tokens` parameter must be less than the `context_length` of the model being queried."
            }
        },
        None,
        None,
    ),
    (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 4097 tokens. However, you requested 4203 tokens (3703 in the messages, 500 in the completion). Please reduce the length of the messages or completion.",
                "code": "context_length_exceeded",
            }
        },
        4203,
        4097,
    ),
    (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the messages, 10000 in the completion). Please reduce the length of the messages or completion.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        122946,
        16384,
    ),
    (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 128000 tokens. However, your messages resulted in 202868 tokens (202767 in the messages, 101 in the functions)."
            }
        },
        202868,
        128000,
    ),
    (
        400,
        {
            "object": "error",
            "message": "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        61709,
        40960,
    ),
    (
        400,
        {
            "object": "error",
            "message": "Requested token count exceeds the model's maximum context length of 32768 tokens. You requested a total of 40000 tokens: 30000 tokens from the input messages and 10000 tokens for the completion.",
        },
        40000,
        32768,
    ),
    (
        400,
        {"message": "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens)."},
        160062,
        59862,
    ),
    (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size. try increasing the context size or enable context shift",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 14429,
                "n_ctx": 8192,
            }
        },
        14429,
        8192,
    ),
    (
        400,
        {
            "error": {
                "message": "request (8541 tokens) exceeds the available context size (4096 tokens), try increasing it"
            }
        },
        8541,
        4096,
    ),
    (
        400,
        {
            "error": "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: 4096). Try to load the model with a larger context length, or provide a shorter input."
        },
        13055,
        4096,
    ),
    (
        400,
        {
            "error": "Trying to keep the first 6547 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."
        },
        6547,
        4096,
    ),
    (
        400,
        {
            "object": "error",
            "message": "The input (400013 tokens) is longer than the model's context length (262144 tokens).",
        },
        400013,
        262144,
    ),
    (
        400,
        {
            "error": {
                "message": "Please reduce the length of the messages or completion.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
        None,
        None,
    ),
    (
        400,
        {
            "message": "Please reduce the length of the messages or completion. Current length is 42328 while limit is 40000"
        },
        42328,
        40000,
    ),
    (400, {"detail": "Requested tokens (2285) exceed context window of 2048"}, 2285, 2048),
    (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
        1200293,
        1048576,
    ),
    (400, {"error": {"message": "prompt is too long: 210,000 tokens > 200,000 maximum"}}, 210000, 200000),
    (413, "the prompt is too long", None, None),
]


@pytest.mark.parametrize(("status", "body", "tokens", "limit"), OVERFLOWS)
@pytest.mark.parametrize("how", HOWS)
def test_context_overflow(
    how: str, status: int, body: Any, tokens: int | None, limit: int | None, runner: asyncio.Runner
) -> None:
    service = InMemoryService()
    service.tell(body.encode() if isinstance(body, str) else json.dumps(body).encode(), status=status)
    result = outcome(service.atom(), how, runner=runner).error
    error = check_error(result, motet.ContextOverflowError, status=status, tokens=tokens, limit=limit, retryable=False)
    assert len(error.attempts) == len(service.requests) == 1


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize(("status", "body", "kind"), [(item[0], item[1], item[2]) for item in STATUSES])
def test_list_of_models(how: str, status: int, body: Any, kind: type[motet.ApiError], runner: asyncio.Runner) -> None:
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    transport = httpx.MockTransport(
        lambda _: httpx.Response(status, stream=Body([data]), headers={"x-should-retry": "false"})
    )
    backend = motet.atom(
        SLUG, api_key=KEY, base_url="http://service.test", transport=transport, async_transport=transport
    ).backend
    try:
        health = backend.health() if how == "sync" else runner.run(backend.ahealth())
        assert (health.ok, health.status, health.key_valid) == (False, status, False if status == 401 else None)
        check_error(health.error, kind, status=status)
        if how == "sync":
            backend.list_models()
        else:
            runner.run(backend.alist_models())
        raise AssertionError("there is no list")
    except motet.ApiError as error:
        check_error(error, kind, status=status)


@pytest.mark.parametrize("how", HOWS)
def test_starting_server_is_probed_again(how: str, runner: asyncio.Runner) -> None:
    service = InMemoryService(models=[httpx.ReadTimeout("late"), httpx.Response(503)])
    atom = service.atom("auto")
    for lane in ("chat", "chat", "ids", "ids"):
        service.tell(whole_of(lane))
        result = outcome(atom, how, runner=runner).answer
        assert result is not None
        assert result.lane == lane
