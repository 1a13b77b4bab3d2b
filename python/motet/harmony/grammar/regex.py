"""Regular expressions as GBNF: what describes a language, without looking around.

Texts match as a whole. `.` and negated classes leave `<` out, because a reader of characters finds markers by their
spelling.
"""

from __future__ import annotations

import re

__all__ = ["escaped_code", "to_gbnf_expression", "unanchored"]

_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": r" \t\n\r\u000B\u000C"}
_CONTROLS = {"n": r"\n", "r": r"\r", "t": r"\t", "f": r"\u000C", "v": r"\u000B", "0": r"\u0000"}
_QUANTIFIER = re.compile(r"(?:[*+?]|\{\d+(?:,\d*)?\})")
_GROUP = re.compile(r"\?(?::|P?<[A-Za-z_]\w*>)")
_MAX_DEPTH = 100


def to_gbnf_expression(pattern: str) -> str:
    """The expression of a pattern. Raises `ValueError`, with the place, for one that GBNF cannot express: assertions,
    references, flags."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {pattern!r}: {error}") from error
    return _Reader(pattern).whole()


def unanchored(pattern: str) -> str:
    """The pattern without `^` at its beginning and `$` at its end: texts match as a whole."""
    is_escaped = (len(pattern) - len(pattern.rstrip("$").rstrip("\\"))) % 2 == 0
    return (pattern if is_escaped else pattern.removesuffix("$")).removeprefix("^")


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._text = unanchored(pattern)
        self._at = 0

    def whole(self) -> str:
        expression = self._alternatives(0)
        if self._at < len(self._text):
            self._refuse()
        return expression

    def _refuse(self) -> None:
        rest = self._text[self._at : self._at + 10]
        raise ValueError(f"GBNF cannot express {rest!r} at {self._at} of the regular expression {self._text!r}")

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _alternatives(self, depth: int) -> str:
        if depth > _MAX_DEPTH:
            self._refuse()
        ways = [self._sequence(depth)]
        while self._peek("|"):
            self._at += 1
            ways.append(self._sequence(depth))
        return " | ".join(ways)

    def _sequence(self, depth: int) -> str:
        items = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            item = self._atom(depth)
            quantifier = _QUANTIFIER.match(self._text, self._at)
            if quantifier is not None:
                # A lazy quantifier matches the same whole texts as a greedy one.
                self._at = quantifier.end() + (self._text[quantifier.end() : quantifier.end() + 1] == "?")
                item += quantifier[0]
            items.append(item)
        return " ".join(items) or '""'

    def _atom(self, depth: int) -> str:
        char = self._text[self._at]
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._class()
        if char in "^$*+?":
            self._refuse()
        self._at += 1
        if char == ".":
            return r"[^<\n]"
        if char == "\\":
            escaped = self._text[self._at]
            if escaped in _CLASSES or escaped.lower() in _CLASSES:
                self._at += 1
                return f"[{_CLASSES[escaped]}]" if escaped in _CLASSES else f"[^<{_CLASSES[escaped.lower()]}]"
            return f"[{self._escaped()}]"
        return f"[{_class_char(char)}]"

    def _group(self, depth: int) -> str:
        self._at += 1
        if self._peek("?"):
            kind = _GROUP.match(self._text, self._at)
            if kind is None:
                self._refuse()
            else:
                self._at = kind.end()
        inner = self._alternatives(depth + 1)
        self._at += 1
        return f"({inner})"

    def _class(self) -> str:
        self._at += 1
        negated = self._peek("^")
        self._at += negated
        items, first = "^<" if negated else "", True
        while first or not self._peek("]"):
            first = False
            char = self._text[self._at]
            self._at += 1
            if char != "\\":
                # A hyphen is one unless it stands between the ends of a range.
                is_range = char == "-" and items not in ("", "^<") and not self._peek("]")
                items += "-" if is_range else _class_char(char)
            elif self._text[self._at] in _CLASSES:
                items += _CLASSES[self._text[self._at]]
                self._at += 1
            else:
                items += self._escaped()
        self._at += 1
        return f"[{items}]"

    def _escaped(self) -> str:
        """The character behind a backslash, as in a class of GBNF."""
        char = self._text[self._at]
        digits = {"x": 2, "u": 4, "U": 8}.get(char)
        if digits is not None:
            code = int(self._text[self._at + 1 : self._at + 1 + digits], 16)
            self._at += 1 + digits
            return _class_char(chr(code))
        if char not in _CONTROLS and char.isalnum():
            self._at -= 1
            self._refuse()
        self._at += 1
        return _CONTROLS.get(char) or _class_char(char)


def _class_char(char: str) -> str:
    """A character as a class of GBNF has it."""
    if char in "]\\^-[":
        return escaped_code(char)
    return char if char.isprintable() and char != '"' else escaped_code(char)


def escaped_code(char: str) -> str:
    """A character by its number. Not as `\\x..`, of which xgrammar reads as many digits as follow."""
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"
