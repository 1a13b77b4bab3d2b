"""Work on a file of rows that continues after a crash: each unit's result is a file of its own until all are there.

`OUT.parquet.parts/` has `job.json`, which says what is computed from which file, and a part for each unit, written to
another name, flushed and renamed. When all parts are there they become `OUT.parquet`, by a rename as well; then the
folder is removed. So a kill at any moment loses the unit in work and nothing else, and no row is written twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from motet._atomic_files import AtomicWriter, atomic_write, lock, write_whole
from motet._tables import parquet_file
from motet.columns._parquet_join import join_files
from motet.columns._source import Source
from motet.errors import ConfigError, DataError

__all__ = ["Job", "RowCounts"]

_JOB, _SUMMARY = b"motet.job", b"motet.summary"
"""Keys of a Parquet file's metadata."""
GROUP_BYTES = 32 << 20
"""Uncompressed bytes of a row group, but for the last of a part: its writer keeps some 50 kB of metadata for each."""


@dataclass
class RowCounts:
    """What a unit, or a whole file, had in it."""

    rows: int = 0
    nulls: int = 0
    """Rows without a value."""
    unreadable: int = 0
    """Rows that are not JSON objects."""
    errors: int = 0
    """Rows with an error in place of a result."""
    repairs: dict[str, int] = field(default_factory=dict)
    """Deviations from the format, by code."""
    tokens: dict[str, int] = field(default_factory=dict)
    """Sums of counts, by channel or by column."""
    cost: dict[str, Decimal] = field(default_factory=dict)
    """US dollars of the rows whose cost is known, by part."""
    unpriced: int = 0
    """Rows whose cost is not known."""

    def add(self, other: RowCounts) -> None:
        for name in ("rows", "nulls", "unreadable", "errors", "unpriced"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("repairs", "tokens", "cost"):
            own = getattr(self, name)
            for key, amount in getattr(other, name).items():
                own[key] = own.get(key, 0) + amount

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "cost": {part: f"{amount:f}" for part, amount in self.cost.items()}}

    @classmethod
    def from_json(cls, text: bytes) -> RowCounts:
        shape = json.loads(text)
        return cls(**{**shape, "cost": {part: Decimal(amount) for part, amount in shape["cost"].items()}})


Transform = Callable[[pa.Table], tuple[pa.Table, RowCounts]]
"""A batch with its results, and what was in it."""


class Job:
    """The results of a transform of all rows of a file, in a Parquet file.

    `name` and `options` say what the transform computes: a job continues only with the same ones, and with a source of
    the same size and time.
    """

    def __init__(
        self, source: Source, output: Path, transform: Transform, name: str, options: Mapping[str, Any]
    ) -> None:
        status = source.path.stat()
        self._source, self._output, self._transform = source, output, transform
        self._parts = output.with_name(f"{output.name}.parts")
        shape = {
            "version": 1,
            "job": name,
            "options": dict(options),
            "source": str(source.path.resolve()),
            "size": status.st_size,
            "modified": status.st_mtime_ns,
            "columns": source.schema.names,
        }
        self._shape = json.dumps(shape, sort_keys=True)

    def run(self, on_progress: Callable[[int], None], *, overwrite: bool = False) -> RowCounts:
        """Computes what is missing, and writes the output. Returns what was in the whole file.

        `on_progress` is called with the bytes of the source that are done. An output of the same job is left as it is.
        Raises `ConfigError` for an output of another job unless `overwrite`, and for parts of another job.
        """
        self._parts.mkdir(exist_ok=True)
        try:
            handle = lock(self._parts / "lock", wait=False)
        except BlockingIOError:
            raise ConfigError(f"another process writes {str(self._output)!r}") from None
        try:
            summary = self._finished(overwrite)
            if summary is None:
                self._check_parts()
                summary = self._finish(self._compute(on_progress))
            shutil.rmtree(self._parts)
        finally:
            os.close(handle)
            if self._parts.exists() and not any(self._parts.glob("*.parquet")):
                shutil.rmtree(self._parts)
        return summary

    def _finished(self, overwrite: bool) -> RowCounts | None:
        """The summary of the output, if this job wrote it."""
        if not self._output.exists():
            return None
        try:
            metadata = pq.read_metadata(self._output).metadata or {}
        except (OSError, pa.ArrowInvalid):
            metadata = {}
        if metadata.get(_JOB) == self._shape.encode():
            return RowCounts.from_json(metadata[_SUMMARY])
        if not overwrite:
            raise ConfigError(f"the file exists: {str(self._output)!r}; give another name, or --force to replace it")
        return None

    def _check_parts(self) -> None:
        file = self._parts / "job.json"
        if not file.exists():
            write_whole(file, self._shape)
            return
        if file.read_text() != self._shape:
            raise ConfigError(
                f"{str(self._parts)!r} has parts of another job, or the source has changed; "
                "remove the folder to begin anew"
            )

    def _compute(self, on_progress: Callable[[int], None]) -> list[Path]:
        """All parts, in order."""
        parts = list(self._existing())
        for number, unit in enumerate(self._source.units(len(parts)), len(parts)):
            summary = RowCounts()
            part = self._parts / f"{number:06}.parquet"
            with _writing(part, self._shape) as writer:
                for batch in unit.batches:
                    table, counts = self._transform(batch)
                    summary.add(counts)
                    writer.write(table)
                summary.unreadable += unit.unreadable
                self._finish_file(writer, summary)
            parts.append(part)
            on_progress(unit.end)
        return parts

    def _existing(self) -> Iterator[Path]:
        for number in range(10**6):
            part = self._parts / f"{number:06}.parquet"
            if not part.exists():
                return
            yield part

    def _finish(self, parts: list[Path]) -> RowCounts:
        """Joins the parts to the output."""
        total = RowCounts()
        for part in parts:
            total.add(RowCounts.from_json(pq.read_metadata(part).metadata[_SUMMARY]))
        if parts:
            with atomic_write(self._output) as (file,):
                join_files(parts, file, _SUMMARY, _json(total))
            return total
        with _writing(self._output, self._shape) as writer:
            self._finish_file(writer, total)
        return total

    def _finish_file(self, writer: _Writer, summary: RowCounts) -> None:
        """A file without rows has its columns nonetheless."""
        if not summary.rows:
            empty, _ = self._transform(self._source.schema.empty_table())
            writer.write(empty)
        writer.finish(summary)


class _Writer:
    """Tables in a Parquet file, and at its end what was in them."""

    def __init__(self, file: AtomicWriter, job: str) -> None:
        self._file, self._job = file, job
        self._writer: pq.ParquetWriter | None = None
        self._tables: list[pa.Table] = []
        self._bytes = 0

    def write(self, table: pa.Table) -> None:
        if self._tables and table.schema != self._tables[0].schema:
            self._write_group()
        self._tables.append(table)
        self._bytes += table.nbytes
        if self._bytes >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        table = pa.concat_tables(self._tables)
        self._tables.clear()
        self._bytes = 0
        if self._writer is None:
            self._writer = pq.ParquetWriter(parquet_file(self._file), table.schema)
        try:
            self._writer.write_table(table)
        except ValueError as error:
            raise DataError(f"rows of one file differ in their types: {error}") from error

    def finish(self, summary: RowCounts) -> None:
        if self._tables:
            self._write_group()
        assert self._writer is not None
        self._writer.add_key_value_metadata({_JOB.decode(): self._job, _SUMMARY.decode(): _json(summary).decode()})

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _json(summary: RowCounts) -> bytes:
    return json.dumps(summary.to_dict()).encode()


@contextlib.contextmanager
def _writing(path: Path, job: str) -> Iterator[_Writer]:
    """A writer of a file that appears at once when the block ends without an error."""
    with atomic_write(path) as (file,), contextlib.closing(_Writer(file, job)) as writer:
        yield writer
