"""motet's functions on Spark data frames, on all machines of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, functions
from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import LongType, StructField, StructType

from motet.columns._table import apply, result_type
from motet.columns.arrow import count

__all__ = ["count_udf", "parse"]


def parse(frame: DataFrame, column: str, *, output: str = "parsed", **options: Any) -> DataFrame:
    """The data frame with `motet.columns.parse` of a column in the column `output`, by `mapInArrow`.

    `options` are those of `motet.columns.parse`. Each task uses one core, as Spark plans it.
    """
    options = {"threads": 1, **options}
    kind = _spark_type(result_type("parse", options))
    fields = [field for field in frame.schema.fields if field.name != output]
    schema = StructType([*fields, StructField(output, from_arrow_type(kind))])
    names = [field.name for field in schema.fields]

    def parse_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            table = apply(pa.table(batch), "parse", column, output, options).select(names)
            result = table.column(output).cast(kind)
            yield from table.set_column(len(names) - 1, output, result).to_batches()

    return frame.mapInArrow(parse_batches, schema)


def count_udf(**options: Any) -> Any:
    """A pandas UDF of `motet.columns.count`, for `frame.select(...)` and SQL. `options`: see there."""
    options = {"threads": 1, **options}

    def count_series(series: pd.Series) -> pd.Series:
        counts = pa.chunked_array(count(pa.array(series, from_pandas=True), **options))
        return counts.to_pandas(integer_object_nulls=True)

    # The module gets this name from another one, which type checkers do not see.
    pandas_udf: Any = functions.__dict__["pandas_udf"]
    return pandas_udf(count_series, returnType=LongType())


def _spark_type(kind: pa.DataType) -> pa.DataType:
    """A type with 32-bit offsets for each text: Spark reads no others in its default settings."""
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_spark_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_spark_type(field.type)) for field in kind.fields])
    return kind
