"""The check of training data: every rule of a file and of its rows, each finding with line, path and remedy."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from motet.tune.finding import Finding
from motet.tune.lines import MAX_FILE_BYTES, Line, fingerprint, name_of, normalised, parse, read_lines
from motet.tune.parallel import ordered_map
from motet.tune.rows import Format, inspect_row
from motet.tune.secret_scan import check_kinds, scan_line

__all__ = ["MAX_FINDINGS", "Report", "check"]

MAX_FINDINGS = 10_000
"""Findings that a report holds. All are counted, and all are given to `on_finding`."""
_PROGRESS_BYTES = 1 << 20


@dataclass(slots=True)
class Report:
    """The result of a check."""

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
    """The number of sequences of each length in tokens. A preference has two sequences."""
    uncounted: int = 0
    """Rows whose tokens cannot be counted, because of errors."""
    counts: Counter[str] = field(default_factory=Counter)
    """The number of findings of each code."""
    errors: int = 0
    warnings: int = 0
    findings: list[Finding] = field(default_factory=list)
    """The first `MAX_FINDINGS`."""

    @property
    def ok(self) -> bool:
        """Whether the file can be trained on: it has no errors. It may have warnings."""
        return not self.errors

    @property
    def tokens(self) -> int | None:
        """The tokens of all rows. `None`: some rows cannot be counted."""
        return None if self.uncounted else sum([length * times for length, times in self.lengths.items()])

    def percentile(self, share: float) -> int | None:
        """The length that this share of the sequences does not exceed: `percentile(0.5)` is the median. `None`
        without sequences."""
        rest = max(1, share * self.lengths.total())
        for length in sorted(self.lengths):
            rest -= self.lengths[length]
            if rest <= 0:
                return length
        return max(self.lengths, default=None)

    def add(self, finding: Finding) -> None:
        """Counts a finding, and keeps it if it is among the first of its severity."""
        self.counts[finding.code] += 1
        if finding.severity == "error":
            self.errors += 1
        else:
            self.warnings += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the findings."""
        shares = {"min": 0.0, "median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
        names = ("path", "ok", "format", "bytes", "sha256", "lines", "rows", "tokens", "uncounted")
        return {
            **{name: getattr(self, name) for name in names},
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
    on_progress: Callable[[int, int | None], None] | None = None,
    workers: int | None = None,
) -> Report:
    """Checks training data: every rule of the file and of its rows. A finding does not end the check.

    - `file`: a path, or an open binary file.
    - `max_tokens`: the longest sequence that the model is trained on. `None`: no limit.
    - `allow`: kinds of secrets that are not reported (`"jwt"`, ...), or `"all"`.
    - `on_finding`: called with each finding, in the order of lines.
    - `on_progress`: called at each MiB with the bytes that were read and their total, `None` if unknown.
    - `workers`: processes that share the work; see `ordered_map` in `parallel`.

    Raises `OSError` if the file cannot be read. Memory: about 110 bytes a row, to find duplicates.
    """
    checker = LineChecker(max_tokens, check_kinds(allow))
    if isinstance(file, str | Path):
        path = Path(file)
        with path.open("rb", buffering=1 << 20) as opened:
            size = os.fstat(opened.fileno()).st_size
            return _Check(str(path), on_finding, on_progress).run(checker, opened, size, path.suffix, workers)
    return _Check(name_of(file), on_finding, on_progress).run(checker, file, None, ".jsonl", workers)


class LineResult(NamedTuple):
    """What one line shows by itself."""

    line: int
    findings: list[Finding]
    line_end_codes: list[str]
    """`crlf`, `line_separator`: reported once for the file, not for each line."""
    is_row: bool = False
    format: Format | None = None
    key: int | None = None
    """Equal for duplicates. `None`: the line is not sound JSON."""
    lengths: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class LineChecker:
    """Checks a line by itself; this is what processes share."""

    max_tokens: int | None
    allow: frozenset[str]

    def __call__(self, line: Line) -> LineResult:
        row, findings = parse(line)
        faults = {finding.code for finding in findings} - {"bom"}
        codes = _line_end_codes(line)
        if row is None and not faults:
            blank = Finding("blank_line", "a blank line", "remove it", severity="warning")
            return LineResult(line.number, [blank, *findings], codes)
        if not isinstance(row, dict):
            return LineResult(line.number, findings, codes, is_row=True)
        report = inspect_row(row)
        findings = [*findings, *report.findings, *scan_line(line.data, row, self.allow)]
        if faults - {"lone_cr"}:
            return LineResult(line.number, findings, codes, True, report.format)
        lengths, fault = report.measure(self.max_tokens)
        findings += [fault] if fault is not None else []
        return LineResult(line.number, findings, codes, True, report.format, fingerprint(normalised(row)), lengths)


def _line_end_codes(line: Line) -> list[str]:
    codes = ["crlf"] if line.data.endswith(b"\r\n") else []
    if not line.data.isascii() and _SEPARATORS.search(line.data):
        codes.append("line_separator")
    return codes


_SEPARATORS = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]")
"""U+0085, U+2028 and U+2029 in UTF-8."""
_LINE_ENDS = (
    ("crlf", "a Windows line end", "end lines with a line feed alone"),
    ("line_separator", "a character that many programs read as a line end", r"write \u2028, \u2029 or \u0085"),
)


class _Check:
    """One reading of a file: what lines show beside each other."""

    def __init__(
        self,
        name: str,
        on_finding: Callable[[Finding], None] | None,
        on_progress: Callable[[int, int | None], None] | None,
    ) -> None:
        self.report = Report(name)
        self._on_finding = on_finding
        self._on_progress = on_progress
        self._first_lines: dict[int, int] = {}
        """The line of each fingerprint."""
        self._line_ends: dict[str, list[int]] = {}
        """Of each code: its first line, and the number of lines."""
        self._digest = hashlib.sha256()
        self._last_byte = b"\n"

    def run(self, checker: LineChecker, file: BinaryIO, size: int | None, suffix: str, workers: int | None) -> Report:
        report = self.report
        if suffix.lower() != ".jsonl":
            self._add(Finding("suffix", f"the file name ends in {suffix!r}", "rename it to end in .jsonl"))
        if size is not None and size > MAX_FILE_BYTES:
            message = f"{size} bytes; the service takes {MAX_FILE_BYTES} at most"
            self._add(Finding("file_too_big", message, "split it into several files"))
        for result in ordered_map(checker, self._count(read_lines(file), size), workers):
            self._take(result)
        report.sha256 = None if report.counts["line_too_long"] else self._digest.hexdigest()
        self._end()
        return report

    def _count(self, lines: Iterable[Line], size: int | None) -> Iterator[Line]:
        next_progress = _PROGRESS_BYTES
        for line in lines:
            self.report.lines = line.number
            self.report.bytes += line.size
            if self._on_progress is not None and self.report.bytes >= next_progress:
                self._on_progress(self.report.bytes, size)
                next_progress = self.report.bytes + _PROGRESS_BYTES
            self._digest.update(line.data)
            self._last_byte = line.data[-1:]
            yield line

    def _add(self, finding: Finding, line: int | None = None) -> None:
        if line is not None:
            finding = replace(finding, line=line)
        self.report.add(finding)
        if self._on_finding is not None:
            self._on_finding(finding)

    def _take(self, result: LineResult) -> None:
        report, line = self.report, result.line
        for code in result.line_end_codes:
            self._line_ends.setdefault(code, [line, 0])[1] += 1
        for finding in result.findings:
            self._add(finding, line)
        if not result.is_row:
            return
        report.rows += 1
        if report.format is None:
            report.format = result.format
        elif result.format not in (None, report.format):
            message = f"a row of the format {result.format} in a file of the format {report.format}"
            self._add(Finding("mixed_formats", message, "move it to a file of its own"), line)
        if result.key is not None and (first := self._first_lines.setdefault(result.key, line)) != line:
            message = f"equal to line {first}, but for white space and case"
            self._add(Finding("duplicate", message, "remove one of them", severity="warning"), line)
        if result.lengths is None:
            report.uncounted += 1
        else:
            report.lengths.update(result.lengths)

    def _end(self) -> None:
        """The rules of the file as a whole."""
        report = self.report
        if not report.bytes:
            self._add(Finding("empty_file", "the file is empty", "write a row on each line"))
        elif not report.rows:
            self._add(Finding("no_rows", "all lines are blank", "write a row on each line"))
        elif self._last_byte != b"\n":
            mend = "end it with a line feed, or a row that is appended continues it"
            no_end = Finding("no_final_newline", "the last line has no line end", mend, severity="warning")
            self._add(no_end, report.lines)
        for code, message, mend in _LINE_ENDS:
            if code in self._line_ends:
                first, times = self._line_ends[code]
                self._add(Finding(code, f"{message} ({times} lines in all)", mend, severity="warning"), first)
