"""Files of rows, divided into units: what is computed and saved at once, and again after a crash."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from motet.errors import ConfigError, DataError

__all__ = ["SUFFIXES", "Source", "Unit", "open_source"]

UNIT_BYTES = 32 << 20
"""Uncompressed bytes of a unit, unless a row group has more: a unit of work that may be lost in a crash."""
BATCH_BYTES = 8 << 20
"""Uncompressed bytes in memory at a time, unless a row has more."""
READ_ROWS = 1024
"""Rows of Parquet decoded at a time, at most: a column chunk that has a value once for many rows has its size once."""
IDS = pa.list_(pa.int64())
LINE = "line"
"""The column with the number of a row's line, from 1, of files without other columns to keep."""


@dataclass
class Unit:
    """Consecutive rows of a file."""

    batches: Iterator[pa.Table]
    unreadable: int = 0
    """Lines so far that are not JSON objects; each is a row without values."""
    end: int = field(default=0, init=False)
    """Bytes of the file up to its end, for progress. Known when the batches are read."""


class Source(Protocol):
    """A file of rows."""

    path: Path
    schema: pa.Schema
    """The columns that are read."""

    def units(self, first: int) -> Iterator[Unit]:
        """The units from this index on: the same each time for the same file."""
        ...


def open_source(path: Path, columns: Sequence[str], *, keep: Sequence[str] | None = None, ids: bool = False) -> Source:
    """A file by its suffix. Reads `columns`, and `keep` beside them; by default those that the kind of file has.

    `ids`: `columns` have JSON lists of token ids, for files whose columns have no types. Raises `ConfigError` for
    another suffix or a column that is not there.
    """
    kinds: dict[str, Callable[..., Source]] = {
        ".parquet": ParquetSource,
        ".jsonl": JsonSource,
        ".ndjson": JsonSource,
        ".csv": CsvSource,
    }
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(f"the file of a table must end in one of {', '.join(SUFFIXES)}: {str(path)!r}")
    return kind(path, columns, keep, ids)


SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".csv")


def _chosen(path: Path, names: Sequence[str], columns: Sequence[str], keep: Sequence[str] | None) -> list[str]:
    """The names that are wanted, in the order of the file."""
    wanted = {*columns, *(names if keep is None else keep)}
    if missing := wanted - {*names}:
        known = ", ".join(names)
        raise ConfigError(f"{str(path)!r} has no column {sorted(missing)[0]!r}; its columns are {known}")
    return [name for name in names if name in wanted]


class ParquetSource:
    """Each unit is one or more row groups. All columns are kept by default, with their types."""

    def __init__(self, path: Path, columns: Sequence[str], keep: Sequence[str] | None, ids: bool) -> None:
        self.path = path
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow.remove_metadata()
            metadata = file.metadata
            sizes = [metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)]
            self._rows = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        self._names = _chosen(path, schema.names, columns, keep)
        self.schema = pa.schema([schema.field(name) for name in self._names])
        self._sizes = sizes
        self._groups: list[list[int]] = []
        size = UNIT_BYTES
        for index, group_size in enumerate(sizes):
            if size + group_size > UNIT_BYTES:
                self._groups.append([])
                size = 0
            self._groups[-1].append(index)
            size += group_size

    def units(self, first: int) -> Iterator[Unit]:
        total, size = sum(self._sizes) or 1, self.path.stat().st_size
        for groups in self._groups[first:]:
            unit = Unit(self._batches(groups))
            unit.end = size * sum(self._sizes[: groups[-1] + 1]) // total
            yield unit

    def _batches(self, groups: list[int]) -> Iterator[pa.Table]:
        rows, size = sum(self._rows[group] for group in groups), sum(self._sizes[group] for group in groups)
        batch_size = max(1, min(READ_ROWS, rows * BATCH_BYTES // (size or 1)))
        # A buffer instead of whole column chunks: row groups may be larger than memory.
        with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 17) as file:
            decoded = file.iter_batches(batch_size, row_groups=groups, columns=self._names, use_threads=False)
            yield from _joined(pa.table(batch).cast(self.schema) for batch in decoded)


def _joined(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Consecutive tables as one of about `BATCH_BYTES`."""
    pending: list[pa.Table] = []
    size = 0
    for table in tables:
        pending.append(table)
        size += table.nbytes
        if size >= BATCH_BYTES:
            yield pa.concat_tables(pending).combine_chunks()
            pending.clear()
            size = 0
    if pending:
        yield pa.concat_tables(pending).combine_chunks()


class CsvSource:
    """Text in all columns, which are kept by default. The first line has their names."""

    def __init__(self, path: Path, columns: Sequence[str], keep: Sequence[str] | None, ids: bool) -> None:
        self.path = path
        with path.open(encoding="utf-8-sig", newline="") as file:
            self._header = next(csv.reader(file), [])
        self._names = _chosen(path, self._header, columns, keep)
        self._ids = {*columns} if ids else set()
        self.schema = pa.schema([(name, IDS if name in self._ids else pa.large_string()) for name in self._names])

    def units(self, first: int) -> Iterator[Unit]:
        # A completion may be longer than the limit of the csv module, which is one for all readers.
        limit = csv.field_size_limit(2**31 - 1)
        try:
            with (
                self.path.open("rb") as binary,
                io.TextIOWrapper(binary, "utf-8-sig", errors="replace", newline="") as file,
            ):
                rows = csv.reader(file)
                next(rows, None)
                for index in itertools.count():
                    table = self._table(rows)
                    if not table.num_rows:
                        return
                    if index >= first:
                        unit = Unit(iter([table]))
                        unit.end = binary.tell()
                        yield unit
        finally:
            csv.field_size_limit(limit)

    def _table(self, rows: Iterator[list[str]]) -> pa.Table:
        indexes = [self._header.index(name) for name in self._names]
        values: list[list[Any]] = [[] for _ in indexes]
        size = 0
        for row in rows:
            for column, index in zip(values, indexes, strict=True):
                column.append(row[index] if index < len(row) else None)
            size += sum(map(len, row)) + 1
            if size >= BATCH_BYTES:
                break
        for name, column in zip(self._names, values, strict=True):
            if name in self._ids:
                column[:] = [None if text is None else _id_list(_json(text)) for text in column]
        return pa.table(values, schema=self.schema)


class JsonSource:
    """An object on each line. Kept are the columns themselves and the numbers of the lines; others on request."""

    def __init__(self, path: Path, columns: Sequence[str], keep: Sequence[str] | None, ids: bool) -> None:
        self.path = path
        self._names = list(dict.fromkeys([*columns, *(keep or ())]))
        if LINE in self._names:
            raise ConfigError(f"the column {LINE!r} has the numbers of lines: rename that of {str(path)!r}")
        self._columns = tuple(columns)
        self._ids = {*columns} if ids else set()
        kinds = [(name, IDS if name in self._ids else pa.large_string()) for name in self._names]
        self.schema = pa.schema([(LINE, pa.int64()), *kinds])

    def units(self, first: int) -> Iterator[Unit]:
        number = 1
        with self.path.open("rb") as file:
            for index in itertools.count():
                lines = file.readlines(BATCH_BYTES)
                if not lines:
                    return
                if index >= first:
                    unit = Unit(iter(()))
                    unit.batches = iter([self._table(lines, number, unit)])
                    unit.end = file.tell()
                    yield unit
                number += len(lines)

    def _table(self, lines: list[bytes], number: int, unit: Unit) -> pa.Table:
        values: dict[str, list[Any]] = {name: [] for name in self.schema.names}
        found = False
        for offset, line in enumerate(lines):
            if not line.strip():
                continue
            value = _json(line)
            row = value if isinstance(value, dict) else {}
            unit.unreadable += row is not value
            found = found or not row or any(name in row for name in self._columns)
            values[LINE].append(number + offset)
            for name in self._names:
                item = row.get(name)
                if name in self._columns and name not in self._ids and _id_list(item):
                    raise DataError(f"{self.path}, line {number + offset} has token ids in {name!r}: give --ids")
                values[name].append(_id_list(item) if name in self._ids else _as_text(item))
        if not found and values[LINE]:
            names = " or ".join(map(repr, self._columns))
            raise DataError(f"{self.path}, lines {number} to {number + len(lines) - 1} have no column {names}")
        return pa.table(values, schema=self.schema)


def _json(text: str | bytes) -> Any:
    """The value of a JSON text; `None` for other texts."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _id_list(value: object) -> list[int] | None:
    """A list of integers, each within 64 bits, which keeps invalid ones invalid; `None` for anything else."""
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        return None
    return [min(max(item, -(2**63)), 2**63 - 1) for item in value]


def _as_text(value: object) -> str | None:
    """A text; of any other value its JSON, as of chat messages."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Lone surrogates have no UTF-8.
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text
