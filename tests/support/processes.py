"""Programs of the tests, run in processes of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["environment"]


def environment() -> dict[str, str]:
    """An environment in which a program can import `tests` and what this process can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
