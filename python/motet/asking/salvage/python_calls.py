"""Calls in the form of Python: `get_weather(city="Paris")`."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from typing import Any

from motet._core import name_of
from motet.asking.salvage.tools import Call, Calls, ToolSet

__all__ = ["python_calls"]

_MAX_CHARS = 10_000
_MAX_CALLS = 32
"""Places of a text that are read."""
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = frozenset("\\'\"abfnrtvxuUN01234567\n")
_JSON_WORDS = {"true": True, "false": False, "null": None}


def python_calls(text: str, tools: ToolSet) -> list[tuple[int, int, Calls]]:
    """The calls of known tools in a text, with their places. A text that is a list of calls is one reading."""
    stripped = text.strip()
    if stripped.startswith("[") and len(stripped) <= _MAX_CHARS and (calls := _list_of_calls(stripped, tools)):
        start = text.index(stripped)
        return [(start, start + len(stripped), calls)]
    places: list[tuple[int, int, Calls]] = []
    names = "|".join([re.escape(name) for name in sorted(tools.names, key=len, reverse=True)])
    matches = re.finditer(rf"(?<![\w.])(?:functions\.)?(?:{names})\s*\(", text) if names else iter(())
    for match in itertools.islice(matches, _MAX_CALLS):
        end = _end_of(text, match.end())
        call = _call(_parsed(text[match.start() : end]), tools) if end is not None else None
        if call is not None and end is not None:
            places.append((match.start(), end, (call,)))
    return places


def _list_of_calls(text: str, tools: ToolSet) -> Calls | None:
    body = _parsed(text)
    if not isinstance(body, ast.List) or not body.elts:
        return None
    calls = [_call(item, tools) for item in body.elts]
    return None if None in calls else tuple([call for call in calls if call is not None])


def _parsed(text: str) -> ast.expr | None:
    # Python keeps the backslash of an unknown escape, with a warning, which would be of the model's text.
    text = _ESCAPE.sub(lambda match: match[0] if match[1] in _ESCAPES else f"\\{match[0]}", text)
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _call(node: ast.expr | None, tools: ToolSet) -> Call | None:
    if not isinstance(node, ast.Call):
        return None
    name = name_of(ast.unparse(node.func))
    try:
        arguments = dict(_arguments(node, list(tools.schema(name).get("properties") or {})))
    except (TypeError, ValueError, RecursionError):
        return None
    return tools.call(name, arguments)


def _arguments(node: ast.Call, properties: list[str]) -> Iterator[tuple[str, Any]]:
    """The arguments by name. Raises `ValueError` for those that are no literals, or have no name."""
    values = [_literal(value) for value in node.args]
    if len(values) == 1 and isinstance(values[0], dict):
        yield from values.pop().items()
    if len(values) > len(properties):
        raise ValueError("more arguments than properties")
    names = properties[: len(values)]
    yield from zip(names, values, strict=True)
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in names:
            raise ValueError("an argument without a name, or twice")
        yield keyword.arg, _literal(keyword.value)


def _literal(node: ast.expr) -> Any:
    words = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    if isinstance(node, ast.Name) and node.id in _JSON_WORDS:
        return _JSON_WORDS[node.id]
    if words:
        raise ValueError("a variable")
    return ast.literal_eval(node)


def _end_of(text: str, start: int) -> int | None:
    """The end of the bracket that opens before `start`. `None` if it is not closed."""
    depth, quote, at = 1, "", start
    while at < min(len(text), start + _MAX_CHARS):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return None
