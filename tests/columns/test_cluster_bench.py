"""The comparison of outputs in `benches/columns_cluster.py`: what an engine could do wrong ends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benches import columns_cluster

ROWS = [
    {"number": number, "completion": f"c{number}", "parsed": {"calls": [{"name": f"n{number}"}], "text": None}}
    for number in range(30)
]


def write(path: Path, rows: list[dict[str, Any]], text: pa.DataType) -> None:
    parsed = pa.struct({"calls": pa.list_(pa.struct({"name": text})), "text": text})
    schema = pa.schema({"number": pa.int64(), "completion": text, "parsed": parsed})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=7)


def compare(folder: Path, *files: list[dict[str, Any]]) -> int:
    write(folder / "expected.parquet", ROWS, pa.large_string())
    output = folder / "output"
    output.mkdir()
    for number, rows in enumerate(files):
        write(output / f"{number}.parquet", rows, pa.string())
    return columns_cluster.compare(folder / "expected.parquet", output)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_cluster, "BATCH_ROWS", 4)


def test_rows_in_another_order_are_equal(tmp_path: Path) -> None:
    assert compare(tmp_path, ROWS[20:], ROWS[3:20], ROWS[:3][::-1]) == 30


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:12] + ROWS[13:], "without the row 12"),
        ([*ROWS[:12], ROWS[11], *ROWS[12:]], "has 31 rows, and not 30"),
        ([*ROWS[:12], {**ROWS[12], "parsed": None}, *ROWS[13:]], "differs from .* in the rows 12 to 15"),
        ([*ROWS[:29], {**ROWS[29], "completion": "other"}], "in the rows 28 to 29"),
    ],
)
def test_faults_of_an_output_are_found(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        compare(tmp_path, rows)
