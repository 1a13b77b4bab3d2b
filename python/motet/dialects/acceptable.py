"""Chat dicts that servers accept: valid names and JSON arguments in the history of tool calls.

Servers parse the calls of the history again. vLLM answers 400 for arguments that are not JSON, and the OpenAI API for
names outside of `[A-Za-z0-9_-]{1,64}`. A model's own mistake would then end the conversation for good.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from motet import _core
from motet.errors import InvalidArgumentsError
from motet.tolerant_json import repaired_json, strict_json

__all__ = ["ToolNames", "acceptable_arguments", "acceptable_name", "make_acceptable"]


class ToolNames:
    """The names under which a service is offered tools, as their own may have characters that it refuses."""

    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        """`tools`: OpenAI tool dicts."""
        self._tools = tools
        names = [str(_function(tool).get("name", "")) for tool in tools]
        self._accepted = dict(zip(names, _core.wire_names(names), strict=True))

    def accepted(self, name: str) -> str:
        """The name of a tool as the service knows it; of any other name, one that it accepts."""
        return self._accepted.get(name) or acceptable_name(name)

    def offered(self) -> list[Mapping[str, Any]]:
        """The tool dicts with these names."""
        if all(name == accepted for name, accepted in self._accepted.items()):
            return list(self._tools)
        return [_with_name(tool, self.accepted(str(_function(tool).get("name", "")))) for tool in self._tools]

    def chosen(self, choice: Any) -> Any:
        """A `tool_choice` with the accepted name."""
        function = choice.get("function") if isinstance(choice, Mapping) else None
        if not isinstance(function, Mapping):
            return choice
        return {**choice, "function": {**function, "name": self.accepted(str(function.get("name")))}}


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    function = tool.get("function")
    return function if isinstance(function, Mapping) else tool


def _with_name(tool: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    function = {**_function(tool), "name": name}
    return {**tool, "function": function} if "function" in tool else function


def make_acceptable(chat_dict: dict[str, Any], names: ToolNames) -> None:
    """Replaces invalid names and arguments of a chat dict's tool calls, the name of a tool result, and the content of
    an answer without text and calls, in place."""
    for call in chat_dict.get("tool_calls", ()):
        function = call["function"]
        function["name"] = names.accepted(function["name"])
        function["arguments"] = acceptable_arguments(function["arguments"])
    if chat_dict["role"] == "assistant" and chat_dict["content"] is None and not chat_dict.get("tool_calls"):
        # The OpenAI API requires content where there are no calls.
        chat_dict["content"] = ""
    if chat_dict["role"] == "tool" and "name" in chat_dict:
        chat_dict["name"] = names.accepted(chat_dict["name"])


def acceptable_name(name: str) -> str:
    """A tool name that servers accept, by the rule of prompts: `_` for other characters, `unknown_tool` for an empty
    name."""
    return _core.wire_names([name])[0]


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
