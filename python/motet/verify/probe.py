"""A probe: one question about a server's treatment of harmony."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from motet.verify.session import Session

__all__ = ["Probe", "Result", "Verdict"]

Verdict = Literal["pass", "fail", "inconclusive", "skipped"]


@dataclass(frozen=True, slots=True)
class Probe:
    """One question about a server."""

    id: str
    """`group.name`."""
    title: str
    """What a server does that passes."""
    why: str
    """What goes wrong where it does not."""
    judge: Callable[[Session], str | None]
    """Returns a remark or `None`, or raises `Failure`, `Inconclusive` or `Skip`."""

    @property
    def group(self) -> str:
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict of a probe."""

    probe: Probe
    verdict: Verdict
    detail: str = ""
    """Why, or a remark."""
    tries: int = 1
