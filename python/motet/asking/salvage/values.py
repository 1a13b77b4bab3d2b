"""JSON values as calls: arguments alone, or objects that name the tool, in the shapes of the APIs and their shims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from motet.asking.salvage.json_spans import json_value
from motet.asking.salvage.tools import Call, Calls, ToolSet

__all__ = ["readings_of"]

_NAME_KEYS = ("name", "tool", "tool_name", "function", "function_name", "recipient_name", "recipient", "to", "action")
_ARGUMENT_KEYS = ("arguments", "args", "parameters", "params", "input", "tool_input", "action_input", "kwargs")
_WRAPPER_KEYS = ("function", "function_call", "tool_call", "tool_use")
_LIST_KEYS = ("tool_calls", "calls", "tool_uses", "function_calls")
_BARE_WRAPPER_KEYS = (*_ARGUMENT_KEYS, "properties")
_OTHER_KEYS = frozenset(("type", "id", "index", "call_id", "tool_call_id", "status", "strict"))
"""Keys beside a name that are not arguments."""


def readings_of(value: Any, tools: ToolSet, name: str | None = None) -> set[Calls]:
    """The ways in which a value is a call, or a list of calls. `name`: the tool that the text names before it."""
    if isinstance(value, list):
        return _of_list(value, tools, name)
    if not isinstance(value, Mapping):
        return set()
    readings: set[Calls] = {(call,) for call in _named(value, tools)}
    for key in _LIST_KEYS:
        if isinstance(value.get(key), list) and set(value) <= {key, *_OTHER_KEYS, "content", "role"}:
            readings |= _of_list(value[key], tools, None)
    if name is not None:
        named = tools.call(name, value)
        return readings | ({(named,)} if named else set())
    return readings | {(call,) for call in _bare(value, tools)}


def _of_list(items: list[Any], tools: ToolSet, name: str | None) -> set[Calls]:
    if len(items) == 1:
        return readings_of(items[0], tools, name)
    # Several calls are meant as such only where each names its tool.
    calls = [_named(item, tools) if isinstance(item, Mapping) else [] for item in items]
    if not calls or any(len(readings) != 1 for readings in calls):
        return set()
    return {tuple([readings[0] for readings in calls])}


def _named(value: Mapping[str, Any], tools: ToolSet) -> list[Call]:
    """The calls that an object states by the name of the tool."""
    calls: list[Call | None] = []
    for key in _WRAPPER_KEYS:
        inner = value.get(key)
        if isinstance(inner, Mapping):
            calls += _named(inner, tools)
    for key in _NAME_KEYS:
        name = value.get(key)
        if not isinstance(name, str):
            continue
        argument_keys = [other for other in _ARGUMENT_KEYS if other in value]
        calls += [tools.call(name, _arguments(value[other])) for other in argument_keys]
        if not argument_keys:
            rest = {other: item for other, item in value.items() if other != key and other not in _OTHER_KEYS}
            calls.append(tools.call(name, rest))
    if len(value) == 1 and isinstance(next(iter(value)), str):
        (name,) = value
        calls.append(tools.call(name, _arguments(value[name])))
    return list(dict.fromkeys([call for call in calls if call is not None]))


def _arguments(value: Any) -> Any:
    """Arguments, also those that are JSON in a string; none are `""` or `null`."""
    if value is None or value == "":
        return {}
    return json_value(value) if isinstance(value, str) else value


def _bare(value: Mapping[str, Any], tools: ToolSet) -> list[Call]:
    """The calls whose arguments an object can be."""
    calls = tools.fitting(value)
    for key in _BARE_WRAPPER_KEYS:
        inner = _arguments(value[key]) if set(value) - _OTHER_KEYS == {key} else None
        if isinstance(inner, Mapping):
            calls += tools.fitting(inner)
    return list(dict.fromkeys(calls))
