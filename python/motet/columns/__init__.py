"""Columns of completions, texts, token ids and conversations: Arrow arrays in, Arrow arrays out.

    parsed = motet.columns.parse(table["completion"])    # a struct for each row: reasoning, text, tool_calls, ...
    pyarrow.chunked_array(parsed)                        # or polars.Series(parsed): nothing is copied

Any object with Arrow's PyCapsule interface is an array: those of pyarrow, polars, DuckDB, pandas and others. motet
needs none of these. Rows are divided among all cores, with the GIL released.

    table = motet.columns.ask(prompts, atom, budget="5", checkpoint="asked.jsonl")   # a model asked for each row
"""

from typing import TYPE_CHECKING

from motet._core import Column
from motet._lazy import load
from motet.columns.arrow import ArrowArray, cost, count, decode, encode, parse, render

if TYPE_CHECKING:
    from motet.columns.asking import ask

_LATER = {"ask": "asking"}
"""Imported on first use: it brings what asks models."""


def __getattr__(name: str) -> object:
    return load(globals(), name, _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = ["ArrowArray", "Column", "ask", "cost", "count", "decode", "encode", "parse", "render"]
