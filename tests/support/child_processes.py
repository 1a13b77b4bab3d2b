"""The processes that a process has started, from /proc."""

from __future__ import annotations

from pathlib import Path


def children(process: int) -> list[int]:
    """Their ids."""
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
