"""Chat dicts that servers accept: valid names and JSON arguments in the history of tool calls.

Servers parse the calls of the history again. vLLM answers 400 for arguments that are not JSON, and the OpenAI API for
names outside of `[A-Za-z0-9_-]{1,64}`. A model's own mistake would then end the conversation for good.
"""

from __future__ import annotations

import json
import re
from typing import Any

from motet.errors import InvalidArgumentsError
from motet.tolerant_json import repaired_json, strict_json

__all__ = ["acceptable_arguments", "acceptable_name", "make_acceptable"]

_INVALID_IN_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_MAX_NAME_CHARS = 64


def make_acceptable(chat_dict: dict[str, Any]) -> None:
    """Replaces invalid names and arguments of a chat dict's tool calls, the name of a tool result, and the content of
    an answer without text and calls, in place."""
    for call in chat_dict.get("tool_calls", ()):
        function = call["function"]
        function["name"] = acceptable_name(function["name"])
        function["arguments"] = acceptable_arguments(function["arguments"])
    if chat_dict["role"] == "assistant" and chat_dict["content"] is None and not chat_dict.get("tool_calls"):
        # The OpenAI API requires content where there are no calls.
        chat_dict["content"] = ""
    if chat_dict["role"] == "tool" and "name" in chat_dict:
        chat_dict["name"] = acceptable_name(chat_dict["name"])


def acceptable_name(name: str) -> str:
    """A tool name that servers accept: other characters become `_`, and an empty name `unknown_tool`."""
    return _INVALID_IN_NAME.sub("_", name)[:_MAX_NAME_CHARS] or "unknown_tool"


def acceptable_arguments(arguments: str) -> str:
    """Arguments as a JSON object: unchanged if they are one, repaired if one can be read, else under the key
    `invalid_arguments`."""
    try:
        if isinstance(strict_json(arguments), dict):
            return arguments
    except (ValueError, RecursionError):
        pass
    try:
        value = repaired_json(arguments).value if arguments.strip() else {}
        if isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (InvalidArgumentsError, ValueError):
        pass
    return json.dumps({"invalid_arguments": arguments}, ensure_ascii=False)
