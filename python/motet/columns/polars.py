"""motet's functions on polars expressions and series: `pl.col("completion").harmony.parse()`.

Importing this module registers the namespace `harmony`. It works in lazy frames and on the streaming engine, which
calls it with parts of a column. The result of `parse` is a struct: `.struct.field("text")`, `.struct.unnest()`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import polars as pl

from motet.columns.arrow import count, decode, encode, parse, render

__all__ = ["HarmonyExpr", "HarmonySeries"]


class HarmonySeries:
    """`series.harmony`: see `motet.columns` for the functions and their options."""

    def __init__(self, series: pl.Series) -> None:
        self._series = series

    def parse(self, **options: Any) -> pl.Series:
        """`motet.columns.parse`: a struct for each completion."""
        return _apply(self._series, parse, options)

    def count(self, **options: Any) -> pl.Series:
        """`motet.columns.count`: the number of tokens."""
        return _apply(self._series, count, options)

    def encode(self, **options: Any) -> pl.Series:
        """`motet.columns.encode`: the token ids of a text."""
        return _apply(self._series, encode, options)

    def decode(self, **options: Any) -> pl.Series:
        """`motet.columns.decode`: the text of token ids."""
        return _apply(self._series, decode, options)

    def render(self, **options: Any) -> pl.Series:
        """`motet.columns.render`: the prompt of a conversation."""
        return _apply(self._series, render, options)


class HarmonyExpr:
    """`expr.harmony`: see `motet.columns` for the functions and their options."""

    def __init__(self, expr: pl.Expr) -> None:
        self._expr = expr

    def parse(self, **options: Any) -> pl.Expr:
        """`motet.columns.parse`: a struct for each completion."""
        return self._map(parse, options)

    def count(self, **options: Any) -> pl.Expr:
        """`motet.columns.count`: the number of tokens."""
        return self._map(count, options)

    def encode(self, **options: Any) -> pl.Expr:
        """`motet.columns.encode`: the token ids of a text."""
        return self._map(encode, options)

    def decode(self, **options: Any) -> pl.Expr:
        """`motet.columns.decode`: the text of token ids."""
        return self._map(decode, options)

    def render(self, **options: Any) -> pl.Expr:
        """`motet.columns.render`: the prompt of a conversation."""
        return self._map(render, options)

    def _map(self, function: Callable[..., Any], options: dict[str, Any]) -> pl.Expr:
        empty = pl.Series([], dtype=pl.List(pl.UInt32) if function is decode else pl.String)
        return self._expr.map_batches(
            functools.partial(_apply, function=function, options=options),
            return_dtype=_apply(empty, function, options).dtype,
            # Rows do not depend on each other, so that the streaming engine divides them.
            is_elementwise=True,
        )


def _apply(series: pl.Series, function: Callable[..., Any], options: dict[str, Any]) -> pl.Series:
    return pl.Series(series.name, function(series, **options))


pl.api.register_series_namespace("harmony")(HarmonySeries)
pl.api.register_expr_namespace("harmony")(HarmonyExpr)
