"""motet's functions on pandas series: `frame["completion"].harmony.parse()`.

Importing this module registers the accessor `harmony`. Results have Arrow types (`pandas.ArrowDtype`), of which pandas
copies nothing: `parsed.struct.field("text")`, `parsed.struct.explode()`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from motet.columns._table import FUNCTIONS

__all__ = ["HarmonyAccessor"]


@pd.api.extensions.register_series_accessor("harmony")
class HarmonyAccessor:
    """`series.harmony`: see `motet.columns` for the functions and their options."""

    def __init__(self, series: pd.Series[Any]) -> None:
        self._series = series

    def parse(self, **options: Any) -> pd.Series[Any]:
        """`motet.columns.parse`: a struct for each completion."""
        return self._apply("parse", options)

    def count(self, **options: Any) -> pd.Series[Any]:
        """`motet.columns.count`: the number of tokens."""
        return self._apply("count", options)

    def encode(self, **options: Any) -> pd.Series[Any]:
        """`motet.columns.encode`: the token ids of a text."""
        return self._apply("encode", options)

    def decode(self, **options: Any) -> pd.Series[Any]:
        """`motet.columns.decode`: the text of token ids."""
        return self._apply("decode", options)

    def render(self, **options: Any) -> pd.Series[Any]:
        """`motet.columns.render`: the prompt of a conversation."""
        return self._apply("render", options)

    def _apply(self, name: str, options: dict[str, Any]) -> pd.Series[Any]:
        result = FUNCTIONS[name](pa.array(self._series, from_pandas=True), **options)
        array = pd.arrays.ArrowExtensionArray(pa.chunked_array(result))
        return pd.Series(array, index=self._series.index, name=self._series.name)
