"""Grammars in GBNF, the notation of llama.cpp: JSON Schemas, JSON, and text without spelled markers.

GBNF matches characters, not tokens: a special token is its spelling, and content must not spell one. The rules of a
schema cover what a context-free grammar can express: types, properties, required ones, enums, alternatives, references,
lengths of lists. Patterns, formats, bounds of numbers and lengths of strings are left open. Every value that the schema
allows, with its properties in order, matches.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

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
    join_nodes,
)
from motet.harmony.grammar.regex import escaped_code, to_gbnf_expression
from motet.harmony.grammar.user_text import renamed_rules

__all__ = ["to_gbnf"]

_WS = "ws"
_JSON = {
    _WS: r"[ \t\n\r]{0,40}",
    "json": "json-object | json-array | json-string | json-number | json-boolean | json-null",
    "json-object": r'"{" ws (json-string ws ":" ws json (ws "," ws json-string ws ":" ws json)* ws)? "}"',
    "json-array": r'"[" ws (json (ws "," ws json)* ws)? "]"',
    "json-string": r'"\"" (json-char | json-cut* json-past | json-cut+ json-escape)* json-cut* "\""',
    "json-char": r'[^<"\\\x00-\x1F] | json-escape',
    "json-escape": r'"\\" (["\\/bfnrt] | "u" json-unit)',
    # A surrogate has its other half: readers of JSON refuse one alone.
    "json-unit": r"[0-9abcefABCEF] json-hex json-hex json-hex | [dD] ([0-7] | json-pair) json-hex json-hex",
    "json-pair": r'[89abAB] json-hex json-hex "\\u" [dD] [c-fC-F]',
    "json-hex": "[0-9a-fA-F]",
    "json-integer": '"-"? ("0" | [1-9] [0-9]*)',
    "json-number": r'json-integer ("." [0-9]+)? ([eE] [-+]? [0-9]+)?',
    "json-boolean": '"true" | "false"',
    "json-null": '"null"',
}
_SCALARS = {
    "string": "json-string",
    "integer": "json-integer",
    "number": "json-number",
    "boolean": "json-boolean",
    "null": "json-null",
}


def to_gbnf(rules: RuleSet, markers: Iterable[str]) -> str:
    """The text of a grammar."""
    out = _Rules(markers)

    def write(node: Node, nested: bool = False) -> str:
        match node:
            case FixedText(text) | SpecialToken(text):
                return _terminal(text)
            case AnyText():
                return out.text()
            case JsonValue(schema, name):
                return out.schema(schema, name)
            case Pattern(pattern):
                return f"({to_gbnf_expression(pattern)})"
            case UserGrammar(text, name):
                return out.user(text, name)
            case RuleReference(name):
                return name
        return join_nodes(node, write, nested)

    for name, node in rules.items():
        out.add("root" if name == "start" else name, write(node))
    return str(out)


def _terminal(text: str) -> str:
    """A text as a terminal."""
    return '"' + "".join([_escaped(c) for c in text]) + '"'


def _escaped(c: str) -> str:
    if c in '"\\':
        return "\\" + c
    return c if c.isprintable() else escaped_code(c)


_MOST_REPETITIONS = 1000
"""llama.cpp refuses a grammar with 2,000 repetitions of a rule; a longer list is open."""
_COMBINATORS = ("allOf", "anyOf", "oneOf")


class _Rules:
    """Rules by name, with shared rules for text and JSON."""

    def __init__(self, markers: Iterable[str]) -> None:
        self._rules: dict[str, str] = {}
        self._trie: dict[str, Any] = {}
        for marker in markers:
            node = self._trie
            for c in marker:
                node = node.setdefault(c, {})

    def add(self, name: str, body: str) -> str:
        self._rules[name] = body
        return name

    def text(self) -> str:
        """The name of the rule for any text without spelled markers; it may be empty."""
        if "text" not in self._rules:
            self.add("text", "([^<] | text-cut* text-past)* text-cut*")
            self._begun("text", "")
        return "text"

    def _begun(self, prefix: str, outside: str) -> None:
        """Rules for text that begins like a marker: `cut`, which stops before another beginning or the end, and `past`,
        which deviates from every marker. `outside`: characters that may not follow, as in a character class."""

        def cut(node: Mapping[str, Any]) -> str:
            ways = [f"{_terminal(c)} {cut(child)}".rstrip() for c, child in node.items() if child]
            return f"({' | '.join(ways)})?" if ways else ""

        def past(node: Mapping[str, Any]) -> str:
            ways = [f"{_terminal(c)} {past(child)}" for c, child in node.items() if child]
            other = f"[^<{''.join(node)}{outside}]"
            return f"({' | '.join([other, *ways])})"

        begun = self._trie["<"]
        self.add(f"{prefix}-cut", f'"<" {cut(begun)}')
        self.add(f"{prefix}-past", f'"<" {past(begun)}')

    def _any(self, name: str = "json") -> str:
        """Defines the rules for JSON, and returns `name`, which is one of them."""
        if "json" not in self._rules:
            self._rules.update(_JSON)
            self._begun("json", r'"\\\x00-\x1F')
        return name

    def schema(self, schema: Any, name: str) -> str:
        """The name of the rule for the JSON of a schema."""
        self._any()
        return self.add(name, _Schema(self, schema, name).value(schema, name))

    def user(self, text: str, name: str) -> str:
        """The name of the rule for the root of a user's grammar."""
        self._rules.update(renamed_rules(text, f"{name}-"))
        return f"{name}-root"

    def __str__(self) -> str:
        return "".join([f"{name} ::= {body}\n" for name, body in self._rules.items()])


class _Schema:
    """Translates one schema: its references, and the names of their rules."""

    def __init__(self, rules: _Rules, root: Any, name: str) -> None:
        self._rules = rules
        self._root = root
        self._name = name
        self._references: dict[str, str] = {}

    def value(self, schema: Any, name: str) -> str:
        """The expression for the values of a schema; `name` is the prefix of its rules."""
        if not isinstance(schema, Mapping):
            return "json"
        match schema:
            case {"$ref": str(target)}:
                return self._reference(target)
            case {"const": constant}:
                return self._constant(constant)
            case {"enum": list(constants)} if constants:
                return self._either([self._constant(constant) for constant in constants])
            case {"properties": Mapping()} if any(keyword in schema for keyword in _COMBINATORS):
                return self._combined_object(schema, name)
            case {"properties": Mapping()}:
                return self._object(schema, name)
            case {"anyOf": list(ways)} | {"oneOf": list(ways)} if ways:
                return self._either([self.value(way, f"{name}-{at}") for at, way in enumerate(ways)])
            case {"allOf": [only]}:
                return self.value(only, name)
            case {"allOf": list(_)}:
                return self._combined_object(schema, name) if self._is_object(schema) else "json"
            case {"type": list(types)} if types:
                return self._either([self.value({**schema, "type": kind}, f"{name}-{kind}") for kind in types])
            case {"type": "array"}:
                return self._array(schema, name)
            case {"type": "object"}:
                return self._object(schema, name)
            case {"type": str(kind)} if kind in _SCALARS:
                return _SCALARS[kind]
        return "json"

    def _either(self, ways: list[str]) -> str:
        ways = list(dict.fromkeys(ways))
        return ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"

    def _reference(self, target: str) -> str:
        if target in self._references:
            return self._references[target]
        target_schema: Any = self._root
        for step in target.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target_schema, Mapping) and key in target_schema:
                target_schema = target_schema[key]
            elif isinstance(target_schema, list) and key.isdecimal() and int(key) < len(target_schema):
                target_schema = target_schema[int(key)]
            else:
                return "json"
        if not target.startswith("#"):
            return "json"
        name = self._references[target] = f"{self._name}-ref-{len(self._references)}"
        body = self.value(target_schema, name)
        # A reference that leads only to itself allows anything.
        self._rules.add(name, "json" if body == name else body)
        return name

    def _constant(self, value: Any) -> str:
        match value:
            case dict():
                pairs = [f'{_terminal(_dumps(key))} ws ":" ws {self._constant(inner)}' for key, inner in value.items()]
                return f'"{{" ws {self._joined(pairs)} "}}"'
            case list():
                return f'"[" ws {self._joined([self._constant(inner) for inner in value])} "]"'
        return _terminal(_dumps(value))

    def _joined(self, parts: list[str]) -> str:
        return ' ws "," ws '.join(parts) + " ws" if parts else ""

    def _array(self, schema: Mapping[str, Any], name: str) -> str:
        item = self._rules.add(f"{name}-item", self.value(schema.get("items"), f"{name}-item"))
        if "prefixItems" in schema:
            item = "json"
        least, most = _size(schema.get("minItems")), _size(schema.get("maxItems"))
        if most == 0:
            return '"[" ws "]"'
        fewest = min(max((least or 0) - 1, 0), _MOST_REPETITIONS)
        largest = "" if most is None or most > _MOST_REPETITIONS else most - 1
        many = f"{{{fewest},{largest}}}"
        items = f'{item} (ws "," ws {item}){many} ws'
        return f'"[" ws {items} "]"' if least else f'"[" ws ({items})? "]"'

    def _is_object(self, schema: Any) -> bool:
        parts = schema.get("allOf", ()) if isinstance(schema, Mapping) else ()
        return isinstance(schema, Mapping) and (
            "properties" in schema or (bool(parts) and all(self._is_object(part) for part in parts))
        )

    def _combined_object(self, schema: Mapping[str, Any], name: str) -> str:
        """An object with properties in several branches: those of all branches, required where all values have them.
        Any object where a branch cannot be merged."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        if not self._merge(schema, properties, required, always=True):
            return "json-object"
        merged: dict[str, Any] = {"properties": properties, "required": required}
        if "additionalProperties" in schema:
            merged["additionalProperties"] = schema["additionalProperties"]
        return self._object(merged, name)

    def _merge(self, schema: Any, properties: dict[str, Any], required: list[str], *, always: bool) -> bool:
        """Adds the properties of a schema and of its branches; False if one of them is not a plain object schema.
        `always`: every value matches this schema, so its required properties are required."""
        if not isinstance(schema, Mapping) or "$ref" in schema or "patternProperties" in schema:
            return False
        if not always and not set(schema) & {"properties", "required"}:
            return False
        for key, value in (schema.get("properties") or {}).items():
            properties[key] = value if key not in properties or properties[key] == value else {}
        if always:
            required += [key for key in schema.get("required") or () if key not in required]
        branches = [(part, always) for part in schema.get("allOf") or ()]
        branches += [(part, False) for keyword in ("anyOf", "oneOf") for part in schema.get(keyword) or ()]
        merged = [self._merge(part, properties, required, always=inner) for part, inner in branches]
        return all(merged)

    def _object(self, schema: Mapping[str, Any], name: str) -> str:
        properties, required = schema.get("properties") or {}, schema.get("required") or []
        more = schema.get("additionalProperties", not properties)
        if schema.get("patternProperties"):
            # Any key may match a pattern, and the values of the patterns differ.
            more = True
        if not properties and more is not False and not isinstance(more, Mapping):
            return "json-object"
        pairs = [
            (
                self._rules.add(
                    f"{name}-{at}", f'{_terminal(_dumps(key))} ws ":" ws {self.value(inner, f"{name}-{at}-value")}'
                ),
                key in required,
            )
            for at, (key, inner) in enumerate(properties.items())
        ]
        last = ""
        if more is not False:
            value = self.value(more, f"{name}-more-value")
            pair = self._rules.add(f"{name}-more", f'json-string ws ":" ws {value}')
            last = f'(ws "," ws {pair})*'
        # Properties after the first one begin with a comma; the first is any up to the first required one.
        rest, firsts, closed = last, [f"{name}-more {last}"] if last else [], True
        for pair, needed in reversed(pairs):
            if needed:
                firsts, closed = [], False
            firsts.append(f"{pair} {rest}".rstrip())
            tail = f'ws "," ws {pair}' if needed else f'(ws "," ws {pair})?'
            rest = self._rules.add(f"{pair}-rest", f"{tail} {rest}".rstrip())
        inner = f"({' | '.join(reversed(firsts))}) ws" if firsts else ""
        return f'"{{" ws {inner if not closed or not inner else f"({inner})?"} "}}"'


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
