"""The rows that are asked already, in a file of JSON lines: each is on disk before its thread asks the next."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict, deque
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from motet._answer_table import COLUMNS
from motet._atomic_files import append, disk_full_as_error, lock
from motet.errors import ConfigError

__all__ = ["AskedRows", "key_of"]


def key_of(slug: str, prompt: Any, options: Mapping[str, Any]) -> str:
    """A hash of what is asked: the model, the prompt and the options. Equal questions have equal keys."""
    shape = json.dumps([slug, prompt, dict(options)], default=_stable, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(shape.encode(), digest_size=16).hexdigest()


def _stable(value: Any) -> Any:
    """A value as JSON that is the same in each process."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, list | tuple | deque):
        return list(value)
    if isinstance(value, type) or callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    if isinstance(value, str | Path | Decimal) or hasattr(value, "isoformat"):
        return str(value)
    return type(value).__qualname__


class AskedRows:
    """The rows of a checkpoint by the key of their question. `None` as path: nothing is kept."""

    def __init__(self, path: Path | None, *, retry_errors: bool) -> None:
        self._path = path
        self._retry_errors = retry_errors
        self._handle: int | None = None
        self._rows: defaultdict[str, deque[dict[str, Any]]] = defaultdict(deque)
        """Rows that are not asked again."""
        self._failed_cost: defaultdict[str, Decimal] = defaultdict(Decimal)
        """US dollars of rows that are asked again."""
        self.cost = Decimal(0)
        """US dollars of all rows in the file, as far as they are known."""

    def open(self) -> None:
        """Reads the file under a lock. Raises `ConfigError` while another process has it, and for another file."""
        if self._path is None:
            return
        try:
            self._handle = lock(self._path, wait=False)
        except BlockingIOError:
            raise ConfigError(f"another process asks with the checkpoint {self._path}; wait for its end") from None
        try:
            self._read(self._path, self._handle)
        except BaseException:
            self.close()
            raise

    def _read(self, path: Path, handle: int) -> None:
        with path.open("rb") as file:
            size = 0
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    self._add(json.loads(line))
                except (ValueError, LookupError, TypeError, ArithmeticError) as error:
                    raise ConfigError(
                        f"{path}, line {number} is not a row of a checkpoint ({error}); choose another file"
                    ) from None
                size += len(line)
        if os.fstat(handle).st_size == size:
            return
        if not size and not line.startswith(_LINE_START[: len(line)]):
            raise ConfigError(f"{path} is not a checkpoint and is not overwritten; choose another file")
        # The incomplete last line of a process that was killed while it wrote.
        os.ftruncate(handle, size)

    def _add(self, shape: Mapping[str, Any]) -> None:
        row = {name: shape[name] for name in COLUMNS}
        row["cost"] = None if row["cost"] is None else Decimal(row["cost"])
        self.cost += row["cost"] or Decimal(0)
        if row["error"] is not None and (shape["retryable"] or self._retry_errors):
            self._failed_cost[shape["key"]] += row["cost"] or Decimal(0)
        else:
            self._rows[shape["key"]].append(row)

    def take(self, key: str) -> dict[str, Any] | None:
        """A row of this question that was not taken yet. `None`: the question has to be asked."""
        rows = self._rows.get(key)
        return self.with_failures(key, rows.popleft()) if rows else None

    def with_failures(self, key: str, row: dict[str, Any]) -> dict[str, Any]:
        """The row with the cost of earlier tries that failed, which is counted once."""
        failed_cost = self._failed_cost.pop(key, None)
        return row if not failed_cost or row["cost"] is None else {**row, "cost": row["cost"] + failed_cost}

    def save(self, key: str, row: Mapping[str, Any], *, retryable: bool) -> None:
        """Adds a row; it is on disk on return. `retryable`: true if the question is asked again the next time."""
        if self._handle is None or self._path is None:
            return
        cost = None if row["cost"] is None else f"{row['cost']:f}"
        shape = {"key": key, "retryable": retryable, **row, "cost": cost}
        with disk_full_as_error(self._path):
            append(self._handle, json.dumps(shape, ensure_ascii=True).encode() + b"\n", self._path)

    def close(self) -> None:
        """Releases the lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


_LINE_START = b'{"key": "'
