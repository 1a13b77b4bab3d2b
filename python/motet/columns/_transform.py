"""What the commands compute of a batch of rows: completions parsed, texts counted, answers priced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from motet.columns._job import RowCounts, Transform
from motet.columns.arrow import cost, count, parse, render
from motet.errors import ConfigError
from motet.metrics import Price

__all__ = ["PricedColumns", "costing", "counting", "parsing"]


def parsing(column: str, options: Mapping[str, Any]) -> Transform:
    """`motet.columns.parse` of a column, in the column `parsed`."""

    def transform(table: pa.Table) -> tuple[pa.Table, RowCounts]:
        parsed = pa.chunked_array(parse(table.column(column), **options))
        summary = RowCounts(table.num_rows, parsed.null_count)
        for chunk in parsed.chunks:
            repairs = chunk.field("repairs").flatten()
            codes, counts = repairs.field("code"), repairs.field("count")
            groups = pa.table({"code": codes, "count": counts}).group_by("code").aggregate([("count", "sum")])
            tokens = chunk.field("tokens")
            part = RowCounts(
                repairs={row["code"]: row["count_sum"] for row in groups.to_pylist()},
                tokens={field.name: pc.sum(tokens.field(field.name)).as_py() or 0 for field in tokens.type.fields},
            )
            summary.add(part)
        return _with(table, "parsed", parsed), summary

    return transform


def counting(column: str, options: Mapping[str, Any]) -> Transform:
    """`motet.columns.count` of a column, in the column `tokens`."""

    def transform(table: pa.Table) -> tuple[pa.Table, RowCounts]:
        counts = pa.chunked_array(count(table.column(column), **options))
        summary = RowCounts(table.num_rows, counts.null_count, tokens={column: pc.sum(counts).as_py() or 0})
        return _with(table, "tokens", counts), summary

    return transform


@dataclass(frozen=True)
class PricedColumns:
    """The columns of a price: of the prompt and the completion either the content or its count."""

    prompt: str | None = None
    """Text, or token ids."""
    messages: str | None = None
    """Chat messages: lists of structs, or their JSON."""
    completion: str | None = None
    """Text with markers, or token ids."""
    prompt_tokens: str | None = None
    completion_tokens: str | None = None
    cached_tokens: str | None = None

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys([name for name in vars(self).values() if name is not None]))


def costing(columns: PricedColumns, price: Price | str) -> Transform:
    """`motet.columns.cost`, in `cost` and the counts beside it."""

    def transform(table: pa.Table) -> tuple[pa.Table, RowCounts]:
        summary, counts = RowCounts(table.num_rows), {}
        for name, values in _counts(table, columns):
            counts[name] = values
            summary.tokens[name] = pc.sum(values).as_py() or 0
            table = _with(table, f"{name}_tokens", values)
        money = cost(counts.get("prompt"), counts.get("completion"), cached=counts.get("cached"), price=price)
        costs = pa.chunked_array(money)
        for field in costs.type.fields:
            amounts = pc.struct_field(costs, field.name)
            if amounts.null_count < len(amounts):
                summary.cost[field.name] = pc.sum(amounts).as_py()
        summary.nulls, summary.unpriced = costs.null_count, pc.struct_field(costs, "total").null_count
        return _with(table, "cost", costs), summary

    return transform


def _counts(table: pa.Table, columns: PricedColumns) -> Iterator[tuple[str, pa.ChunkedArray]]:
    if columns.messages is not None:
        yield "prompt", pc.struct_field(pa.chunked_array(render(table.column(columns.messages))), "tokens")
    for name in ("prompt", "completion", "cached"):
        content, number = getattr(columns, name, None), getattr(columns, f"{name}_tokens")
        if number is not None:
            yield name, _integers(table.column(number))
        elif content is not None:
            yield name, pa.chunked_array(count(table.column(content), special="token"))


def _integers(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Counts; null for text that is not a whole number, as CSV and JSON have it."""
    if pa.types.is_integer(array.type):
        return array.cast(pa.int64())
    numbers = pc.match_substring_regex(array, r"\A\d{1,18}\z")
    return pc.if_else(numbers, array, pa.scalar(None, array.type)).cast(pa.int64())


def _with(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    if name in table.schema.names:
        raise ConfigError(f"the table has a column {name!r} already: rename it, or choose columns with --keep")
    return table.append_column(name, column)
