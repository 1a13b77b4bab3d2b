"""The files of a run: a checkpoint and a journal.

The checkpoint is replaced atomically after each answer and after its calls. The journal beside it gets a line before
each call and one after it, so a crash leaves a record of which calls ended, which did not start, and which started
without a recorded end.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from motet._atomic_files import append, lock, remove_stale_temp_files, write_whole
from motet.errors import ConfigError
from motet.loop.run import CallRecord, Run, journal_path, read_checkpoint
from motet.message import ToolCall, part_to_dict

__all__ = ["CheckpointStore"]


class CheckpointStore:
    """Writes the checkpoint and the journal of one run.

    Each checkpoint has a random key, and each journal line carries the key of its checkpoint, so that lines left from
    an older checkpoint are ignored.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.journal = journal_path(self.path)
        self._key: str | None = None
        self._loaded: Run | None = None
        self._handle: int | None = None

    def open(self, *, fresh: bool) -> None:
        """Locks the files, as two loops on one run would repeat its calls. `fresh`: for a new run, which refuses to
        replace an unfinished run or another file. Raises `ConfigError`."""
        try:
            self._handle = lock(self.journal, wait=False)
        except BlockingIOError:
            raise ConfigError(f"{self.journal} is locked by another loop in this or another process") from None
        try:
            if fresh:
                self._refuse_to_overwrite()
            elif self._loaded is not None and self._loaded != self.load():
                raise ConfigError(f"{self.path} has changed since it was loaded; resume it again")
        except BaseException:
            self.close()
            raise
        remove_stale_temp_files(self.path)

    def _refuse_to_overwrite(self) -> None:
        if not self.path.exists() or not self.path.stat().st_size:
            return
        try:
            done = self.load().done
        except ConfigError:
            raise ConfigError(f"{self.path} is not a run and is not overwritten; choose another file") from None
        if not done:
            raise ConfigError(f"{self.path} holds a run that is not done; resume it, or move it away")

    def close(self) -> None:
        """Releases the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def save(self, run: Run) -> None:
        """Writes the checkpoint and empties the journal, whose content the checkpoint now holds."""
        key = secrets.token_hex(8)
        write_whole(self.path, json.dumps({**run.to_dict(), "journal": key}, ensure_ascii=False))
        self._key = key
        if self._handle is not None:
            # A crash before the truncation is harmless: the remaining lines have the old key.
            os.ftruncate(self._handle, 0)
            if run.done:
                with contextlib.suppress(OSError):
                    self.journal.unlink()

    def begin(self, place: int, call: ToolCall) -> None:
        """Records that a call starts; the record is on disk on return. If this raises, the call must not be made."""
        self._write({"begin": place, "call": part_to_dict(call)})

    def end(self, place: int, record: CallRecord) -> None:
        """Records the outcome of a call."""
        self._write({"end": place, "record": record.to_dict()})

    def _write(self, line: dict[str, Any]) -> None:
        assert self._handle is not None
        data = (json.dumps({"of": self._key, **line}, ensure_ascii=True) + "\n").encode("ascii")
        append(self._handle, data, self.journal)

    def load(self) -> Run:
        """The run, with the calls of its last step as the journal records them. Raises `ConfigError`."""
        self._loaded, self._key = read_checkpoint(self.path)
        return self._loaded
