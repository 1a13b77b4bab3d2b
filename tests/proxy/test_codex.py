"""Requests in the shape of Codex' against a proxy, in several turns.

The shape is that of `ResponsesApiRequest`, `ToolSpec` and `ResponseItem` in https://github.com/openai/codex (codex-rs).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from motet.proxy import app
from motet.testing import ScriptedServer
from tests.support.proxies import MODEL, AsgiResponse, call
from tests.support.server_scripts import prompt_text

PATCH = "*** Begin Patch\n*** Update File: hello.py\n@@\n-print('helo')\n+print(\"hello\")\n*** End Patch"
GRAMMAR = 'start: begin hunk+ end\nbegin: "*** Begin Patch" LF\nend: "*** End Patch" LF?\n'
STRING = {"type": "string"}
SHELL = {
    "type": "object",
    "properties": {"command": {"type": "array", "items": STRING}, "workdir": STRING, "timeout_ms": {"type": "number"}},
    "required": ["command"],
    "additionalProperties": False,
}
PLAN = {"type": "object", "properties": {"plan": {"type": "array", "items": {"type": "object"}}}, "required": ["plan"]}
SEARCH = {"type": "object", "properties": {"query": STRING}, "required": ["query"]}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "shell", "description": "Runs a command.", "strict": False, "parameters": SHELL},
    {
        "type": "function",
        "name": "update_plan",
        "description": "Updates the plan.",
        "strict": False,
        "parameters": PLAN,
    },
    {
        "type": "custom",
        "name": "apply_patch",
        "description": "Edits files.",
        "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR},
    },
    {
        "type": "namespace",
        "name": "mcp__docs",
        "description": "Tools in the mcp__docs namespace.",
        "tools": [
            {"type": "function", "name": "search", "description": "Searches.", "strict": False, "parameters": SEARCH}
        ],
    },
]


def text_item(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def request_body(items: list[Any], **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": MODEL,
        "instructions": "You are a coding agent.",
        "input": items,
        "tools": TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "service_tier": "priority",
        "prompt_cache_key": "0199a213-81c0-7800-8aa1-bbab2a035a53",
        "text": {"verbosity": "low"},
        "client_metadata": {"x-codex-installation-id": "6f1a"},
    }
    return {**body, **fields}


def turn(reasoning: str, recipient: str, arguments: str) -> str:
    return (
        f"<|channel|>analysis<|message|>{reasoning}<|end|><|start|>assistant<|channel|>commentary "
        f"to=functions.{recipient} <|constrain|>json<|message|>{arguments}<|call|>"
    )


COMPLETIONS = [
    turn("List the files.", "shell", '{"command":["ls"]}'),
    turn("Patch it.", "apply_patch", json.dumps({"input": PATCH})),
    turn("Once more.", "apply_patch", PATCH),
    turn("Look it up.", "mcp__docs__search", '{"query":"print"}'),
    "<|channel|>final<|message|>Done.<|return|>",
]
RESULTS: list[Any] = [
    "hello.py",
    json.dumps({"output": "Success.", "metadata": {"exit_code": 0, "duration_seconds": 0.1}}),
    [{"type": "input_text", "text": "Success again."}],
    "print writes text",
]
EVENTS_OF_CUSTOM_CALL = [
    "response.output_item.added",
    "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done",
    "response.output_item.done",
]


def replayed(item: dict[str, Any]) -> dict[str, Any]:
    """An item as Codex sends it back: without ids and statuses, and reasoning by its encrypted form alone."""
    kept = {key: value for key, value in item.items() if key not in ("id", "status")}
    return {**kept, "content": None} if item["type"] == "reasoning" else kept


async def run_session(application: Any) -> list[AsgiResponse]:
    """Asks until the answer has no call."""
    items = [
        text_item("developer", "<permissions>"),
        text_item("user", "<environment_context>"),
        text_item("user", "Fix the typo."),
    ]
    responses = []
    for result in [*RESULTS, None]:
        response = await call(application, "POST", "/v1/responses", request_body(items))
        responses.append(response)
        if response.status != 200 or result is None:
            break
        output = [event["item"] for event in response.events if event["type"] == "response.output_item.done"]
        items += map(replayed, output)
        kind = output[-1]["type"] + "_output"
        items.append({"type": kind, "call_id": output[-1]["call_id"], "output": result})
    return responses


def test_codex_session_runs_to_its_end() -> None:
    with ScriptedServer(COMPLETIONS, face="vllm") as server:
        responses = asyncio.run(run_session(app(server.url)))
    assert [response.status for response in responses] == [200] * 5
    output = [response.events[-1]["response"]["output"] for response in responses]
    shell, patch, raw_patch, search, answer = [items[-1] for items in output]
    assert (shell["type"], shell["name"], shell["arguments"]) == ("function_call", "shell", '{"command":["ls"]}')
    for item in (patch, raw_patch):
        assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", PATCH)
    assert (search["type"], search["namespace"], search["name"]) == ("function_call", "mcp__docs", "search")
    assert answer["content"][0]["text"] == "Done."
    at_call = [event["type"] for event in responses[1].events if event.get("output_index") == 1]
    assert at_call == EVENTS_OF_CUSTOM_CALL
    for response in responses:
        assert [event["sequence_number"] for event in response.events] == list(range(len(response.events)))
        done = [event["item"] for event in response.events if event["type"] == "response.output_item.done"]
        assert done == response.events[-1]["response"]["output"]


def test_codex_history_reaches_the_model() -> None:
    with ScriptedServer(COMPLETIONS, face="vllm") as server:
        asyncio.run(run_session(app(server.url)))
    prompt = prompt_text(server.requests[-1].body)
    for reasoning in ("List the files.", "Patch it.", "Once more.", "Look it up."):
        assert prompt.count(reasoning) == 1
    assert "type apply_patch = (_: {" in prompt and 'begin: "*** Begin Patch" LF' in prompt
    assert "type mcp__docs__search = (_: {" in prompt
    assert "to=functions.mcp__docs__search" in prompt
    assert prompt.count("*** Update File: hello.py") == 2
    assert "Success again." in prompt
    assert "Reasoning: medium" in prompt


def test_codex_search_tool_is_refused_by_name() -> None:
    body = request_body([text_item("user", "Hi")], tools=[*TOOLS, {"type": "web_search", "external_web_access": False}])
    with ScriptedServer(COMPLETIONS[-1:], face="vllm") as server:
        refusal = asyncio.run(call(app(server.url), "POST", "/v1/responses", body))
        assert refusal.status == 400
        assert refusal.json["error"]["param"] == "tools[4].type"
        assert "--ignore-tool web_search" in refusal.json["error"]["message"]
        proxy = app(server.url, ignored_tools=["web_search"])
        assert asyncio.run(call(proxy, "POST", "/v1/responses", body)).status == 200


async def run_stored(application: Any) -> tuple[AsgiResponse, AsgiResponse]:
    """A call of a custom tool, and its result with `previous_response_id`."""
    body = request_body("Hi", stream=False, store=True)
    first = await call(application, "POST", "/v1/responses", body)
    item = first.json["output"][-1]
    result = {"type": "custom_tool_call_output", "call_id": item["call_id"], "output": "Success."}
    body = request_body([result], stream=False, previous_response_id=first.json["id"])
    return first, await call(application, "POST", "/v1/responses", body)


def test_call_of_custom_tool_is_continued_by_id() -> None:
    with ScriptedServer([COMPLETIONS[2], COMPLETIONS[4]], face="vllm") as server:
        first, second = asyncio.run(run_stored(app(server.url)))
    assert first.json["output"][-1]["input"] == PATCH
    assert second.status == 200
    prompt = prompt_text(server.requests[-1].body)
    assert "Success." in prompt and "Once more." in prompt


async def run_references(application: Any, stored: bool) -> tuple[AsgiResponse, AsgiResponse]:
    """A call, and its result behind references to the items of the turn, as Vercel's AI SDK sends them."""
    first = await call(application, "POST", "/v1/responses", request_body("Hi", stream=False, store=stored))
    items = first.json["output"]
    references = [{"type": "item_reference", "id": item["id"]} for item in items]
    result = {"type": "custom_tool_call_output", "call_id": items[-1]["call_id"], "output": "Success."}
    body = request_body([text_item("user", "Hi"), *references, result], stream=False)
    return first, await call(application, "POST", "/v1/responses", body)


def test_references_to_stored_items_are_resolved() -> None:
    with ScriptedServer([COMPLETIONS[1], COMPLETIONS[4]], face="vllm") as server:
        _, second = asyncio.run(run_references(app(server.url), stored=True))
    assert second.status == 200
    prompt = prompt_text(server.requests[-1].body)
    assert "Patch it." in prompt and "*** Update File" in prompt and "Success." in prompt


def test_reference_to_no_stored_item_is_refused() -> None:
    with ScriptedServer([COMPLETIONS[1]], face="vllm") as server:
        first, second = asyncio.run(run_references(app(server.url), stored=False))
    assert second.status == 400
    assert second.json["error"]["param"] == "input[1].id"
    assert first.json["output"][0]["id"] in second.json["error"]["message"]
