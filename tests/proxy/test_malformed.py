"""What a model may write, through each API, streamed and whole: never a status of 5xx, and what `motet.parse` reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import motet
from motet import Completion, Preamble, Text
from motet.dialects.acceptable import acceptable_arguments
from motet.proxy import Upstream, app
from tests.support.api_events import EVENTS, check_anthropic_order, check_responses_order, check_shape
from tests.support.completions import CORPUS
from tests.support.fake_backend import FakeBackend
from tests.support.proxies import PATHS, AsgiResponse, body_of, call

Reading = tuple[str, str, list[tuple[str, Any]]]
"""Text, reasoning, and calls with their names and arguments."""


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def cases() -> Iterator[tuple[str, str, list[str]]]:
    for path in CORPUS:
        head, raw, _ = path.read_text().split("===\n", 2)
        fields = dict([line.split(": ", 1) for line in head.splitlines() if ": " in line])
        if not {"role", "opened", "transcript", "stripped"} & set(fields):
            yield (
                path.stem,
                raw.removesuffix("\n"),
                [*fields.get("tools", "").split(), *fields.get("tool", "").splitlines()],
            )


def tools_of(api: str, names: list[str]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {}}
    forms = {
        "chat": [{"type": "function", "function": {"name": name, "parameters": parameters}} for name in names],
        "responses": [{"type": "function", "name": name, "parameters": parameters} for name in names],
        "anthropic": [{"name": name, "input_schema": parameters} for name in names],
    }
    return {"tools": forms[api]} if names else {}


def expected(completion: Completion, api: str) -> Reading:
    text = "".join([part.text for part in completion.message.content if isinstance(part, Text | Preamble)])
    calls: list[tuple[str, Any]] = [(call.name, call.arguments) for call in completion.tool_calls]
    if api == "anthropic":
        calls = [(name, json.loads(acceptable_arguments(arguments))) for name, arguments in calls]
    return text, completion.reasoning, calls


def read_whole(api: str, reply: dict[str, Any]) -> Reading:
    if api == "chat":
        message = reply["choices"][0]["message"]
        functions = [call["function"] for call in message.get("tool_calls", ())]
        calls = [(function["name"], function["arguments"]) for function in functions]
        return message["content"] or "", message.get("reasoning_content", ""), calls
    items = reply["output"] if api == "responses" else reply["content"]
    text = reasoning = ""
    calls = []
    for item in items:
        match item["type"]:
            case "message":
                text += item["content"][0]["text"]
            case "text":
                text += item["text"]
            case "reasoning":
                reasoning += item["content"][0]["text"]
            case "thinking":
                reasoning += item["thinking"]
            case "function_call":
                calls.append((item["name"], item["arguments"]))
            case "tool_use":
                calls.append((item["name"], item["input"]))
    return text, reasoning, calls


def read_stream(api: str, response: AsgiResponse) -> Reading:
    """What a client collects of the deltas."""
    text = reasoning = ""
    calls: dict[Any, list[str]] = {}
    for event in response.events:
        kind = event.get("type", "chunk")
        if kind == "chunk" and event["choices"]:
            delta = event["choices"][0]["delta"]
            text += delta.get("content", "")
            reasoning += delta.get("reasoning_content", "")
            for fragment in delta.get("tool_calls", ()):
                pieces = calls.setdefault(fragment["index"], [fragment["function"].get("name"), ""])
                pieces[1] += fragment["function"]["arguments"]
        elif kind == "response.output_text.delta":
            text += event["delta"]
        elif kind == "response.reasoning_text.delta":
            reasoning += event["delta"]
        elif kind == "response.output_item.added" and event["item"]["type"] == "function_call":
            calls[event["output_index"]] = [event["item"]["name"], ""]
        elif kind == "response.function_call_arguments.delta":
            calls[event["output_index"]][1] += event["delta"]
        elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            calls[event["index"]] = [event["content_block"]["name"], ""]
        elif kind == "content_block_delta":
            delta = event["delta"]
            text += delta.get("text", "")
            reasoning += delta.get("thinking", "")
            if "partial_json" in delta:
                calls[event["index"]][1] += delta["partial_json"]
    read = json.loads if api == "anthropic" else str
    return text, reasoning, [(name, read(arguments)) for name, arguments in calls.values()]


ORDERS: dict[str, Callable[[list[dict[str, Any]]], None]] = {
    "chat": lambda events: None,
    "responses": check_responses_order,
    "anthropic": check_anthropic_order,
}
LAST_EVENTS = {"responses": ("response.completed", "response.incomplete"), "anthropic": ("message_stop",)}


@pytest.mark.parametrize("api", PATHS)
def test_every_malformed_completion_is_an_answer(api: str, runner: asyncio.Runner) -> None:
    answers = list(cases())
    assert len(answers) > 150
    current = ""
    backend = FakeBackend(lambda _: current)
    application = app(Upstream(backend=backend))
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 9000}} if api == "anthropic" else {}
    for name, raw, tools in answers:
        current = raw
        completion = motet.parse(motet.encode(raw, special="token"), tools=tools_of("chat", tools).get("tools"))
        body = body_of(api, **tools_of(api, tools), **thinking)
        whole = runner.run(call(application, "POST", PATHS[api], body))
        assert whole.status == 200, (name, whole.body)
        assert read_whole(api, whole.json) == expected(completion, api), name
        repairs = whole.headers.get("x-motet-repairs", "")
        assert set(filter(None, repairs.split(", "))) == {repair.code for repair in completion.repairs}, name
        streamed = runner.run(call(application, "POST", PATHS[api], {**body, "stream": True}))
        assert streamed.status == 200, name
        assert read_stream(api, streamed) == expected(completion, api), name
        if api == "chat":
            assert b"data: [DONE]\n\n" in streamed.body
        else:
            assert streamed.events[-1]["type"] in LAST_EVENTS[api], name
        for event in streamed.events:
            check_shape(EVENTS[api], event, api)
        ORDERS[api](streamed.events)
