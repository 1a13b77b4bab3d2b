"""A tolerant JSON parser for what models write, with a record of every repair.

`repaired_json` parses a complete text; `.changes` has a sentence with a position for each repair. `partial_json` parses
a text that is still growing: the values that later text cannot change, and strings so far. Time is linear in the text;
the parser is iterative, and nesting is bounded.

Ambiguous text is refused: unquoted words, unescaped quotes within strings, numbers with leading zeros.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from motet.errors import InvalidArgumentsError

__all__ = ["JsonReading", "partial_json", "repaired_json", "strict_json"]

MAX_DEPTH = 500
"""Deeper damaged or growing text is refused."""

_NOTHING = object()
_SPACE = re.compile(r"[ \t\r\n]*")
_ODD_SPACE = re.compile(r"[\s\ufeff]+")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_PLAIN = {'"': re.compile(r'[^"\\\x00-\x1f]*'), "'": re.compile(r"[^'\\\x00-\x1f]*")}
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX4 = re.compile(r"[0-9a-fA-F]{4}")
_HEX2 = re.compile(r"[0-9a-fA-F]{2}")
_WORD = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
_KEY = re.compile(r"[\w$][\w$-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LOOSE_NUMBER = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NUMERIC = re.compile(r"[-+.\w]*")
_WORDS: dict[str, tuple[Any, str]] = {
    "true": (True, ""),
    "false": (False, ""),
    "null": (None, ""),
    "True": (True, "is read as true"),
    "False": (False, "is read as false"),
    "None": (None, "is read as null"),
    "NaN": (float("nan"), "is not valid JSON; it is read as the float"),
    "Infinity": (float("inf"), "is not valid JSON; it is read as the float"),
}
_CLOSES = {"}": "object", "]": "list"}


@dataclass(frozen=True, slots=True)
class JsonReading:
    """The value of a text, with the repairs."""

    value: Any
    """The value, as of `json.loads`. `None` if the text has no value yet."""
    changes: tuple[str, ...] = ()
    """The repairs, a sentence each, with a position in characters."""
    complete: bool = True
    """True if the value is complete; False if the text is cut or still growing."""


def strict_json(text: str) -> Any:
    """The value of a JSON text. Raises `ValueError` or `RecursionError` for any other text, `NaN` included."""
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")


def repaired_json(text: str) -> JsonReading:
    """Parses a complete text: JSON, and the deviations that models write.

    Repaired are single quotes, missing and surplus commas, unescaped line breaks, Python's `True`, `False` and `None`,
    unquoted keys, comments, code fences, text around the value, doubled braces, missing and wrong closing brackets, and
    cut text; `.changes` lists each. Raises `InvalidArgumentsError`, with the text in `.raw`, for ambiguous text.
    """
    return _read(text, growing=False)


def partial_json(text: str) -> JsonReading:
    """Parses the beginning of a growing text, such as the arguments of a call while they arrive.

    `.value` holds what later text cannot change, and strings so far: each later value extends this one. Keys without a
    value and numbers at the end are left out. Time is linear in the text. Raises `InvalidArgumentsError`, with the text
    in `.raw`, for text that cannot become readable.
    """
    return _read(text, growing=True)


def _read(text: str, growing: bool) -> JsonReading:
    if not isinstance(text, str):
        raise TypeError(f"text must be str, not {type(text).__name__}")
    if not growing or text[-1:] in ("}", "]"):
        try:
            return JsonReading(strict_json(text))
        except (ValueError, RecursionError):
            pass
    parser = _TolerantParser(text, growing)
    value = parser.parse()
    return JsonReading(value, tuple(parser.changes), parser.complete)


class _Open:
    """An object or a list that is not closed yet."""

    __slots__ = ("at", "comma", "doubled", "key", "key_at", "kind", "value", "wants")

    def __init__(self, kind: str, at: int) -> None:
        self.kind = kind
        self.at = at
        self.value: Any = {} if kind == "object" else []
        self.wants = "item"
        """`item` (a key in an object), `colon`, `value` or `comma`."""
        self.comma = -1
        """Position of the last comma if nothing follows it yet, else -1."""
        self.doubled = False
        self.key = ""
        self.key_at = 0


class _Cut(Exception):
    """The text ends within a value."""


class _TolerantParser:
    def __init__(self, text: str, growing: bool) -> None:
        self.text = text
        self.at = 0
        self.growing = growing
        self.changes: list[str] = []
        self.complete = False
        self._open: list[_Open] = []
        self._count = {"object": 0, "list": 0}
        self._root: Any = _NOTHING
        self._string_at = -1
        """Position of the string that the end of the text cuts, else -1."""

    def parse(self) -> Any:
        """The value of the text."""
        try:
            self._before()
            while self._root is _NOTHING or self._open:
                self._space()
                if self.at >= len(self.text):
                    raise _Cut
                self._step()
            self.complete = True
            self._behind()
        except _Cut:
            self._end()
        return None if self._root is _NOTHING else self._root

    def _report(self, change: str) -> None:
        self.changes.append(change)

    def _refuse(self, problem: str, at: int | None = None) -> NoReturn:
        where = self.at if at is None else at
        shown = _shown(self.text[where : where + 20])
        raise InvalidArgumentsError(f"cannot be read at {where} ({shown}): {problem}", raw=self.text)

    # Text around the value.

    def _before(self) -> None:
        """Moves to the start of the value."""
        self._space()
        start = self.at
        if start >= len(self.text):
            raise _Cut
        c = self.text[start]
        if c in "{[\"'" or c.isdigit() or c in "-+.":
            return
        word = _WORD.match(self.text, start)
        alone = word is not None and not self.text[word.end() :].strip()
        if word is not None and alone and (word[0] in _WORDS or (self.growing and _meant(word[0]))):
            return
        brace = re.compile(r"[{\[]").search(self.text, start)
        if brace is None:
            if self.growing:
                raise _Cut
            self._refuse("there is no value")
        self.at = brace.start()
        junk = self.text[start : self.at]
        if junk.lstrip().startswith("```"):
            self._report(f"the code fence at {start} is taken off")
        else:
            self._report(f"{_shown(junk)} at {start}, before the value, is left out")

    def _behind(self) -> None:
        """Leaves out text after the value."""
        self._space()
        rest = self.text[self.at :]
        if not rest:
            return
        if not isinstance(self._root, dict | list):
            self._refuse("text behind the value")
        fence = rest.strip() == "```" or (self.growing and "```".startswith(rest.strip()))
        if not (fence and any(change.startswith("the code fence") for change in self.changes)):
            self._report(f"{_shown(rest)} at {self.at}, behind the value, is left out")

    def _space(self) -> None:
        """Skips white space and comments."""
        text = self.text
        while True:
            match = _SPACE.match(text, self.at)
            self.at = match.end() if match else self.at
            if self.at >= len(text):
                return
            if text[self.at] in "/#" and (comment := _COMMENT.match(text, self.at)):
                self._report(f"the comment at {self.at} is left out")
                self.at = comment.end()
            elif odd := _ODD_SPACE.match(text, self.at):
                self._report(f"the white space {odd[0]!r:.40} at {self.at} is not valid JSON")
                self.at = odd.end()
            elif self.growing and self.at == len(text) - 1 and text[self.at] == "/":
                raise _Cut
            else:
                return

    # Objects and lists.

    def _step(self) -> None:
        """Parses one value, key or punctuation mark."""
        c = self.text[self.at]
        if not self._open:
            return self._value(c)
        top = self._open[-1]
        if c in _CLOSES:
            return self._close(c, top)
        if c == ",":
            return self._comma(top)
        if top.wants == "colon":
            if c != ":":
                self._refuse(f"the key {_shown(top.key)} has no value")
            self.at += 1
            top.wants = "value"
            return None
        if top.wants == "comma":
            # Without a delimiter, unescaped quotes within a string are the likelier cause.
            bordered = c in "{[" or self.text[self.at - 1] in "}]" or self.text[self.at - 1].isspace()
            if not bordered or not (c in "\"'{[-_$" or c.isalnum()):
                self._refuse("neither a comma nor an end")
            self._report(f"a comma is missing at {self.at}")
            top.wants = "item"
        if top.kind == "object" and top.wants == "item":
            return self._key(c, top)
        return self._value(c)

    def _comma(self, top: _Open) -> None:
        if top.wants == "colon":
            self._refuse(f"the key {_shown(top.key)} has no value")
        if top.wants == "value":
            self._report(f"the key {_shown(top.key)} at {top.key_at} has no value; it is left out")
        elif top.wants == "item":
            self._report(f"the comma at {self.at} has nothing before it")
        top.comma, top.wants = self.at, "item"
        self.at += 1

    def _key(self, c: str, top: _Open) -> None:
        start = self.at
        top.comma = -1
        if c in "\"'":
            key, closed = self._string()
            if not closed:
                self._cut_off(start, "the key")
        elif c == "{" and not top.value and not top.doubled:
            self._report(f"the braces at {top.at} are doubled")
            self.at += 1
            top.doubled = True
            return
        elif word := _KEY.match(self.text, start):
            key = word[0]
            self.at = word.end()
            if self.at >= len(self.text):
                self._cut_off(start, "the key")
            self._report(f"the key {_shown(key)} at {start} is not quoted")
        else:
            self._refuse("invalid key")
        top.key, top.key_at, top.wants = key, start, "colon"

    def _close(self, c: str, top: _Open) -> None:
        kind = _CLOSES[c]
        if not self._count[kind]:
            self._report(f"the `{c}` at {self.at} closes nothing; it is left out")
            self.at += 1
            return
        if top.wants == "colon":
            self._refuse(f"the key {_shown(top.key)} has no value")
        if top.wants == "value":
            self._report(f"the key {_shown(top.key)} at {top.key_at} has no value; it is left out")
        elif top.comma >= 0:
            self._report(f"the comma at {top.comma} has nothing behind it")
        if top.kind != kind:
            self._report(f"the {top.kind} at {top.at} is closed by the `{c}` at {self.at}")
        else:
            self.at += 1
            if top.doubled:
                self._space()
                self.at += self.text.startswith("}", self.at)
        self._count[top.kind] -= 1
        self._open.pop()

    def _value(self, c: str) -> None:
        if c in "{[":
            if len(self._open) >= MAX_DEPTH:
                self._refuse(f"nested deeper than {MAX_DEPTH}")
            opened = _Open("object" if c == "{" else "list", self.at)
            self.at += 1
            self._put(opened.value)
            self._open.append(opened)
            self._count[opened.kind] += 1
        elif c in "\"'":
            start = self.at
            value, closed = self._string()
            self._put(value)
            if not closed:
                self._string_at = start
                raise _Cut
        elif c.isdigit() or c in "-+.":
            self._number()
        else:
            self._word()

    def _put(self, value: Any) -> None:
        """Puts a value in its place, where it is visible while it grows."""
        if not self._open:
            self._root = value
            return
        top = self._open[-1]
        if top.kind == "object":
            top.value[top.key] = value
        else:
            top.value.append(value)
        top.wants, top.comma = "comma", -1

    # Scalars.

    def _word(self) -> None:
        start = self.at
        match = _WORD.match(self.text, start)
        if match is None:
            self._refuse("invalid value")
        word = match[0]
        self.at = match.end()
        if word in _WORDS:
            value, remark = _WORDS[word]
            if remark:
                self._report(f"`{word}` at {start} {remark}")
            self._put(value)
            return
        meant = _meant(word)
        if self.at < len(self.text) or not meant:
            self._refuse("unknown literal", start)
        if not self.growing and len(meant) == 1:
            self._report(f"`{word}` at {start} is cut; it is read as {meant[0]}")
            self._put(_WORDS[meant[0]][0])
            raise _Cut
        self._cut_off(start, "the word")

    def _number(self) -> None:
        start = self.at
        run = _NUMERIC.match(self.text, start)
        written = run[0] if run else ""
        self.at = start + len(written)
        at_end = self.at >= len(self.text)
        if written == "-Infinity":
            self._report(f"`{written}` at {start} is not valid JSON; it is read as the float")
            return self._put(float("-inf"))
        exact = _NUMBER.fullmatch(written)
        if at_end and (self.growing or (self._open and not exact)):
            if not (exact or _begins_number(written)):
                self._refuse("invalid number", start)
            self._cut_off(start, "the number")
        if exact:
            if at_end and self._open:
                self._report(f"the text ends in the number at {start}; it may have been longer")
        elif _LOOSE_NUMBER.fullmatch(written):
            self._report(f"{written} at {start} is not a valid JSON number; it is read as one")
        else:
            self._refuse("invalid number", start)
        is_float = exact is None or exact[1] is not None or exact[2] is not None
        try:
            self._put(float(written) if is_float and not written.lstrip("+-").isdecimal() else int(written))
        except ValueError as error:
            # Python limits the digits of an int, see sys.set_int_max_str_digits.
            self._refuse(str(error), start)

    def _cut_off(self, start: int, what: str) -> NoReturn:
        """Drops an unusable fragment at the end of the text."""
        if not self.growing:
            self._report(f"{what} {_shown(self.text[start:])} at {start} is cut; it is left out")
        raise _Cut

    def _string(self) -> tuple[str, bool]:
        """A string, and whether it is closed."""
        start, text = self.at, self.text
        quote = text[start]
        plain = _PLAIN[quote]
        at, bare, parts, closed = start + 1, 0, [], False
        if quote == "'":
            self._report(f"the string at {start} is in single quotes")
        while True:
            match = plain.match(text, at)
            if match:
                parts.append(match[0])
                at = match.end()
            if at >= len(text):
                break
            c = text[at]
            if c == quote:
                at, closed = at + 1, True
                break
            if c == "\\":
                piece, length = self._escape(at)
                if not length:
                    if not self.growing:
                        self._report(f"{_shown(text[at:])} at {at} is cut; it is left out")
                    at = len(text)
                    break
                parts.append(piece)
                at += length
            else:
                bare += 1
                parts.append(c)
                at += 1
        if bare:
            many = f"{bare} line breaks or tabs" if bare > 1 else "a line break or tab"
            self._report(f"{many} in the string at {start} {'are' if bare > 1 else 'is'} not escaped")
        self.at = at
        return "".join(parts), closed

    def _escape(self, at: int) -> tuple[str, int]:
        """The character of an escape and its length; length 0 if the text ends within it."""
        text = self.text
        c = text[at + 1 : at + 2]
        if not c:
            return "", 0
        if c in _ESCAPES:
            return _ESCAPES[c], 2
        if c == "u":
            return self._unicode_escape(at)
        if c == "'":
            self._report(f"`\\'` at {at} is an invalid escape; it is read as a quote")
            return c, 2
        if c == "x":
            if match := _HEX2.match(text, at + 2):
                self._report(f"`\\x{match[0]}` at {at} is an invalid escape; it is read as in Python")
                return chr(int(match[0], 16)), 4
            if len(text) < at + 4 and all(digit in "0123456789abcdefABCDEF" for digit in text[at + 2 :]):
                return "", 0
        # Regular expressions and paths mean the backslash.
        self._report(f"{_shown(text[at : at + 2])} at {at} is an invalid escape; kept as written")
        return "\\", 1

    def _unicode_escape(self, at: int) -> tuple[str, int]:
        text = self.text
        match = _HEX4.match(text, at + 2)
        if match is None:
            if len(text) < at + 6 and all(digit in "0123456789abcdefABCDEF" for digit in text[at + 2 :]):
                return "", 0
            self._report(f"{_shown(text[at : at + 2])} at {at} is an invalid escape; kept as written")
            return "\\", 1
        unit = int(match[0], 16)
        if not 0xD800 <= unit < 0xDC00:
            return chr(unit), 6
        # A high surrogate, combined with a low one that follows.
        second = text[at + 6 : at + 12]
        if second[:2] == "\\u" and (low := _HEX4.match(second, 2)) and 0xDC00 <= int(low[0], 16) < 0xE000:
            return chr(0x10000 + ((unit - 0xD800) << 10) + (int(low[0], 16) - 0xDC00)), 12
        if self.growing and len(text) < at + 12 and "\\u".startswith(second[:2]):
            return "", 0
        return chr(unit), 6

    # The end of a cut text.

    def _end(self) -> None:
        if self.growing:
            return
        if self._root is _NOTHING:
            self._refuse("there is no value")
        for top in self._open:
            if top.wants in ("colon", "value"):
                self._report(f"the key {_shown(top.key)} at {top.key_at} has no value; it is left out")
        inner = [f"the {top.kind} at {top.at}" for top in reversed(self._open)]
        if self._string_at >= 0:
            inner.insert(0, f"the string at {self._string_at}")
        if inner:
            more = f" and {len(inner) - 3} more" if len(inner) > 3 else ""
            self._report(f"the text ends too early; closed: {', '.join(inner[:3])}{more}")


def _begins_number(written: str) -> bool:
    """True if further digits can complete a number."""
    numbers = [_LOOSE_NUMBER.fullmatch(written + rest) for rest in ("0", "+0")]
    return any(numbers) or "-Infinity".startswith(written)


def _meant(word: str) -> list[str]:
    """The literals that begin with a cut word."""
    return [literal for literal in _WORDS if literal.startswith(word)]


def _shown(text: str) -> str:
    """An excerpt of the text, at most 30 characters."""
    return repr(text if len(text) <= 30 else text[:27] + "...")
