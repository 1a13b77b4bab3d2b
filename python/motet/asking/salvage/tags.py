"""Calls in the tags of other models: `<tool_call>`, `<function=...>`, `<invoke name=...>`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from motet.asking.salvage.json_spans import json_value
from motet.asking.salvage.tools import Calls, ToolSet
from motet.asking.salvage.values import readings_of
from motet.schema.conformance import conforms

__all__ = ["tagged_calls"]

_NAME = r"(?:=|\s+name\s*=\s*)[\"']?([\w.:-]+)[\"']?\s*"
_NAMED = re.compile(rf"<(function|invoke|tool|tool_call|tool_use){_NAME}>(.*?)</\1>", re.DOTALL)
_PLAIN = re.compile(
    r"<(tool_calls?|toolcalls?|function_calls?|functions?|tools|tool_use|call)>(.*?)</\1>", re.DOTALL | re.IGNORECASE
)
_PARAMETER = re.compile(rf"<(parameter|param|arg|argument){_NAME}[^>]*>(.*?)</\1>", re.DOTALL)
_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_CHILD = re.compile(r"\s*<([\w.-]+)>(.*)</\1>\s*", re.DOTALL)
_CDATA = re.compile(r"<!\[CDATA\[(.*)\]\]>", re.DOTALL)
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_MAX_CHARS = 100_000


def tagged_calls(text: str, tools: ToolSet) -> tuple[int, int, Calls] | None:
    """The calls in the tags of a text, and the place of all of them. `None` if no tag has a call. The calls are empty
    if some tags have one, and others have none or several readings."""
    if "</" not in text or len(text) > _MAX_CHARS:
        return None
    blocks = list(_NAMED.finditer(text)) or list(_PLAIN.finditer(text))
    readings = [_named_block(block, tools) if block.re is _NAMED else _plain_block(block[2], tools) for block in blocks]
    if not any(readings):
        return None
    start, end = _with_envelope(text, blocks[0].start(), blocks[-1].end())
    calls = [call for reading in readings if len(reading) == 1 for call in next(iter(reading))]
    return start, end, tuple(calls) if all(len(reading) == 1 for reading in readings) else ()


# Letters, and the bars and blanks of DeepSeek's tags.
_TAG = r"\w|\uff5c\u2581.-"
_OPENINGS = re.compile(rf"(?:<[{_TAG}]+>\s*)+\Z")
_CLOSINGS = re.compile(rf"(?:\s*</[{_TAG}]+>)+")


def _with_envelope(text: str, start: int, end: int) -> tuple[int, int]:
    """The place with the tags around it."""
    opening, closing = _OPENINGS.search(text, max(start - 100, 0), start), _CLOSINGS.match(text, end)
    return opening.start() if opening else start, closing.end() if closing else end


def _named_block(block: re.Match[str], tools: ToolSet) -> set[Calls]:
    name, body = block[2], block[3]
    values = _parameters(body, tools.schema(name))
    arguments = values if values or not body.strip() else json_value(body)
    call = tools.call(name, arguments)
    return set() if call is None else {(call,)}


def _plain_block(body: str, tools: ToolSet) -> set[Calls]:
    value = json_value(body)
    if value is not None:
        return readings_of(value, tools)
    child = _CHILD.fullmatch(body)
    if child is not None and (call := tools.call(child[1], json_value(child[2]))):
        return {(call,)}
    name = body.split("<", 1)[0].strip()
    call = tools.call(name, _parameters(body, tools.schema(name)))
    return set() if call is None else {(call,)}


def _parameters(body: str, schema: Any) -> dict[str, Any]:
    """The parameters in tags. Their values are text, and become the type of the schema."""
    pairs = [(match[2], match[3]) for match in _PARAMETER.finditer(body)]
    pairs += [(match[1].strip(), match[2]) for match in _PAIR.finditer(body)]
    properties = (schema.get("properties") if isinstance(schema, Mapping) else None) or {}
    return {key: _typed(value, properties.get(key, {})) for key, value in pairs}


def _typed(text: str, schema: Any) -> Any:
    data = _CDATA.fullmatch(text.strip())
    text = data[1] if data else text.removeprefix("\n").removesuffix("\n")
    if schema == {} or conforms(text, schema):
        return text
    word = text.strip().lower()
    readings: list[Any] = (
        [_WORDS[word]] if word in _WORDS else [value for value in [json_value(text)] if value is not None]
    )
    for number in (int, float):
        try:
            readings.append(number(text))
        except ValueError:
            continue
    return next((value for value in readings if conforms(value, schema)), text)
