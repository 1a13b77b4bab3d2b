"""What the processes of one proxy tell each other: a file of each in a folder, written over and over."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["ProcessFile"]


class ProcessFile:
    """This process's file. `folder`: where those of the others are. `None`: there is one process, and no file."""

    def __init__(self, folder: Path | None, suffix: str) -> None:
        self._suffix = suffix
        self._path = None if folder is None else folder / f"{os.getpid()}{suffix}"

    def write(self, value: Any) -> None:
        """Replaces the JSON value in the file. Without a flush to the disk: it does not outlive the machine."""
        if self._path is not None:
            part = self._path.with_suffix(f"{self._suffix}.part")
            part.write_text(json.dumps(value), "utf-8")
            part.replace(self._path)

    def others(self) -> Iterator[tuple[Any, bool]]:
        """The values of the other processes, also of those that have ended, and whether each still runs."""
        for path in [] if self._path is None else self._path.parent.glob(f"*{self._suffix}"):
            # A process may be ending, and with it its folder.
            with contextlib.suppress(OSError, ValueError):
                if path != self._path:
                    yield json.loads(path.read_bytes()), _is_alive(int(path.stem))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
