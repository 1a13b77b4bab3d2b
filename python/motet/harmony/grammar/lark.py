"""Grammars in Lark, as llguidance reads it: special tokens by name, JSON Schemas in place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from motet.harmony.grammar.nodes import (
    AnyText,
    FixedText,
    JsonValue,
    Node,
    Pattern,
    RuleReference,
    RuleSet,
    SpecialToken,
    UserGrammar,
    all_nodes,
    join_nodes,
)
from motet.harmony.grammar.regex import unanchored

__all__ = ["to_lark"]

_SLASH = re.compile(r"(?<!\\)/")
_ANY = r"/(?s:.*)/"


def to_lark(rules: RuleSet, markers: Iterable[str], *, quoting: bool) -> str:
    """The text of a grammar. `quoting`: texts may spell markers in ordinary tokens."""
    lines = ["%llguidance {}"]
    for name, node in rules.items():
        lines.append(f"{name}: {_lark_node(node)}")
    # One node may stand in several rules.
    schemas = {node.name: node.schema for node in all_nodes(rules) if isinstance(node, JsonValue)}
    for name, schema in schemas.items():
        # `lenient`: keywords that the engine cannot check are ignored, as in the other forms.
        options = {"lenient": True, **(schema.get("x-guidance") or {})} if isinstance(schema, Mapping) else None
        lenient = {**schema, "x-guidance": options} if options else schema
        lines.append(f"{name}: %json {json.dumps(lenient, ensure_ascii=False)}")
    for node in all_nodes(rules):
        if isinstance(node, UserGrammar):
            lines.append(f"{node.name}: %lark {{\n{node.text.strip()}\n}}")
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
        case JsonValue(_, name) | UserGrammar(_, name) | RuleReference(name):
            return name
        case Pattern(pattern):
            return "/" + _SLASH.sub(r"\\/", unanchored(pattern)) + "/"
    return join_nodes(node, _lark_node, nested)
