"""The readings of one text: as calls of tools, or as a value of a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from motet.asking.salvage.json_spans import JsonSpan, json_spans
from motet.asking.salvage.prose import is_example
from motet.asking.salvage.python_calls import python_calls
from motet.asking.salvage.tags import tagged_calls
from motet.asking.salvage.tools import Calls, ToolSet
from motet.asking.salvage.values import readings_of
from motet.schema.conformance import conforms

__all__ = ["Reading", "read_calls", "read_value"]

T = TypeVar("T")

_NAME_WINDOW = 48
"""Characters between the name of a tool and its arguments."""
_OTHER_TOOL = re.compile(r"(?:\bto=|\bfunctions[.:])([\w.-]+)\W*(?:\w+\W*)?\Z")
_NAMING_KEYS = ("arguments", "parameters", "input")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """The only reading of a text, and the place that it was read from."""

    value: T
    start: int
    end: int


def read_calls(text: str, tools: ToolSet, *, is_thought: bool = False) -> Reading[Calls] | bool:
    """The calls in a text. False if there are none, True if there is more than one reading, or one that may not be
    meant."""
    if (tagged := tagged_calls(text, tools)) is not None:
        start, end, calls = tagged
        is_doubtful = not calls or is_example(text, start, end, is_thought=is_thought)
        return True if is_doubtful else Reading(calls, start, end)
    if (quoted := _quoted(text)) is not None:
        reading = read_calls(quoted, tools, is_thought=is_thought)
        return replace(reading, start=0, end=len(text)) if isinstance(reading, Reading) else reading
    spans = json_spans(text)
    if spans is None:
        return True
    readings: list[tuple[int, int, Calls]] = []
    for span in spans:
        readings += [(span.start, span.end, calls) for calls in _calls_of(span, text, tools)]
    readings += [place for place in python_calls(text, tools) if not _is_within(place, readings)]
    return _only(readings, text, is_thought=is_thought)


def read_value(text: str, schema: Mapping[str, Any], *, is_thought: bool = False) -> Reading[Any] | bool:
    """The value of a schema in a text. As `read_calls`."""
    if (quoted := _quoted(text)) is not None:
        reading = read_value(quoted, schema, is_thought=is_thought)
        return replace(reading, start=0, end=len(text)) if isinstance(reading, Reading) else reading
    spans = json_spans(text)
    if spans is None:
        return True
    readings = [(span.start, span.end, value) for span in spans for value in _values_of(span.value, schema)]
    return _only(readings, text, is_thought=is_thought)


def _quoted(text: str) -> str | None:
    """The text in a JSON string: JSON that was written as JSON once more. `None` for any other text."""
    if not text.lstrip().startswith('"'):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, str) and value.lstrip().startswith(("{", "[")) else None


def _only(readings: list[tuple[int, int, T]], text: str, *, is_thought: bool) -> Reading[T] | bool:
    """The reading that all places share; of several, the last place."""
    if not readings:
        return False
    start, end, value = readings[-1]
    if any(other != value for _, _, other in readings) or is_example(text, start, end, is_thought=is_thought):
        return True
    return Reading(value, start, end)


def _is_within(place: tuple[int, int, Calls], readings: list[tuple[int, int, Calls]]) -> bool:
    """True for a Python call whose arguments are a value that was read as the same call."""
    return any(place[0] <= start and end <= place[1] and calls == place[2] for start, end, calls in readings)


def _calls_of(span: JsonSpan, text: str, tools: ToolSet) -> set[Calls]:
    before = text[: span.start]
    window = before[-_NAME_WINDOW:]
    # A sentence that ends before the value names no tool for it.
    sentence = re.split(r"[.!?]\s|[{}\[\]]\s*,?|\n\n", window)[-1]
    names = {name for name in tools.names if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", sentence)}
    names -= {name for name in names for other in names if name != other and name in other}
    if not names and (other := _OTHER_TOOL.search(window)) and other[1] not in tools.names:
        return set()
    return readings_of(span.value, tools, names.pop() if len(names) == 1 else None)


def _values_of(value: Any, schema: Mapping[str, Any]) -> list[Any]:
    """The value, or the one that it wraps under a single key or as arguments of a call, if it follows the schema."""
    if conforms(value, schema):
        return [value]
    if isinstance(value, list) and len(value) == 1:
        return _values_of(value[0], schema)
    if not isinstance(value, Mapping):
        return []
    keys = list(value) if len(value) == 1 else [key for key in _NAMING_KEYS if "name" in value and key in value]
    return [value[key] for key in keys if isinstance(value[key], Mapping) and conforms(value[key], schema)]
