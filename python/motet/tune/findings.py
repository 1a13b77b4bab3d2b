"""What is wrong with a line, where, and how to mend it: the one word in which all checks speak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Finding", "Severity"]

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a check found."""

    code: str
    """A name that stays: `unknown_role`, `duplicate_key`, `crlf`, ..."""
    message: str
    """What is wrong."""
    mend: str
    """How to mend it."""
    path: str = ""
    """Where in the line's object: `messages[1].role`. Empty: the line, or the file, as a whole."""
    line: int | None = None
    """From 1 on. `None`: the file as a whole, or a row that stands in no file."""
    severity: Severity = "error"
    """`error`: the data must not be trained on as it is. `warning`: it may, but is hardly what was meant."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "path": self.path,
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "mend": self.mend,
        }

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line is not None else []
        where += [self.path] if self.path else []
        return f"{': '.join([*where, self.message])} ({self.mend})"
