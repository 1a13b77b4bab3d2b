"""What a check reports: a fault of training data, its place, and the remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["MAX_FINDINGS", "Finding", "Severity", "first_of_each_severity", "shortened"]

Severity: TypeAlias = Literal["error", "warning"]
MAX_FINDINGS = 100
"""Findings of one severity and one kind of check that are kept of one line: 8 MiB may have millions of faults."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of training data."""

    code: str
    """A stable name: `unknown_role`, `duplicate_key`, `crlf`, ..."""
    message: str
    """What is wrong."""
    mend: str
    """How to correct it."""
    path: str = ""
    """The place in the row: `messages[1].role`. Empty: the whole line or file."""
    line: int | None = None
    """From 1 on. `None`: the whole file, or a row outside of a file."""
    severity: Severity = "error"
    """`error`: training would fail. `warning`: training works, but probably not as intended."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in ("line", "path", "severity", "code", "message", "mend")}

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line is not None else []
        where += [self.path] if self.path else []
        return f"{': '.join([*where, self.message])} ({self.mend})"


def first_of_each_severity(findings: Iterable[Finding]) -> list[Finding]:
    """The first `MAX_FINDINGS` errors and warnings: many warnings do not hide an error."""
    counts: Counter[str] = Counter()
    first = []
    for finding in findings:
        counts[finding.severity] += 1
        if counts[finding.severity] <= MAX_FINDINGS:
            first.append(finding)
    return first


def shortened(text: str) -> str:
    """At most 80 characters: keys may have millions, and each finding of a row shows them."""
    return text if len(text) <= 80 else text[:77] + "..."
