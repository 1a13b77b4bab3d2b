"""Grammars as structural tags, as xgrammar reads them: JSON, special tokens by id."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from motet._core import SPECIAL_TOKENS
from motet.harmony.grammar.json_schema import without_inner_patterns
from motet.harmony.grammar.nodes import (
    AnyText,
    Choice,
    Concatenation,
    FixedText,
    JsonValue,
    Node,
    Option,
    Pattern,
    Repetition,
    RuleReference,
    RuleSet,
    SpecialToken,
    UserGrammar,
)
from motet.harmony.grammar.regex import to_gbnf_expression
from motet.harmony.grammar.user_text import renamed_rules

__all__ = ["to_structural_tag"]

_OTHER_MARKERS = ("<|startoftext|>", "<|endofprompt|>", "<|reserved_")


def to_structural_tag(rules: RuleSet, markers: Iterable[str], *, quoting: bool) -> dict[str, Any]:
    """The dict of a grammar. `quoting`: texts may spell markers in ordinary tokens."""
    spellings = [*markers, *_OTHER_MARKERS]

    def write(node: Node) -> dict[str, Any]:
        match node:
            case FixedText(text):
                return {"type": "const_string", "value": text}
            case SpecialToken(spelling):
                return {"type": "token", "token": SPECIAL_TOKENS[spelling]}
            case AnyText() if quoting:
                return {"type": "any_tokens", "exclude_tokens": sorted(set(SPECIAL_TOKENS.values()))}
            case AnyText():
                return {"type": "any_text", "excludes": spellings}
            case JsonValue(schema, _):
                # xgrammar matches a special token in a string by its spelling. Longer exclusions take seconds to
                # compile, and JSON can spell `<|` with an escape.
                return {"type": "json_schema", "json_schema": without_inner_patterns(schema), "excludes": ["<|"]}
            case Pattern(pattern):
                return {"type": "grammar", "grammar": f"root ::= {to_gbnf_expression(pattern)}\n"}
            case UserGrammar(text, _):
                renamed_rules(text, "")
                return {"type": "grammar", "grammar": text}
            case RuleReference(name):
                return write(rules[name])
            case Concatenation(nodes):
                return {"type": "sequence", "elements": [write(item) for item in nodes if item != Concatenation(())]}
            case Choice((only,)):
                return write(only)
            case Choice(nodes):
                return {"type": "or", "elements": [write(item) for item in nodes]}
            case Option(content):
                return {"type": "optional", "content": write(content)}
            case Repetition(content):
                return {"type": "star", "content": write(content)}

    return {"type": "structural_tag", "format": write(rules["start"])}
