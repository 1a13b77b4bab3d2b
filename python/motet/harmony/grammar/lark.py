"""Grammars in Lark, as llguidance reads it: special tokens by name, JSON Schemas in place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from motet.harmony.grammar.nodes import (
    AnyText,
    FixedText,
    JsonValue,
    Node,
    RuleReference,
    RuleSet,
    SpecialToken,
    all_nodes,
    join_nodes,
)

__all__ = ["to_lark"]

_ANY = r"/(?s:.*)/"


def to_lark(rules: RuleSet, markers: Iterable[str], *, quoting: bool) -> str:
    """The text of a grammar. `quoting`: texts may spell markers in ordinary tokens."""
    lines = ["%llguidance {}"]
    for name, node in rules.items():
        lines.append(f"{name}: {_lark_node(node)}")
    for name, schema in [(node.name, node.schema) for node in all_nodes(rules) if isinstance(node, JsonValue)]:
        # `lenient`: keywords that the engine cannot check are ignored, as in the other forms.
        options = {"lenient": True, **(schema.get("x-guidance") or {})} if isinstance(schema, Mapping) else None
        lenient = {**schema, "x-guidance": options} if options else schema
        lines.append(f"{name}: %json {json.dumps(lenient, ensure_ascii=False)}")
    names = "|".join([marker[2:-2] for marker in markers])
    unquoted = rf"{_ANY} & ~/(?s:.*)<\|({names})\|>(?s:.*)/"
    lines.append(f"TEXT: {_ANY if quoting else unquoted}")
    return "\n".join(lines) + "\n"


def _lark_node(node: Node, nested: bool = False) -> str:
    match node:
        case FixedText(text):
            return json.dumps(text)
        case SpecialToken(spelling):
            return spelling
        case AnyText():
            return "TEXT"
        case JsonValue(_, name) | RuleReference(name):
            return name
    return join_nodes(node, _lark_node, nested)
