"""Requests in the shape of Claude Code's against a proxy, in several turns.

The shape is that of https://docs.anthropic.com/en/api/messages with the fields and headers that public proxies name:
https://github.com/ggml-org/llama.cpp/pull/20623, https://github.com/musistudio/claude-code-router.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from motet.proxy import app
from motet.testing import ScriptedServer
from tests.support.api_events import EVENTS, check_anthropic_order, check_shape
from tests.support.proxies import MODEL, AsgiResponse, call
from tests.support.server_scripts import final, prompt_text

CACHED = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
HEADERS = {
    "user-agent": "claude-cli/2.1.158 (external, cli)",
    "x-app": "cli",
    "authorization": "Bearer unused",
    "anthropic-version": "2023-06-01",
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "prompt-caching-scope-2026-01-05,mid-conversation-system-2026-04-07,effort-2025-11-24",
}
STRING = {"type": "string"}


def tool(name: str, **properties: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"{name} of the client.\n\nUsage:\n- Be careful.",
        "input_schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": list(properties)[:1],
            "additionalProperties": False,
        },
    }


TODO = {"type": "object", "properties": {"content": STRING, "status": {"type": "string", "enum": ["pending", "done"]}}}
TOOLS = [
    tool("Bash", command=STRING, timeout={"type": "number"}, run_in_background={"type": "boolean"}),
    tool("Read", file_path=STRING, offset={"type": "integer", "exclusiveMinimum": 0}),
    tool(
        "Edit",
        file_path=STRING,
        old_string=STRING,
        new_string=STRING,
        replace_all={"type": "boolean", "default": False},
    ),
    tool("TodoWrite", todos={"type": "array", "minItems": 1, "items": TODO}),
    tool("mcp__docs__search", query=STRING),
    {**tool("Task", prompt=STRING), **CACHED},
]


def request_body(messages: list[Any], request: int = 0, **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": MODEL,
        "messages": messages,
        "system": [
            {
                "type": "text",
                "text": f"x-anthropic-billing-header: cc_version=2.1.158; cc_entrypoint=cli; cch={request};",
            },
            {"type": "text", "text": "You are a coding agent.", **CACHED},
            {"type": "text", "text": "# Environment\nThe folder is /src.", "cache_control": {"type": "ephemeral"}},
        ],
        "tools": TOOLS,
        "metadata": {"user_id": json.dumps({"device_id": "d", "account_uuid": "", "session_id": "s"})},
        "max_tokens": 32_000,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "xhigh"},
        "stream": True,
    }
    return {**body, **fields}


def calling(thought: str, *calls: tuple[str, dict[str, Any]]) -> str:
    frames = [
        f"<|start|>assistant<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{json.dumps(arguments)}"
        for name, arguments in calls
    ]
    return f"<|channel|>analysis<|message|>{thought}<|end|>{'<|end|>'.join(frames)}<|call|>"


COMPLETIONS = [
    calling("Two things.", ("Bash", {"command": "ls"}), ("Read", {"file_path": "/src/a.py"})),
    calling("Mend it.", ("Edit", {"file_path": "/src/a.py", "old_string": "-", "new_string": "+"})),
    final("Done."),
]
QUESTION = [
    {"type": "text", "text": "<system-reminder>\nThe date is today.\n</system-reminder>"},
    {"type": "text", "text": "Mend the sum.", **CACHED},
]


def collected(response: AsgiResponse) -> list[dict[str, Any]]:
    """The blocks of a stream, as the SDK collects them."""
    blocks: list[dict[str, Any]] = []
    for event in response.events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            for key, value in event["delta"].items():
                if key == "partial_json":
                    blocks[-1]["input"] = json.loads(value)
                elif key != "type":
                    blocks[-1][key] = blocks[-1].get(key, "") + value
    return blocks


async def run_session(application: Any) -> list[tuple[AsgiResponse, list[dict[str, Any]]]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": QUESTION}]
    turns = []
    for request in range(len(COMPLETIONS)):
        body = request_body(messages, request)
        response = await call(application, "POST", "/v1/messages?beta=true", body, HEADERS)
        blocks = collected(response)
        turns.append((response, blocks))
        results = [
            {
                "type": "tool_result",
                "tool_use_id": block["id"],
                "content": [{"type": "text", "text": f"result {request}"}],
                "is_error": False,
            }
            for block in blocks
            if block["type"] == "tool_use"
        ]
        if not results:
            break
        results[-1] |= CACHED
        reminder = {"type": "text", "text": "<system-reminder>\nThe list is empty.\n</system-reminder>"}
        messages += [{"role": "assistant", "content": blocks}, {"role": "user", "content": [*results, reminder]}]
        messages += [{"role": "system", "content": "The user has changed a.py."}]
    return turns


def test_claude_code_session_runs_to_its_end() -> None:
    with ScriptedServer(COMPLETIONS, face="vllm") as server:
        turns = asyncio.run(run_session(app(server.url)))
    assert [response.status for response, _ in turns] == [200] * 3
    kinds = [[block["type"] for block in blocks] for _, blocks in turns]
    assert kinds == [["thinking", "tool_use", "tool_use"], ["thinking", "tool_use"], ["text"]]
    assert [block["input"] for block in turns[0][1][1:]] == [{"command": "ls"}, {"file_path": "/src/a.py"}]
    for response, _ in turns:
        check_anthropic_order(response.events)
        for event in response.events:
            check_shape(EVENTS["anthropic"], event, "anthropic")
    stops = [response.events[-2]["delta"]["stop_reason"] for response, _ in turns]
    assert stops == ["tool_use", "tool_use", "end_turn"]


def test_claude_code_history_reaches_the_model() -> None:
    with ScriptedServer(COMPLETIONS, face="vllm") as server:
        asyncio.run(run_session(app(server.url)))
    prompts = [prompt_text(request.body) for request in server.requests if request.body]
    for text in ("Two things.", "Mend it.", "result 0", "result 1", "The user has changed a.py.", "Reasoning: high"):
        assert text in prompts[-1], text
    assert "x-anthropic-billing-header" not in prompts[-1]
    front = prompts[0].partition("Mend the sum.")[0]
    assert prompts[-1].startswith(front), "the server's cache of the prompt's beginning is used again"


def small(**fields: Any) -> dict[str, Any]:
    body = {"model": MODEL, "max_tokens": 512, "messages": [{"role": "user", "content": "quota"}], "temperature": 1}
    return {**body, **fields}


TITLE = {"type": "object", "properties": {"title": STRING}, "required": ["title"], "additionalProperties": False}
ONE_TOKEN = small(max_tokens=1, metadata={"user_id": "u"})
WITH_TITLE = small(output_config={"format": {"type": "json_schema", "schema": TITLE}}, thinking={"type": "disabled"})


def test_claude_code_side_requests_are_answered() -> None:
    async def run(url: str) -> list[AsgiResponse]:
        proxy = app(url)
        body = request_body([{"role": "user", "content": "Hi"}])
        names = ("model", "messages", "system", "tools", "thinking", "context_management")
        counted = {name: body[name] for name in names}
        return [
            await call(proxy, "POST", "/v1/messages?beta=true", ONE_TOKEN, HEADERS),
            await call(proxy, "POST", "/v1/messages?beta=true", WITH_TITLE, HEADERS),
            await call(proxy, "POST", "/v1/messages/count_tokens?beta=true", counted, HEADERS),
        ]

    with ScriptedServer([final("Yes."), final('{"title": "Sums"}')], face="vllm") as server:
        probe, title, count = asyncio.run(run(server.url))
    assert probe.status == 200 and probe.json["stop_reason"] == "max_tokens"
    assert json.loads(title.json["content"][0]["text"]) == {"title": "Sums"}
    assert count.json["input_tokens"] > 200


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aWk="}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [IMAGE]}
USE = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a.png"}}
WITH_IMAGE = [
    {"role": "user", "content": "Look."},
    {"role": "assistant", "content": [USE]},
    {"role": "user", "content": [RESULT]},
]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]}, "tools[0].type"),
        ({"messages": WITH_IMAGE}, "messages[2]"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "edits[0].type"),
    ],
)
def test_what_claude_code_cannot_have_is_named(fields: dict[str, Any], words: str) -> None:
    body = {**request_body([{"role": "user", "content": "Hi"}]), **fields}
    with ScriptedServer([final("Yes.")], face="vllm") as server:
        response = asyncio.run(call(app(server.url), "POST", "/v1/messages", body, HEADERS))
    assert response.status == 400
    assert response.json["error"]["type"] == "invalid_request_error"
    assert words in response.json["error"]["message"]
