"""Bodies that no client sends: each is an answer or a refusal that is the client's own fault."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from motet.proxy import Upstream, app
from tests.support.fake_backend import FakeBackend
from tests.support.hypothesis_profiles import examples
from tests.support.proxies import HI, PATHS, TOOLS, body_of, call
from tests.support.server_scripts import CALL, WEATHER

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
ASSISTANT: dict[str, Any] = {
    "chat": [
        {
            "role": "assistant",
            "content": "Let me look.",
            "reasoning_content": "Hm.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "sunny"}]},
    ],
    "responses": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "motet1.eJwDAAAAAAE="},
        {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    ],
    "anthropic": [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "motet1.eJwDAAAAAAE="},
                {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}]},
    ],
}
SETTINGS: dict[str, dict[str, Any]] = {
    "chat": {"stop": ["x"], "stream_options": {"include_usage": True}, "tool_choice": "auto", "temperature": 1},
    "responses": {"reasoning": {"effort": "low"}, "text": {"format": {"type": "text"}}, "metadata": {"a": "b"}},
    "anthropic": {
        "system": [{"type": "text", "text": "Be brief."}],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tool_choice": {"type": "auto"},
    },
}


def whole_body(api: str) -> dict[str, Any]:
    """A body with most of what an API has."""
    field = "input" if api == "responses" else "messages"
    conversation = {field: [*HI, *ASSISTANT[api]]}
    return copy.deepcopy(body_of(api, tools=TOOLS[api], **SETTINGS[api], **conversation))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def with_value(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(body)
    target = changed
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return changed


BODIES = {api: whole_body(api) for api in PATHS}
CHANGES = st.sampled_from([(api, path) for api, body in BODIES.items() for path in places(body)])
BACKEND = FakeBackend(lambda _: CALL)
PROXY = app(Upstream(backend=BACKEND))


@pytest.mark.parametrize("api", PATHS)
def test_whole_body_is_answered(api: str) -> None:
    response = asyncio.run(call(PROXY, "POST", PATHS[api], BODIES[api]))
    assert response.status == 200, response.body


def nested(depth: int) -> Any:
    value: Any = {"type": "string"}
    for _ in range(depth):
        value = {"type": "array", "items": value}
    return value


@example(("chat", ("tools", 0, "function", "parameters")), nested(300), False)
@example(("responses", ("input", 1, "encrypted_content")), nested(300), True)
@example(("anthropic", ("tools", 0, "input_schema")), nested(300), True)
@example(("chat", ("messages", 1, "tool_calls", 0, "function", "arguments")), "[" * 5000, False)
@example(("chat", ("messages", 0)), WEATHER, False)
@examples(100)
@given(CHANGES, VALUES, st.booleans())
def test_changed_bodies_are_no_faults_of_the_proxy(change: tuple[str, Any], value: Any, stream: bool) -> None:
    api, path = change
    body = with_value(BODIES[api], path, value) | ({"stream": stream} if path != ("stream",) else {})
    response = asyncio.run(call(PROXY, "POST", PATHS[api], body))
    assert response.status in (200, 400, 404), response.body
    if response.status == 200 and stream:
        assert all("error" not in event and event.get("type") != "response.failed" for event in response.events)
