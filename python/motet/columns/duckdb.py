"""motet's functions in DuckDB's SQL: `SELECT harmony_parse(completion).text FROM logs`."""

from __future__ import annotations

import functools
from typing import Any

import duckdb
import pyarrow as pa

from motet.columns._table import FUNCTIONS, result_type

__all__ = ["register"]


def register(connection: duckdb.DuckDBPyConnection, *, prefix: str = "harmony_", **options: Any) -> None:
    """Makes `harmony_parse`, `harmony_count`, `harmony_encode`, `harmony_decode` and `harmony_render` of a connection.

    Each takes a column: text, for `harmony_decode` lists of ids, and for `harmony_render` conversations as JSON.
    `options` are those of `motet.columns.parse` (`tools`, `tokens`, ...), for `harmony_parse` alone. With another
    `prefix` the functions can be registered a second time with other options.
    """
    for name in FUNCTIONS:
        keywords = options if name == "parse" else {}
        parameter = "UINTEGER[]" if name == "decode" else "VARCHAR"
        # DuckDB's stub wants objects for the types; its function takes their names as well.
        create_function: Any = connection.create_function
        create_function(
            f"{prefix}{name}",
            functools.partial(_apply, name, keywords),
            [parameter],
            _sql_type(connection, result_type(name, keywords)),
            type="arrow",
        )


def _apply(name: str, options: dict[str, Any], column: Any) -> pa.ChunkedArray:
    return pa.chunked_array(FUNCTIONS[name](column, **options))


def _sql_type(connection: duckdb.DuckDBPyConnection, kind: pa.DataType) -> Any:
    """DuckDB's name for a type of Arrow."""
    empty = pa.table({"column": pa.array([], kind)})
    return connection.from_arrow(empty).types[0]
