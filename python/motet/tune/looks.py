"""What is wrong with one line of training data, whatever stands on the others: all that processes can share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from motet.errors import RenderError
from motet.tune.findings import Finding
from motet.tune.lines import Line, parse
from motet.tune.rows import Format, check_row, format_of
from motet.tune.secrets import find_secrets, may_hold_secret
from motet.tune.seen import fingerprint, normalised
from motet.tune.tokens import lengths_of

__all__ = ["Look", "Looked"]


class Looked(NamedTuple):
    """A line after a look at it."""

    line: int
    """Its number."""
    is_row: bool
    """Whether anything stands on it."""
    findings: list[Finding]
    """What is wrong with it as JSON and as a row, without its number."""
    ends: list[str]
    """What is worth one finding for the whole file, not one for each line: `crlf`, `line_separator`."""
    form: Format | None = None
    secrets: list[Finding] = []  # noqa: RUF012
    key: int | None = None
    """The same for the same rows. `None`: it is no JSON through and through."""
    lengths: tuple[int, ...] | None = None
    """The tokens of its sequences. `None`: they cannot be counted."""
    length: Finding | None = None
    """What is wrong with its length."""


@dataclass(frozen=True, slots=True)
class Look:
    """The rules, called with a line."""

    max_tokens: int | None
    allow: frozenset[str]

    def __call__(self, line: Line) -> Looked:
        row, found = parse(line)
        errors = {finding.code for finding in found} - {"bom"} if found else ()
        is_row = row is not None or bool(errors)
        if not is_row:
            found.insert(0, Finding("blank_line", "a line with nothing on it", "remove it", severity="warning"))
        looked = Looked(line.number, is_row, found, _line_ends(line))
        return self._row(row, line, looked, sound=not {*errors} - {"lone_cr"}) if isinstance(row, dict) else looked

    def _row(self, row: Mapping[str, Any], line: Line, looked: Looked, *, sound: bool) -> Looked:
        """`sound`: whether it is JSON through and through."""
        found = format_of(row)
        form, wrong = (None, [found]) if isinstance(found, Finding) else (found, check_row(row, found))
        secrets = [*find_secrets(row, self.allow)] if may_hold_secret(line.data, self.allow) else []
        key = fingerprint(normalised(row)) if sound else None
        lengths, length = None, None
        if form is not None and sound and not any(finding.severity == "error" for finding in wrong):
            lengths, length = self._count(row, form)
        return Looked(line.number, True, looked.findings + wrong, looked.ends, form, secrets, key, lengths, length)

    def _count(self, row: Mapping[str, Any], form: Format) -> tuple[tuple[int, ...] | None, Finding | None]:
        try:
            lengths = lengths_of(row, form)
        except (RenderError, TypeError) as error:
            message = f"gpt-oss's template has no place for it: {error}"
            return None, Finding("not_renderable", message, "change what it names")
        if self.max_tokens is not None and max(lengths) > self.max_tokens:
            message = f"{max(lengths)} tokens, and the model is trained on {self.max_tokens} at most"
            return lengths, Finding("too_long", message, "shorten it, or leave it out")
        return lengths, None


def _line_ends(line: Line) -> list[str]:
    found = ["crlf"] if line.data.endswith(b"\r\n") else []
    if not line.data.isascii() and _SEPARATORS.search(line.data):
        found.append("line_separator")
    return found


_SEPARATORS = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]")
"""U+0085, U+2028 and U+2029 in UTF-8."""
