"""Lines of JSON: read one at a time from files of any size, and more strictly than `json.loads` reads them.

Python's decoder accepts NaN, lone surrogates and duplicate keys (it keeps the last); the programs that train on the
data may not.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from motet.tune.finding import MAX_FINDINGS, Finding, shortened

__all__ = ["MAX_FILE_BYTES", "MAX_LINE", "Line", "dumps", "fingerprint", "name_of", "normalised", "parse", "read_lines"]

MAX_LINE = 8 * 1024 * 1024
"""Bytes. A longer line has millions of tokens, more than any model is trained on; it is not held in memory."""
MAX_FILE_BYTES = 50 * 2**30
"""The largest file that the service takes: its pages say less than 50 GB, its SDK 50.1 GiB."""
MAX_DEPTH = 200
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"


class Line(NamedTuple):
    """A line of a file."""

    number: int
    """From 1 on."""
    data: bytes
    """With its line end. Of a line that is too long, the beginning."""
    size: int
    """Its bytes in the file."""


def name_of(file: BinaryIO) -> str:
    """The name of an open file, or `-`: a file that was opened from a descriptor has a number for a name."""
    name = getattr(file, "name", "-")
    return name if isinstance(name, str) else "-"


def read_lines(file: BinaryIO, size: int | None = None) -> Iterator[Line]:
    """The lines of a file, or of its next `size` bytes. Holds one line, and at most `MAX_LINE` bytes of it."""
    number, left = 0, size
    while True:
        data = file.readline(MAX_LINE + 1 if left is None else min(MAX_LINE + 1, left))
        if not data:
            return
        number += 1
        length = len(data)
        while not data.endswith(b"\n") and len(data) > MAX_LINE:
            more = file.readline(1 << 20 if left is None else min(1 << 20, left - length))
            length += len(more)
            if not more or more.endswith(b"\n"):
                break
        if left is not None:
            left -= length
        yield Line(number, data, length)


class _DuplicateKeys(dict[str, Any]):
    """An object with keys that occur more than once."""

    duplicates: tuple[str, ...] = ()


class _NotANumber:
    """NaN, Infinity or -Infinity, which are not JSON."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name


class LineDecoder(threading.local):
    """A JSON decoder that notes duplicate keys and NaN. An instance for each thread, as it keeps a flag."""

    def __init__(self) -> None:
        self._suspect = False
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        shape = dict(pairs)
        if len(shape) == len(pairs):
            return shape
        self._suspect = True
        doubled = _DuplicateKeys(shape)
        counts = Counter([key for key, _ in pairs])
        doubled.duplicates = tuple(sorted([key for key, count in counts.items() if count > 1]))
        return doubled

    def _constant(self, name: str) -> _NotANumber:
        self._suspect = True
        return _NotANumber(name)

    def decode(self, text: str) -> tuple[Any, bool]:
        """The value, and whether it holds something that JSON does not allow."""
        self._suspect = False
        return self._decoder.decode(text), self._suspect


_DECODER = LineDecoder()


def parse(line: Line) -> tuple[Any, list[Finding]]:
    """The value of a line, and its faults as JSON. A blank line gives `None` without a finding.

    With an error among the findings, other than `bom` and `lone_cr`, the value is `None` or not usable.
    """
    if line.size > MAX_LINE:
        mend = f"a line may have {MAX_LINE} bytes at most"
        return None, [Finding("line_too_long", f"a line of {line.size} bytes", mend)]
    data, findings = line.data, list[Finding]()
    if data.startswith(_BOM):
        data = data[len(_BOM) :]
        findings.append(Finding("bom", "a byte order mark", "remove the first three bytes: EF BB BF"))
    bare = data.strip(_SPACE)
    if not bare:
        return None, findings
    try:
        value, suspect = _DECODER.decode(bare.decode("utf-8"))
    except (RecursionError, ValueError) as error:
        return None, [*findings, _decode_error(error, data.index(bare))]
    if b"\r" in bare:
        message = "a carriage return within the line, which many programs read as its end"
        findings.append(Finding("lone_cr", message, "remove it"))
    # The value is walked only where its text has a trace of a fault.
    if suspect or _SURROGATE_ESCAPE.search(bare) or bare.count(b"{") + bare.count(b"[") > MAX_DEPTH:
        findings += itertools.islice(_value_faults(value), MAX_FINDINGS)
    if not isinstance(value, dict):
        kind = _KINDS.get(type(value), type(value).__name__)
        findings.append(Finding("not_object", f"the line is {kind}", "write one JSON object on each line"))
    return value, findings


_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89abcdefABCDEF]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_KINDS = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}


def _decode_error(error: Exception, indent: int) -> Finding:
    if isinstance(error, UnicodeDecodeError):
        message = f"byte {indent + error.start + 1} of the line is not UTF-8: {error.reason}"
        return Finding("not_utf8", message, "write the file in UTF-8")
    if isinstance(error, RecursionError):
        return _too_deep()
    if isinstance(error, json.JSONDecodeError):
        message = f"not valid JSON at character {error.pos + 1}: {error.msg}"
        return Finding("not_json", message, "write one object on each line")
    return Finding("not_json", f"not valid JSON: {error}", "write shorter numbers")


def _too_deep() -> Finding:
    return Finding("too_deep", f"values nested deeper than {MAX_DEPTH}", "flatten them")


def _value_faults(value: Any) -> Iterator[Finding]:
    """What JSON does not allow, with its paths. Not recursive: the value may be deeper than the stack."""
    stack: list[tuple[Any, str, int]] = [(value, "", 1)]
    while stack:
        item, path, depth = stack.pop()
        if depth > MAX_DEPTH:
            yield _too_deep()
            return
        texts = [item] if isinstance(item, str) else []
        if isinstance(item, _NotANumber):
            yield Finding("not_a_number", f"{item.name} is not JSON", "write a number, or leave the key out", path)
        elif isinstance(item, list):
            stack += [(inner, f"{path}[{index}]", depth + 1) for index, inner in reversed([*enumerate(item)])]
        elif isinstance(item, dict):
            for key in map(shortened, item.duplicates if isinstance(item, _DuplicateKeys) else ()):
                where = f"{path}.{key}" if path else key
                yield Finding("duplicate_key", f"the key {key!r} occurs twice in one object", "keep one of them", where)
            named = [(f"{path}.{shortened(key)}" if path else shortened(key), inner) for key, inner in item.items()]
            stack += [(inner, where, depth + 1) for where, inner in reversed(named)]
            texts = [*item]
        for _ in filter(_SURROGATE.search, texts):
            yield Finding("half_character", "a lone surrogate: half of a character", "remove it", path)


def dumps(value: Any) -> bytes:
    """A line of JSON, with its end. Raises `ValueError` for NaN and lone surrogates."""
    text = _ENCODER.encode(value)
    if not text.isascii():
        # Many programs read these three as line ends.
        text = _LINE_SEPARATORS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text.encode() + b"\n"


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_LINE_SEPARATORS = re.compile("[\u0085\u2028\u2029]")


def normalised(value: Any) -> bytes:
    """A text that is equal for JSON values that differ only in white space, case, Unicode composition and key order."""
    text = _NORMAL.encode(value)
    if "\\" in text:
        text = text.replace("\\n", " ").replace("\\t", " ").replace("\\r", " ")
    is_ascii = text.isascii()
    if not is_ascii:
        text = unicodedata.normalize("NFKC", text)
    # Encoded JSON of ASCII has no white space but spaces, and none at its ends.
    if not is_ascii or "  " in text:
        text = " ".join(text.split())
    return text.casefold().replace('" ', '"').replace(' "', '"').encode("utf-8", "surrogatepass")


_NORMAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def fingerprint(data: bytes) -> int:
    """64 bits of a hash. Among a million different texts, two are equal with a probability of 1 in 30 million."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
