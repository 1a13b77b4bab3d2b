"""What passes through a proxy now: the requests that run, and the last ones that have ended, for its page."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from motet.proxy.process_files import ProcessFile

__all__ = ["Activity", "RequestRow"]

MAX_ENDED = 200
"""Requests that have ended, of each process."""
MAX_RUNNING = 100
"""Running requests of each process whose tokens are counted for a look: each takes some 50 microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """A request as the page shows it: figures, and nothing of what was said."""

    id: str
    started: float
    """Seconds since 1970."""
    api: str
    model: str
    client: str
    is_streamed: bool
    status: int | None
    """`None`: it runs."""
    seconds: float
    first_token_seconds: float | None
    """`None`: no token has arrived, or the reply is not streamed."""
    input: int | None
    cached: int | None
    tokens: Mapping[str, int]
    """Tokens of the answer by channel, so far."""
    repairs: Mapping[str, int]
    """How often each deviation from the format was corrected, by its code."""
    cost: str | None
    """US dollars. `None`: unknown, or not known yet."""
    error: str | None
    """The kind of error that ended the request."""


class _Watched(Protocol):
    """A request that can say how far it is."""

    id: str

    def row(self) -> RequestRow:
        """The request now."""


class Activity:
    """The requests of one process. Not for several threads: a proxy runs in one event loop.

    `folder`: where the processes of one proxy write their rows, so that each can show those of all.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._running: dict[str, _Watched] = {}
        self._ended: deque[dict[str, Any]] = deque(maxlen=MAX_ENDED)
        self._file = ProcessFile(folder, ".rows")

    def begin(self, request: _Watched) -> None:
        """Shows a request from now on."""
        self._running[request.id] = request

    def end(self, request: _Watched) -> None:
        """Keeps the last state of a request."""
        if self._running.pop(request.id, None) is not None:
            self._ended.append(asdict(request.row()))

    def rows(self) -> list[dict[str, Any]]:
        """The requests of all processes, the newest first."""
        rows = self._own_rows()
        for others, is_alive in self._file.others():
            # What a killed process was answering does not run any more, and how it ended is not known.
            rows += [row for row in others if is_alive or row["status"] is not None]
        return sorted(rows, key=lambda row: row["started"], reverse=True)

    def write(self) -> None:
        """Writes the rows for the other processes, if there are any."""
        self._file.write(self._own_rows())

    def _own_rows(self) -> list[dict[str, Any]]:
        running = list(self._running.values())[-MAX_RUNNING:]
        return [*self._ended, *[asdict(request.row()) for request in running]]
