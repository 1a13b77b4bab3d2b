"""Whether a file can be trained on: every rule of the file and of its rows, each finding with line, path and mending.

A finding ends nothing: the rest is read, too. The file is read once, a line at a time. What a line says by itself is in
looks.py.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from motet.errors import ConfigError
from motet.tune.crew import each
from motet.tune.findings import Finding
from motet.tune.lines import Line, line_bytes, lines_of
from motet.tune.looks import Look, Looked
from motet.tune.rows import Format
from motet.tune.secrets import unknown_kinds
from motet.tune.seen import Seen

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
    workers: int | None = None,
) -> Report:
    """Checks a file of training data: a path, or an open file of bytes.

    - `max_tokens`: the longest sequence that the model can be trained on. `None`: any length passes.
    - `allow`: kinds of secrets that may be there (`"jwt"`, ...), or `"all"`.
    - `on_finding`: is given each finding as soon as it is made, in the order of lines.
    - `workers`: how many processes share the work; 1: none but this one. `None`: one for each core, 8 at most. None is
      started for less than 4 MiB.

    Raises `OSError` if the file cannot be read. Memory: 18 to 36 bytes a row, to know duplicates, and about 30 MB
    for each process.
    """
    if unknown := unknown_kinds(allow):
        raise ConfigError(f"no such kind of secret: {', '.join(unknown)}")
    look = Look(max_tokens, frozenset(allow))
    if isinstance(file, str | Path):
        path = Path(file)
        with path.open("rb", buffering=1 << 20) as opened:
            size = os.fstat(opened.fileno()).st_size
            return _Check(str(path), look, on_finding).run(opened, size, path.suffix, workers)
    return _Check(getattr(file, "name", "-"), look, on_finding).run(file, None, ".jsonl", workers)


class _Check:
    """One reading of a file."""

    def __init__(self, name: str, look: Look, on_finding: Callable[[Finding], None] | None) -> None:
        self.report = Report(name)
        self._look = look
        self._on_finding = on_finding
        self._seen = Seen()
        self._ends: Counter[str] = Counter()
        self._first: dict[str, int] = {}
        self._digest = hashlib.sha256()
        self._last = b"\n"
        """The last byte that was read."""

    def run(self, file: BinaryIO, size: int | None, suffix: str, workers: int | None) -> Report:
        report = self.report
        if suffix != ".jsonl":
            self._find(Finding("suffix", f"the name ends in {suffix or 'nothing'!r}", "call it something.jsonl"))
        if size is not None and size > MAX_BYTES:
            self._find(Finding("file_too_big", f"{size} bytes, and {MAX_BYTES} may be", "split it into several files"))
        for looked in each(self._look, self._noted(lines_of(file)), line_bytes, size=size, workers=workers):
            self._take(looked)
        report.sha256 = None if report.counts["line_too_long"] else self._digest.hexdigest()
        self._whole(self._last)
        return report

    def _noted(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The lines as they are, once they are counted."""
        for line in lines:
            self.report.lines = line.number
            self.report.bytes += line.size
            self._digest.update(line.data)
            self._last = line.data[-1:]
            yield line

    def _find(self, finding: Finding, line: int | None = None) -> None:
        if line is not None:
            finding = replace(finding, line=line)
        self.report.add(finding)
        if self._on_finding is not None:
            self._on_finding(finding)

    def _take(self, looked: Looked) -> None:
        """Adds a line to the report, and says what is wrong with it beside the others."""
        report, line = self.report, looked.line
        for code in looked.ends:
            self._ends[code] += 1
            self._first.setdefault(code, line)
        for finding in looked.findings:
            self._find(finding, line)
        if not looked.is_row:
            return
        report.rows += 1
        if report.format is None:
            report.format = looked.form
        elif looked.form not in (None, report.format):
            message = f"a row of the format {looked.form} in a file of the format {report.format}"
            self._find(Finding("mixed_formats", message, "put it into a file of its own"), line)
        for finding in looked.secrets:
            self._find(finding, line)
        if looked.key is not None and (first := self._seen.add(looked.key, line)) is not None:
            message = f"the same as line {first}, but for spaces and case"
            self._find(Finding("duplicate", message, "remove one of them", severity="warning"), line)
        if looked.lengths is None:
            report.uncounted += 1
        else:
            report.lengths.update(looked.lengths)
        if looked.length is not None:
            self._find(looked.length, line)

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


_ENDS = (
    ("crlf", "a line that ends as on Windows", "end lines with a line feed alone"),
    ("line_separator", "a character that many readers take for the end of a line", r"write \u2028, \u2029 or \u0085"),
)
