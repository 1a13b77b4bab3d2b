"""motet's functions on Ray data sets, on all machines of a cluster."""

from __future__ import annotations

import functools
from typing import Any

import pyarrow as pa
from ray.data import Dataset

from motet.columns._table import apply

__all__ = ["parse"]


def parse(dataset: Dataset, column: str, *, output: str = "parsed", **options: Any) -> Dataset:
    """The data set with `motet.columns.parse` of a column in the column `output`.

    `options` are those of `motet.columns.parse`. Each worker uses one core, as Ray starts one for each of them. Other
    functions are applied the same way: `dataset.map_batches(function, batch_format="pyarrow")`.
    """
    function = functools.partial(_parse, column=column, output=output, options={"threads": 1, **options})
    return dataset.map_batches(function, batch_format="pyarrow", zero_copy_batch=True)


def _parse(table: pa.Table, column: str, output: str, options: dict[str, Any]) -> pa.Table:
    return apply(table, "parse", column, output, options)
