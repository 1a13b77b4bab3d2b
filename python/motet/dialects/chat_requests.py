"""Requests to the Chat Completions API.

The fields are those of the API reference: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from motet.dialects.api_request import (
    VERBOSITY,
    ApiRequest,
    Check,
    FieldError,
    boolean,
    effort,
    ignored,
    mapping,
    nested,
    number,
    read_fields,
    read_messages,
    read_tools,
    refused,
    text,
    texts,
    whole,
)

__all__ = ["SAMPLING_CHECKS", "TEXT_ONLY", "allowed_tools", "check_names", "read_chat_request"]

TEXT_ONLY = "gpt-oss reads and writes text only"
_STREAM_OPTIONS: Mapping[str, Check] = {"include_usage": boolean, "include_obfuscation": boolean}
SAMPLING_CHECKS: Mapping[str, Check] = {
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "seed": whole(),
    "logit_bias": mapping,
    # Of vLLM, SGLang and llama.cpp, which OpenAI's API does not have.
    "top_k": whole(-1),
    "min_p": number(0, 1),
    "repetition_penalty": number(0),
}
_FUNCTION: Mapping[str, Check] = {"name": text, "description": text, "parameters": mapping, "strict": boolean}


def _messages(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise FieldError(f"{path} must be an array of at least one message", path)
    return value


def _tools(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise FieldError(f"{path} must be an array of tools", path)
    for index, tool in enumerate(value):
        where = f"{path}[{index}]"
        if not isinstance(tool, Mapping) or tool.get("type", "function") != "function":
            raise FieldError(f"{where}.type must be 'function': gpt-oss calls functions only", f"{where}.type")
        read_fields(tool, {"type": text, "function": mapping}, ("function",), where)
        read_fields(tool["function"], _FUNCTION, ("name",), f"{where}.function")
    return value


def _stop(value: Any, path: str) -> list[str]:
    stops = texts(value, path)
    if len(stops) > 4:
        raise FieldError(f"{path} must have at most 4 strings: {len(stops)}", path)
    return stops


_CHECKS: Mapping[str, Check] = {
    **SAMPLING_CHECKS,
    "model": text,
    "messages": _messages,
    "max_tokens": whole(1),
    "max_completion_tokens": whole(1),
    "n": refused("an answer has one choice", 1),
    "stop": _stop,
    "tools": _tools,
    "tool_choice": ignored,
    "parallel_tool_calls": boolean,
    "response_format": mapping,
    "reasoning_effort": effort,
    "stream": boolean,
    "stream_options": nested(_STREAM_OPTIONS),
    "verbosity": VERBOSITY,
    "store": refused("chat completions are not kept", False),
    "logprobs": refused("probabilities of tokens are not passed on", False),
    "top_logprobs": refused("probabilities of tokens are not passed on", 0),
    "modalities": refused(TEXT_ONLY, ["text"]),
    "audio": refused(TEXT_ONLY),
    "functions": refused("use tools"),
    "function_call": refused("use tool_choice"),
    "web_search_options": refused("no search runs here; offer a tool"),
    "moderation": refused("answers are not moderated here"),
    # Hints for the service, without effect on the answer.
    "service_tier": text,
    "prediction": ignored,
    "metadata": ignored,
    "user": ignored,
    "safety_identifier": ignored,
    "prompt_cache_key": ignored,
    "prompt_cache_options": ignored,
    "prompt_cache_retention": ignored,
}


def read_chat_request(body: Any) -> ApiRequest:
    """The request of a body for `/v1/chat/completions`. Raises `FieldError`."""
    fields = read_fields(body, _CHECKS, ("model", "messages"))
    tools = read_tools(fields.get("tools", ()), "tools")
    tools, tool_choice = _tool_choice(fields.get("tool_choice"), tools)
    schema, schema_name = _response_format(fields.get("response_format"))
    return ApiRequest(
        model=fields["model"],
        messages=tuple(read_messages(fields["messages"], "messages")),
        tools=tools,
        tool_choice=tool_choice,
        single_call=fields.get("parallel_tool_calls") is False,
        schema=schema,
        schema_name=schema_name,
        reasoning_effort=fields.get("reasoning_effort"),
        max_tokens=fields.get("max_completion_tokens", fields.get("max_tokens")),
        sampling={name: fields[name] for name in SAMPLING_CHECKS if name in fields},
        stops=tuple(fields.get("stop", ())),
        stream=fields.get("stream", False),
        settings=fields,
    )


def _tool_choice(value: Any, tools: tuple[Mapping[str, Any], ...]) -> tuple[tuple[Mapping[str, Any], ...], Any]:
    match value:
        case None | "auto" | "none" | "required":
            return tools, value
        case {"type": "function", "function": {"name": str(name)}}:
            check_names([name], tools, "tool_choice.function.name")
            return tools, {"type": "function", "function": {"name": name}}
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list(listed)}}:
            functions = [tool.get("function") if isinstance(tool, Mapping) else None for tool in listed]
            names = [function.get("name") for function in functions if isinstance(function, Mapping)]
            return allowed_tools(names, tools, "tool_choice.allowed_tools.tools"), mode
    forms = "'auto', 'none', 'required', a function by name, or allowed_tools"
    raise FieldError(f"tool_choice must be {forms}: {value!r:.80}", "tool_choice")


def allowed_tools(names: list[Any], tools: tuple[Mapping[str, Any], ...], path: str) -> tuple[Mapping[str, Any], ...]:
    """The tools with these names. Raises `FieldError` for others."""
    check_names(names, tools, path)
    return tuple([tool for tool in tools if tool["function"]["name"] in names])


def check_names(names: list[Any], tools: tuple[Mapping[str, Any], ...], path: str) -> None:
    offered = [tool["function"]["name"] for tool in tools]
    for name in names:
        if name not in offered:
            raise FieldError(f"{path} names {name!r}, and the tools are: {', '.join(offered) or 'absent'}", path)


def _response_format(value: Mapping[str, Any] | None) -> tuple[Mapping[str, Any] | None, str]:
    """The schema of the answer, and its name."""
    match value:
        case None | {"type": "text"}:
            return None, "answer"
        case {"type": "json_object"}:
            return {"type": "object"}, "answer"
        case {"type": "json_schema", "json_schema": {"name": str(name), "schema": dict(schema)}}:
            return schema, name
    raise FieldError(
        "response_format must have the type 'text', 'json_object' or 'json_schema' with json_schema.name and "
        f"json_schema.schema: {value!r:.80}",
        "response_format",
    )
