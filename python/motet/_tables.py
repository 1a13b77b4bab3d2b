"""Tables as rows: lists of dicts, files, Arrow tables, and the frames of polars and pandas."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from motet._atomic_files import AtomicWriter
from motet.errors import ConfigError, DataError

__all__ = ["json_object", "json_objects", "load_pyarrow", "parquet_file", "prompt_in", "rows_of"]

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")


def rows_of(table: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of a table, as dicts; a text among the rows of a list is a row with the column `prompt`.

    `table`: an iterable of dicts and texts; the path of a file whose name ends as one of `SUFFIXES`; an object with
    Arrow's PyCapsule interface (`__arrow_c_stream__`), which needs pyarrow, as parquet files do; a polars or a pandas
    frame. Raises `TypeError`, `ConfigError`, and `DataError` with the line or row of a value that is not one.
    """
    if isinstance(table, str | Path):
        yield from _file_rows(Path(table))
    elif hasattr(table, "iter_rows"):
        yield from table.iter_rows(named=True)
    elif hasattr(table, "itertuples"):
        yield from table.to_dict("records")
    elif hasattr(table, "__arrow_c_stream__"):
        yield from _arrow_rows(table)
    elif isinstance(table, Iterable) and not isinstance(table, Mapping | bytes):
        for number, row in enumerate(table):
            yield _row(row, f"row {number}")
    else:
        raise TypeError(f"a table must be a list of dicts, a path, an Arrow table or a frame: {table!r:.80}")


def _row(value: object, place: str) -> Mapping[str, Any]:
    if isinstance(value, str):
        return {"prompt": value}
    if not isinstance(value, Mapping):
        raise DataError(f"{place} must be an object with columns, or a text: {value!r:.80}")
    return value


def _file_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"a table's file must end in one of {', '.join(SUFFIXES)}: {str(path)!r}")
    if suffix == ".parquet":
        parquet = load_pyarrow("parquet files").parquet
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    elif suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file)
    elif suffix == ".json":
        shape = json.loads(path.read_bytes())
        rows = shape if isinstance(shape, list) else [shape]
        for number, row in enumerate(rows):
            yield _row(row, f"{path}, row {number}")
    else:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(_json_line(line, path, number), f"{path}, line {number}")


def _json_line(line: bytes, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {number} is not JSON: {error}", path=str(path), line=number) from None


def _arrow_rows(table: Any) -> Iterator[Mapping[str, Any]]:
    reader = load_pyarrow("Arrow tables").RecordBatchReader.from_stream(table)
    for batch in reader:
        for start in range(0, batch.num_rows, 1024):
            yield from batch.slice(start, 1024).to_pylist()


def load_pyarrow(what: str) -> Any:
    """The library, with `pyarrow.parquet`. `what`: what needs it, for the `ConfigError` that is raised without it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(f"{what} need pyarrow: pip install pyarrow") from error
    return pyarrow


def parquet_file(writer: AtomicWriter) -> Any:
    """The file for a `ParquetWriter`, which writes to an atomic writer. The writer is sealed by its own block."""
    return load_pyarrow("parquet files").PythonFile(_Sink(writer), mode="w")


class _Sink:
    """An atomic writer as a file object."""

    closed = False

    def __init__(self, writer: AtomicWriter) -> None:
        self._writer = writer
        self._size = 0

    def write(self, data: Any) -> int:
        data = bytes(data)
        self._writer.write(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """The writer flushes when it is sealed."""

    def close(self) -> None:
        """The writer is sealed by its own block."""


def json_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects on the lines of a file that are not blank, each with its place. Raises `DataError` with the line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                place = f"{path}, line {number}"
                try:
                    shape = json_object(line, place)
                except DataError as error:
                    raise DataError(str(error), path=str(path), line=number) from None
                yield place, shape


def json_object(line: bytes, place: str) -> dict[str, Any]:
    """The object on a line. Raises `DataError`."""
    try:
        shape = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not JSON: {error}") from None
    if not isinstance(shape, dict):
        raise DataError(f"{place}: not an object: {shape!r:.80}")
    return shape


def prompt_in(row: Mapping[str, Any], column: str | None = None) -> Any:
    """The prompt of a row: a text, or chat dicts.

    `column`: its name; by default `messages`, else `prompt`, else the only column. A text that holds a JSON list is
    read as chat dicts in the column `messages`. Raises `DataError` for a row without it.
    """
    if column is None:
        only = next(iter(row)) if len(row) == 1 else None
        column = next((name for name in ("messages", "prompt") if row.get(name) is not None), only)
        if column is None:
            raise DataError(f"a row has no column 'messages' or 'prompt': {', '.join(map(str, row))}; name the column")
    if column not in row:
        raise DataError(f"a row has no column {column!r}: {', '.join(map(str, row))}")
    value = row[column]
    if column == "messages" and isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DataError(f"messages are not JSON: {error}") from None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise DataError(f"the prompt is missing: {column} is {value!r}")
    # Arrow gives each struct of a list the keys of all of them.
    return _without_nulls(value)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return [_without_nulls(item) for item in value]
