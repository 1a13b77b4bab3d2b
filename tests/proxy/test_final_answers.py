"""Reasoning that would use up the tokens of an answer: the proxy continues it with the answer, in each API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest

import motet
from motet.proxy import Upstream
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.proxies import PATHS, TOOLS, body_of, proxied

REASONING = " ".join(f"Road {number} leads to the town of {number * 37}." for number in range(12))
OPENED = "<|channel|>analysis<|message|>"
HEADER = "<|end|><|start|>assistant<|channel|>final<|message|>"
LIMITS = {"chat": "max_tokens", "responses": "max_output_tokens", "anthropic": "max_tokens"}
MAX_TOKENS = 64
ENDLESS = Turn(f"{OPENED}{REASONING}", fault=Fault("silence", after=55))
"""Silent behind the tokens at which the reasoning is ended: three quarters of 64, and its header."""


@contextmanager
def asked(api: str, *script: Any, stream: bool, face: str = "vllm", **fields: Any) -> Iterator[Any]:
    """The response to a request with few tokens, and the scripted server."""
    price = {"input": "1", "output": "4"}
    with (
        ScriptedServer(list(script), face=face) as server,  # type: ignore[arg-type]
        proxied(upstream=Upstream(url=server.url, price=price)) as (url, _),
    ):
        fields = {LIMITS[api]: MAX_TOKENS, **fields}
        yield httpx.post(url + PATHS[api], json=body_of(api, stream=stream, **fields), timeout=10), server


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def read_chat(response: httpx.Response, *, stream: bool) -> tuple[str, str, int, int]:
    if not stream:
        body = response.json()
        message, usage = body["choices"][0]["message"], body["usage"]
        assert body["choices"][0]["finish_reason"] == "stop"
        return message["reasoning_content"], message["content"], usage["prompt_tokens"], usage["completion_tokens"]
    events = events_of(response)
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    texts = ["".join([delta.get(key) or "" for delta in deltas]) for key in ("reasoning_content", "content")]
    usage = events[-1]["usage"]
    return texts[0], texts[1], usage["prompt_tokens"], usage["completion_tokens"]


def read_responses(response: httpx.Response, *, stream: bool) -> tuple[str, str, int, int]:
    body = response.json() if not stream else events_of(response)[-1]["response"]
    if stream:
        events = events_of(response)
        added = [event for event in events if event["type"] == "response.output_item.added"]
        assert [(event["output_index"], event["item"]["type"]) for event in added] == [(0, "reasoning"), (1, "message")]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert sum([event["type"] == "response.created" for event in events]) == 1
    assert body["status"] == "completed"
    reasoning, text = [item["content"][0]["text"] for item in body["output"]]
    return reasoning, text, body["usage"]["input_tokens"], body["usage"]["output_tokens"]


def read_anthropic(response: httpx.Response, *, stream: bool) -> tuple[str, str, int, int]:
    if not stream:
        body = response.json()
        assert body["stop_reason"] == "end_turn"
        texts = [block.get("thinking") or block.get("text") for block in body["content"]]
        return texts[0], texts[1], body["usage"]["input_tokens"], body["usage"]["output_tokens"]
    events = events_of(response)
    starts = [event for event in events if event["type"] == "content_block_start"]
    assert [(event["index"], event["content_block"]["type"]) for event in starts] == [(0, "thinking"), (1, "text")]
    assert [event["type"] for event in events].count("message_start") == 1
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    texts = ["".join([delta.get(key, "") for delta in deltas]) for key in ("thinking", "text")]
    usage = next(event for event in events if event["type"] == "message_delta")["usage"]
    return texts[0], texts[1], usage["input_tokens"], usage["output_tokens"]


READERS = {"chat": read_chat, "responses": read_responses, "anthropic": read_anthropic}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", PATHS)
def test_long_reasoning_is_continued_with_the_answer(api: str, stream: bool) -> None:
    fields = {"stream_options": {"include_usage": True}} if api == "chat" and stream else {}
    if api == "anthropic":
        fields = {"thinking": {"type": "adaptive"}}
    with asked(api, ENDLESS, "Rome.<|return|>", stream=stream, **fields) as (response, server):
        assert response.status_code == 200, response.text
        assert server.hung_up.wait(5), "the first request is still open"
        bodies = [request.body for request in server.requests if request.method == "POST"]
    reasoning, text, input_tokens, output_tokens = READERS[api](response, stream=stream)
    assert REASONING.startswith(reasoning) and len(reasoning) > 100
    assert text == "Rome."
    first, second = [body["prompt"] for body in bodies]
    assert second == [*first, *motet.encode(OPENED + reasoning + HEADER, special="token")]
    written = len(motet.encode(OPENED + reasoning, special="token"))
    assert (input_tokens, output_tokens) == (len(first) + len(second), written + 3)
    assert bodies[1]["max_tokens"] == MAX_TOKENS - written
    cost = (Decimal(input_tokens) + 4 * Decimal(output_tokens)) / 1_000_000
    shown = response.headers.get("x-motet-cost") or response.text.split("x-motet-cost: ")[1].split("\n")[0]
    assert Decimal(shown) == cost


@pytest.mark.parametrize("stream", [False, True])
def test_failing_second_request_keeps_its_status(stream: bool) -> None:
    with asked("chat", ENDLESS, Fault("status", status=503), stream=stream) as (response, _):
        if stream:
            assert events_of(response)[-1]["error"]["message"]
        else:
            assert response.status_code == 503


def test_forced_calls_and_chat_lanes_ask_once() -> None:
    plain = f"{OPENED}{REASONING}"
    forced = {"tools": TOOLS["chat"], "tool_choice": "required"}
    for face, fields in (("vllm", forced), ("together", {})):
        with asked("chat", Turn(plain), stream=True, face=face, **fields) as (response, server):
            assert events_of(response)[-1]["choices"][0]["finish_reason"] == "length"
            assert len([request for request in server.requests if request.method == "POST"]) == 1
