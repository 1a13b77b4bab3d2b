"""Rules of GBNF, the grammar notation of llama.cpp: JSON Schemas, JSON, and text that spells no marker.

GBNF speaks of characters, not of tokens, so a marker in it is its spelling; what is content must not spell one. Of a
schema it says what fits a context-free grammar: types, properties and what is required of them, enums, alternatives,
references, lengths of lists. The rest (patterns, formats, bounds of numbers, lengths of strings) is left open: the
rules take every value that the schema allows with its properties in order, and more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Rules", "literal"]

_WS = "ws"
_JSON = {
    _WS: r"[ \t\n\r]{0,40}",
    "json": "json-object | json-array | json-string | json-number | json-boolean | json-null",
    "json-object": r'"{" ws (json-string ws ":" ws json (ws "," ws json-string ws ":" ws json)* ws)? "}"',
    "json-array": r'"[" ws (json (ws "," ws json)* ws)? "]"',
    "json-string": r'"\"" (json-char | json-cut* json-past | json-cut+ json-escape)* json-cut* "\""',
    "json-char": r'[^<"\\\x00-\x1F] | json-escape',
    "json-escape": r'"\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})',
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


def literal(text: str) -> str:
    """A text, as a terminal."""
    return '"' + "".join([_escaped(c) for c in text]) + '"'


def _escaped(c: str) -> str:
    if c in '"\\':
        return "\\" + c
    if c.isprintable():
        return c
    return f"\\x{ord(c):02X}" if ord(c) < 0x100 else f"\\u{ord(c):04X}" if ord(c) < 0x10000 else f"\\U{ord(c):08X}"


class Rules:
    """Rules by name, and what is asked for again and again."""

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
        """The name of the rule for any text, the empty one too, that spells no marker."""
        if "text" not in self._rules:
            self.add("text", "([^<] | text-cut* text-past)* text-cut*")
            self._begun("text", "")
        return "text"

    def _begun(self, prefix: str, outside: str) -> None:
        """Rules for what begins as a marker: cut short before another beginning or the end, or gone past.

        `outside` is what cannot stand here at all, as in a class.
        """

        def cut(node: Mapping[str, Any]) -> str:
            ways = [f"{literal(c)} {cut(child)}".rstrip() for c, child in node.items() if child]
            return f"({' | '.join(ways)})?" if ways else ""

        def past(node: Mapping[str, Any]) -> str:
            ways = [f"{literal(c)} {past(child)}" for c, child in node.items() if child]
            other = f"[^<{''.join(node)}{outside}]"
            return f"({' | '.join([other, *ways])})"

        begun = self._trie["<"]
        self.add(f"{prefix}-cut", f'"<" {cut(begun)}')
        self.add(f"{prefix}-past", f'"<" {past(begun)}')

    def _any(self, name: str = "json") -> str:
        """The name of one of the rules for JSON."""
        if "json" not in self._rules:
            self._rules.update(_JSON)
            self._begun("json", r'"\\\x00-\x1F')
        return name

    def schema(self, schema: Any, name: str) -> str:
        """The name of a rule for the JSON that a schema allows."""
        self._any()
        return self.add(name, _Schema(self, schema, name).value(schema, name))

    def __str__(self) -> str:
        return "".join([f"{name} ::= {body}\n" for name, body in self._rules.items()])


class _Schema:
    """One schema on its way to rules: its references, and the names given so far."""

    def __init__(self, rules: Rules, root: Any, name: str) -> None:
        self._rules = rules
        self._root = root
        self._name = name
        self._references: dict[str, str] = {}

    def value(self, schema: Any, name: str) -> str:
        """An expression for the values of a schema; `name` is what rules made for it are called after."""
        if not isinstance(schema, Mapping):
            return "json"
        match schema:
            case {"$ref": str(target)}:
                return self._reference(target)
            case {"const": constant}:
                return self._constant(constant)
            case {"enum": list(constants)} if constants:
                return self._either([self._constant(constant) for constant in constants])
            case {"properties": Mapping()}:
                return self._object(schema, name)
            case {"anyOf": list(ways)} | {"oneOf": list(ways)} if ways:
                return self._either([self.value(way, f"{name}-{at}") for at, way in enumerate(ways)])
            case {"allOf": [only]}:
                return self.value(only, name)
            case {"type": list(types)} if types:
                return self._either([self.value({**schema, "type": one}, f"{name}-{one}") for one in types])
            case {"type": "array"}:
                return self._array(schema, name)
            case {"type": "object"}:
                return self._object(schema, name)
            case {"type": str(one)} if one in _SCALARS:
                return _SCALARS[one]
        return "json"

    def _either(self, ways: list[str]) -> str:
        ways = list(dict.fromkeys(ways))
        return ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"

    def _reference(self, target: str) -> str:
        if target in self._references:
            return self._references[target]
        found: Any = self._root
        for step in target.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return "json"
        if not target.startswith("#"):
            return "json"
        name = self._references[target] = f"{self._name}-ref-{len(self._references)}"
        body = self.value(found, name)
        # A reference that leads to itself and nothing else allows anything.
        self._rules.add(name, "json" if body == name else body)
        return name

    def _constant(self, value: Any) -> str:
        match value:
            case dict():
                pairs = [f'{literal(_dumps(key))} ws ":" ws {self._constant(inner)}' for key, inner in value.items()]
                return f'"{{" ws {self._joined(pairs)} "}}"'
            case list():
                return f'"[" ws {self._joined([self._constant(inner) for inner in value])} "]"'
        return literal(_dumps(value))

    def _joined(self, parts: list[str]) -> str:
        return ' ws "," ws '.join(parts) + " ws" if parts else ""

    def _array(self, schema: Mapping[str, Any], name: str) -> str:
        item = self._rules.add(f"{name}-item", self.value(schema.get("items"), f"{name}-item"))
        if "prefixItems" in schema:
            item = "json"
        least, most = _size(schema.get("minItems")), _size(schema.get("maxItems"))
        if most == 0:
            return '"[" ws "]"'
        many = f"{{{max((least or 0) - 1, 0)},{'' if most is None else most - 1}}}"
        items = f'{item} (ws "," ws {item}){many} ws'
        return f'"[" ws {items} "]"' if least else f'"[" ws ({items})? "]"'

    def _object(self, schema: Mapping[str, Any], name: str) -> str:
        properties, required = schema.get("properties") or {}, schema.get("required") or []
        more = schema.get("additionalProperties", not properties)
        if not properties and more is not False and not isinstance(more, Mapping):
            return "json-object"
        pairs = [
            (
                self._rules.add(
                    f"{name}-{at}", f'{literal(_dumps(key))} ws ":" ws {self.value(inner, f"{name}-{at}-value")}'
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
        # Behind a first property each has its comma before it; what comes first is one of those up to a required one.
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
