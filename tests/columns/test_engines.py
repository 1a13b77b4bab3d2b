"""Each engine's own column type and plan, beside `motet.parse`; `make tables` installs the engines."""

from __future__ import annotations

import sys
from typing import Any

import pyarrow as pa
import pytest

import motet
from motet import columns
from tests.support.completions import CALL, STRIPPED

ROWS = [CALL, None, "plain", STRIPPED, "<|channel|>final<|message|>Hi é<|return|>"] * 40
CALLS = [None if row is None else [call.name for call in motet.parse(row).tool_calls] for row in ROWS]
TEXTS = [None if row is None else motet.parse(row).text for row in ROWS]
COUNTS = [None if row is None else motet.count(row) for row in ROWS]


def names(parsed: Any) -> list[Any]:
    return [None if row is None else [call["name"] for call in row["tool_calls"]] for row in parsed]


def test_polars_expressions_equal_parse() -> None:
    pl = pytest.importorskip("polars")
    import motet.columns.polars

    frame = pl.LazyFrame({"completion": ROWS})
    parsed = pl.col("completion").harmony.parse()
    plan = frame.select(parsed, text=parsed.struct.field("text"), count=pl.col("completion").harmony.count())
    for engine in ("in-memory", "streaming"):
        result = plan.collect(engine=engine)
        assert names(result["completion"]) == CALLS
        assert result["text"].to_list() == TEXTS
        assert result["count"].to_list() == COUNTS
    # The types are known before any row is read.
    assert plan.collect_schema() == result.schema
    ids = pl.Series(ROWS).harmony.encode()
    assert ids.harmony.decode().to_list() == ROWS
    prompt = pl.Series(['[{"role": "user", "content": "Hi"}]']).harmony.render().struct.field("tokens")
    assert prompt.to_list() == [len(motet.render([{"role": "user", "content": "Hi"}]))]


def test_polars_arrays_of_ids_are_trusted() -> None:
    pl = pytest.importorskip("polars")
    ids = pl.Series(
        [motet.encode(CALL, special="token")], dtype=pl.Array(pl.Int64, len(motet.encode(CALL, special="token")))
    )
    [row] = pl.Series(columns.parse(ids)).to_list()
    assert [call["trusted"] for call in row["tool_calls"]] == [True]


def test_duckdb_functions_equal_parse() -> None:
    duckdb = pytest.importorskip("duckdb")
    from motet.columns.duckdb import register

    connection = duckdb.connect(config={"threads": 2})
    register(connection)
    connection.register("logs", pa.table({"completion": ROWS}))
    query = "SELECT harmony_parse(completion), harmony_parse(completion).text, harmony_count(completion) FROM logs"
    parsed, texts, counts = zip(*connection.sql(query).fetchall(), strict=True)
    assert names(parsed) == CALLS
    assert list(texts) == TEXTS
    assert list(counts) == COUNTS
    back = connection.sql("SELECT harmony_decode(harmony_encode(completion)) FROM logs").fetchall()
    assert [row for (row,) in back] == ROWS
    register(connection, prefix="weather_", tools=["get_weather"])
    query = f"SELECT weather_parse('{CALL}').tool_calls[1].name"
    assert connection.sql(query).fetchall() == [("f",)]


def test_pandas_accessor_equals_parse() -> None:
    pd = pytest.importorskip("pandas")
    import motet.columns.pandas  # noqa: F401

    index = range(7, 7 + len(ROWS))
    for kind in (object, pd.ArrowDtype(pa.string())):
        series = pd.Series(ROWS, index=index, dtype=kind, name="completion")
        parsed = series.harmony.parse()
        assert parsed.index.equals(series.index)
        assert names(parsed.array.__arrow_array__().to_pylist()) == CALLS
        assert series.harmony.count().array.__arrow_array__().to_pylist() == COUNTS


def test_ray_workers_equal_parse() -> None:
    ray = pytest.importorskip("ray")
    from motet.columns.ray import parse

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    try:
        dataset = parse(ray.data.from_arrow([pa.table({"completion": ROWS})] * 2).repartition(4), "completion")
        result = pa.concat_tables(ray.get(dataset.to_arrow_refs()))
        # Blocks end in any order.
        assert sorted(map(str, names(result["parsed"].to_pylist()))) == sorted(map(str, CALLS * 2))
        rows = zip(result["completion"].to_pylist(), result["parsed"].to_pylist(), strict=True)
        for row, parsed in rows:
            assert (parsed is None) == (row is None)
            assert parsed is None or parsed["text"] == motet.parse(row).text
    finally:
        ray.shutdown()


def test_spark_tasks_equal_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    sql = pytest.importorskip("pyspark.sql")
    # Otherwise the first one on the path.
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    from motet.columns.spark import count_udf, parse

    spark = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        frame = spark.createDataFrame(
            [(number, row) for number, row in enumerate(ROWS)], "number long, completion string"
        )
        parsed = parse(frame.repartition(4), "completion").orderBy("number").collect()
        assert [
            None if row.parsed is None else [call.name for call in row.parsed.tool_calls] for row in parsed
        ] == CALLS
        assert [None if row.parsed is None else row.parsed.text for row in parsed] == TEXTS
        counted = frame.select("number", count_udf()("completion").alias("tokens")).orderBy("number").collect()
        assert [row.tokens for row in counted] == COUNTS
    finally:
        spark.stop()
