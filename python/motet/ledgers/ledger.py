"""Ledgers: which of them record a request, and what they hold."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from motet._atomic_files import atomic_write
from motet._context import Scope
from motet._tables import load_pyarrow, parquet_file
from motet.errors import ConfigError
from motet.ledgers.costs import CostRow, read_costs
from motet.ledgers.entry import COLUMNS, LedgerEntry, row_of
from motet.ledgers.spending import bounds
from motet.ledgers.writer import Writer, open_database

__all__ = ["Ledger", "LedgerWarning", "active_labels", "active_ledgers", "label", "ledger"]

VARIABLE = "MOTET_LEDGER"
"""The environment variable with the path of a ledger for all atoms of a process."""
ROWS_PER_BATCH = 4096
"""Rows of a row group in Parquet."""
_MONEY_DIGITS = 12
"""Digits behind the point in Parquet: those of a token's price, by a price for a million tokens with six."""


class LedgerWarning(UserWarning):
    """An answer could not be written to its ledger. The row is kept and written with the next one."""


class Ledger:
    """A file with a row for each answer. Made by `motet.ledger`.

    `with ledger: ...` records the answers of the block, of all atoms, tasks and threads; `enable` those of the whole
    process. Any number of processes may write to one file.
    """

    def __init__(self, path: str | Path, *, content: bool = False) -> None:
        self.path = Path(path)
        self.content = content
        """True: rows have the messages of the prompt and the answer."""
        self.writer = Writer(self.path)

    def __repr__(self) -> str:
        return f"Ledger({str(self.path)!r})"

    def __enter__(self) -> Self:
        _scope.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _scope.leave(self)
        with contextlib.suppress(sqlite3.Error, ConfigError):
            # The writer has logged the error, and keeps the rows.
            self.flush()

    def enable(self) -> Self:
        """Records the answers of all atoms of the process."""
        if self not in _enabled:
            _enabled.append(self)
        return self

    def disable(self) -> None:
        """Ends what `enable` began."""
        if self in _enabled:
            _enabled.remove(self)

    def add(self, entry: LedgerEntry) -> Future[Any]:
        """Writes a row. The future is done when it is committed."""
        return self.writer.add(entry)

    def flush(self) -> None:
        """Waits until all rows are committed. Raises `sqlite3.Error` if they cannot be."""
        self.writer.flush()

    def close(self) -> None:
        """Commits all rows, and closes the file. It is opened again by the next answer."""
        self.writer.close()

    def rows(self, *, since: Any = None, until: Any = None) -> Iterator[dict[str, Any]]:
        """The rows, oldest first, as dicts with the columns of the file; money is `Decimal`.

        `since`, `until`: a moment, a day (UTC), a duration before now, or a text as `7d`, `24h` or `2026-11-26`.
        `until` is left out.
        """
        where, values = bounds(since, until)
        with self._reading() as connection:
            sql = f"SELECT {', '.join(COLUMNS)} FROM answers WHERE {where} ORDER BY ended_at, id"
            for row in connection.execute(sql, values):
                yield row_of(dict(zip(COLUMNS, row, strict=True)))

    def costs(self, by: str | Sequence[str] = (), *, since: Any = None, until: Any = None) -> list[CostRow]:
        """The sums over all rows, or for each group of them.

        `by`: one or more of `hour`, `day`, `month` (UTC), `model`, `requested_model`, `service`, `lane`, `stop`,
        `error`, `channel` and `label:NAME`. `since`, `until`: as for `rows`.
        """
        by = (by,) if isinstance(by, str) else tuple(by)
        with self._reading() as connection:
            return read_costs(connection, by, since, until)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with contextlib.suppress(sqlite3.Error, ConfigError):
            self.flush()
        with contextlib.closing(open_database(self.path)) as connection:
            yield connection

    def to_parquet(self, path: str | Path, *, since: Any = None, until: Any = None) -> None:
        """Writes the rows to a Parquet file, which needs pyarrow. Money is `decimal(38, 12)`; labels and content are
        JSON texts. Raises `DataError` for money of more digits."""
        pa = load_pyarrow("parquet files")
        schema = pa.schema([(name, _arrow_type(pa, name)) for name in COLUMNS])
        with atomic_write(Path(path)) as (file,), pa.parquet.ParquetWriter(parquet_file(file), schema) as writer:
            rows = self.rows(since=since, until=until)
            for batch in iter(lambda: [*itertools.islice(rows, ROWS_PER_BATCH)], []):
                writer.write_batch(pa.RecordBatch.from_pylist([_arrow_row(row) for row in batch], schema=schema))


def _arrow_type(pa: Any, name: str) -> Any:
    if name.endswith("cash"):
        return pa.decimal128(38, _MONEY_DIGITS)
    if name.endswith("seconds"):
        return pa.float64()
    if name.endswith("tokens") or name == "attempts":
        return pa.int64()
    return pa.timestamp("us", "UTC") if name == "ended_at" else pa.string()


def _arrow_row(row: dict[str, Any]) -> dict[str, Any]:
    import datetime
    import json

    texts = {name: json.dumps(row[name]) for name in ("labels", "content") if row[name] is not None}
    money = {name: round(value, _MONEY_DIGITS) for name, value in row.items() if isinstance(value, Decimal)}
    return {**row, **texts, **money, "ended_at": datetime.datetime.fromisoformat(row["ended_at"])}


_scope: Scope[Ledger] = Scope("motet_ledgers")
_enabled: list[Ledger] = []
_label_scope: Scope[_Labels] = Scope("motet_labels")


def ledger(path: str | Path | None = None, *, content: bool = False) -> Ledger:
    """The ledger in a file: a row for each answer with its model, tokens and cash by channel, times and labels.

    - `path`: an SQLite file, made if it is missing, readable for its owner alone. Default: that of the environment
      variable `MOTET_LEDGER`, which records the answers of all atoms without further code.
    - `content`: True keeps what was said as well.

    `with motet.ledger("usage.db"): ...` records the answers of the block. Raises `ConfigError` for a path that cannot
    be a ledger.
    """
    if path is None:
        path = os.environ.get(VARIABLE) or None
        if path is None:
            raise ConfigError(f"a ledger needs a path: motet.ledger('usage.db'), or the variable {VARIABLE}")
    return Ledger(path, content=content)


@functools.lru_cache(maxsize=4)
def _of_environment(path: str) -> Ledger:
    return Ledger(path)


def active_ledgers() -> tuple[Ledger, ...]:
    """The ledgers that record requests made here, each file once. Raises `ConfigError` where `MOTET_LEDGER` names a
    file that cannot be one."""
    path = os.environ.get(VARIABLE)
    ledgers = [*_scope.active(), *_enabled, *([_of_environment(path)] if path else [])]
    return distinct(ledgers)


def distinct(ledgers: Sequence[Ledger]) -> tuple[Ledger, ...]:
    """The ledgers without those of a file that an earlier one has."""
    return tuple({os.path.realpath(ledger.path): ledger for ledger in reversed(ledgers)}.values())[::-1]


class _Labels:
    """Labels of one `with` block."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = labels


@contextlib.contextmanager
def label(**labels: str | int) -> Iterator[None]:
    """Labels for the rows of the block in all ledgers: `with motet.label(user="7", feature="search"): ...`.

    Inner blocks add to outer ones, and replace labels of the same name.
    """
    block = _Labels({name: str(value) for name, value in labels.items()})
    _label_scope.enter(block)
    try:
        yield
    finally:
        _label_scope.leave(block)


def active_labels() -> dict[str, str]:
    """The labels of the enclosing blocks."""
    return {name: value for block in _label_scope.active() for name, value in block.labels.items()}
