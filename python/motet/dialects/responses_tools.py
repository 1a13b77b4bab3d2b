"""Custom tools and namespaces of the Responses API, which gpt-oss is offered as functions.

A custom tool takes free text: its function has one argument, `input`, and the client gets its value. The tools of a
namespace have the name of the namespace in front of theirs: gpt-oss knows the namespace `functions` only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from motet.errors import InvalidArgumentsError
from motet.message import Message, ToolCall
from motet.tolerant_json import repaired_json

__all__ = [
    "OfferedTool",
    "custom_arguments",
    "custom_input",
    "function_item",
    "function_name",
    "functions",
    "offered_tools",
    "with_custom_arguments",
]

INPUT = "input"
"""The argument of a custom tool's function."""
_PLAIN_NAMESPACE = "functions"
"""Codex puts all functions and custom tools into a namespace of this name for some models (openai/codex:
`DEFAULT_FUNCTION_NAMESPACE` in codex-rs/protocol/src/tool_name.rs)."""
_PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {INPUT: {"type": "string"}},
    "required": [INPUT],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool as the client knows it."""

    name: str
    namespace: str | None = None
    is_custom: bool = False


def function_name(name: str, namespace: str | None) -> str:
    """The name under which gpt-oss is offered a tool."""
    return name if namespace in (None, "", _PLAIN_NAMESPACE) else f"{namespace}__{name}"


def _tools(tools: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], str | None, str]]:
    """Each tool with its namespace, and the description of the namespace before its first tool."""
    for tool in tools:
        if tool["type"] != "namespace":
            yield tool, None, ""
            continue
        heading = tool.get("description") or ""
        for member in tool["tools"]:
            yield member, tool["name"], heading
            heading = ""


def offered_tools(tools: Sequence[Mapping[str, Any]]) -> dict[str, OfferedTool]:
    """The tools of a request by the names of their functions."""
    return {
        function_name(tool["name"], namespace): OfferedTool(tool["name"], namespace, tool["type"] == "custom")
        for tool, namespace, _ in _tools(tools)
    }


def functions(tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Function tools for all tools of a request."""
    return [_function(tool, namespace, heading) for tool, namespace, heading in _tools(tools)]


def _function(tool: Mapping[str, Any], namespace: str | None, heading: str) -> Mapping[str, Any]:
    texts = [heading, tool.get("description") or ""]
    if tool["type"] != "custom":
        if namespace is None:
            return tool
        description = "\n".join(filter(None, texts))
        return {**tool, "name": function_name(tool["name"], namespace), "description": description}
    form = tool.get("format") or {}
    if form.get("type") == "grammar":
        texts.append(f"The {INPUT} follows this {form['syntax']} grammar:\n{form['definition'].strip()}")
    return {
        "type": "function",
        "name": function_name(tool["name"], namespace),
        "description": "\n".join(filter(None, texts)),
        "parameters": _PARAMETERS,
    }


def custom_input(arguments: str) -> str:
    """The free text of a custom tool's call. A model that knows the tool may write the text itself, without JSON."""
    if not arguments.lstrip().startswith("{"):
        return arguments
    try:
        value = repaired_json(arguments).value
    except (InvalidArgumentsError, ValueError):
        return arguments
    if not isinstance(value, dict):
        return arguments
    texts = [text for text in value.values() if isinstance(text, str)]
    # A model that was trained with another name for the argument, such as `patch`, may write that one.
    text = value.get(INPUT, texts[0] if len(value) == len(texts) == 1 else None)
    return text if isinstance(text, str) else arguments


def custom_arguments(text: str) -> str:
    """The arguments of a custom tool's function."""
    return json.dumps({INPUT: text}, ensure_ascii=False)


def function_item(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """An item of the history, calls of custom tools and of namespaces as calls of their functions."""
    kind, name, namespace = item.get("type"), item.get("name"), item.get("namespace")
    if kind == "custom_tool_call" and isinstance(text := item.get("input"), str):
        item = {**item, "type": "function_call", "arguments": custom_arguments(text)}
    elif kind != "function_call":
        return item
    if isinstance(name, str) and isinstance(namespace, str):
        item = {**item, "name": function_name(name, namespace)}
    return item


def with_custom_arguments(message: Message, custom_tools: Collection[str]) -> Message:
    """The message with the arguments that clients send back for calls of custom tools."""
    if not any(call.name in custom_tools for call in message.tool_calls):
        return message
    parts = [
        replace(part, arguments=custom_arguments(custom_input(part.arguments)))
        if isinstance(part, ToolCall) and part.name in custom_tools
        else part
        for part in message.content
    ]
    return replace(message, content=tuple(parts))
