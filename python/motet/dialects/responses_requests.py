"""Requests to the Responses API.

The fields are those of the API reference: https://platform.openai.com/docs/api-reference/responses/create
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
    choice,
    effort,
    foreign_tool,
    ignored,
    mapping,
    nested,
    number,
    read_fields,
    read_messages,
    read_tools,
    refused,
    text,
    whole,
)
from motet.dialects.chat_requests import allowed_tools, check_names
from motet.dialects.responses_tools import function_item, function_name, functions, offered_tools
from motet.dialects.sealed import unseal
from motet.message import DeveloperContent, Message

__all__ = ["ENCRYPTED_REASONING", "input_items", "read_responses_request"]

ENCRYPTED_REASONING = "reasoning.encrypted_content"
"""The value of `include` that asks for reasoning in a form to send back."""
_SUMMARIES = choice("auto", "concise", "detailed")
_REASONING: Mapping[str, Check] = {
    "effort": effort,
    "summary": _SUMMARIES,
    "generate_summary": _SUMMARIES,
    "context": ignored,
    "mode": refused("gpt-oss has one mode", "standard"),
}
_UNUSED_INCLUDES = frozenset(
    (
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        "web_search_call.action.sources",
        "web_search_call.results",
    )
)
"""Values of `include` for items that no answer has here."""
_TEXT: Mapping[str, Check] = {"format": mapping, "verbosity": VERBOSITY}
_COMMON: Mapping[str, Check] = {
    "type": text,
    "name": text,
    "description": text,
    "defer_loading": refused("all tools are in the prompt", False),
    "allowed_callers": refused("the model calls tools itself", ["direct"]),
    "async": refused("the model waits for results", False),
}
_GRAMMAR: Mapping[str, Check] = {"type": choice("grammar"), "syntax": choice("lark", "regex"), "definition": text}


def _custom_format(value: Any, path: str) -> Any:
    if value == {"type": "text"}:
        return value
    return read_fields(value, _GRAMMAR, ("type", "syntax", "definition"), path)


_FUNCTION: Mapping[str, Check] = {
    **_COMMON,
    "parameters": mapping,
    "strict": boolean,
    # For programs that call tools, of which none runs here.
    "output_schema": ignored,
}
_CUSTOM: Mapping[str, Check] = {**_COMMON, "format": _custom_format}


def _input(value: Any, path: str) -> Any:
    if not isinstance(value, str | list):
        raise FieldError(f"{path} must be a string or an array of items", path)
    return value


def _include(value: Any, path: str) -> list[str]:
    if not isinstance(value, list):
        raise FieldError(f"{path} must be an array", path)
    for index, name in enumerate(value):
        if name != ENCRYPTED_REASONING and name not in _UNUSED_INCLUDES:
            where = f"{path}[{index}]"
            raise FieldError(f"{where} must be {ENCRYPTED_REASONING!r}: {name!r:.60}", where)
    return value


def _tools(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise FieldError(f"{path} must be an array of tools", path)
    for index, tool in enumerate(value):
        _check_tool(tool, f"{path}[{index}]", ("function", "custom", "namespace"))
    return value


def _check_tool(tool: Any, path: str, kinds: tuple[str, ...]) -> None:
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    if kind not in kinds:
        raise FieldError(foreign_tool(f"{path}.type", kinds, kind), f"{path}.type")
    match kind:
        case "function":
            read_fields(tool, _FUNCTION, ("name",), path)
        case "custom":
            read_fields(tool, _CUSTOM, ("name",), path)
        case "namespace":
            read_fields(tool, _NAMESPACE, ("name", "tools"), path)


def _members(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise FieldError(f"{path} must be an array of tools", path)
    for index, tool in enumerate(value):
        _check_tool(tool, f"{path}[{index}]", ("function", "custom"))
    return value


_NAMESPACE: Mapping[str, Check] = {"type": text, "name": text, "description": text, "tools": _members}
_CHECKS: Mapping[str, Check] = {
    "model": text,
    "input": _input,
    "instructions": text,
    "max_output_tokens": whole(1),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "reasoning": nested(_REASONING),
    "text": nested(_TEXT),
    "tools": _tools,
    "tool_choice": ignored,
    "parallel_tool_calls": boolean,
    "stream": boolean,
    "stream_options": nested({"include_obfuscation": boolean}),
    "store": boolean,
    "previous_response_id": text,
    "include": _include,
    "metadata": mapping,
    "background": refused("answers are not made in the background", False),
    "conversation": refused("use previous_response_id"),
    "prompt": refused("no prompts are kept here"),
    "truncation": refused("a conversation is sent whole", "disabled"),
    "top_logprobs": refused("probabilities of tokens are not passed on", 0),
    "context_management": refused("a conversation is sent whole", []),
    "moderation": refused("answers are not moderated here"),
    # Of built-in tools, of which none runs here; and hints without effect on the answer.
    "max_tool_calls": ignored,
    "service_tier": text,
    "client_metadata": ignored,
    "user": ignored,
    "safety_identifier": ignored,
    "prompt_cache_key": ignored,
    "prompt_cache_options": ignored,
    "prompt_cache_retention": ignored,
}


def read_responses_request(body: Any, previous: tuple[Message, ...] = ()) -> ApiRequest:
    """The request of a body for `/v1/responses`. `previous`: the conversation of `previous_response_id`.

    Raises `FieldError`.
    """
    fields = read_fields(body, _CHECKS, ("model", "input"))
    tools = read_tools(functions(fields.get("tools", ())), "tools")
    tools, tool_choice = _tool_choice(fields.get("tool_choice"), tools)
    schema, schema_name = _format(fields.get("text", {}).get("format"))
    instructions = fields.get("instructions")
    # Those of the response before are not carried over.
    front = () if not instructions else (Message("developer", (DeveloperContent(instructions),)),)
    messages = read_messages([_readable(item) for item in input_items(fields["input"])], "input")
    if not previous and not messages:
        raise FieldError("input must have at least one item", "input")
    return ApiRequest(
        model=fields["model"],
        messages=(*front, *previous, *messages),
        tools=tools,
        tool_choice=tool_choice,
        single_call=fields.get("parallel_tool_calls") is False,
        schema=schema,
        schema_name=schema_name,
        reasoning_effort=fields.get("reasoning", {}).get("effort"),
        max_tokens=fields.get("max_output_tokens"),
        sampling={name: fields[name] for name in ("temperature", "top_p") if name in fields},
        stream=fields.get("stream", False),
        custom_tools=frozenset(
            [name for name, tool in offered_tools(fields.get("tools", ())).items() if tool.is_custom]
        ),
        settings=fields,
    )


def input_items(value: str | list[Any]) -> list[Any]:
    """The items of an input."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    return value


def _readable(item: Any) -> Any:
    """An item in a form that all readers know: reasoning that came as `encrypted_content` has its text again, and calls
    of custom tools and namespaces are calls of functions."""
    if not isinstance(item, Mapping):
        return item
    if item.get("type") != "reasoning":
        return function_item(item)
    reasoning = None if item.get("content") else unseal(item.get("encrypted_content"))
    return item if reasoning is None else {**item, "content": [{"type": "reasoning_text", "text": reasoning}]}


def _tool_choice(value: Any, tools: tuple[Mapping[str, Any], ...]) -> tuple[tuple[Mapping[str, Any], ...], Any]:
    match value:
        case None | "auto" | "none" | "required":
            return tools, value
        case {"type": "function" | "custom", "name": str(name), **others}:
            namespace = others.get("namespace")
            name = function_name(name, namespace if isinstance(namespace, str) else None)
            check_names([name], tools, "tool_choice.name")
            return tools, {"type": "function", "function": {"name": name}}
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": list(listed)}:
            names = [tool.get("name") if isinstance(tool, Mapping) else None for tool in listed]
            return allowed_tools(names, tools, "tool_choice.tools"), mode
    forms = "'auto', 'none', 'required', a function by name, or allowed_tools"
    raise FieldError(f"tool_choice must be {forms}: {value!r:.80}", "tool_choice")


def _format(value: Mapping[str, Any] | None) -> tuple[Mapping[str, Any] | None, str]:
    match value:
        case None | {"type": "text"}:
            return None, "answer"
        case {"type": "json_object"}:
            return {"type": "object"}, "answer"
        case {"type": "json_schema", "name": str(name), "schema": dict(schema)}:
            return schema, name
    forms = "'text', 'json_object' or 'json_schema' with name and schema"
    raise FieldError(f"text.format must have the type {forms}: {value!r:.80}", "text.format")
