"""A column of a pyarrow table replaced by a function's result: what the modules of the engines have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from motet.columns.arrow import count, decode, encode, parse, render

__all__ = ["FUNCTIONS", "apply", "result_type"]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "parse": parse,
    "count": count,
    "encode": encode,
    "decode": decode,
    "render": render,
}
"""The functions of one column, by name."""


def apply(table: pa.Table, name: str, column: str, output: str, options: dict[str, Any]) -> pa.Table:
    """The table with the result of a function in the column `output`, which replaces one of this name."""
    result = pa.chunked_array(FUNCTIONS[name](table.column(column), **options))
    index = table.schema.get_field_index(output)
    return table.append_column(output, result) if index < 0 else table.set_column(index, output, result)


def result_type(name: str, options: dict[str, Any]) -> pa.DataType:
    """The type of a function's result."""
    empty = pa.array([], pa.list_(pa.uint32()) if name == "decode" else pa.string())
    return pa.array(FUNCTIONS[name](empty, **options)).type
