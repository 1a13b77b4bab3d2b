"""The JSON values in a text: objects and lists, with the deviations that models write."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from motet.errors import InvalidArgumentsError
from motet.tolerant_json import repaired_json

__all__ = ["JsonSpan", "json_spans", "json_value"]

MAX_CHARS = 100_000
"""Longer texts are not searched."""
MAX_SPANS = 32
"""A text with more places that could be JSON has no single reading."""
MAX_DAMAGED_CHARS = 20_000
"""Longer values are read only if they are JSON as they stand."""
_OPENING = re.compile(r"[{\[]")
_CLOSING = {"{": "}", "[": "]"}
_QUOTE_BEFORE = re.compile(r"[{\[,:(]\s*\Z")


class JsonSpan(NamedTuple):
    """A value and its place in the text."""

    start: int
    end: int
    value: Any


class _DuplicateKeyError(ValueError):
    pass


def json_spans(text: str) -> list[JsonSpan] | None:
    """The values in a text, in order; values within values are not listed. `None` for a text with too many."""
    spans, at, places = [], 0, 0
    if len(text) > MAX_CHARS:
        return None
    while opening := _OPENING.search(text, at):
        places += 1
        if places > MAX_SPANS:
            return None
        span = _span(text, opening.start())
        if span is None:
            at = opening.end()
            continue
        spans.append(span)
        at = span.end
    return spans


def json_value(text: str) -> Any:
    """The value of a text that is one, else `None`."""
    spans = json_spans(text.strip()) or []
    return spans[0].value if len(spans) == 1 and spans[0].end - spans[0].start == len(text.strip()) else None


def _span(text: str, start: int) -> JsonSpan | None:
    with contextlib.suppress(ValueError, RecursionError):
        try:
            value, end = _DECODER.raw_decode(text, start)
        except _DuplicateKeyError:
            return None
        return JsonSpan(start, end, value)
    closing = _end_of(text, start)
    return None if closing is None else _repaired(text, start, closing)


def _repaired(text: str, start: int, end: int) -> JsonSpan | None:
    try:
        reading = repaired_json(text[start:end])
    except InvalidArgumentsError:
        return None
    loses = not reading.complete or any("has no value" in change for change in reading.changes)
    return None if loses else JsonSpan(start, end, reading.value)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(values := dict(pairs)) != len(pairs):
        raise _DuplicateKeyError
    return values


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates)


def _end_of(text: str, start: int) -> int | None:
    """The end of the brackets that open at `start`. `None` if they are not closed, or closed by others."""
    open_brackets: list[str] = []
    for at, char in _unquoted(text, start):
        if char in _CLOSING:
            open_brackets.append(_CLOSING[char])
        elif char in "}]":
            if open_brackets.pop() != char:
                return None
            if not open_brackets:
                return at + 1
    return None


def _unquoted(text: str, start: int) -> Iterator[tuple[int, str]]:
    """The characters outside of strings."""
    quote, at = "", start
    while at < min(len(text), start + MAX_DAMAGED_CHARS):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char == '"' or (char == "'" and _QUOTE_BEFORE.search(text, max(at - 20, 0), at)):
            # An apostrophe opens a string only where a value or a key may begin.
            quote = char
        else:
            yield at, char
        at += 1
