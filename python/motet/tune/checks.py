"""Whether a file can be trained on: every rule of the file and of its rows, each finding with line, path and mending.

A finding ends nothing: the rest is read, too. The file is read once, a line at a time.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from motet.errors import ConfigError, RenderError
from motet.tune.findings import Finding
from motet.tune.lines import Line, lines_of, parse
from motet.tune.rows import Format, check_row, format_of
from motet.tune.secrets import find_secrets, may_hold_secret, unknown_kinds
from motet.tune.seen import Seen, fingerprint, normalised
from motet.tune.tokens import lengths_of

__all__ = ["KEPT", "MAX_BYTES", "Report", "check"]

KEPT = 10_000
"""How many findings a report holds. All are counted, and all are given to `on_finding`."""
MAX_BYTES = 50 * 2**30
"""What the service takes: its pages say less than 50 GB, its SDK 50.1 GiB."""


@dataclass(slots=True)
class Report:
    """What a check found."""

    path: str
    format: Format | None = None
    """That of the first row. `None`: no row has one."""
    bytes: int = 0
    sha256: str | None = None
    """Of the bytes that were checked, in hexadecimal. `None`: a line was too long to be read."""
    lines: int = 0
    rows: int = 0
    """Lines that are not blank."""
    lengths: Counter[int] = field(default_factory=Counter)
    """How many sequences have how many tokens. A preference is two of them."""
    uncounted: int = 0
    """Rows whose tokens cannot be counted, because something is wrong with them."""
    counts: Counter[str] = field(default_factory=Counter)
    """How often each code was found."""
    errors: int = 0
    warnings: int = 0
    findings: list[Finding] = field(default_factory=list)
    """The first `KEPT` of them."""

    @property
    def ok(self) -> bool:
        """Whether it may be trained on: there are no errors. There may be warnings."""
        return not self.errors

    @property
    def tokens(self) -> int | None:
        """All tokens, once through the file. `None`: some rows cannot be counted."""
        return None if self.uncounted else sum([length * times for length, times in self.lengths.items()])

    def percentile(self, share: float) -> int | None:
        """The length that so many of the sequences do not exceed: `percentile(0.5)` is the median. `None`: there are
        none."""
        rest = max(1, share * self.lengths.total())
        for length in sorted(self.lengths):
            rest -= self.lengths[length]
            if rest <= 0:
                return length
        return max(self.lengths, default=None)

    def add(self, finding: Finding) -> None:
        self.counts[finding.code] += 1
        if finding.severity == "error":
            self.errors += 1
        else:
            self.warnings += 1
        if len(self.findings) < KEPT:
            self.findings.append(finding)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the findings."""
        shares = {"min": 0.0, "median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
        return {
            "path": self.path,
            "ok": self.ok,
            "format": self.format,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "lines": self.lines,
            "rows": self.rows,
            "tokens": self.tokens,
            "uncounted": self.uncounted,
            "lengths": {name: self.percentile(share) for name, share in shares.items()},
            "errors": self.errors,
            "warnings": self.warnings,
            "counts": dict(self.counts.most_common()),
        }


def check(
    file: str | Path | BinaryIO,
    *,
    max_tokens: int | None = None,
    allow: Collection[str] = (),
    on_finding: Callable[[Finding], None] | None = None,
) -> Report:
    """Checks a file of training data: a path, or an open file of bytes.

    - `max_tokens`: the longest sequence that the model can be trained on. `None`: any length passes.
    - `allow`: kinds of secrets that may be there (`"jwt"`, ...), or `"all"`.
    - `on_finding`: is given each finding as soon as it is made.

    Raises `OSError` if the file cannot be read. Memory: about 20 bytes a row, to know duplicates.
    """
    if unknown := unknown_kinds(allow):
        raise ConfigError(f"no such kind of secret: {', '.join(unknown)}")
    if isinstance(file, str | Path):
        path = Path(file)
        with path.open("rb", buffering=1 << 20) as opened:
            size = os.fstat(opened.fileno()).st_size
            return _Check(str(path), max_tokens, allow, on_finding).run(opened, size, path.suffix)
    return _Check(getattr(file, "name", "-"), max_tokens, allow, on_finding).run(file, None, ".jsonl")


class _Check:
    """One reading of a file."""

    def __init__(
        self,
        name: str,
        max_tokens: int | None,
        allow: Collection[str],
        on_finding: Callable[[Finding], None] | None,
    ) -> None:
        self.report = Report(name)
        self._max_tokens = max_tokens
        self._allow = allow
        self._on_finding = on_finding
        self._seen = Seen()
        self._ends: Counter[str] = Counter()
        self._first: dict[str, int] = {}

    def run(self, file: BinaryIO, size: int | None, suffix: str) -> Report:
        report = self.report
        if suffix != ".jsonl":
            self._find(Finding("suffix", f"the name ends in {suffix or 'nothing'!r}", "call it something.jsonl"))
        if size is not None and size > MAX_BYTES:
            self._find(Finding("file_too_big", f"{size} bytes, and {MAX_BYTES} may be", "split it into several files"))
        digest = hashlib.sha256()
        last = b"\n"
        for line in lines_of(file):
            report.lines = line.number
            report.bytes += line.size
            digest.update(line.data)
            last = line.data[-1:]
            self._line(line)
        report.sha256 = None if report.counts["line_too_long"] else digest.hexdigest()
        self._whole(last)
        return report

    def _find(self, finding: Finding, line: int | None = None) -> None:
        if line is not None:
            finding = replace(finding, line=line)
        self.report.add(finding)
        if self._on_finding is not None:
            self._on_finding(finding)

    def _line(self, line: Line) -> None:
        self._line_ends(line)
        row, findings = parse(line)
        errors = {finding.code for finding in findings}
        if row is None and not errors - {"bom"}:
            self._find(Finding("blank_line", "a line with nothing on it", "remove it", severity="warning"), line.number)
        for finding in findings:
            self._find(finding)
        if row is None and not errors - {"bom"}:
            return
        self.report.rows += 1
        if isinstance(row, dict):
            self._row(row, line, sound=not errors - {"bom", "lone_cr"})
        else:
            self.report.uncounted += 1

    def _line_ends(self, line: Line) -> None:
        """Notes what is worth one finding for the whole file, not one for each line."""
        if line.data.endswith(b"\r\n"):
            self._note("crlf", line.number)
        if not line.data.isascii() and _SEPARATORS.search(line.data):
            self._note("line_separator", line.number)

    def _note(self, code: str, line: int) -> None:
        self._ends[code] += 1
        self._first.setdefault(code, line)

    def _row(self, row: Mapping[str, Any], line: Line, *, sound: bool) -> None:
        """`sound`: whether it is JSON through and through."""
        form = format_of(row)
        wrong = [form] if isinstance(form, Finding) else check_row(row, form)
        if not isinstance(form, Finding):
            if self.report.format is None:
                self.report.format = form
            elif form != self.report.format:
                message = f"a row of the format {form} in a file of the format {self.report.format}"
                wrong.append(Finding("mixed_formats", message, "put it into a file of its own"))
        if may_hold_secret(line.data, self._allow):
            wrong += find_secrets(row, self._allow)
        for finding in wrong:
            self._find(finding, line.number)
        if sound:
            self._duplicate(row, line)
        if (
            isinstance(form, Finding)
            or not sound
            or any(finding.severity == "error" and finding.code not in _COUNTABLE for finding in wrong)
        ):
            self.report.uncounted += 1
        else:
            self._count(row, form, line)

    def _duplicate(self, row: Mapping[str, Any], line: Line) -> None:
        first = self._seen.add(fingerprint(normalised(row)), line.number)
        if first is not None:
            message = f"the same as line {first}, but for spaces and case"
            self._find(Finding("duplicate", message, "remove one of them", severity="warning"), line.number)

    def _count(self, row: Mapping[str, Any], form: Format, line: Line) -> None:
        try:
            lengths = lengths_of(row, form)
        except (RenderError, TypeError) as error:
            self.report.uncounted += 1
            message = f"gpt-oss's template has no place for it: {error}"
            self._find(Finding("not_renderable", message, "change what it names"), line.number)
            return
        self.report.lengths.update(lengths)
        if self._max_tokens is not None and max(lengths) > self._max_tokens:
            message = f"{max(lengths)} tokens, and the model is trained on {self._max_tokens} at most"
            self._find(Finding("too_long", message, "shorten it, or leave it out"), line.number)

    def _whole(self, last: bytes) -> None:
        """What is wrong with the file as a whole."""
        report = self.report
        if not report.bytes:
            self._find(Finding("empty_file", "the file is empty", "put a row on each line"))
        elif not report.rows:
            self._find(Finding("no_rows", "the file has blank lines only", "put a row on each line"))
        elif last != b"\n":
            mend = "end the last line, too, or what is added to the file will stand on it"
            found = Finding("no_final_newline", "the last line has no end", mend, severity="warning")
            self._find(found, report.lines)
        for code, message, mend in _ENDS:
            if times := self._ends[code]:
                found = Finding(code, f"{message} ({times} such lines in all)", mend, severity="warning")
                self._find(found, self._first[code])


_COUNTABLE = {"mixed_formats", "secret"}
"""What is wrong with a row and does not keep it from being rendered."""
_SEPARATORS = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]")
"""U+0085, U+2028 and U+2029 in UTF-8."""
_ENDS = (
    ("crlf", "a line that ends as on Windows", "end lines with a line feed alone"),
    ("line_separator", "a character that many readers take for the end of a line", r"write \u2028, \u2029 or \u0085"),
)
