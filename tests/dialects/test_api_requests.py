"""Readers of requests to the three APIs: what is read, and what is refused by name."""

from __future__ import annotations

import json
import typing
from typing import Any

import pytest
from anthropic.types import MessageCountTokensParams, MessageCreateParams
from openai.types.chat import CompletionCreateParams
from openai.types.responses import ResponseCreateParams

from motet import DeveloperContent, Reasoning, Text, ToolCall, ToolResult
from motet.dialects import anthropic_requests, chat_requests, responses_requests
from motet.dialects.anthropic_requests import read_anthropic_request
from motet.dialects.api_request import ApiRequest, FieldError
from motet.dialects.chat_requests import read_chat_request
from motet.dialects.responses_requests import read_responses_request
from motet.dialects.sealed import seal

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
HI = [{"role": "user", "content": "Hi"}]


def chat(**fields: Any) -> ApiRequest:
    return read_chat_request({"model": "m", "messages": HI, **fields})


def responses(**fields: Any) -> ApiRequest:
    return read_responses_request({"model": "m", "input": "Hi", **fields})


def anthropic(**fields: Any) -> ApiRequest:
    return read_anthropic_request({"model": "m", "messages": HI, "max_tokens": 9, **fields})


READERS = {"chat": chat, "responses": responses, "anthropic": anthropic}
TOOLS: dict[str, Any] = {
    "chat": {"type": "function", "function": {"name": "f", "parameters": PARAMETERS}},
    "responses": {"type": "function", "name": "f", "parameters": PARAMETERS, "strict": True},
    "anthropic": {"name": "f", "input_schema": PARAMETERS},
}


@pytest.mark.parametrize(
    ("checks", "types"),
    [
        (chat_requests._CHECKS, [CompletionCreateParams]),
        (responses_requests._CHECKS, [ResponseCreateParams]),
        (anthropic_requests._CHECKS, [MessageCreateParams]),
        (anthropic_requests._COUNTED, [MessageCountTokensParams]),
    ],
)
def test_every_field_of_the_sdk_is_read_or_refused(checks: dict[str, Any], types: list[Any]) -> None:
    params = [param for kind in types for param in typing.get_args(kind) or (kind,)]
    fields = {name for param in params for name in typing.get_type_hints(param, vars(typing))}
    # Of programs of the vendors' own: refused as unknown, by name.
    vendors = {"access_programs", "background_options", "image", "prefill"}
    assert fields - vendors - set(checks) == set()


@pytest.mark.parametrize("api", READERS)
def test_tools_and_choices_are_read(api: str) -> None:
    read, tool = READERS[api], TOOLS[api]
    forced = {
        "chat": {"type": "function", "function": {"name": "f"}},
        "responses": {"type": "function", "name": "f"},
        "anthropic": {"type": "tool", "name": "f"},
    }[api]
    request = read(tools=[tool], tool_choice=forced)
    assert request.tools[0]["function"]["name"] == "f"
    assert request.tools[0]["function"]["parameters"] == PARAMETERS
    assert request.tool_choice == {"type": "function", "function": {"name": "f"}}
    required = {"type": "any"} if api == "anthropic" else "required"
    assert read(tools=[tool], tool_choice=required).tool_choice == "required"
    with pytest.raises(FieldError, match="names 'g', and the tools are: f"):
        read(tools=[tool], tool_choice=json.loads(json.dumps(forced).replace('"f"', '"g"')))
    with pytest.raises(FieldError, match="must have a name of its own: 'f'"):
        read(tools=[tool, tool])


def test_allowed_tools_are_the_only_ones() -> None:
    tools = [TOOLS["chat"], {"type": "function", "function": {"name": "g"}}]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    request = chat(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [tool["function"]["name"] for tool in request.tools] == ["g"]
    assert request.tool_choice == "required"


def test_settings_are_read_under_common_names() -> None:
    schema = {"type": "json_schema", "name": "x", "schema": SCHEMA}
    requests = [
        chat(
            max_completion_tokens=9,
            temperature=0.5,
            reasoning_effort="xhigh",
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
            parallel_tool_calls=False,
            stream=True,
        ),
        responses(
            max_output_tokens=9,
            temperature=0.5,
            reasoning={"effort": "high"},
            text={"format": schema},
            parallel_tool_calls=False,
            stream=True,
        ),
        anthropic(
            temperature=0.5,
            output_config={"effort": "max", "format": schema},
            tool_choice={"type": "auto", "disable_parallel_tool_use": True},
            stream=True,
        ),
    ]
    for request in requests:
        assert (request.max_tokens, request.sampling, request.reasoning_effort) == (9, {"temperature": 0.5}, "high")
        assert request.schema == SCHEMA
        assert request.single_call and request.stream
        assert request.messages[-1].content == (Text("Hi"),)


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        (None, None),
        ({"type": "disabled"}, "low"),
        ({"type": "adaptive"}, None),
        ({"type": "enabled", "budget_tokens": 2048}, "low"),
        ({"type": "enabled", "budget_tokens": 10_000}, "medium"),
        ({"type": "enabled", "budget_tokens": 32_000}, "high"),
    ],
)
def test_thinking_budgets_become_efforts(thinking: Any, effort: str | None) -> None:
    assert anthropic(thinking=thinking).reasoning_effort == effort


def test_instructions_stand_before_the_conversation() -> None:
    developer = (DeveloperContent("Be brief."),)
    assert responses(instructions="Be brief.").messages[0].content == developer
    assert anthropic(system=[{"type": "text", "text": "Be brief."}]).messages[0].content == developer
    previous = chat().messages
    both = read_responses_request({"model": "m", "input": "More", "instructions": "Be brief."}, previous)
    assert [message.role for message in both.messages] == ["developer", "user", "user"]


def test_sealed_reasoning_is_opened() -> None:
    sealed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": seal("Because.")}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    items = [*HI, sealed, call, {"type": "function_call_output", "call_id": "c", "output": "1"}]
    assert responses(input=items).messages[1].content == (Reasoning("Because."), ToolCall("f", "{}", "c"))
    blocks = [
        {"type": "thinking", "thinking": "", "signature": seal("Because.")},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    ]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "1"}]}
    messages = anthropic(messages=[*HI, {"role": "assistant", "content": blocks}, result]).messages
    assert messages[1].content == (Reasoning("Because."), ToolCall("f", "{}", "c"))
    assert messages[2].content == (ToolResult("c", "1"),)


@pytest.mark.parametrize(
    ("api", "fields", "param"),
    [
        ("chat", {"temprature": 1}, "temprature"),
        ("chat", {"n": 2}, "n"),
        ("chat", {"temperature": 3}, "temperature"),
        ("chat", {"temperature": True}, "temperature"),
        ("chat", {"temperature": float("nan")}, "temperature"),
        ("chat", {"max_tokens": 0}, "max_tokens"),
        ("chat", {"stop": ["a"] * 5}, "stop"),
        ("chat", {"stream": "yes"}, "stream"),
        ("chat", {"logprobs": True}, "logprobs"),
        ("chat", {"stream_options": {"usage": True}}, "stream_options.usage"),
        ("chat", {"response_format": {"type": "xml"}}, "response_format"),
        ("chat", {"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type"),
        ("chat", {"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ("chat", {"tool_choice": "sometimes"}, "tool_choice"),
        ("chat", {"messages": []}, "messages"),
        ("chat", {"messages": [{"role": "user"}]}, "messages[0]"),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0]"),
        ("chat", {"messages": ["Hi"]}, "messages"),
        ("chat", {"model": 7}, "model"),
        ("responses", {"background": True}, "background"),
        ("responses", {"conversation": "conv_1"}, "conversation"),
        ("responses", {"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ("responses", {"include": ["message.output_text.logprobs"]}, "include[0]"),
        ("responses", {"tools": [{"type": "custom", "name": "f", "format": {"type": "xml"}}]}, "tools[0].format.type"),
        ("responses", {"tools": [{"type": "namespace", "name": "n"}]}, "tools[0].tools"),
        ("responses", {"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ("responses", {"input": []}, "input"),
        ("responses", {"truncation": "auto"}, "truncation"),
        ("responses", {"text": {"verbosity": "brief"}}, "text.verbosity"),
        ("responses", {"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
        ("anthropic", {"max_tokens": None}, "max_tokens"),
        ("anthropic", {"temperature": 1.5}, "temperature"),
        ("anthropic", {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0].type"),
        ("anthropic", {"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ("anthropic", {"system": [{"type": "image"}]}, "system[0]"),
        ("anthropic", {"messages": [{"role": "tool", "content": "1"}]}, "messages[0].role"),
        ("anthropic", {"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0]"),
        ("anthropic", {"messages": [*HI, {"role": "assistant", "content": "{"}]}, "messages"),
        (
            "anthropic",
            {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
            "context_management.edits[0].type",
        ),
        ("anthropic", {"mcp_servers": [{"url": "http://x"}]}, "mcp_servers"),
        ("anthropic", {"thinking": {"type": "enabled", "budget": 9}}, "thinking.budget"),
    ],
)
def test_refused_fields_are_named(api: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(FieldError) as caught:
        READERS[api](**fields)
    assert caught.value.param == param
    assert param in str(caught.value) or param.partition("[")[0] in str(caught.value)


@pytest.mark.parametrize("body", [None, [], "text", 7, {}])
@pytest.mark.parametrize("read", [read_chat_request, read_responses_request, read_anthropic_request])
def test_bodies_of_other_shapes_are_refused(read: Any, body: Any) -> None:
    with pytest.raises(FieldError):
        read(body)


def test_hints_to_services_are_accepted() -> None:
    assert chat(service_tier="flex", verbosity="low", user="u", prompt_cache_key="k", metadata={"a": "b"}).messages
    fields = {"service_tier": "priority", "text": {"verbosity": "high"}, "client_metadata": {"a": "b"}}
    assert responses(**fields, include=["web_search_call.action.sources"]).messages
    assert anthropic(service_tier="auto", speed="fast", diagnostics={"previous_message_id": "msg_1"}).messages


def test_misspelt_field_is_given_the_known_one() -> None:
    with pytest.raises(FieldError, match="unknown field 'temprature'; 'temperature' is known"):
        chat(temprature=1)


def test_defaults_of_refused_fields_are_accepted() -> None:
    assert "n" not in chat(n=1, logprobs=False, store=False, modalities=["text"]).settings
    assert responses(truncation="disabled", background=False, store=True).settings["store"] is True
    assert anthropic(container=None)
    assert anthropic(context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]})
