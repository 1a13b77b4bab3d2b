"""Columns of completions, texts, token ids and conversations: Arrow arrays in, Arrow arrays out.

    parsed = motet.columns.parse(table["completion"])    # a struct for each row: reasoning, text, tool_calls, ...
    pyarrow.chunked_array(parsed)                        # or polars.Series(parsed): nothing is copied

Any object with Arrow's PyCapsule interface is an array: those of pyarrow, polars, DuckDB, pandas and others. motet
needs none of these. Rows are divided among all cores, with the GIL released.
"""

from motet._core import Column
from motet.columns.arrow import ArrowArray, cost, count, decode, encode, parse, render

__all__ = ["ArrowArray", "Column", "cost", "count", "decode", "encode", "parse", "render"]
