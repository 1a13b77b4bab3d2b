"""Lines of JSON: cut out of a file of any size, and read more strictly than `json.loads` does.

Python's reader takes NaN, the last of two equal keys and half a character for good; what trains on the data may not.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple

from motet.tune.findings import Finding

__all__ = ["MAX_LINE", "Line", "dumps", "line_bytes", "lines_of", "parse"]

MAX_LINE = 8 * 1024 * 1024
"""Bytes. A longer line has millions of tokens: no model could be trained on it, and no memory should hold it."""
MAX_DEPTH = 200
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"


class Line(NamedTuple):
    """A line as it stands in the file."""

    number: int
    """From 1 on."""
    data: bytes
    """With its end. Of a line that is too long, the beginning."""
    size: int
    """How many bytes it has in the file."""


def line_bytes(line: Line) -> int:
    """Those that are held of it."""
    return len(line.data)


def lines_of(file: BinaryIO, size: int | None = None) -> Iterator[Line]:
    """The lines of a file, up to a byte if `size` is given. Holds one line, and never more than `MAX_LINE` of it."""
    number, left = 0, size
    while True:
        data = file.readline(MAX_LINE + 1 if left is None else min(MAX_LINE + 1, left))
        if not data:
            return
        number += 1
        whole = len(data)
        while not data.endswith(b"\n") and len(data) > MAX_LINE:
            more = file.readline(1 << 20 if left is None else min(1 << 20, left - whole))
            whole += len(more)
            if not more or more.endswith(b"\n"):
                break
        if left is not None:
            left -= whole
        yield Line(number, data, whole)


class _Twice(dict[str, Any]):
    """An object in which keys stand more than once."""

    keys_twice: tuple[str, ...] = ()


class _Constant:
    """What is no JSON: NaN, Infinity or -Infinity."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Reader(threading.local):
    """A decoder that notices what Python's own takes without a word. Each thread has its own."""

    def __init__(self) -> None:
        self.odd = False
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        self.odd = True
        doubled = _Twice(found)
        keys = [key for key, _ in pairs]
        doubled.keys_twice = tuple(sorted({key for key in keys if keys.count(key) > 1}))
        return doubled

    def _constant(self, name: str) -> _Constant:
        self.odd = True
        return _Constant(name)

    def read(self, text: str) -> tuple[Any, bool]:
        """The value, and whether something odd is in it."""
        self.odd = False
        return self._decoder.decode(text), self.odd


_READER = _Reader()


def parse(line: Line) -> tuple[Any, list[Finding]]:
    """The object on a line, and what is wrong with it as JSON. With errors among that, the object is `None` or not
    to be used. A line of nothing but spaces gives `None` and no finding."""
    if line.size > MAX_LINE:
        found = Finding("line_too_long", f"a line of {line.size} bytes", f"a line may have {MAX_LINE} at most")
        return None, [_at(line, found)]
    data = line.data
    findings: list[Finding] = []
    if data.startswith(_BOM):
        data = data[len(_BOM) :]
        findings.append(_at(line, Finding("bom", "a byte order mark", "remove the first three bytes: EF BB BF")))
    bare = data.strip(_SPACE)
    if not bare:
        return None, findings
    try:
        text = bare.decode("utf-8")
        value, odd = _READER.read(text)
    except UnicodeDecodeError as error:
        found = Finding(
            "not_utf8",
            f"byte {data.index(bare) + error.start + 1} of the line is not UTF-8: {error.reason}",
            "write the file in UTF-8",
        )
        return None, [*findings, _at(line, found)]
    except RecursionError:
        return None, [*findings, _at(line, _too_deep())]
    except ValueError as error:
        return None, [*findings, _at(line, _bad_json(error))]
    if b"\r" in bare:
        found = Finding(
            "lone_cr", "a carriage return within the line, which many readers take for its end", "remove it"
        )
        findings.append(_at(line, found))
    # Depth and halves of characters are looked for only where their traces are.
    if odd or _HALF.search(bare) or bare.count(b"{") + bare.count(b"[") > MAX_DEPTH:
        findings += [_at(line, found) for found in _odd(value)]
    if not isinstance(value, dict):
        kind = _KINDS.get(type(value), type(value).__name__)
        findings.append(_at(line, Finding("not_object", f"the line is {kind}", "each line is one JSON object")))
    return value, findings


_HALF = re.compile(rb"\\u[dD][89abcdefABCDEF]")
_KINDS = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}


def _at(line: Line, finding: Finding) -> Finding:
    return replace(finding, line=line.number)


def _too_deep() -> Finding:
    return Finding("too_deep", f"values nested deeper than {MAX_DEPTH}", "flatten them")


def _bad_json(error: ValueError) -> Finding:
    if isinstance(error, json.JSONDecodeError):
        return Finding("not_json", f"no JSON at character {error.pos + 1}: {error.msg}", "write one object a line")
    return Finding("not_json", f"no JSON: {error}", "write shorter numbers")


def _odd(value: Any) -> Iterator[Finding]:
    """What JSON does not have, with its path. Not recursive: the value may be deeper than the stack."""
    waiting: list[tuple[Any, str, int]] = [(value, "", 1)]
    while waiting:
        one, path, depth = waiting.pop()
        if depth > MAX_DEPTH:
            yield _too_deep()
            return
        if isinstance(one, _Constant):
            yield Finding("not_a_number", f"{one.name} is no JSON", "write a number, or leave the key out", path)
        elif isinstance(one, _Twice):
            for key in one.keys_twice:
                twice = f"{path}.{key}" if path else key
                yield Finding("duplicate_key", f"the key {key!r} stands twice in one object", "keep one of them", twice)
        if isinstance(one, dict):
            waiting += [(inner, f"{path}.{key}" if path else key, depth + 1) for key, inner in reversed(one.items())]
            texts = [key for key in one if not _is_unicode(key)]
        elif isinstance(one, list):
            waiting += [(inner, f"{path}[{index}]", depth + 1) for index, inner in reversed([*enumerate(one)])]
            texts = []
        else:
            texts = [one] if isinstance(one, str) and not _is_unicode(one) else []
        for _ in texts:
            yield Finding("half_character", "half of a surrogate pair, which is no character", "remove it", path)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def dumps(value: Any) -> bytes:
    """A line of JSON, with its end. Raises `ValueError` for what is no JSON or no Unicode."""
    text = _ENCODER.encode(value)
    if not text.isascii():
        # Many readers take these for the end of a line.
        text = _ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode() + b"\n"


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_ENDS = re.compile("[\u0085\u2028\u2029]")
