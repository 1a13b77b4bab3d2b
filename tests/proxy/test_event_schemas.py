"""Every event and reply of each kind against the types of the SDKs: their fields, no others, in their order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from motet.proxy import Upstream, app
from motet.testing import Fault, ScriptedServer, Turn
from tests.support.api_events import (
    EVENTS,
    REPLIES,
    check_anthropic_order,
    check_responses_order,
    check_shape,
)
from tests.support.proxies import PATHS, TOOLS, AsgiResponse, body_of, call
from tests.support.server_scripts import CALL, PLAIN, final

PARALLEL = CALL.replace("<|call|>", "<|end|>") + CALL[CALL.rindex("<|start|>") :]
CUSTOM = CALL.replace("get_weather", "apply_patch").replace('{"city": "Zürich"}', '{"input": "*** Begin Patch"}')
SCRIPTS: dict[str, Any] = {
    "text": final("Hi."),
    "reasoning": PLAIN,
    "call": CALL,
    "parallel calls": PARALLEL,
    "custom call": CUSTOM,
    "empty": final(""),
    "cut": PLAIN,
    "refusal": Turn(PLAIN, finish="content_filter"),
    "error": Turn(PLAIN, fault=Fault("error_data", after=6)),
}
CUSTOM_TOOL = {"type": "custom", "name": "apply_patch"}


def body_for(api: str, kind: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"tools": TOOLS[api]}
    if api == "responses":
        fields["tools"] = [*TOOLS[api], CUSTOM_TOOL]
        fields |= {"include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}}
    if api == "anthropic":
        fields["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    if kind == "cut":
        limit = {"chat": "max_completion_tokens", "responses": "max_output_tokens", "anthropic": "max_tokens"}[api]
        fields[limit] = 9
    return body_of(api, **fields)


async def ask(api: str, kind: str, *, stream: bool) -> AsgiResponse:
    face = "together" if kind == "refusal" else "vllm"
    with ScriptedServer(lambda _: SCRIPTS[kind], face=face) as server:
        upstream = Upstream(url=server.base_url, service=face, key="key") if face == "together" else server.url
        return await call(app(upstream), "POST", PATHS[api], {**body_for(api, kind), "stream": stream})


@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("api", PATHS)
def test_every_event_has_the_fields_of_its_type(api: str, kind: str) -> None:
    response = asyncio.run(ask(api, kind, stream=True))
    assert response.status == 200
    events = response.events
    if api == "chat" and kind == "error":
        assert set(events.pop()["error"]) == {"message", "type", "param", "code"}
    for event in events:
        check_shape(EVENTS[api], event, api)
    if api == "responses":
        check_responses_order(events)
    if api == "anthropic":
        check_anthropic_order(events)
        assert (events[-1]["type"] == "error") is (kind == "error")


@pytest.mark.parametrize("kind", [kind for kind in SCRIPTS if kind != "error"])
@pytest.mark.parametrize("api", PATHS)
def test_every_reply_has_the_fields_of_its_type(api: str, kind: str) -> None:
    response = asyncio.run(ask(api, kind, stream=False))
    assert response.status == 200, response.body
    check_shape(REPLIES[api], response.json, api)


@pytest.mark.parametrize(
    ("kind", "chat", "responses", "anthropic"),
    [
        ("text", "stop", ("completed", None), "end_turn"),
        ("call", "tool_calls", ("completed", None), "tool_use"),
        ("cut", "length", ("incomplete", "max_output_tokens"), "max_tokens"),
        ("refusal", "content_filter", ("incomplete", "content_filter"), "refusal"),
    ],
)
def test_ends_have_the_words_of_each_api(kind: str, chat: str, responses: tuple[str, str], anthropic: str) -> None:
    assert asyncio.run(ask("chat", kind, stream=False)).json["choices"][0]["finish_reason"] == chat
    reply = asyncio.run(ask("responses", kind, stream=False)).json
    assert (reply["status"], (reply["incomplete_details"] or {}).get("reason")) == responses
    assert asyncio.run(ask("anthropic", kind, stream=False)).json["stop_reason"] == anthropic
