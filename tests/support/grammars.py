"""Tools and settings of the grammar tests, and grammars compiled by the engine of their form."""

from __future__ import annotations

import functools
import json
from typing import Any

import motet
from tests.support import grammar_engines as engines

RETURN, END, CALL = motet.STOP_TOKENS

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["C", "F"]},
                "days": {"type": "array", "items": {"$ref": "#/$defs/day"}, "minItems": 1, "maxItems": 3},
                "exact": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            },
            "required": ["city"],
            "additionalProperties": False,
            "$defs": {
                "day": {
                    "type": "object",
                    "properties": {"month": {"type": "integer"}, "day": {"type": "number"}},
                    "required": ["day"],
                    "additionalProperties": False,
                }
            },
        },
    },
}
TOOLS = [WEATHER, "now", {"name": "math.sum", "parameters": {"type": "object", "additionalProperties": True}}]
REVIEW = {
    "type": "json_schema",
    "json_schema": {
        "name": "review",
        "schema": {
            "type": "object",
            "properties": {"stars": {"enum": [1, 2, 3]}, "why": {"type": "string"}},
            "required": ["stars", "why"],
            "additionalProperties": False,
        },
    },
}
FORMS = ("lark", "gbnf", "structural_tag")


@functools.lru_cache(maxsize=16)
def _engine(form: str, settings: str) -> engines.Engine:
    grammar: Any = motet.grammar(**json.loads(settings), format=form)
    if form == "lark":
        return engines.Llguidance(grammar)
    return engines.Xgrammar(grammar, (RETURN, CALL) if form == "gbnf" else (RETURN,))


def engine(form: str, **settings: Any) -> engines.Engine:
    return _engine(form, json.dumps({"tools": TOOLS, "builtin_tools": ["python", "browser"], **settings}))


def ids_of(text: str) -> list[int]:
    return motet.encode(text, special="token")


def call_of(arguments: Any) -> list[int]:
    return ids_of(f" to=functions.f<|channel|>commentary<|message|>{json.dumps(arguments)}<|call|>")


def dumped(value: Any, style: int) -> str:
    """JSON that every form accepts."""
    indent, separators = [(None, (", ", ": ")), (None, (",", ":")), (2, (",", ": "))][style]
    # llguidance takes escapes only where JSON needs them, and needs one more of them than JSON: for U+007F.
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    return text.replace("\x7f", "\\u007f").replace("<|", "< |")
