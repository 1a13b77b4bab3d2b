"""Items of OpenAI's Responses API become messages. Pure functions; nothing is rendered or sent here.

The fields are those of the API reference: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from motet.dialects._reading import JsonPath, as_dict, read_call, read_texts, to_json, with_preambles
from motet.message import DeveloperContent, Message, Preamble, Reasoning, Text, ToolResult

__all__ = ["is_item", "join_turn", "read_item"]

_REFUSED_TYPES = (
    "item_reference",
    "file_search_call",
    "web_search_call",
    "computer_call",
    "computer_call_output",
    "code_interpreter_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
)
"""Items of tools that run at OpenAI, and pointers to items that are stored there."""

_READ_TYPES = (
    "message",
    "reasoning",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
)

_ITEM_TYPES = frozenset((*_READ_TYPES, *_REFUSED_TYPES))


def is_item(shape: Mapping[str, Any]) -> bool:
    """Whether a dict is an item of the Responses API; its messages without a `type` are read as chat dicts."""
    kind = shape.get("type")
    return isinstance(kind, str) and kind in _ITEM_TYPES


def read_item(shape: Mapping[str, Any], path: JsonPath) -> Message | None:
    """The message of an item; `None` for reasoning of which there is no text, because it is encrypted.

    Raises `RenderError` for items that are not text, calls or results.
    """
    match shape["type"]:
        case "message":
            return _read_message(shape, path)
        case "reasoning":
            text = "".join(_reasoning_texts(shape, path))
            return Message("assistant", (Reasoning(text),)) if text else None
        case "function_call":
            call = read_call(shape.get("name"), shape.get("arguments"), shape.get("call_id"), "function_call", path)
            return Message("assistant", (call,))
        case "custom_tool_call":
            call = read_call(shape.get("name"), shape.get("input"), shape.get("call_id"), "custom_tool_call", path)
            return Message("assistant", (call,))
        case "function_call_output" | "custom_tool_call_output":
            return Message("tool", (_read_output(shape, path),))
    raise path.error("type", f"is {shape['type']!r}, which is not text, a function call or its result")


def _read_message(shape: Mapping[str, Any], path: JsonPath) -> Message:
    texts = tuple(read_texts(shape.get("content"), path))
    match shape.get("role"):
        case "system" | "developer":
            return Message("developer", (DeveloperContent("".join(texts)),))
        case "user":
            return Message("user", tuple(map(Text, texts)))
        case "assistant":
            part = Preamble if shape.get("phase") == "commentary" else Text
            return Message("assistant", (part("".join(texts)),))
    raise path.error("role", f"must be system, developer, user or assistant, not {shape.get('role')!r}")


def _reasoning_texts(shape: Mapping[str, Any], path: JsonPath) -> Iterator[str]:
    """The text of the reasoning; its summary only where the text is missing."""
    for item in shape.get("content") or shape.get("summary") or ():
        part = as_dict(item)
        if not isinstance(part, Mapping) or not isinstance(part.get("text"), str):
            raise path.error("content", f"has a part without text: {part!r:.80}")
        yield part["text"]


def _read_output(shape: Mapping[str, Any], path: JsonPath) -> ToolResult:
    call, output = shape.get("call_id"), shape.get("output")
    if not isinstance(call, str):
        raise path.wrong("call_id", "str", call)
    if isinstance(output, str):
        return ToolResult(call, output)
    if isinstance(output, list) and output:
        return ToolResult(call, "".join(read_texts(output, path)))
    if output is None:
        raise path.error("output", "is missing: a call's result needs output, be it the empty string")
    return ToolResult(call, to_json(output, "output", path), is_json=True)


def join_turn(messages: list[Message]) -> Message:
    """One message of an assistant's items that follow each other."""
    return Message("assistant", with_preambles([part for message in messages for part in message.content]))
